//! Tasks, texts and tokenizers as a user has them: own files, GLUE, and the hub by a stand-in on loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod hub;
mod hub_early;
mod hub_python;
mod own_files;
mod parquet;
mod sources;
#[path = "../standin/mod.rs"]
mod standin;
mod tokenisation;
mod tokenizers;
