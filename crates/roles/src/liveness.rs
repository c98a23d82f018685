//! A link whose waits end early when they are in vain.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::{Counters, Frame, Limits, Link, NetError};

/// Time between two questions whether a wait still makes sense.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Whether waiting for a peer still makes sense. On one machine, a process that was started and has ended says no.
#[derive(Clone)]
pub struct Hope(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Hope {
    /// Hope as long as `lives` says so.
    pub fn new(lives: impl Fn() -> bool + Send + Sync + 'static) -> Hope {
        Hope(Some(Arc::new(lives)))
    }

    /// Hope until the deadline: nothing else is known of the peer.
    pub fn unto_the_deadline() -> Hope {
        Hope(None)
    }

    /// Whether there is any.
    pub fn lives(&self) -> bool {
        self.0.as_ref().is_none_or(|lives| lives())
    }
}

impl fmt::Debug for Hope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Hope(watched)" } else { "Hope(unto the deadline)" })
    }
}

/// A link that waits no longer than there is hope.
#[derive(Debug)]
pub struct Watched<L> {
    link: L,
    hope: Hope,
}

impl<L: Link> Watched<L> {
    /// Puts a watch on a link.
    pub fn new(link: L, hope: Hope) -> Watched<L> {
        Watched { link, hope }
    }
}

impl<L: Link> Link for Watched<L> {
    fn send(&mut self, frame: Frame) -> Result<(), NetError> {
        self.link.send(frame)
    }

    fn recv(&mut self) -> Result<Frame, NetError> {
        if self.hope.0.is_none() {
            return self.link.recv();
        }
        let (start, deadline) = (Instant::now(), self.link.deadline());
        loop {
            self.link.set_deadline(PAUSE.min(deadline.saturating_sub(start.elapsed())));
            let mut seen = self.link.recv();
            self.link.set_deadline(deadline);
            let waiting = start.elapsed();
            match &mut seen {
                Err(NetError::Timeout { waited, .. }) if waiting >= deadline => *waited = waiting,
                Err(NetError::Timeout { .. }) if self.hope.lives() => continue,
                // what was sent before the end still counts
                Err(NetError::Timeout { .. }) => {
                    self.link.set_deadline(PAUSE);
                    seen = self.link.recv();
                    self.link.set_deadline(deadline);
                    if let Err(NetError::Timeout { peer, wait, .. }) = seen {
                        let source = Arc::new(std::io::Error::other("a role has ended"));
                        seen = Err(NetError::Lost { peer, wait, source });
                    }
                }
                _ => {}
            }
            return seen;
        }
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

    fn watched(lives: impl Fn() -> bool + Send + Sync + 'static) -> (Watched<impl Link>, impl Link) {
        let (mut here, there) = memory_pair("here", "there");
        here.set_deadline(DEADLINE);
        (Watched::new(here, Hope::new(lives)), there)
    }

    #[test]
    fn what_came_is_given_out_and_a_wait_ends_with_hope() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let (mut here, mut there) = watched(move || count.fetch_add(1, Ordering::SeqCst) < 2);
        // more than three looks take on a busy machine
        here.set_deadline(LONG);
        there.send(Frame::new(Header::new(1, 0, 0, 0), vec![7])).unwrap();
        assert_eq!(here.recv().unwrap().payload, [7]);
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        let lost = here.recv().unwrap_err();
        assert!(matches!(&lost, NetError::Lost { wait: Wait::Receive(None), .. }), "{lost}");
        assert_eq!((asked.load(Ordering::SeqCst), here.deadline()), (3, LONG));
    }

    #[test]
    fn hope_does_not_outlive_the_deadline() {
        let (mut here, _there) = watched(|| true);
        let late = here.recv().unwrap_err();
        assert!(matches!(&late, NetError::Timeout { waited, .. } if *waited >= DEADLINE), "{late}");
    }
}
