//! Bundles as they are written, opened, and refused when someone else has changed them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alone;
mod attacks;
mod parts;
mod small;
