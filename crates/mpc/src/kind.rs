//! Kinds of frames that this crate sends.

/// Both halves of an opening.
pub const OPEN: u8 = 1;
/// A piece of what the dealer deals to P1.
pub const DEAL: u8 = 2;
