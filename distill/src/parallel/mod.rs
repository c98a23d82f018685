//! Several processes that train one student together, on one machine or more (data-parallel training).
//!
//! Each takes its share of every batch; gradients are summed over all, and then all take the same step. Rank 0 alone
//! writes, judges and decides; the others get what they need from it, so that no folder but the inputs must be shared.

pub mod digest;
mod exchange;
#[cfg(test)]
mod free_port;
mod launch;
mod rendezvous;
mod ring;
mod share;
mod world;

pub use exchange::exchange;
pub use launch::Launch;
pub use rendezvous::Terms;
pub use share::Share;
pub use world::{Lent, World};
