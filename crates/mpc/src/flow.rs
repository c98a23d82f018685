//! How far a party and the dealer send ahead.

use crate::dealt::DEAL_CHUNK;

/// Bytes sent beyond those received: with more on the way both parties could fill every queue between them, and wait.
pub(crate) const MOST_AHEAD: usize = 16 << 20;
/// Bytes that a link keeps of frames between itself and its caller, in each direction.
const MOST_QUEUED: u64 = 64 << 20;

/// Most bytes of a dealt stream of so many that wait at once on their way: those that the link keeps, a frame that arrives and one
/// that is read.
pub(crate) fn queued(dealt_bytes: usize) -> u64 {
    (dealt_bytes as u64).min(MOST_QUEUED + 2 * DEAL_CHUNK as u64)
}

/// The same of the dealer, which sends: what the link's thread frees comes back to the thread that makes frames only now and then,
/// so that as much again may lie about. One run of sixteen took 430 MB where the others took 340, with nothing else different.
pub(crate) fn queued_and_freed(dealt_bytes: usize) -> u64 {
    2 * queued(dealt_bytes)
}
