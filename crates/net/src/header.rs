//! What a frame is, in clear.

use std::fmt;

/// What a frame is, in clear: which step of which attempt at which request of which session it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// What the payload is, for the layer above.
    pub kind: u8,
    /// Tag of the session, public; 0 until the peers know one another. Set by the link on sending, checked on receipt.
    pub session: u64,
    /// Number of the request in the session, 0 for what belongs to none.
    pub request: u64,
    /// Which attempt at the request.
    pub attempt: u32,
    /// Which step of the attempt.
    pub step: u32,
    /// The frame's number on its link and direction: 0, 1, 2, ... Set by the link on sending, checked on receipt.
    pub sequence: u64,
}

impl Header {
    /// A header for a frame to be sent; the link fills in the session and the sequence number.
    pub fn new(kind: u8, request: u64, attempt: u32, step: u32) -> Self {
        Self { kind, session: 0, request, attempt, step, sequence: 0 }
    }

    /// Whether both name the same place of the protocol: all but what links fill in.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        let place = |header: &Self| Self { session: 0, sequence: 0, ..*header };
        place(self) == place(other)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, session, request, attempt, step, sequence } = self;
        write!(f, "kind {kind}, request {request}, attempt {attempt}, step {step}, ")?;
        write!(f, "frame number {sequence} of session {session:#018x}")
    }
}
