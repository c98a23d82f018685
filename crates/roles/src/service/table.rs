//! The sessions of a party by their ids: a client opens one, the other roles join it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use net::Pin;

use crate::handshake::{Identity, Known};
use crate::message::{Refusal, Role};

/// Name of a session, which its client draws.
pub type SessionId = [u8; 16];

/// Ids of the last sessions, none of which is opened again. Keys never rest on an id alone: each role adds a fresh nonce.
const REMEMBERED: usize = 1 << 16;

/// The sessions of a party.
#[derive(Debug, Default)]
pub struct Table {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<SessionId, Entry>,
    used: HashSet<SessionId>,
    order: VecDeque<SessionId>,
}

#[derive(Debug)]
struct Entry {
    identity: Arc<Identity>,
    client: Pin,
    joined: Vec<Role>,
    sender: Sender<Result<Known, Refusal>>,
}

/// A session that a client opened; it is closed with this value.
#[derive(Debug)]
pub struct Open<'a> {
    table: &'a Table,
    id: SessionId,
    /// This role in it.
    pub identity: Arc<Identity>,
    receiver: Receiver<Result<Known, Refusal>>,
}

/// A place in a session for a role that calls.
#[derive(Debug)]
pub struct Seat {
    /// This role in the session.
    pub identity: Arc<Identity>,
    /// The key of the client that opened it.
    pub client: Pin,
    sender: Sender<Result<Known, Refusal>>,
}

impl Table {
    /// Opens a session for a client; never one whose id was seen before.
    pub fn open(&self, identity: Identity, client: Pin) -> Result<Open<'_>, Refusal> {
        let (id, identity) = (identity.session, Arc::new(identity));
        let (sender, receiver) = channel();
        let mut state = self.lock();
        if !state.used.insert(id) {
            return Err(Refusal::new("a session of this id was opened before; draw another id"));
        }
        state.order.push_back(id);
        while state.order.len() > REMEMBERED {
            if let Some(oldest) = state.order.pop_front() {
                state.used.remove(&oldest);
            }
        }
        state.open.insert(id, Entry { identity: Arc::clone(&identity), client, joined: Vec::new(), sender });
        drop(state);
        self.changed.notify_all();
        Ok(Open { table: self, id, identity, receiver })
    }

    /// A role's place in a session, which its client may still be about to open; a second caller for a role that is there
    /// never takes its place.
    pub fn join(&self, id: SessionId, role: Role, within: Duration) -> Result<Seat, Refusal> {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(entry) = state.open.get_mut(&id) {
                if entry.joined.contains(&role) {
                    return Err(Refusal::new(format!("{role} is in this session already")));
                }
                entry.joined.push(role);
                let Entry { identity, client, sender, .. } = entry;
                return Ok(Seat { identity: Arc::clone(identity), client: *client, sender: sender.clone() });
            }
            if state.used.contains(&id) {
                return Err(Refusal::new("this session has ended"));
            }
            let left = within.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(Refusal::new("no client has opened this session here"));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open<'_> {
    /// The next role that joins, or why the session cannot be; nothing where none came in time.
    pub fn joined(&self, within: Duration) -> Option<Result<Known, Refusal>> {
        match self.receiver.recv_timeout(within) {
            Ok(joined) => Some(joined),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(Refusal::new("the session is closed"))),
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.table.lock().open.remove(&self.id);
    }
}

impl Seat {
    /// Hands the session its link to the role, or the reason why there can be none.
    pub fn take(self, joined: Result<Known, Refusal>) {
        // where the session has ended meanwhile, the link ends with it
        let _ = self.sender.send(joined);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn identity(session: SessionId) -> Identity {
        Identity { role: Role::Party0, token: None, session, bundle: [0; 16], spec: [0; 32], nonce: [0; 32] }
    }

    fn pin() -> Pin {
        format!("pb1-{}", "ab".repeat(32)).parse().unwrap()
    }

    #[test]
    fn an_id_opens_one_session_and_a_role_joins_it_once() {
        let table = Table::default();
        let open = table.open(identity([1; 16]), pin()).unwrap();
        let seat = table.join([1; 16], Role::Dealer, Duration::ZERO).unwrap();
        assert_eq!(seat.client, pin());
        assert!(table.join([1; 16], Role::Dealer, Duration::ZERO).unwrap_err().reason.contains("already"));
        table.join([1; 16], Role::Party1, Duration::ZERO).unwrap();
        assert!(table.open(identity([1; 16]), pin()).unwrap_err().reason.contains("before"));
        drop(open);
        assert!(table.open(identity([1; 16]), pin()).unwrap_err().reason.contains("before"), "replayed later");
        assert!(table.join([1; 16], Role::Dealer, Duration::ZERO).unwrap_err().reason.contains("ended"));
        assert!(table.join([2; 16], Role::Dealer, Duration::ZERO).unwrap_err().reason.contains("no client"));
    }

    #[test]
    fn a_role_that_comes_before_the_client_waits_for_it() {
        let table = Table::default();
        thread::scope(|scope| {
            let early = scope.spawn(|| table.join([3; 16], Role::Dealer, Duration::from_secs(60)));
            let open = table.open(identity([3; 16]), pin()).unwrap();
            early.join().unwrap().unwrap().take(Err(Refusal::new("as a test")));
            assert_eq!(open.joined(Duration::from_secs(60)).unwrap().unwrap_err().reason, "as a test");
        });
    }

    #[test]
    fn old_ids_are_forgotten_at_last_and_no_more_are_kept() {
        let table = Table::default();
        for number in 0..=REMEMBERED as u128 {
            table.open(identity(number.to_le_bytes()), pin()).unwrap();
        }
        assert_eq!(table.lock().used.len(), REMEMBERED);
        assert!(table.open(identity(1u128.to_le_bytes()), pin()).is_err());
    }
}
