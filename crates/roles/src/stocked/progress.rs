//! What the parties say to each other while each makes its half of a pack: that it is still at it, and that it has it.

use std::time::{Duration, Instant};

use crate::handshake::Peer;
use crate::message::{ControlError, kind, send};
use crate::stocked::order::expect_granted;

/// How often at most it is said that work goes on.
pub(super) const SAY: Duration = Duration::from_secs(1);

/// One side's word on a pack that it makes. Packs are made at low priority: how long one takes says nothing on a busy machine,
/// and so the other side waits by what is said here and not for the whole pack.
pub(super) struct Progress<'p> {
    pub(super) peer: &'p mut Peer,
    pub(super) request: u64,
    every: Duration,
    said: Instant,
}

impl<'p> Progress<'p> {
    pub(super) fn new(peer: &'p mut Peer, request: u64, every: Duration) -> Progress<'p> {
        Progress { peer, request, every, said: Instant::now() }
    }

    /// Bytes were written, or room is waited for.
    pub(super) fn goes_on(&mut self) -> Result<(), ControlError> {
        if self.said.elapsed() < self.every {
            return Ok(());
        }
        self.said = Instant::now();
        send(self.peer, kind::PROGRESS, self.request, 0, &())?;
        Ok(self.peer.flush()?)
    }

    /// This side's half is in its stock.
    pub(super) fn stored(&mut self) -> Result<(), ControlError> {
        send(self.peer, kind::STORED, self.request, 0, &())?;
        Ok(self.peer.flush()?)
    }

    /// Waits until the other side's half is in its stock: for each word that it is still at it, as long as for one.
    pub(super) fn await_stored(&mut self) -> Result<(), ControlError> {
        let kinds = [kind::STORED, kind::PROGRESS];
        loop {
            let (word, ()) = expect_granted(self.peer, &kinds, self.request, "word that a pack is in stock")?;
            if word == kind::STORED {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use net::{Link, memory_pair};

    use super::*;
    use crate::message::Refusal;

    fn pair() -> [Peer; 2] {
        <[_; 2]>::from(memory_pair("here", "there")).map(|link| Box::new(link) as Peer)
    }

    /// Every word renews the wait: what is waited for at a time is one frame, however many come.
    #[test]
    fn a_pack_is_waited_for_as_long_as_its_maker_says_that_it_goes_on() {
        let [mut here, mut there] = pair();
        let mut maker = Progress::new(&mut there, 7, Duration::ZERO);
        for _ in 0..20 {
            maker.goes_on().unwrap();
        }
        maker.stored().unwrap();
        Progress::new(&mut here, 7, SAY).await_stored().unwrap();
        assert_eq!(here.counters().frames_received, 21);
    }

    #[test]
    fn nothing_is_said_too_often_and_words_on_another_pack_or_a_refusal_end_the_wait() {
        let [mut here, mut there] = pair();
        let mut maker = Progress::new(&mut there, 7, Duration::from_secs(3600));
        for _ in 0..20 {
            maker.goes_on().unwrap();
        }
        maker.stored().unwrap();
        let other = Progress::new(&mut here, 8, SAY).await_stored().unwrap_err();
        assert!(matches!(other, ControlError::Unexpected { .. }), "{other}");
        assert_eq!(here.counters().frames_received, 1);
        crate::handshake::turn_away(&mut there, Refusal::busy("no room", 3));
        let refused = Progress::new(&mut here, 7, SAY).await_stored().unwrap_err();
        assert!(matches!(refused, ControlError::Busy { seconds: 3, .. }), "{refused}");
    }
}
