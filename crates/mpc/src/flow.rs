//! How far a party sends ahead.

/// Bytes sent beyond those received: with more on the way both parties could fill every queue between them, and wait.
pub(crate) const MOST_AHEAD: usize = 16 << 20;
/// Bytes that a link keeps of frames between itself and its caller, in each direction.
pub(crate) const MOST_QUEUED: u64 = 64 << 20;
