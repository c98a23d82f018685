//! Several processes that train one student together, on one machine or more (data-parallel training).
//!
//! Each takes its share of every batch; gradients are summed over all, and then all take the same step. Rank 0 alone
//! writes, judges and decides; the others get what they need from it, so that no folder but the inputs must be shared.

mod exchange;
#[cfg(test)]
mod free_port;
mod launch;
mod process_group;
mod rendezvous;
mod ring;
mod shard;

pub use exchange::exchange;
pub use launch::Launch;
pub use process_group::{BroadcastFiles, ProcessGroup};
pub use rendezvous::RunTerms;
pub use shard::Shard;
