//! SecFormer's engine: additive shares of two parties and Beaver's correlations from a dealer, as published, for comparison
//! with masked wires and as a second opinion on them.
//!
//! Values are words modulo 2^64 with 16 fractional bits. Every product opens both of its operands under fresh masks, weights
//! included. Comparison, sines, division and roots are those of `crate::protocol`, with this engine's scales and steps. What they
//! are written over is interpreted on shares ([`online`](fn@online)) and on nothing but counts ([`Plan`]). The dealer needs
//! neither: correlations depend on the plan's counts alone ([`deal`](fn@deal)), so it uses no weights.
//!
//! Security: semi-honest, at most one of P0, P1 and dealer corrupted. Each party sees uniform words only (angles modulo a
//! period that is no power of two are within 2^-46 of it each): what it opens is under a mask of which the other party holds
//! a half, and what it is dealt is uniform given its key. See docs/secformer.md.

mod deal;
mod demand;
mod engine;
mod interpreter;
mod network;
mod online;
mod options;
mod plan;
mod weights;

pub use deal::deal;
pub use demand::Demand;
pub use engine::Beaver;
pub use online::online;
pub use options::{FRAC, Options, Sines};
pub use plan::Plan;
pub use weights::Shares;
#[cfg(test)]
pub(crate) use {online::Online, plan::Planner};

pub use crate::protocol::ring::Wave;
pub use crate::protocol::truncate::Truncation;
