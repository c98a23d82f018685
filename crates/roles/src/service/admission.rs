//! How many sessions run at once, who waits, and who is told to come again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use net::Pin;

use crate::message::Refusal;

/// How often who waits is asked whether it is still there.
const ASK: Duration = Duration::from_secs(1);
/// What a session is taken to last before any has ended, in seconds.
const FIRST_GUESS: f64 = 10.0;
/// How much the last session counts in the mean.
const WEIGHT: f64 = 0.2;
/// The longest time after which a client is told to come again, in seconds.
const MOST_SECONDS: f64 = 600.0;

/// Bounds of a party's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions at once.
    pub sessions: usize,
    /// Clients that wait for one.
    pub waiting: usize,
    /// Sessions of one client, those that wait included.
    pub per_client: usize,
}

/// Which sessions run and which wait, in the order in which they came.
#[derive(Debug)]
pub struct Admission {
    bounds: Bounds,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    running: usize,
    queue: VecDeque<u64>,
    next: u64,
    clients: HashMap<Pin, usize>,
    mean_seconds: f64,
    closed: bool,
}

/// A session that is admitted, until this goes.
#[derive(Debug)]
pub struct Slot<'a> {
    admission: &'a Admission,
    pin: Pin,
    since: Instant,
}

impl Admission {
    /// Nobody yet.
    pub fn new(bounds: Bounds) -> Admission {
        let state = State {
            running: 0,
            queue: VecDeque::new(),
            next: 0,
            clients: HashMap::new(),
            mean_seconds: FIRST_GUESS,
            closed: false,
        };
        Admission { bounds, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Admits a client, now or after those that came before. While it waits, `waiting` is called once a second with how many
    /// are before it: its error takes the client out of the queue.
    pub fn enter<E: From<Refusal>>(
        &self,
        pin: Pin,
        mut waiting: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Slot<'_>, E> {
        let mut state = self.lock();
        let Bounds { sessions, waiting: most_waiting, per_client } = self.bounds;
        if state.closed {
            return Err(Refusal::busy("this service is ending", state.seconds(sessions)).into());
        }
        if state.clients.get(&pin).copied().unwrap_or(0) >= per_client {
            let reason = format!("this client has {per_client} sessions already, which is the most");
            return Err(Refusal::busy(reason, state.seconds(sessions)).into());
        }
        if (state.running >= sessions || !state.queue.is_empty()) && state.queue.len() >= most_waiting {
            let reason = format!("{} sessions run and {} clients wait", state.running, state.queue.len());
            return Err(Refusal::busy(reason, state.seconds(sessions)).into());
        }
        let ticket = state.next;
        state.next += 1;
        state.queue.push_back(ticket);
        *state.clients.entry(pin).or_insert(0) += 1;
        loop {
            if state.queue.front() == Some(&ticket) && state.running < sessions {
                state.queue.pop_front();
                state.running += 1;
                self.changed.notify_all();
                return Ok(Slot { admission: self, pin, since: Instant::now() });
            }
            let timed = self.changed.wait_timeout(state, ASK).unwrap_or_else(PoisonError::into_inner);
            state = timed.0;
            if !timed.1.timed_out() && !state.closed {
                continue;
            }
            let before = state.queue.iter().take_while(|other| **other != ticket).count();
            let closed = state.closed.then(|| Refusal::busy("this service is ending", state.seconds(sessions)));
            drop(state);
            let asked = closed.map_or_else(|| waiting(before), |refusal| Err(refusal.into()));
            state = self.lock();
            if let Err(error) = asked {
                state.queue.retain(|other| *other != ticket);
                state.leave(&pin);
                self.changed.notify_all();
                return Err(error);
            }
        }
    }

    /// Sessions that run, and clients that wait.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.queue.len())
    }

    /// Admits nobody any more; those that wait are told so.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits until no session runs, at most so long; gives how many still do.
    pub fn drained(&self, within: Duration) -> usize {
        let end = Instant::now() + within;
        let mut state = self.lock();
        while state.running > 0 && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.running
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When a session may be free for one who comes now.
    fn seconds(&self, sessions: usize) -> u32 {
        let rounds = (self.queue.len() + 1) as f64 / sessions.max(1) as f64;
        (self.mean_seconds * rounds).clamp(1.0, MOST_SECONDS).ceil() as u32
    }

    fn leave(&mut self, pin: &Pin) {
        if let Some(count) = self.clients.get_mut(pin) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(pin);
            }
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.running -= 1;
        state.leave(&self.pin);
        let seconds = self.since.elapsed().as_secs_f64();
        state.mean_seconds += WEIGHT * (seconds - state.mean_seconds);
        drop(state);
        self.admission.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::message::Cause;

    fn pin(number: u8) -> Pin {
        format!("pb1-{}", format!("{number:02x}").repeat(32)).parse().unwrap()
    }

    fn enter(admission: &Admission, number: u8) -> Result<Slot<'_>, Refusal> {
        admission.enter(pin(number), |_| Ok(()))
    }

    #[test]
    fn those_that_wait_are_admitted_in_order_and_one_too_many_is_told_when_to_come_again() {
        let admission = Admission::new(Bounds { sessions: 1, waiting: 2, per_client: 1 });
        let first = enter(&admission, 1).unwrap();
        let (sender, order) = mpsc::channel();
        thread::scope(|scope| {
            for number in [2, 3] {
                let (admission, sender) = (&admission, sender.clone());
                scope.spawn(move || {
                    let slot = enter(admission, number).unwrap();
                    sender.send(number).unwrap();
                    drop(slot);
                });
                while admission.counts().1 < usize::from(number) - 1 {
                    thread::yield_now();
                }
            }
            let refusal = enter(&admission, 4).unwrap_err();
            assert!(matches!(refusal.cause, Cause::Busy(seconds) if seconds >= 1), "{refusal:?}");
            drop(first);
            assert_eq!([order.recv().unwrap(), order.recv().unwrap()], [2, 3]);
        });
        assert_eq!(admission.counts(), (0, 0));
        drop(enter(&admission, 4).unwrap());
    }

    #[test]
    fn one_client_does_not_take_all_and_one_that_leaves_the_queue_is_forgotten() {
        let admission = Admission::new(Bounds { sessions: 1, waiting: 4, per_client: 1 });
        let own = enter(&admission, 1).unwrap();
        let refusal = enter(&admission, 1).unwrap_err();
        assert!(refusal.reason.contains("1 sessions already"), "{refusal:?}");
        let gone = admission.enter(pin(2), |before| Err(Refusal::new(format!("gone, {before} before"))));
        assert_eq!(gone.unwrap_err().reason, "gone, 0 before");
        assert_eq!(admission.counts(), (1, 0));
        drop(own);
        drop(enter(&admission, 2).unwrap());
    }

    #[test]
    fn a_service_that_ends_admits_nobody_and_waits_for_who_is_there() {
        let admission = Admission::new(Bounds { sessions: 1, waiting: 4, per_client: 2 });
        let slot = enter(&admission, 1).unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| enter(&admission, 2).map(drop));
            while admission.counts().1 == 0 {
                thread::yield_now();
            }
            admission.close();
            assert_eq!(waits.join().unwrap().unwrap_err().reason, "this service is ending");
            assert_eq!(admission.drained(Duration::from_millis(1)), 1);
            drop(slot);
            assert_eq!(admission.drained(Duration::from_secs(60)), 0);
        });
        assert!(enter(&admission, 3).is_err());
    }
}
