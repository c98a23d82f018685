//! How far values were seen to go.

use serde::{Deserialize, Serialize};

/// Smallest and largest value seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Smallest.
    pub lo: f32,
    /// Largest.
    pub hi: f32,
}

impl Span {
    pub(crate) const EMPTY: Span = Span { lo: f32::MAX, hi: f32::MIN };

    pub(crate) fn see(&mut self, v: f32) {
        self.lo = self.lo.min(v);
        self.hi = self.hi.max(v);
    }

    pub(crate) fn merge(&mut self, other: &Span) {
        self.lo = self.lo.min(other.lo);
        self.hi = self.hi.max(other.hi);
    }
}
