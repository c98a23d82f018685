//! Links and what is wrapped around them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod encrypted;
mod handshake;
mod keys;
mod links;
mod peers;
