//! A queue of frames between two threads, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::NetError;
use crate::frame::Frame;

/// A queue of frames between two threads, bounded in bytes, that can be closed with a cause.
///
/// What is pushed counts against the bound until it is *released*, not until it is taken: a writer releases a frame
/// when it is written, so an empty queue means that all is written.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Frame>,
    held: u64,
    capacity: u64,
    closed: Option<NetError>,
}

/// Why a queue did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The deadline passed, after this long.
    Timeout(Duration),
    /// It was closed, for this cause.
    Closed(NetError),
}

impl Queue {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { state: Mutex::new(State { capacity, ..State::default() }), changed: Condvar::new() }
    }

    /// Adds `frame` when there is room for it; an empty queue has room for any frame.
    pub(crate) fn push(&self, frame: Frame, deadline: Duration) -> Result<(), Stop> {
        let length = frame.wire_len();
        let mut frame = Some(frame);
        self.wait_until(deadline, |state| {
            if let Some(cause) = &state.closed {
                return Some(Err(cause.clone()));
            }
            if state.held > 0 && state.held.saturating_add(length) > state.capacity {
                return None;
            }
            state.frames.extend(frame.take());
            state.held += length;
            Some(Ok(()))
        })
    }

    /// The oldest frame; its bytes stay counted until [`release`](Self::release). A closed queue gives out what it
    /// still holds, then the cause.
    pub(crate) fn take(&self, deadline: Duration) -> Result<Frame, Stop> {
        self.wait_until(deadline, |state| match (state.frames.pop_front(), &state.closed) {
            (Some(frame), _) => Some(Ok(frame)),
            (None, Some(cause)) => Some(Err(cause.clone())),
            (None, None) => None,
        })
    }

    /// Gives the room of a frame that was taken back.
    pub(crate) fn release(&self, length: u64) {
        self.change(|state| state.held -= length);
    }

    /// Waits until all that was pushed is released.
    pub(crate) fn drained(&self, deadline: Duration) -> Result<(), Stop> {
        self.wait_until(deadline, |state| match &state.closed {
            _ if state.held == 0 => Some(Ok(())),
            Some(cause) => Some(Err(cause.clone())),
            None => None,
        })
    }

    /// Changes the bound.
    pub(crate) fn set_capacity(&self, capacity: u64) {
        self.change(|state| state.capacity = capacity);
    }

    /// Takes no more frames. The first cause is kept.
    pub(crate) fn close(&self, cause: NetError) {
        self.change(|state| {
            state.closed.get_or_insert(cause);
        });
    }

    /// Why it was closed, if it was.
    pub(crate) fn cause(&self) -> Option<NetError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn wait_until<T>(
        &self,
        deadline: Duration,
        mut attempt: impl FnMut(&mut State) -> Option<Result<T, NetError>>,
    ) -> Result<T, Stop> {
        let start = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = attempt(&mut state) {
                drop(state);
                self.changed.notify_all();
                return outcome.map_err(Stop::Closed);
            }
            let waited = start.elapsed();
            let left = deadline.checked_sub(waited).filter(|left| !left.is_zero()).ok_or(Stop::Timeout(waited))?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Stop {
    /// As an error of a link to `peer`.
    pub(crate) fn during(self, peer: &str, wait: crate::error::Wait) -> NetError {
        match self {
            Self::Timeout(waited) => NetError::Timeout { peer: peer.to_owned(), wait, waited },
            Self::Closed(cause) => cause.during(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Wait;
    use crate::header::Header;

    const SOON: Duration = Duration::from_millis(20);

    fn frame(length: usize) -> Frame {
        Frame::new(Header::new(0, 0, 0, 0), vec![0; length])
    }

    fn cause() -> NetError {
        NetError::lost("peer", Wait::Flush, std::io::ErrorKind::BrokenPipe.into())
    }

    #[test]
    fn a_full_queue_makes_the_sender_wait_until_a_frame_is_released() {
        let queue = Queue::new(100);
        queue.push(frame(1000), SOON).unwrap();
        assert!(matches!(queue.push(frame(0), SOON), Err(Stop::Timeout(waited)) if waited >= SOON));
        let taken = queue.take(SOON).unwrap();
        assert!(matches!(queue.push(frame(0), SOON), Err(Stop::Timeout(_))), "taken is not yet released");
        assert!(matches!(queue.drained(SOON), Err(Stop::Timeout(_))));
        queue.release(taken.wire_len());
        queue.drained(SOON).unwrap();
        queue.push(frame(0), SOON).unwrap();
    }

    #[test]
    fn a_sender_that_waits_for_room_goes_on_when_the_bound_is_raised() {
        let queue = Queue::new(100);
        queue.push(frame(100), SOON).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.push(frame(100), Duration::from_secs(60)));
            std::thread::sleep(SOON);
            queue.set_capacity(1000);
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_closed_queue_gives_out_what_it_holds_and_then_the_first_cause() {
        let queue = Queue::new(100);
        queue.push(frame(3), SOON).unwrap();
        queue.close(cause());
        queue.close(NetError::Malformed { peer: "peer".to_owned(), what: "later" });
        assert!(matches!(queue.push(frame(0), SOON), Err(Stop::Closed(NetError::Lost { .. }))));
        assert_eq!(queue.take(SOON).unwrap().payload.len(), 3);
        assert!(matches!(queue.take(SOON), Err(Stop::Closed(NetError::Lost { .. }))));
    }
}
