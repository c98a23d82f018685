//! A link on which one thing goes wrong.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::frame::check_sequence;
use crate::link::Session;
use crate::testing::Direction;
use crate::{Counters, Frame, Limits, Link, NetError, Wait};

/// What goes wrong with a frame.
#[non_exhaustive]
pub enum Fault {
    /// This bit of the payload is flipped (modulo its length; an empty payload stays as it is).
    Flip(usize),
    /// The payload is cut to at most this many bytes.
    Truncate(usize),
    /// The frame does not arrive.
    Drop,
    /// The frame arrives twice.
    Duplicate,
    /// The frame is changed in some other way.
    Edit(Box<dyn FnMut(&mut Frame) + Send>),
    /// The connection ends in place of the frame: the inner link is dropped, so the peer sees it too.
    Cut,
}

/// A link on which one fault befalls one frame, counted from 0.
///
/// [`receiving`](Self::receiving) is a wire that misbehaves: it acts below the sessions and sequence numbers, which
/// are checked afterwards. [`sending`](Self::sending) is a peer that misbehaves: it acts above them, so that a dropped or repeated
/// frame leaves no gap in them and it is up to the layer above to notice.
#[derive(Debug)]
pub struct Faulty<L> {
    /// The link, or what ended it.
    inner: Result<L, NetError>,
    direction: Direction,
    at: u64,
    fault: Fault,
    /// Frames the caller has sent, and frames taken from the wire.
    sent: u64,
    arrived: u64,
    /// Frames that have arrived and are not given out yet.
    pending: VecDeque<Frame>,
    counters: Counters,
    session: Session,
    peer: String,
    deadline: Duration,
}

impl<L: Link> Faulty<L> {
    /// `inner`, where `fault` befalls the frame number `at` of those sent.
    pub fn sending(inner: L, at: u64, fault: Fault) -> Self {
        Self::new(inner, Direction::Sent, at, fault)
    }

    /// `inner`, where `fault` befalls the frame number `at` of those received.
    pub fn receiving(inner: L, at: u64, fault: Fault) -> Self {
        Self::new(inner, Direction::Received, at, fault)
    }

    fn new(inner: L, direction: Direction, at: u64, fault: Fault) -> Self {
        let (peer, deadline, counters) = (inner.peer().to_owned(), inner.deadline(), inner.counters());
        let (pending, session) = (VecDeque::new(), Session::default());
        Self { inner: Ok(inner), direction, at, fault, sent: 0, arrived: 0, pending, counters, session, peer, deadline }
    }

    /// The inner link, or what ended it.
    fn link(&mut self, wait: Wait) -> Result<&mut L, NetError> {
        self.inner.as_mut().map_err(|cause| cause.clone().during(wait))
    }

    /// Ends the link for good.
    fn end<T>(&mut self, cause: NetError) -> Result<T, NetError> {
        self.inner = Err(cause.clone());
        Err(cause)
    }

    /// What becomes of a frame that the fault befalls.
    fn befall(&mut self, mut frame: Frame, wait: Wait) -> Result<Vec<Frame>, NetError> {
        match &mut self.fault {
            Fault::Flip(bit) => {
                let bit = *bit % (8 * frame.payload.len()).max(1);
                if let Some(byte) = frame.payload.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Fault::Truncate(length) => frame.payload.truncate(*length),
            Fault::Drop => return Ok(Vec::new()),
            Fault::Duplicate => return Ok(vec![frame.clone(), frame]),
            Fault::Edit(edit) => edit(&mut frame),
            Fault::Cut => {
                let cut = io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a test");
                return self.end(NetError::lost(&self.peer, wait, cut));
            }
        }
        Ok(vec![frame])
    }
}

impl<L: Link> Link for Faulty<L> {
    fn send(&mut self, frame: Frame) -> Result<(), NetError> {
        let (length, wait) = (frame.wire_len(), Wait::Send(frame.header.step));
        let number = self.sent;
        self.link(wait)?;
        let frames = match (self.direction, number == self.at) {
            (Direction::Sent, true) => self.befall(frame, wait)?,
            _ => vec![frame],
        };
        for frame in frames {
            self.link(wait)?.send(frame)?;
        }
        self.sent += 1;
        self.counters.sent(length);
        Ok(())
    }

    fn recv(&mut self) -> Result<Frame, NetError> {
        let wait = Wait::Receive(None);
        let frame = loop {
            if let Some(frame) = self.pending.pop_front() {
                break frame;
            }
            let frame = self.link(wait)?.recv()?;
            let number = self.arrived;
            self.arrived += 1;
            match (self.direction, number == self.at) {
                (Direction::Received, true) => {
                    let frames = self.befall(frame, wait)?;
                    self.pending.extend(frames);
                }
                _ => break frame,
            }
        };
        let place = check_sequence(&frame.header, &self.peer, self.counters.frames_received);
        if let Err(cause) = place.and_then(|()| self.session.check(&self.peer, &frame.header)) {
            return self.end(cause);
        }
        self.counters.received(frame.wire_len());
        Ok(frame)
    }

    fn flush(&mut self) -> Result<(), NetError> {
        self.link(Wait::Flush)?.flush()
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
        if let Ok(inner) = &mut self.inner {
            inner.set_deadline(deadline);
        }
    }

