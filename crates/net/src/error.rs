//! What can go wrong between two peers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::header::Header;
use crate::pin::Pin;

/// What can go wrong between two peers. Messages name the peer and the step; no message contains payload bytes.
///
/// An error that ends a link (all but [`NetError::Timeout`] and those of a single frame) is kept by the link and
/// returned again by later calls, which is why this type is `Clone` and its sources are shared.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The deadline passed. The link is still usable.
    #[error("{peer}: {wait} did not finish within {waited:.1?}; is the peer stalled, or the deadline too short?")]
    Timeout {
        /// The peer waited for.
        peer: String,
        /// What was waited for.
        wait: Wait,
        /// For how long.
        waited: Duration,
    },
    /// The connection ended: closed by the peer, or broken.
    #[error("{peer}: connection lost while {wait}: {source}; look at the peer's own log for the reason")]
    Lost {
        /// The peer lost.
        peer: String,
        /// What was under way.
        wait: Wait,
        /// What the connection reported.
        source: Arc<io::Error>,
    },
    /// The stream does not hold a frame of this protocol where one should begin.
    #[error("{peer}: {what}; either another program is at that address, or the stream was damaged: reconnect")]
    Malformed {
        /// The peer that sent it.
        peer: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The peer speaks another version of the frame format.
    #[error("{peer} speaks frame version {got}, this program speaks {expected}; run the same release on both sides")]
    WrongVersion {
        /// The peer that sent it.
        peer: String,
        /// Our version.
        expected: u8,
        /// The peer's version.
        got: u8,
    },
    /// A frame's payload is over the link's limit; when receiving, it was refused before any of it was stored.
    #[error("{peer}: {wait}: a payload of {length} bytes is over the limit of {limit}; give both sides one limit")]
    TooLong {
        /// The peer at the other end.
        peer: String,
        /// Whether it was being sent or received.
        wait: Wait,
        /// The payload's length, as announced or given.
        length: u64,
        /// The limit of this link.
        limit: u64,
    },
    /// A frame is missing, repeated or reordered.
    #[error("{peer}: expected frame number {expected}, got {got}; frames were lost, repeated or reordered: reconnect")]
    OutOfSequence {
        /// The peer that sent it.
        peer: String,
        /// The number due.
        expected: u64,
        /// The number received.
        got: u64,
    },
    /// A frame belongs to another session.
    #[error(
        "{peer}: expected a frame of session {expected:#018x}, got one of {got:#018x}; a role of another deployment is \
         still running: stop it and start all roles together"
    )]
    OutOfSession {
        /// The peer that sent it.
        peer: String,
        /// The tag of our session.
        expected: u64,
        /// The tag received.
        got: u64,
    },
    /// The peer is at another place of the protocol.
    #[error("{peer} is out of step: expected {expected}; got {got}; check that both sides run the same plan")]
    OutOfStep {
        /// The peer that sent it.
        peer: String,
        /// The header due (session and sequence number are not compared: the link did that).
        expected: Header,
        /// The header received.
        got: Header,
    },
    /// The frame due came with a payload of the wrong length.
    #[error("{peer}: step {step} should bring {expected} bytes and brought {got}; do both sides agree on shapes?")]
    WrongLength {
        /// The peer that sent it.
        peer: String,
        /// The step it belongs to.
        step: u32,
        /// The length due.
        expected: usize,
        /// The length received.
        got: usize,
    },
    /// A connection to the peer could not be made before the deadline.
    #[error("cannot reach {peer} at {address} after {waited:.1?}: {source}; is it running, and is the address right?")]
    Unreachable {
        /// The peer wanted.
        peer: String,
        /// Where it should be.
        address: String,
        /// For how long it was tried.
        waited: Duration,
        /// The last attempt's error.
        source: Arc<io::Error>,
    },
    /// Nobody connected before the deadline.
    #[error("{peer} did not connect to {address} within {waited:.1?}; was it started, and with this address?")]
    NobodyCame {
        /// The peer waited for.
        peer: String,
        /// Where we listen.
        address: String,
        /// For how long.
        waited: Duration,
    },
    /// Listening failed.
    #[error("cannot listen on {address}: {source}; {}", listen_cure(.source.kind()))]
    Listen {
        /// Where we tried to listen.
        address: String,
        /// The system's reason.
        source: Arc<io::Error>,
    },
    /// A link could not be set up over a connection that exists.
    #[error("cannot set up the link to {peer}: {source}; the system may be out of file descriptors or threads")]
    Setup {
        /// The peer at the other end.
        peer: String,
        /// The system's reason.
        source: Arc<io::Error>,
    },
    /// The peer has another key than it should.
    #[error(
        "{peer}: {}, got {got}; if the peer's key was replaced, compare the new pin with its operator by another channel \
         and put it under peers.{peer}.pins; otherwise something else is at that address, or in between",
        expected_pins(.expected)
    )]
    WrongPin {
        /// The peer wanted.
        peer: String,
        /// The pins of which it should have one.
        expected: Vec<Pin>,
        /// The pin it has.
        got: Pin,
    },
    /// The peer's certificate cannot be believed.
    #[error("{peer}: refused its certificate: {why}")]
    Certificate {
        /// The peer that showed it.
        peer: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The peer does not speak TLS as it should, or refuses us.
    #[error("{peer}: no TLS: {why}")]
    Tls {
        /// The peer at the other end.
        peer: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

impl NetError {
    /// The same error seen from a wait: [`Timeout`](Self::Timeout) and [`Lost`](Self::Lost) are given what the caller
    /// was waiting for, which threads below do not know; others are returned as they are.
    #[must_use]
    pub fn during(mut self, wanted: Wait) -> Self {
        if let Self::Timeout { wait, .. } | Self::Lost { wait, .. } = &mut self {
            *wait = wanted;
        }
        self
    }

    /// The step that was being sent or waited for, where the error is of one step.
    pub fn step(&self) -> Option<u32> {
        match self {
            Self::Timeout { wait, .. } | Self::Lost { wait, .. } | Self::TooLong { wait, .. } => wait.step(),
            Self::OutOfStep { expected, .. } => Some(expected.step),
            Self::WrongLength { step, .. } => Some(*step),
            _ => None,
        }
    }

    /// The same error of a peer with another name.
    #[must_use]
    pub fn renamed(mut self, name: &str) -> Self {
        match &mut self {
            Self::Timeout { peer, .. }
            | Self::Lost { peer, .. }
            | Self::Malformed { peer, .. }
            | Self::WrongVersion { peer, .. }
            | Self::TooLong { peer, .. }
            | Self::OutOfSequence { peer, .. }
            | Self::OutOfSession { peer, .. }
            | Self::OutOfStep { peer, .. }
            | Self::WrongLength { peer, .. }
            | Self::Unreachable { peer, .. }
            | Self::NobodyCame { peer, .. }
            | Self::Setup { peer, .. }
            | Self::WrongPin { peer, .. }
            | Self::Certificate { peer, .. }
            | Self::Tls { peer, .. } => name.clone_into(peer),
            Self::Listen { .. } => {}
        }
        self
    }

    /// A connection that ended with `source`. A stream that knows more hands over the error to be reported inside it.
    pub(crate) fn lost(peer: &str, wait: Wait, source: io::Error) -> Self {
        match source.downcast() {
            Ok(known) => known,
            Err(source) => Self::Lost { peer: peer.to_owned(), wait, source: Arc::new(source) },
        }
    }

    pub(crate) fn setup(peer: &str, source: io::Error) -> Self {
        Self::Setup { peer: peer.to_owned(), source: Arc::new(source) }
    }
}

fn expected_pins(pins: &[Pin]) -> String {
    if pins.is_empty() {
        return "no pin of it is known".to_owned();
    }
    format!("expected pin {}", pins.iter().map(Pin::to_string).collect::<Vec<_>>().join(" or "))
}

/// What to do about an address that cannot be had.
fn listen_cure(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => "stop the program that has this port, choose another one, or 0 for any free one",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are the administrator's: choose one from 1024 to 65535, or 0 for any free one"
        }
        _ => "choose another port, or 0 for any free one",
    }
}

/// What a caller was doing with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Handing over the frame of this step.
    Send(u32),
    /// Waiting for the frame of this step, or for any frame.
    Receive(Option<u32>),
    /// Waiting until all that was handed over is written.
    Flush,
    /// Agreeing on keys.
    Handshake,
}

impl Wait {
    /// The step, where there is one.
    pub fn step(self) -> Option<u32> {
        match self {
            Self::Send(step) => Some(step),
            Self::Receive(step) => step,
            Self::Flush | Self::Handshake => None,
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(step) => write!(f, "sending step {step}"),
            Self::Receive(Some(step)) => write!(f, "receiving step {step}"),
            Self::Receive(None) => write!(f, "receiving a frame"),
            Self::Flush => write!(f, "flushing what was sent"),
            Self::Handshake => write!(f, "agreeing on keys (TLS)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_peer_and_the_step() {
        let error = NetError::lost("party1", Wait::Receive(None), io::ErrorKind::ConnectionReset.into());
        let error = error.during(Wait::Receive(Some(7)));
        assert_eq!(error.step(), Some(7));
        let message = error.to_string();
        assert!(message.contains("party1") && message.contains("receiving step 7"), "{message}");
    }
}
