//! The roles of a private classification: two parties, a dealer and a client, each over links to the others.
//!
//! A role knows its part of the bundle and its peers, which prove who they are; not which process runs it, nor on which machine. Security
//! model of the protocol: semi-honest, at most one of the two parties and the dealer corrupted; lengths of texts, the model's
//! shape and the number of restarts are public.

mod attempt;
pub mod client;
pub mod dealer;
pub mod dealer_link;
pub mod engine;
pub mod exit;
pub mod handshake;
pub mod liveness;
pub mod measured;
pub mod memory;
pub mod message;
pub mod output;
pub mod party;
pub mod party_model;
pub mod schedule;
pub mod service;
pub mod session;
pub mod settings;
pub mod start;
pub mod stocked;
mod yielding;