    fn set_session(&mut self, tag: u64) {
        self.session.set(tag);
        if let Ok(inner) = &mut self.inner {
            inner.set_session(tag);
        }
    }

    fn set_limits(&mut self, limits: Limits) {
        if let Ok(inner) = &mut self.inner {
            inner.set_limits(limits);
        }
    }

    /// What the caller sent and was given, not what the fault made of it.
    fn counters(&self) -> Counters {
        self.counters
    }

    fn peer(&self) -> &str {
        &self.peer
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip(bit) => write!(f, "Flip({bit})"),
            Self::Truncate(length) => write!(f, "Truncate({length})"),
            Self::Drop => write!(f, "Drop"),
            Self::Duplicate => write!(f, "Duplicate"),
            Self::Edit(_) => write!(f, "Edit"),
            Self::Cut => write!(f, "Cut"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Header, MemoryLink, memory_pair};

    /// Three frames to a receiver on whose wire `fault` befalls the second.
    fn wire(fault: Fault) -> Faulty<MemoryLink> {
        let (mut a, b) = memory_pair("a", "b");
        send_three(&mut a);
        Faulty::receiving(b, 1, fault)
    }

    fn send_three(link: &mut impl Link) {
        for step in 0..3 {
            link.send(Frame::new(Header::new(1, 2, 3, step), vec![0, step as u8])).unwrap();
        }
    }

    fn expect(link: &mut impl Link, step: u32) -> Result<Vec<u8>, NetError> {
        link.expect(1, 2, 3, step, Some(2))
    }

    #[test]
    fn a_flipped_bit_arrives_flipped_and_only_there() {
        let mut link = wire(Fault::Flip(15));
        let all: Vec<_> = (0..3).map(|step| expect(&mut link, step).unwrap()).collect();
        assert_eq!(all, [[0, 0], [0, 1 | 1 << 7], [0, 2]]);
    }

    #[test]
    fn a_truncated_payload_has_the_wrong_length() {
        let mut link = wire(Fault::Truncate(1));
        expect(&mut link, 0).unwrap();
        assert!(matches!(expect(&mut link, 1), Err(NetError::WrongLength { expected: 2, got: 1, step: 1, .. })));
    }

    #[test]
    fn a_wire_that_drops_or_repeats_a_frame_is_out_of_sequence() {
        let mut link = wire(Fault::Drop);
        expect(&mut link, 0).unwrap();
        assert!(matches!(expect(&mut link, 1), Err(NetError::OutOfSequence { expected: 1, got: 2, .. })));
        let mut link = wire(Fault::Duplicate);
        expect(&mut link, 0).unwrap();
        expect(&mut link, 1).unwrap();
        for _ in 0..2 {
            assert!(matches!(expect(&mut link, 2), Err(NetError::OutOfSequence { expected: 2, got: 1, .. })));
        }
    }

    #[test]
    fn a_peer_that_skips_or_repeats_a_step_is_out_of_step() {
        for (fault, good) in [(Fault::Drop, 1), (Fault::Duplicate, 2)] {
            let (a, mut b) = memory_pair("a", "b");
            send_three(&mut Faulty::sending(a, 1, fault));
            for step in 0..good {
                expect(&mut b, step).unwrap();
            }
            assert!(matches!(expect(&mut b, good), Err(NetError::OutOfStep { .. })));
        }
    }

    #[test]
    fn an_edited_header_is_out_of_step() {
        let mut link = wire(Fault::Edit(Box::new(|frame| frame.header.attempt += 1)));
        expect(&mut link, 0).unwrap();
        let error = expect(&mut link, 1).unwrap_err().to_string();
        assert!(error.contains("attempt 3, step 1") && error.contains("attempt 4, step 1"), "{error}");
    }

    #[test]
    fn an_edited_session_is_out_of_session_and_stays() {
        let (mut a, b) = memory_pair("a", "b");
        let mut b = Faulty::receiving(b, 1, Fault::Edit(Box::new(|frame| frame.header.session ^= 1)));
        a.set_session(6);
        b.set_session(6);
        send_three(&mut a);
        expect(&mut b, 0).unwrap();
        for _ in 0..2 {
            assert!(matches!(expect(&mut b, 1), Err(NetError::OutOfSession { expected: 6, got: 7, .. })));
        }
    }

    #[test]
    fn a_cut_is_seen_at_both_ends_and_stays() {
        let (a, mut b) = memory_pair("a", "b");
        let mut a = Faulty::sending(a, 1, Fault::Cut);
        a.send(Frame::new(Header::new(1, 2, 3, 0), vec![0, 0])).unwrap();
        for _ in 0..2 {
            let sent = a.send(Frame::new(Header::new(1, 2, 3, 1), vec![0, 0]));
            assert!(matches!(sent, Err(NetError::Lost { wait: Wait::Send(1), .. })));
        }
        assert!(matches!(a.recv(), Err(NetError::Lost { .. })));
        expect(&mut b, 0).unwrap();
        assert!(matches!(expect(&mut b, 1), Err(NetError::Lost { wait: Wait::Receive(Some(1)), .. })));
    }
}
