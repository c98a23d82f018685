//! Correlations as they are made: a queue between a party's preparation and its online phase, both at work.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::correlation::{Correlation, Sink};
use crate::error::MpcError;

/// Parts of the network whose correlations are held at most: the one that is being used and the next, which is being made. A
/// third would only take memory: whoever is slower, making or using, is never waiting with two.
pub const MOST_PARTS: usize = 2;

#[derive(Default)]
struct State {
    queue: VecDeque<Correlation>,
    /// The part that the online phase has come to.
    used: usize,
    /// No more will come.
    ended: bool,
    /// Nobody takes any more.
    abandoned: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that takes. Waits end because the end that puts has deadlines on all that it waits for, and says when it is gone.
pub(crate) struct Pipe(Arc<Shared>);

/// The end that puts.
pub(crate) struct Maker(Arc<Shared>);

/// A new pipe.
pub(crate) fn pipe() -> (Maker, Pipe) {
    let shared = Arc::new(Shared::default());
    (Maker(shared.clone()), Pipe(shared))
}

impl Pipe {
    /// The next one, or nothing when there are no more.
    pub(crate) fn take(&self) -> Option<Correlation> {
        let mut state = self.0.lock();
        loop {
            match state.queue.pop_front() {
                None if !state.ended => state = self.0.wait(state),
                next => return next,
            }
        }
    }

    pub(crate) fn taker_begins(&self, part: usize) {
        self.0.change(|state| state.used = part);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.abandoned = true;
            state.queue.clear();
        });
    }
}

impl Sink for Maker {
    fn put(&mut self, correlation: Correlation) -> Result<(), MpcError> {
        let mut state = self.0.lock();
        if state.abandoned {
            return Err(MpcError::Abandoned);
        }
        state.queue.push_back(correlation);
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }

    fn begin_part(&mut self, part: usize) -> Result<(), MpcError> {
        let mut state = self.0.lock();
        while !state.abandoned && part >= state.used + MOST_PARTS {
            state = self.0.wait(state);
        }
        if state.abandoned { Err(MpcError::Abandoned) } else { Ok(()) }
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.0.change(|state| state.ended = true);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::super::correlation::Call;
    use super::*;

    fn correlation(number: u64) -> Correlation {
        Correlation { call: Call::Linear, pieces: vec![vec![number]] }
    }

    #[test]
    fn at_most_two_parts_are_held() {
        let (mut maker, pipe) = pipe();
        let (begun, told) = mpsc::channel();
        let making = thread::spawn(move || {
            for part in 0..6 {
                maker.begin_part(part).unwrap();
                begun.send(part).unwrap();
                maker.put(correlation(part as u64)).unwrap();
            }
        });
        let soon = Duration::from_secs(60);
        assert_eq!([0, 1].map(|_| told.recv_timeout(soon).unwrap()), [0, 1]);
        assert!(told.recv_timeout(Duration::from_millis(30)).is_err(), "the third part was begun");
        for part in 0..6 {
            pipe.taker_begins(part);
            assert_eq!(pipe.take().unwrap().pieces, [[part as u64]]);
            if part > 0 && part < 5 {
                assert_eq!(told.recv_timeout(soon).unwrap(), part + 1);
            }
        }
        assert!(pipe.take().is_none());
        making.join().unwrap();
    }

    #[test]
    fn a_maker_that_nobody_takes_from_is_told() {
        let (mut maker, pipe) = pipe();
        maker.put(correlation(1)).unwrap();
        drop(pipe);
        assert!(matches!(maker.put(correlation(2)), Err(MpcError::Abandoned)));
        assert!(matches!(maker.begin_part(9), Err(MpcError::Abandoned)));
    }
}
