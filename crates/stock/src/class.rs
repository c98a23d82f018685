//! What a pack is called, and what it was spent on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the two parties. Each has a stock of its own, in which its half of every pack lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Party {
    /// The party that allots serials and proposes which pack is taken.
    P0,
    /// The party that holds the dealt words.
    P1,
}

impl Party {
    /// The other one.
    pub fn peer(self) -> Party {
        match self {
            Party::P0 => Party::P1,
            Party::P1 => Party::P0,
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Party::P0 => 0,
            Party::P1 => 1,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.number())
    }
}

/// What packs of one kind have in common: each serves any text of the class, of one bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Class {
    /// The random id of the bundle whose weights the masks belong to.
    pub bundle: [u8; 16],
    /// The digest of the plan.
    pub plan: [u8; 32],
    /// How many rows (tokens) a text of this class has, for people: the plan says it already.
    pub rows: u32,
}

/// How a class stands in a ledger, in bytes.
pub(crate) const CLASS_BYTES: usize = 52;

impl Class {
    pub(crate) fn to_bytes(self) -> [u8; CLASS_BYTES] {
        let mut bytes = [0; CLASS_BYTES];
        bytes[..16].copy_from_slice(&self.bundle);
        bytes[16..48].copy_from_slice(&self.plan);
        bytes[48..].copy_from_slice(&self.rows.to_be_bytes());
        bytes
    }

    /// Reads what [`Class::to_bytes`] wrote at the beginning of `bytes`; nothing where they are too few.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Class> {
        let bundle = bytes.get(..16)?.try_into().ok()?;
        let plan = bytes.get(16..48)?.try_into().ok()?;
        let rows = u32::from_be_bytes(bytes.get(48..CLASS_BYTES)?.try_into().ok()?);
        Some(Class { bundle, plan, rows })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bundle, plan) = (hex::encode(&self.bundle[..4]), hex::encode(&self.plan[..4]));
        write!(f, "{} rows, bundle {bundle}…, plan {plan}…", self.rows)
    }
}

/// Which attempt a pack was spent on. It is written before the pack is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// The id of the session.
    pub session: [u8; 16],
    /// The number of the request in it.
    pub request: u64,
    /// The number of the attempt at that request.
    pub attempt: u32,
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}, request {}, attempt {}", hex::encode(self.session), self.request, self.attempt)
    }
}
