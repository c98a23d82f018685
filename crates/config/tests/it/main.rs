//! Tests of configurations: what is read, what is laid over it, and the words in which it is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deploy;
mod examples;
mod files;
mod layers;
mod pins;
mod read;
mod refused;
mod stock;
