//! Whom a service knows: roles by the pins of their keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use net::Pin;

use crate::message::Role;

/// Which callers are clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Whoever has a key that is no other role's.
    Any,
    /// Those whose pins are listed.
    Listed(BTreeSet<Pin>),
}

/// Whom a service knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// Pins of the other roles, two of a role while its key is being replaced.
    pub peers: BTreeMap<Role, Vec<Pin>>,
    /// Who may be a client.
    pub clients: Clients,
}

impl Roster {
    /// The role of who has that key; none for a stranger.
    pub fn role_of(&self, pin: &Pin) -> Option<Role> {
        if let Some((role, _)) = self.peers.iter().find(|(_, pins)| pins.contains(pin)) {
            return Some(*role);
        }
        let is_client = match &self.clients {
            Clients::Any => true,
            Clients::Listed(pins) => pins.contains(pin),
        };
        is_client.then_some(Role::Client)
    }

    /// The pins of another role.
    pub fn pins(&self, role: Role) -> &[Pin] {
        self.peers.get(&role).map_or(&[], Vec::as_slice)
    }
}

/// A value that is replaced as a whole while others read it.
#[derive(Debug)]
pub struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    /// The first value.
    pub fn new(value: T) -> Current<T> {
        Current(RwLock::new(Arc::new(value)))
    }

    /// What it is now; it stays so for who has it.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What it is from now on.
    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(digit: char) -> Pin {
        format!("pb1-{}", digit.to_string().repeat(64)).parse().unwrap()
    }

    #[test]
    fn a_role_follows_from_the_key_alone_and_a_stranger_has_none() {
        let peers = BTreeMap::from([(Role::Party1, vec![pin('1'), pin('2')]), (Role::Dealer, vec![pin('3')])]);
        let listed = Roster { peers, clients: Clients::Listed([pin('4')].into()) };
        let roles = ['1', '2', '3', '4', '5'].map(|digit| listed.role_of(&pin(digit)));
        assert_eq!(roles, [Some(Role::Party1), Some(Role::Party1), Some(Role::Dealer), Some(Role::Client), None]);
        let any = Roster { clients: Clients::Any, ..listed };
        assert_eq!(any.role_of(&pin('5')), Some(Role::Client));
        assert_eq!(any.role_of(&pin('3')), Some(Role::Dealer), "a peer's key is never a client's");
    }
}
