//! The parts together, on a world that fits into a test.

mod gradients;
mod program;
mod tiny;
