//! Several processes that train one student together, on one machine or more (data-parallel training).
//!
//! Each takes a shard of every batch; the gradients are summed over all processes, and all take the same step. Rank 0 alone
//! writes, evaluates and decides, and sends the others what they need, so that they share no folder but the inputs.

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
