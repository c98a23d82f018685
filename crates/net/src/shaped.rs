//! A link as slow as a given network.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::forward::forward_link;
use crate::{Counters, Frame, Link, NetError, Wait};

/// How slow a network is, in each direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkShape {
    /// The way from one end to the other (half a round trip).
    pub latency: Duration,
    /// Bytes a second.
    pub bandwidth: f64,
}

/// How long before its time a receiver is woken: sleepers wake late, and a fast network's latency is not much longer.
const EARLY: Duration = Duration::from_micros(100);

/// Bytes of the hour of arrival at the end of each payload.
const STAMP_LEN: usize = 8;

/// A link as slow as a given network. Both ends must be wrapped, with clocks that agree: two processes of one machine.
///
/// The sender notes on each frame when it would arrive, given those before it, and the receiver sleeps until then; so
/// frames that follow one another pay the latency once and the bandwidth each. The note is not counted in
/// [`counters`](Link::counters), but it is in the inner link's limit of a frame.
///
/// Until it is given a shape the link is as fast as it is, and frames pass as they are.
#[derive(Debug)]
pub struct Shaped<L> {
    inner: L,
    shape: Option<LinkShape>,
    /// When the last byte sent so far leaves.
    free: Duration,
    /// A frame that came too late for the wait it belonged to, and when it arrives.
    pending: Option<(Frame, Duration)>,
    /// Notes on frames sent, and on frames received.
    notes: (u64, u64),
}

impl<L: Link> Shaped<L> {
    /// `inner`, as fast as it is.
    pub fn unshaped(inner: L) -> Self {
        Self { inner, shape: None, free: Duration::ZERO, pending: None, notes: (0, 0) }
    }

    /// `inner`, slowed down to `shape`.
    pub fn new(inner: L, shape: LinkShape) -> Self {
        Self { shape: Some(shape), ..Self::unshaped(inner) }
    }

    /// Slows the link down from now on. Both ends do so between the same two frames.
    pub fn set_shape(&mut self, shape: LinkShape) {
        self.shape = Some(shape);
    }

