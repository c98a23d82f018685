//! Private classification: two parties, a dealer and a client, each a process of its own.
//!
//! `infer` and `evaluate` start all roles on this machine and are the client themselves, which is for trying and measuring:
//! it protects nothing, and says so. Security model of the protocol: semi-honest, at most one of the two parties and the
//! dealer corrupted; lengths of texts, the model's shape and the number of restarts are public.

mod attempt;
#[cfg(feature = "bench")]
pub mod bench;
pub mod cache;
pub mod cached;
mod children;
pub mod client;
pub mod cores;
pub mod dealer;
pub mod deployment;
pub mod engine;
pub mod evaluate;
pub mod exit;
pub mod handshake;
pub mod infer;
pub mod memory;
pub mod message;
pub mod network;
pub mod options;
pub mod party;
mod refused;
mod results;
pub mod schedule;
pub mod session;
pub mod settings;
pub mod shipped;
pub mod start;
pub mod texts;
pub mod watched;
mod weigh;

pub use cli::log;
