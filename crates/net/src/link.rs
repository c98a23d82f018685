//! A link: frames to one peer and back.

use std::time::Duration;

use crate::error::{NetError, Wait};
use crate::forward::forward_link;
use crate::frame::Frame;
use crate::header::Header;

/// Frames to one peer and back, in order; every wait has a deadline.
///
/// A link belongs to one caller at a time (`&mut self`), who may send several frames before receiving.
pub trait Link: Send {
    /// Hands `frame` over for sending and sets its session and its sequence number. Returns once the link holds it, which waits for
    /// room in the link's queue but not for the peer; see [`flush`](Self::flush).
    fn send(&mut self, frame: Frame) -> Result<(), NetError>;

    /// The next frame from the peer. Frames that arrived before the connection ended are given out before the error.
    fn recv(&mut self) -> Result<Frame, NetError>;

    /// Waits until all that was handed over is with the operating system (not: with the peer).
    fn flush(&mut self) -> Result<(), NetError>;

    /// The longest that any one call waits.
    fn deadline(&self) -> Duration;

    /// Changes the longest that any one call waits.
    fn set_deadline(&mut self, deadline: Duration);

    /// Names the session that all further frames belong to, in both directions, by a public tag; 0 until then. What the
    /// peer sent before it did the same must have been received. A frame of another session ends the link.
    fn set_session(&mut self, tag: u64);

    /// Changes what the link may hold: a peer gets more once it has proved who it is. A frame that was announced while a
    /// lower limit held may have been refused already, so raise the limits before telling the peer that it is known.
    fn set_limits(&mut self, limits: Limits);

    /// What was sent and received up to now.
    fn counters(&self) -> Counters;

    /// The peer's name, as errors call it.
    fn peer(&self) -> &str;

    /// The payload of the next frame, which must be the one named: of this kind, request, attempt and step, and of
    /// `len` bytes if that is given.
    fn expect(
        &mut self,
        kind: u8,
        request: u64,
        attempt: u32,
        step: u32,
        len: Option<usize>,
    ) -> Result<Vec<u8>, NetError> {
        let Frame { header: got, payload } = self.recv().map_err(|e| e.during(Wait::Receive(Some(step))))?;
        let expected = Header { kind, request, attempt, step, ..got };
        if !got.same_place(&expected) {
            return Err(NetError::OutOfStep { peer: self.peer().to_owned(), expected, got });
        }
        match len {
            Some(expected) if expected != payload.len() => {
                Err(NetError::WrongLength { peer: self.peer().to_owned(), step, expected, got: payload.len() })
            }
            _ => Ok(payload),
        }
    }
}

impl<L: Link + ?Sized> Link for Box<L> {
    forward_link!(|link| (**link); send, recv, flush, deadline, set_deadline, set_session, set_limits, counters, peer);
}

/// What passed over a link, as its caller saw it: frames accepted for sending and frames given out. Bytes are those on
/// the wire, headers included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames sent.
    pub frames_sent: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Bytes received.
    pub bytes_received: u64,
}

impl Counters {
    /// What passed since `earlier`, a reading of the same link.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            frames_sent: self.frames_sent - earlier.frames_sent,
            bytes_sent: self.bytes_sent - earlier.bytes_sent,
            frames_received: self.frames_received - earlier.frames_received,
            bytes_received: self.bytes_received - earlier.bytes_received,
        }
    }

    pub(crate) fn sent(&mut self, bytes: u64) {
        self.frames_sent += 1;
        self.bytes_sent += bytes;
    }

    pub(crate) fn received(&mut self, bytes: u64) {
        self.frames_received += 1;
        self.bytes_received += bytes;
    }
}

/// What a link may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest payload of one frame, in bytes, either way.
    pub max_frame: u64,
    /// Bytes queued in each direction between the caller and the connection. One frame is taken whatever its length
    /// when the queue is empty, so that two sides which send one frame each before they receive never block; two
    /// sides that send several need room for them here.
    pub queue: u64,
}

impl Default for Limits {
    /// A gibibyte a frame, 64 MiB a queue.
    fn default() -> Self {
        Self { max_frame: 1 << 30, queue: 64 << 20 }
    }
}

impl Limits {
    /// For a peer that has not yet proved who it is: 64 KiB a frame and a queue.
    pub const STRANGER: Self = Self { max_frame: 64 << 10, queue: 64 << 10 };

    /// Refuses a frame that the peer would refuse.
    pub(crate) fn check_outgoing(&self, peer: &str, frame: &Frame) -> Result<(), NetError> {
        let length = frame.payload.len() as u64;
        if length <= self.max_frame {
            return Ok(());
        }
        let wait = Wait::Send(frame.header.step);
        Err(NetError::TooLong { peer: peer.to_owned(), wait, length, limit: self.max_frame })
    }
}

/// The session that a link's frames belong to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    tag: u64,
    /// Kept once a frame of another session came.
    broken: Option<NetError>,
}

impl Session {
    /// Sets the tag of all further frames.
    pub(crate) fn set(&mut self, tag: u64) {
        self.tag = tag;
    }

    /// The tag, for a frame to be sent; a peer that broke the session gets no more.
    pub(crate) fn tag(&self) -> Result<u64, NetError> {
        self.broken.clone().map_or(Ok(self.tag), Err)
    }

    /// A frame must belong to the session, and so must all those before it.
    pub(crate) fn check(&mut self, peer: &str, header: &Header) -> Result<(), NetError> {
        let expected = self.tag()?;
        if header.session == expected {
            return Ok(());
        }
        let error = NetError::OutOfSession { peer: peer.to_owned(), expected, got: header.session };
        self.broken = Some(error.clone());
        Err(error)
    }
}
