//! Whom a role knows, by their pins, and where it dials them.

use std::collections::BTreeMap;

use bundle::Role;
use net::Pin;

use crate::address::dialled;
use crate::origin::{Fault, Origin};
use crate::section::{Item, Section};

/// As errors show a list of pins.
pub(crate) const EXAMPLE: &str = "[\"pb1-…\"]";
/// Two while a key is being replaced, otherwise one.
const MOST_PINS: usize = 2;

/// Another role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The pins of its key: one, or two while it is being replaced.
    pub pins: Vec<Pin>,
    /// Where this role dials it, as host and port; nothing where it waits to be called.
    pub address: Option<String>,
}

/// Every pin seen so far with its place. Two roles, or a role and a client, never have one key: what a caller is follows from its
/// pin alone.
#[derive(Default)]
pub(crate) struct Pins(BTreeMap<Pin, String>);

impl Pins {
    /// Takes note of a pin that stands under `name`.
    pub(crate) fn add(&mut self, pin: Pin, name: &str, origin: &Origin) -> Result<(), Fault> {
        match self.0.insert(pin, name.into()) {
            None => Ok(()),
            Some(first) if first == name => Err(Fault::new(origin, format!("this pin stands twice in `{name}`"))),
            Some(first) => {
                let why = "every role and every client has a key of its own";
                Err(Fault::new(origin, format!("this pin of `{name}` stands in `{first}` already; {why}")))
            }
        }
    }

    /// The pins of a list.
    pub(crate) fn list(&mut self, list: &Item) -> Result<Vec<Pin>, Fault> {
        let mut pins = Vec::new();
        for item in list.list(EXAMPLE)? {
            let text = item.text("pb1-…")?;
            let pin = text.parse().map_err(|error| item.fault(format_args!("has what is no pin: {error}")))?;
            self.add(pin, &list.name, &item.key)?;
            pins.push(pin);
        }
        Ok(pins)
    }
}

/// Whom a role must know, and whether it dials them.
fn expected(role: Role) -> [(Role, bool); 2] {
    match role {
        Role::Party0 => [(Role::Party1, false), (Role::Dealer, false)],
        Role::Party1 => [(Role::Party0, true), (Role::Dealer, false)],
        Role::Dealer | Role::Client => [(Role::Party0, true), (Role::Party1, true)],
    }
}

/// A role as sentences name it.
pub(crate) fn the(role: Role) -> &'static str {
    match role {
        Role::Dealer => "the dealer",
        Role::Client => "a client",
        party => party.name(),
    }
}

/// Why a role must not list another.
fn stranger(role: Role, other: Role) -> String {
    match (role, other) {
        _ if role == other => format!("this is {} itself, and only peers are listed", the(role)),
        (Role::Client, _) => "a client never meets the dealer".into(),
        (Role::Dealer, _) => "the dealer never meets a client".into(),
        _ => "clients stand in [clients]".into(),
    }
}

/// The peers of a role.
pub(crate) fn read(role: Role, top: &mut Section, pins: &mut Pins) -> Result<BTreeMap<Role, Peer>, Fault> {
    let (who, [(first, _), (second, _)]) = (the(role), expected(role));
    let cure =
        format!("{who} must know {} and {}: write [peers.{first}] and [peers.{second}]", the(first), the(second));
    let mut section = top.need("peers", &cure)?.section()?;
    for other in Role::ALL {
        if expected(role).iter().all(|(known, _)| *known != other) {
            section.refuse(other.name(), &stranger(role, other))?;
        }
    }
    let (mut peers, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    for (other, dials) in expected(role) {
        let called = the(other);
        let cure = format!("{who} must know {called}: write [peers.{other}] with pins = {EXAMPLE}");
        let mut section = section.need(other.name(), &cure)?.section()?;
        let list = section.need("pins", &format!("write pins = {EXAMPLE}, as `runtime keys new` printed it"))?;
        let found = pins.list(&list)?;
        if found.is_empty() || found.len() > MOST_PINS {
            let count = found.len();
            return Err(list.fault(format_args!("has {count} pins; write one, or two while a key is being replaced")));
        }
        if !dials {
            section.refuse("address", &format!("{who} does not dial {called}, which calls it"))?;
            peers.insert(other, Peer { pins: found, address: None });
            continue;
        }
        let cure = format!("{who} dials {called}: write address = \"{other}.example.org:7100\"");
        let item = section.need("address", &cure)?;
        let address = dialled(&item)?;
        if let Some(same) = addresses.insert(address.to_lowercase(), other) {
            return Err(item.fault(format_args!("is the address of {same} too; the parties are two machines")));
        }
        peers.insert(other, Peer { pins: found, address: Some(address) });
    }
    Ok(peers)
}
