//! Liveness: a role waits for another no longer than the others are there that it needs as well.
//!
//! Waits are cut into short ones. After each that was in vain a probe says whether the next one makes sense: a look at the links
//! to other roles, or whatever the process that runs this role knows of its peers.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::{Counters, Frame, Limits, Link, NetError};

use crate::message::ControlError;

/// Time between two probes of a [`Liveness`].
pub(crate) const POLL: Duration = Duration::from_millis(50);
/// How long a link is probed for what may have come.
const PROBE: Duration = Duration::from_millis(1);

/// Waits for the next frame of a link, `limit` at most. Each `heartbeat` without one, `probe` is given the timeout: its error
/// ends the wait.
pub(crate) fn recv_alive<E: From<NetError>>(
    link: &mut dyn Link,
    heartbeat: Duration,
    limit: Duration,
    mut probe: impl FnMut(NetError) -> Result<(), E>,
) -> Result<Frame, E> {
    let (start, deadline) = (Instant::now(), link.deadline());
    loop {
        link.set_deadline(heartbeat.min(limit.saturating_sub(start.elapsed())));
        let received = link.recv();
        link.set_deadline(deadline);
        let waiting = start.elapsed();
        match received {
            Err(NetError::Timeout { peer, wait, .. }) if waiting >= limit => {
                return Err(NetError::Timeout { peer, wait, waited: waiting }.into());
            }
            Err(timeout @ NetError::Timeout { .. }) => probe(timeout)?,
            other => return Ok(other?),
        }
    }
}

/// What has come over a link, if anything has; an error where its peer is gone.
pub(crate) fn probe(link: &mut dyn Link) -> Result<Option<Frame>, NetError> {
    let deadline = link.deadline();
    link.set_deadline(PROBE);
    let received = link.recv();
    link.set_deadline(deadline);
    match received {
        Ok(frame) => Ok(Some(frame)),
        Err(NetError::Timeout { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Probes a role that should be silent.
pub(crate) fn probe_silent(link: &mut dyn Link) -> Result<(), ControlError> {
    let Some(frame) = probe(link)? else { return Ok(()) };
    let reason = format!("sent a frame of kind {} while nothing was asked of it", frame.header.kind);
    Err(ControlError::Unexpected { peer: link.peer().to_string(), reason })
}

/// What is known of a peer beside its link. On one machine, a process that was started and has ended is not alive.
#[derive(Clone)]
pub struct Liveness(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Liveness {
    /// A peer is alive as long as `is_alive` says so.
    pub fn monitored(is_alive: impl Fn() -> bool + Send + Sync + 'static) -> Liveness {
        Liveness(Some(Arc::new(is_alive)))
    }

    /// Nothing but its link: a peer that is silent may be alive until the deadline.
    pub fn unknown() -> Liveness {
        Liveness(None)
    }

    /// Whether the peer may be alive.
    pub fn is_alive(&self) -> bool {
        self.0.as_ref().is_none_or(|is_alive| is_alive())
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Liveness(monitored)" } else { "Liveness(unknown)" })
    }
}

/// A link that waits no longer than its peer is alive.
#[derive(Debug)]
pub struct Monitored<L> {
    link: L,
    liveness: Liveness,
}

impl<L: Link> Monitored<L> {
    /// Monitors the peer of a link.
    pub fn new(link: L, liveness: Liveness) -> Monitored<L> {
        Monitored { link, liveness }
    }
}

impl<L: Link> Link for Monitored<L> {
    fn send(&mut self, frame: Frame) -> Result<(), NetError> {
        self.link.send(frame)
    }

    fn recv(&mut self) -> Result<Frame, NetError> {
        if self.liveness.0.is_none() {
            return self.link.recv();
        }
        let (deadline, mut ended) = (self.link.deadline(), false);
        recv_alive(&mut self.link, POLL, deadline, |timeout| match timeout {
            NetError::Timeout { peer, wait, .. } if ended => {
                let source = Arc::new(std::io::Error::other("a role has ended"));
                Err(NetError::Lost { peer, wait, source })
            }
            // what was sent before the end still counts
            _ => {
                ended = !self.liveness.is_alive();
                Ok(())
            }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use net::{Header, Wait, memory_pair};

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(60);

    fn monitored(is_alive: impl Fn() -> bool + Send + Sync + 'static) -> (Monitored<impl Link>, impl Link) {
        let (mut here, there) = memory_pair("here", "there");
        here.set_deadline(DEADLINE);
        (Monitored::new(here, Liveness::monitored(is_alive)), there)
    }

    #[test]
    fn what_came_is_given_out_and_a_wait_ends_with_the_peer() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let (mut here, mut there) = monitored(move || count.fetch_add(1, Ordering::SeqCst) < 2);
        // more than three probes take on a busy machine
        here.set_deadline(LONG);
        there.send(Frame::new(Header::new(1, 0, 0, 0), vec![7])).unwrap();
        assert_eq!(here.recv().unwrap().payload, [7]);
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        let lost = here.recv().unwrap_err();
        assert!(matches!(&lost, NetError::Lost { wait: Wait::Receive(None), .. }), "{lost}");
        assert_eq!((asked.load(Ordering::SeqCst), here.deadline()), (3, LONG));
    }

    #[test]
    fn a_wait_for_a_peer_that_is_alive_ends_at_the_deadline() {
        let (mut here, _there) = monitored(|| true);
        let late = here.recv().unwrap_err();
        assert!(matches!(&late, NetError::Timeout { waited, .. } if *waited >= DEADLINE), "{late}");
    }
}
