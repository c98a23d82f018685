//! The two computing parties.

use std::fmt;

/// A computing party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// P0: adds public constants of openings, gets a key from the dealer.
    Zero,
    /// P1: adds public terms of products, gets a key and corrections from the dealer.
    One,
}

impl Party {
    /// 0 or 1.
    pub fn index(self) -> usize {
        match self {
            Party::Zero => 0,
            Party::One => 1,
        }
    }

    /// The other one.
    pub fn other(self) -> Party {
        match self {
            Party::Zero => Party::One,
            Party::One => Party::Zero,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "party{}", self.index())
    }
}
