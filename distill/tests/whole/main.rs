//! The parts together, on a world that fits into a test.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare its world fails")]

mod files;
mod gradients;
mod hub;
mod kinds;
mod machine;
mod parity;
mod program;
mod recipes;
#[path = "../../../datasets/tests/standin/mod.rs"]
mod standin;
mod start;
mod tiny;
