//! Whole programs and real sessions: processes, sockets, files, signals.
#![allow(clippy::unwrap_used)]

#[path = "../../../convert/tests/folder/mod.rs"]
mod folder;
mod outside;
mod played;
mod programs;
mod sessions;
#[path = "../../../datasets/tests/standin/mod.rs"]
mod standin;

mod agreed;
mod answers;
mod bad_input;
mod bench;
mod cache;
mod damaged;
mod deployment;
mod engines;
mod fuzzed;
mod halves;
mod help;
mod house;
mod independent;
mod kept;
mod killed;
mod lengths;
mod memory;
mod outputs;
mod padded;
mod program;
mod services;
mod shipped;
mod signals;
mod stock;
mod stock_local;
mod uncertified;
mod walkthrough;
