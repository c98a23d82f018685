//! Calls to other roles whose keys are pinned.

use std::thread;
use std::time::{Duration, Instant};

use net::{Limits, NetError, Pin, TlsIdentity, TlsLink, Wait, connect, connect_now};

use crate::handshake::{HELLO_DEADLINE, Identity, Known, Peer, greet};
use crate::message::{ControlError, Hello, Role};

/// How long one attempt at a connection may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How often a connection is tried again that was closed before anything was said, after pauses of which the first is this.
const AGAIN: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// Where a role is, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Who.
    pub role: Role,
    /// `host:port`.
    pub address: String,
    /// Its key, or two while it is being replaced.
    pub pins: Vec<Pin>,
}

impl PeerAddress {
    /// A link to that role, which has proved its key.
    pub fn connect(&self, tls: &TlsIdentity, within: Duration) -> Result<TlsLink, NetError> {
        let name = self.role.name();
        let mut tries = 0;
        loop {
            let stream = connect(name, &self.address, within.min(ATTEMPT))?;
            match TlsLink::connect(stream, tls, &self.pins, name, Limits::STRANGER, HELLO_DEADLINE) {
                // so a service sends callers away of whom too many stand before it
                Err(NetError::Lost { wait: Wait::Handshake, .. }) if tries < AGAIN => {
                    tries += 1;
                    thread::sleep(PAUSE * tries);
                }
                other => return other,
            }
        }
    }

    /// As [`connect`](Self::connect), but whoever is not there now is not tried again.
    pub fn connect_now(&self, tls: &TlsIdentity, within: Duration) -> Result<TlsLink, NetError> {
        let name = self.role.name();
        let stream = connect_now(name, &self.address, within.min(ATTEMPT))?;
        TlsLink::connect(stream, tls, &self.pins, name, Limits::STRANGER, HELLO_DEADLINE)
    }

    /// As [`connect`](Self::connect), for a role that may not have been started yet: tries again as long as nobody listens
    /// there, and says so.
    pub fn connect_waiting(
        &self,
        tls: &TlsIdentity,
        within: Duration,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<TlsLink, NetError> {
        let start = Instant::now();
        loop {
            let left = within.saturating_sub(start.elapsed());
            match self.connect(tls, left) {
                Err(NetError::Unreachable { source, .. })
                    if left > ATTEMPT && source.kind() == std::io::ErrorKind::ConnectionRefused =>
                {
                    waiting(&format!("nobody listens at {} yet ({}); trying again", self.address, self.role));
                }
                Err(NetError::Unreachable { peer, address, source, .. }) => {
                    return Err(NetError::Unreachable { peer, address, source, waited: start.elapsed() });
                }
                other => return other,
            }
        }
    }

    /// Says hello over a link to that role, which may let us wait for `deadline` and longer if it says so.
    pub fn greet(
        &self,
        me: &Identity,
        link: TlsLink,
        hello: &Hello,
        deadline: Duration,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Known, ControlError> {
        let mut link: Peer = Box::new(link);
        link.set_deadline(deadline);
        greet(me, link, self.role, hello, waiting)
    }

    /// Joins a session at that role, which may take `join` to seat us; waits on the link are `deadline` at most.
    pub(crate) fn join(
        &self,
        tls: &TlsIdentity,
        me: &Identity,
        hello: &Hello,
        (join, deadline): (Duration, Duration),
    ) -> Result<Known, ControlError> {
        let link = self.connect(tls, join)?;
        let mut known = self.greet(me, link, hello, join, &mut |_| ())?;
        known.link.set_deadline(deadline);
        Ok(known)
    }
}
