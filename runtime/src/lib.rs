//! The commands of `runtime`: private classification by two parties, a dealer and a client, each a process of its own.
//!
//! `infer` and `evaluate` with `--config` are the client of services that others run, started by `party --config` and `dealer
//! --config`. Without it they start all roles on this machine themselves, which is for trying and measuring: it protects nothing,
//! and says so. Security model of the protocol: semi-honest, at most one of the two parties and the
//! dealer corrupted; lengths of texts, the model's shape and the number of restarts are public.

pub mod cached;
pub mod evaluate;
pub mod exit;
pub mod infer;
pub mod options;
mod refused;
mod results;
pub mod services;
pub mod session;
pub mod shipped;
pub mod stock;
pub mod texts;
