//! A link that keeps what passes.

use std::sync::{Arc, Mutex, PoisonError};

use crate::forward::forward_link;
use crate::{Frame, Link, NetError};

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the peer.
    Sent,
    /// From the peer.
    Received,
}

/// One frame that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which way it went.
    pub direction: Direction,
    /// The frame, with the sequence number it had on the wire.
    pub frame: Frame,
}

/// What passed over a [`Recorded`] link, to look at while the link is in use or after it is gone.
#[derive(Debug, Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<Record>>>);

impl Recording {
    /// All frames in the order in which the link's holder sent and received them.
    pub fn all(&self) -> Vec<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The frames sent, in order.
    pub fn sent(&self) -> Vec<Frame> {
        self.only(Direction::Sent)
    }

    /// The frames received, in order.
    pub fn received(&self) -> Vec<Frame> {
        self.only(Direction::Received)
    }

    fn only(&self, direction: Direction) -> Vec<Frame> {
        self.all().into_iter().filter(|record| record.direction == direction).map(|record| record.frame).collect()
    }

    fn add(&self, direction: Direction, frame: Frame) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Record { direction, frame });
    }
}

/// A link that keeps a copy of every frame sent and received.
#[derive(Debug)]
pub struct Recorded<L> {
    inner: L,
    recording: Recording,
}

impl<L: Link> Recorded<L> {
    /// `inner`, recorded from now on.
    pub fn new(inner: L) -> Self {
        Self { inner, recording: Recording::default() }
    }

    /// A handle on what passes, valid after the link is gone too.
    pub fn recording(&self) -> Recording {
        self.recording.clone()
    }
}

impl<L: Link> Link for Recorded<L> {
    fn send(&mut self, frame: Frame) -> Result<(), NetError> {
        let mut copy = frame.clone();
        copy.header.sequence = self.inner.counters().frames_sent;
        self.inner.send(frame)?;
        self.recording.add(Direction::Sent, copy);
        Ok(())
    }

    fn recv(&mut self) -> Result<Frame, NetError> {
        let frame = self.inner.recv()?;
        self.recording.add(Direction::Received, frame.clone());
        Ok(frame)
    }

    forward_link!(|link| link.inner; flush, deadline, set_deadline, set_session, set_limits, counters, peer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Header, memory_pair};

    #[test]
    fn a_recording_outlives_its_link_and_matches_the_other_ends() {
        let (a, b) = memory_pair("a", "b");
        let (mut a, mut b) = (Recorded::new(a), Recorded::new(b));
        let (of_a, of_b) = (a.recording(), b.recording());
        for step in 0..3 {
            a.send(Frame::new(Header::new(1, 9, 0, step), vec![step as u8; 4])).unwrap();
            b.send(Frame::new(Header::new(2, 9, 0, step), vec![])).unwrap();
            a.recv().unwrap();
            b.recv().unwrap();
        }
        drop((a, b));
        assert_eq!(of_a.sent(), of_b.received());
        assert_eq!(of_b.sent(), of_a.received());
        assert_eq!(of_a.sent()[2].header.sequence, 2);
        assert_eq!(of_a.all()[1].direction, Direction::Received);
    }
}