    /// The next frame and when it arrives.
    fn next(&mut self) -> Result<(Frame, Duration), NetError> {
        if let Some(next) = self.pending.take() {
            return Ok(next);
        }
        let mut frame = self.inner.recv()?;
        if self.shape.is_none() {
            return Ok((frame, Duration::ZERO));
        }
        let Some((rest, stamp)) = frame.payload.split_last_chunk::<STAMP_LEN>() else {
            let (peer, got) = (self.inner.peer().to_owned(), frame.payload.len());
            return Err(NetError::WrongLength { peer, step: frame.header.step, expected: STAMP_LEN, got });
        };
        let (length, due) = (rest.len(), Duration::from_nanos(u64::from_le_bytes(*stamp)));
        frame.payload.truncate(length);
        self.notes.1 += 1;
        Ok((frame, due))
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl<L: Link> Link for Shaped<L> {
    fn send(&mut self, mut frame: Frame) -> Result<(), NetError> {
        if let Some(LinkShape { latency, bandwidth }) = self.shape {
            let transfer = Duration::try_from_secs_f64(frame.wire_len() as f64 / bandwidth).unwrap_or_default();
            self.free = self.free.max(now()).saturating_add(transfer);
            let due = self.free.saturating_add(latency);
            frame.payload.extend_from_slice(&(due.as_nanos() as u64).to_le_bytes());
            self.notes.0 += 1;
        }
        self.inner.send(frame)
    }

    fn recv(&mut self) -> Result<Frame, NetError> {
        let start = Instant::now();
        let (frame, due) = self.next()?;
        let left = self.inner.deadline().saturating_sub(start.elapsed());
        let (since, wait) = (Instant::now(), due.saturating_sub(now()));
        if wait <= left {
            thread::sleep(wait.saturating_sub(EARLY));
            // the time of day may be set back meanwhile
            while now() < due && since.elapsed() <= wait {
                thread::yield_now();
            }
        } else {
            thread::sleep(left);
            self.pending = Some((frame, due));
            let (peer, waited) = (self.inner.peer().to_owned(), start.elapsed());
            return Err(NetError::Timeout { peer, wait: Wait::Receive(None), waited });
        }
        Ok(frame)
    }

    fn counters(&self) -> Counters {
        let mut counters = self.inner.counters();
        counters.bytes_sent -= self.notes.0 * STAMP_LEN as u64;
        counters.bytes_received -= self.notes.1 * STAMP_LEN as u64;
        if let Some((frame, _)) = &self.pending {
            counters.frames_received -= 1;
            counters.bytes_received -= frame.wire_len();
        }
        counters
    }

    forward_link!(|link| link.inner; flush, deadline, set_deadline, set_session, set_limits, peer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HEADER_LEN, Header, MemoryLink, memory_pair};

    fn pair(shape: LinkShape) -> (Shaped<MemoryLink>, Shaped<MemoryLink>) {
        let (a, b) = memory_pair("a", "b");
        (Shaped::new(a, shape), Shaped::new(b, shape))
    }

    fn frame(length: usize) -> Frame {
        Frame::new(Header::new(0, 0, 0, 0), vec![7; length])
    }

    #[test]
    fn frames_pay_the_latency_once_and_the_bandwidth_each() {
        let (mut a, mut b) = pair(LinkShape { latency: Duration::from_millis(30), bandwidth: 1e5 });
        let start = Instant::now();
        for _ in 0..4 {
            a.send(frame(500 - HEADER_LEN)).unwrap();
        }
        for _ in 0..4 {
            assert_eq!(b.recv().unwrap().payload, vec![7; 500 - HEADER_LEN]);
        }
        assert!(start.elapsed() >= Duration::from_millis(50), "{:?}", start.elapsed());
        assert_eq!(a.counters().bytes_sent, 2000);
        assert_eq!(b.counters().bytes_received, 2000);
    }

    #[test]
    fn a_frame_slower_than_the_deadline_times_out_and_comes_later() {
        let (mut a, mut b) = pair(LinkShape { latency: Duration::from_secs(4), bandwidth: 1e9 });
        a.send(frame(3)).unwrap();
        b.set_deadline(Duration::from_millis(5));
        assert!(matches!(b.recv(), Err(NetError::Timeout { .. })));
        assert_eq!(b.counters(), Counters::default());
        b.set_deadline(Duration::from_secs(60));
        assert_eq!(b.recv().unwrap().payload, [7; 3]);
        assert_eq!(b.counters().bytes_received, frame(3).wire_len());
    }

    #[test]
    fn a_link_is_as_it_was_until_it_is_shaped() {
        let (a, b) = memory_pair("a", "b");
        let (mut a, mut b) = (Shaped::unshaped(a), Shaped::unshaped(b));
        let start = Instant::now();
        a.send(frame(3)).unwrap();
        assert_eq!(b.recv().unwrap().payload, [7; 3]);
        assert_eq!((a.counters().bytes_sent, b.counters().bytes_received), (frame(3).wire_len(), frame(3).wire_len()));
        let shape = LinkShape { latency: Duration::from_millis(20), bandwidth: 1e9 };
        a.set_shape(shape);
        b.set_shape(shape);
        a.send(frame(5)).unwrap();
        assert_eq!(b.recv().unwrap().payload, [7; 5]);
        assert!(start.elapsed() >= Duration::from_millis(20));
        let both = frame(3).wire_len() + frame(5).wire_len();
        assert_eq!((a.counters().bytes_sent, b.counters().bytes_received), (both, both));
    }

    #[test]
    fn a_peer_that_is_not_shaped_is_an_error() {
        let (mut a, b) = memory_pair("a", "b");
        a.send(frame(3)).unwrap();
        let mut b = Shaped::new(b, LinkShape { latency: Duration::ZERO, bandwidth: 1e9 });
        assert!(matches!(b.recv(), Err(NetError::WrongLength { got: 3, .. })));
    }
}
