//! The one port of a party: who may stand before it, and for how long.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use net::{Listener, NetError};
use tracing::warn;

use crate::message::Role;

/// How often it is looked whether the service ends.
const LOOK: Duration = Duration::from_millis(100);
/// Pause after the system refused a connection or a thread.
const BREATH: Duration = Duration::from_millis(100);
/// How often it is said that callers are sent away unheard.
const SAY: Duration = Duration::from_secs(10);

/// Callers that have not proved who they are: how many there are from each address.
#[derive(Debug)]
pub struct Door {
    /// Whose door this is, in logs.
    role: Role,
    most: usize,
    most_per_address: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    sent_away: u64,
    said: Option<Instant>,
}

/// A caller that has not proved who it is, until this goes.
#[derive(Debug)]
pub struct Caller {
    door: Arc<Door>,
    address: IpAddr,
}

impl Door {
    /// The door of `role`, before which so many may stand, and so many from one address.
    pub fn new(role: Role, most: usize, most_per_address: usize) -> Door {
        Door { role, most, most_per_address, state: Mutex::default() }
    }

    /// Notes a caller, where there is room for it.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Caller> {
        let mut state = self.lock();
        let here = state.by_address.get(&address).copied().unwrap_or(0);
        if state.all >= self.most || here >= self.most_per_address {
            state.sent_away += 1;
            if state.said.is_none_or(|said| said.elapsed() >= SAY) {
                let (role, callers) = (self.role, state.sent_away);
                warn!(%role, callers, %address, "sent away unheard: too many connections have not said who they are");
                (state.sent_away, state.said) = (0, Some(Instant::now()));
            }
            return None;
        }
        state.all += 1;
        *state.by_address.entry(address).or_insert(0) += 1;
        drop(state);
        Some(Caller { door: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut state = self.door.lock();
        state.all -= 1;
        if let Some(here) = state.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                state.by_address.remove(&self.address);
            }
        }
    }
}

/// Hands each connection to a thread of its own, until `stop` is set. Nothing that a caller does ends this, nor a panic of one of
/// those threads.
pub fn accept(
    listener: &Listener,
    door: &Arc<Door>,
    stop: &AtomicBool,
    greet: &(impl Fn(TcpStream, Caller) + Clone + Send + 'static),
) {
    while !stop.load(Ordering::Relaxed) {
        let stream = match listener.accept("a caller", LOOK) {
            Ok(stream) => stream,
            Err(NetError::NobodyCame { .. }) => continue,
            Err(error) => {
                warn!(role = %door.role, %error, "a connection was not taken");
                thread::sleep(BREATH);
                continue;
            }
        };
        let address = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let Some(caller) = door.enter(address) else { continue };
        let greet = greet.clone();
        let started: io::Result<_> =
            thread::Builder::new().name("a caller".into()).spawn(move || greet(stream, caller));
        if let Err(error) = started {
            warn!(role = %door.role, %error, "no thread for a caller");
            thread::sleep(BREATH);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn one_address_does_not_fill_the_door_and_room_is_given_back() {
        let door = Arc::new(Door::new(Role::Party0, 3, 2));
        let [near, far] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let two = [door.enter(near).unwrap(), door.enter(near).unwrap()];
        assert!(door.enter(near).is_none());
        let other = door.enter(far).unwrap();
        assert!(door.enter(far).is_none(), "three are the most");
        drop(two);
        assert!(door.enter(near).is_some());
        drop(other);
        assert!(door.lock().by_address.is_empty() && door.lock().all == 0);
    }

    #[test]
    fn a_panic_over_one_caller_ends_neither_the_service_nor_keeps_its_place() {
        let (door, stop) = (Arc::new(Door::new(Role::Party0, 1, 1)), Arc::new(AtomicBool::new(false)));
        let listener = Listener::loopback(0).unwrap();
        let address = listener.local_addr();
        let (sender, served) = channel();
        let greet = move |_: TcpStream, _: Caller| {
            sender.send(()).unwrap();
            panic!("as a test");
        };
        thread::scope(|scope| {
            let accepting = scope.spawn(|| accept(&listener, &door, &stop, &greet));
            for _ in 0..3 {
                let _caller = TcpStream::connect(address).unwrap();
                served.recv_timeout(Duration::from_secs(60)).unwrap();
                let end = Instant::now() + Duration::from_secs(60);
                while door.lock().all > 0 && Instant::now() < end {
                    thread::sleep(LOOK);
                }
                assert_eq!(door.lock().all, 0);
            }
            stop.store(true, Ordering::Relaxed);
            accepting.join().unwrap();
        });
    }
}
