//! The whole program, on models and data that are small enough for a test.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare its fixture fails")]

mod designs;
mod files;
#[path = "../../src/parallel/free_port.rs"]
mod free_port;
mod gradients;
mod hub;
#[cfg(unix)]
mod killed;
mod kinds;
mod machine;
mod parallel;
mod parity;
mod program;
mod recipes;
mod resumed;
mod several_labels;
#[path = "../../../datasets/tests/standin/mod.rs"]
mod standin;
mod start;
mod tiny;
mod trainer;
