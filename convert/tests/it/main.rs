//! Students that become bundles: by the library, and by the program from outside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../folder/mod.rs"]
mod folder;
mod limits;
mod program;
mod running;
mod students;
mod texts;
