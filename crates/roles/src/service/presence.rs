//! Which other roles are there: each that dials keeps a control connection, over which both sides say once a second that they
//! still are, and P0 tells the dealer of sessions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use net::{Link, NetError};

use crate::handshake::Peer;
use crate::liveness::Liveness;
use crate::message::{ControlError, Role, kind, send, send_bytes};
use crate::service::table::SessionId;

/// How often a side says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// After so long without a word a peer counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(6);
/// How often what is to be said is looked for.
const POLL: Duration = Duration::from_millis(20);

/// What P0 announces to the dealer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// A session that a client opened.
    Session(SessionId),
    /// Packs that are to be made, at low priority.
    Order(SessionId),
}

/// Which roles keep a control connection to this one.
#[derive(Debug, Default)]
pub struct Presence(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    here: BTreeMap<Role, Here>,
    next: u64,
}

#[derive(Debug)]
struct Here {
    number: u64,
    opened: Sender<Announcement>,
}

/// A role that is there, as long as this lives.
#[derive(Debug)]
pub struct Present<'a> {
    presence: &'a Presence,
    role: Role,
    number: u64,
    opened: Receiver<Announcement>,
}

impl Presence {
    /// Notes that a role is there. One that comes again has been restarted, or its old connection is not known to be dead yet:
    /// its key is the same, and control connections hold nothing, so the later one counts.
    pub fn enter(&self, role: Role) -> Present<'_> {
        let (sender, opened) = channel();
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.here.insert(role, Here { number, opened: sender });
        Present { presence: self, role, number, opened }
    }

    /// Those of `roles` that are not there.
    pub fn missing(&self, roles: &[Role]) -> Vec<Role> {
        let state = self.lock();
        roles.iter().copied().filter(|role| !state.here.contains_key(role)).collect()
    }

    /// Whether a role that is there now has been there ever since: it is not alive once its control connection is lost, whatever
    /// its other connections still look like.
    pub fn watch(self: &Arc<Self>, role: Role) -> Liveness {
        let now = self.lock().here.get(&role).map(|here| here.number);
        let presence = Arc::clone(self);
        Liveness::monitored(move || now.is_some() && presence.lock().here.get(&role).map(|here| here.number) == now)
    }

    /// Announces to a role, if it is there, what it is to join; gives the number of the connection over which it was announced.
    pub fn announce(&self, role: Role, what: Announcement) -> Option<u64> {
        let state = self.lock();
        let here = state.here.get(&role)?;
        // where its connection is ending it is announced again, once there is another
        let _ = here.opened.send(what);
        Some(here.number)
    }

    /// Announces it again where the role has connected anew since.
    pub(crate) fn announce_again(&self, role: Role, what: Announcement, by: &mut Option<u64>) {
        let now = self.lock().here.get(&role).map(|here| here.number);
        if now.is_some() && now != *by {
            *by = self.announce(role, what);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present<'_> {
    /// Keeps a control connection up until the peer is lost, comes again or `stop` is set.
    pub fn keep(&self, link: &mut Peer, stop: &AtomicBool) -> Result<(), ControlError> {
        keep(link, Some(&self.opened), stop, &mut |_| {
            let reason = "told of a session over its own control connection".into();
            Err(ControlError::Unexpected { peer: self.role.to_string(), reason })
        })
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        let mut state = self.presence.lock();
        if state.here.get(&self.role).is_some_and(|here| here.number == self.number) {
            state.here.remove(&self.role);
        }
    }
}

/// Keeps a control connection up: says once a second that we are there, and what is in `outgoing`; hands what the peer
/// announces to `opened`. Returns when `stop` is set.
pub fn keep(
    link: &mut Peer,
    outgoing: Option<&Receiver<Announcement>>,
    stop: &AtomicBool,
    opened: &mut dyn FnMut(Announcement) -> Result<(), ControlError>,
) -> Result<(), ControlError> {
    let (mut heard, mut said) = (Instant::now(), None::<Instant>);
    link.set_deadline(POLL);
    while !stop.load(Ordering::Relaxed) {
        for what in outgoing.into_iter().flat_map(Receiver::try_iter) {
            let (kind, session) = match what {
                Announcement::Session(session) => (kind::OPENED, session),
                Announcement::Order(session) => (kind::ORDER_OPENED, session),
            };
            send_bytes(link, kind, 0, 0, session.to_vec())?;
        }
        if said.is_none_or(|said| said.elapsed() >= BEAT) {
            send(link, kind::BEAT, 0, 0, &())?;
            said = Some(Instant::now());
        }
        let frame = match link.recv() {
            Ok(frame) => frame,
            Err(NetError::Timeout { peer, wait, .. }) => {
                let waited = heard.elapsed();
                if waited >= LOST_AFTER {
                    return Err(NetError::Timeout { peer, wait, waited }.into());
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        heard = Instant::now();
        match (frame.header.kind, <SessionId>::try_from(frame.payload.as_slice())) {
            (kind::BEAT, _) => {}
            (kind::OPENED, Ok(session)) => opened(Announcement::Session(session))?,
            (kind::ORDER_OPENED, Ok(session)) => opened(Announcement::Order(session))?,
            (other, _) => {
                let reason = format!("sent a frame of kind {other} over a control connection");
                return Err(ControlError::Unexpected { peer: link.peer().to_owned(), reason });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use net::{Frame, Header, memory_pair};

    use super::*;

    fn pair() -> [Peer; 2] {
        let (one, two) = memory_pair("one", "two");
        [Box::new(one), Box::new(two)]
    }

    #[test]
    fn the_dealer_is_told_of_a_session_and_its_end_is_seen() {
        let (presence, stop) = (Presence::default(), AtomicBool::new(false));
        let [mut near, mut far] = pair();
        assert_eq!(presence.missing(&[Role::Dealer]), [Role::Dealer]);
        let (sender, announced) = channel();
        thread::scope(|scope| {
            let present = presence.enter(Role::Dealer);
            let own = scope.spawn(move || present.keep(&mut near, &AtomicBool::new(false)));
            let dealer = scope.spawn(|| {
                let mut opened = |session| {
                    sender.send(session).unwrap();
                    Ok(())
                };
                keep(&mut far, None, &stop, &mut opened).unwrap();
                drop(far);
            });
            for opened in [Announcement::Session([7; 16]), Announcement::Order([8; 16])] {
                presence.announce(Role::Dealer, opened);
                assert_eq!(announced.recv_timeout(Duration::from_secs(60)).unwrap(), opened);
            }
            assert_eq!(presence.missing(&[Role::Dealer]), []);
            stop.store(true, Ordering::Relaxed);
            dealer.join().unwrap();
            assert!(matches!(own.join().unwrap(), Err(ControlError::Net(NetError::Lost { .. }))));
        });
        assert_eq!(presence.missing(&[Role::Dealer]), [Role::Dealer]);
    }

    #[test]
    fn silence_and_words_out_of_place_end_a_control_connection() {
        let stop = AtomicBool::new(false);
        let [mut near, far] = pair();
        let silent = keep(&mut near, None, &stop, &mut |_| Ok(()));
        assert!(matches!(silent, Err(ControlError::Net(NetError::Timeout { .. }))), "{silent:?}");
        drop(far);
        let [mut near, mut far] = pair();
        far.send(Frame::new(Header::new(kind::OPENED, 0, 0, 0), vec![0; 15])).unwrap();
        let short = keep(&mut near, None, &stop, &mut |_| Ok(()));
        assert!(matches!(short, Err(ControlError::Unexpected { .. })), "{short:?}");
    }

    #[test]
    fn a_role_whose_control_connection_is_lost_is_not_alive_even_if_it_comes_again() {
        let presence = Arc::new(Presence::default());
        assert!(!presence.watch(Role::Dealer).is_alive(), "it was never there");
        let first = presence.enter(Role::Dealer);
        let session = presence.watch(Role::Dealer);
        assert!(session.is_alive());
        drop(first);
        assert!(!session.is_alive());
        let _second = presence.enter(Role::Dealer);
        assert!(!session.is_alive() && presence.watch(Role::Dealer).is_alive());
    }

    #[test]
    fn a_role_that_comes_again_is_there_once_and_stays_when_the_first_connection_ends() {
        let presence = Presence::default();
        let first = presence.enter(Role::Party1);
        let second = presence.enter(Role::Party1);
        drop(first);
        assert_eq!(presence.missing(&[Role::Party1]), []);
        drop(second);
        assert_eq!(presence.missing(&[Role::Party1]), [Role::Party1]);
    }
}
