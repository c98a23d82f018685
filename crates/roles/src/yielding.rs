//! A link of work at low priority, which ends when a request needs the memory that the work holds.

use std::sync::Arc;
use std::time::Duration;

use net::{Counters, Frame, Limits, Link, NetError, Wait};

use crate::liveness::recv_alive;
use crate::memory::Reserved;

/// How often a wait looks whether a request needs the memory.
const LOOK: Duration = Duration::from_millis(200);

/// A link that ends when what was reserved has to be given back. For a request it is the link itself.
pub(crate) struct Yielding<'y> {
    link: &'y mut dyn Link,
    reserved: &'y Reserved<'y>,
}

impl<'y> Yielding<'y> {
    pub(crate) fn new(link: &'y mut dyn Link, reserved: &'y Reserved<'y>) -> Yielding<'y> {
        Yielding { link, reserved }
    }
}

fn yielded(peer: &str, wait: Wait) -> NetError {
    let source = Arc::new(std::io::Error::other("a request needs the memory of the pack that was being made"));
    NetError::Lost { peer: peer.to_owned(), wait, source }
}

impl Link for Yielding<'_> {
    fn send(&mut self, frame: Frame) -> Result<(), NetError> {
        if self.reserved.must_yield() {
            return Err(yielded(self.link.peer(), Wait::Send(frame.header.step)));
        }
        self.link.send(frame)
    }

    fn recv(&mut self) -> Result<Frame, NetError> {
        let Yielding { link, reserved } = self;
        if !reserved.yields() {
            return link.recv();
        }
        let deadline = link.deadline();
        recv_alive(&mut **link, LOOK, deadline, |timeout| match timeout {
            NetError::Timeout { peer, wait, .. } if reserved.must_yield() => Err(yielded(&peer, wait)),
            _ => Ok(()),
        })
    }

    fn flush(&mut self) -> Result<(), NetError> {
        self.link.flush()
    }

    fn deadline(&self) -> Duration {
        self.link.deadline()
    }

    fn set_deadline(&mut self, deadline: Duration) {
        self.link.set_deadline(deadline);
    }

    fn set_session(&mut self, tag: u64) {
        self.link.set_session(tag);
    }

    fn set_limits(&mut self, limits: Limits) {
        self.link.set_limits(limits);
    }

    fn counters(&self) -> Counters {
        self.link.counters()
    }

    fn peer(&self) -> &str {
        self.link.peer()
    }
}
