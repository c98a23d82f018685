//! A link within one process.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{NetError, Wait};
use crate::frame::Frame;
use crate::link::{Counters, Limits, Link, Session};
use crate::queue::Queue;

/// How long a memory link waits unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// Two ends of a link within one process; the first is held by `name_a` and its peer is `name_b`.
///
/// Nothing is copied and queues are unbounded, so any order of sending and receiving works that works over a network.
/// Each wait is at most 60 seconds until [`Link::set_deadline`] says otherwise.
pub fn memory_pair(name_a: &str, name_b: &str) -> (MemoryLink, MemoryLink) {
    let (there, back) = (Arc::new(Queue::new(u64::MAX)), Arc::new(Queue::new(u64::MAX)));
    let end = |own: &str, peer: &str, outgoing: &Arc<Queue>, incoming: &Arc<Queue>| MemoryLink {
        own: own.to_owned(),
        peer: peer.to_owned(),
        outgoing: Arc::clone(outgoing),
        incoming: Arc::clone(incoming),
        limits: Limits::default(),
        deadline: DEADLINE,
        counters: Counters::default(),
        session: Session::default(),
    };
    (end(name_a, name_b, &there, &back), end(name_b, name_a, &back, &there))
}

/// One end of a [`memory_pair`].
pub struct MemoryLink {
    own: String,
    peer: String,
    outgoing: Arc<Queue>,
    incoming: Arc<Queue>,
    limits: Limits,
    deadline: Duration,
    counters: Counters,
    session: Session,
}

impl Link for MemoryLink {
    fn send(&mut self, mut frame: Frame) -> Result<(), NetError> {
        self.limits.check_outgoing(&self.peer, &frame)?;
        frame.header.session = self.session.tag()?;
        frame.header.sequence = self.counters.frames_sent;
        let (length, wait) = (frame.wire_len(), Wait::Send(frame.header.step));
        self.outgoing.push(frame, self.deadline).map_err(|stop| stop.during(&self.peer, wait))?;
        self.counters.sent(length);
        Ok(())
    }

    fn recv(&mut self) -> Result<Frame, NetError> {
        let frame = self.incoming.take(self.deadline).map_err(|stop| stop.during(&self.peer, Wait::Receive(None)))?;
        self.incoming.release(frame.wire_len());
        self.session.check(&self.peer, &frame.header)?;
        self.counters.received(frame.wire_len());
        Ok(frame)
    }

    fn flush(&mut self) -> Result<(), NetError> {
        Ok(())
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    fn set_session(&mut self, tag: u64) {
        self.session.set(tag);
    }

    /// Within a process what is received was never refused: the limits are those of what is sent.
    fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn peer(&self) -> &str {
        &self.peer
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the connection");
        self.outgoing.close(NetError::lost(&self.own, Wait::Receive(None), closed()));
        self.incoming.close(NetError::lost(&self.own, Wait::Flush, closed()));
    }
}

impl fmt::Debug for MemoryLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLink").field("peer", &self.peer).field("counters", &self.counters).finish_non_exhaustive()
    }
}
