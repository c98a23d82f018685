//! A ledger without a disk: what is durable is a value, which a crash keeps and a restore sets back.

use std::collections::{BTreeMap, BTreeSet};

use stock::taking::Ledger;
use stock::{Binding, Boots, Class, ClassState, Greeting, Lineage, Party, Restored, State};

use crate::fixture::CLASS;

/// What is planted in the model, to see the simulation find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A pack is burnt durably only after the message that follows was sent.
    BurnAfterSend,
    /// States are exchanged, and nothing follows from them.
    NoReconcile,
    /// A pack goes back into the stock when its session ends in an error.
    PutBack,
    /// Restored ledgers are not looked for.
    EpochsIgnored,
    /// A session goes on to burn packs though the peer was opened again and was told what is here.
    OldSessionsGoOn,
    /// A state counts that answers an older greeting.
    LateStatesCount,
    /// P0 allots serials from the beginning again after a crash.
    SerialsReturn,
}

/// Why all was dropped, where it was.
type Dropped = Option<Restored>;

/// One side's half of a pack: its serial, and the order that it was made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Card {
    pub(crate) serial: u64,
    pub(crate) order: u8,
}

/// What is on the disk of one party.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Durable {
    pub(crate) boots: Boots,
    pub(crate) seen: Option<stock::Boot>,
    pub(crate) next: u64,
    /// Serials and orders.
    pub(crate) available: BTreeMap<u64, u8>,
    /// Burnt, for what; or discarded.
    pub(crate) gone: BTreeMap<u64, Option<Binding>>,
}

impl Durable {
    /// A ledger of so many packs.
    pub(crate) fn with(packs: u64, mark: u64) -> Durable {
        let available = (0..packs).map(|serial| (serial, 0)).collect();
        Durable { boots: Boots::first(mark), seen: None, next: packs, available, gone: BTreeMap::new() }
    }

    pub(crate) fn lineage(&self, party: Party) -> Lineage {
        Lineage { party, boots: self.boots.clone(), seen: self.seen }
    }

    /// What this side tells the other. `making`: serials that were allotted in this boot and are not there yet.
    pub(crate) fn state(&self, party: Party, answers: Greeting, making: &BTreeSet<u64>) -> State {
        let settled = making.first().map_or(self.next, |first| (*first).min(self.next));
        let mut available: Vec<(u64, u64)> = Vec::new();
        for serial in self.available.keys() {
            match available.last_mut() {
                Some((_, end)) if *end == *serial => *end += 1,
                _ => available.push((*serial, serial + 1)),
            }
        }
        let of = ClassState { class: CLASS, next: self.next, settled, available };
        State { lineage: self.lineage(party), answers, classes: vec![of] }
    }

    /// What [`stock::Stock::reconcile`] does, by the same rules; nothing where the state is out of date.
    pub(crate) fn reconcile(&mut self, party: Party, peer: &State, mark: u64, fault: Option<Fault>) -> Option<Dropped> {
        if fault == Some(Fault::NoReconcile) {
            return Some(None);
        }
        let lineage = self.lineage(party);
        let mut verdict = match lineage.judge(peer, mark) {
            Some(verdict) => verdict,
            // as if it were not looked at: the state is judged as though it answered the last greeting
            None if fault == Some(Fault::LateStatesCount) => {
                lineage.judge(&State { answers: lineage.greeting(), ..peer.clone() }, mark)?
            }
            None => return None,
        };
        if fault == Some(Fault::EpochsIgnored) {
            verdict.dropped_all = None;
        }
        let of = &peer.classes[0];
        let all = verdict.dropped_all.is_some();
        let discarded: Vec<u64> = self.available.keys().copied().filter(|serial| all || of.lacks(*serial)).collect();
        for serial in discarded {
            self.available.remove(&serial);
            self.gone.insert(serial, None);
        }
        if party == Party::P0 {
            self.next = self.next.max(of.next);
        }
        (self.boots, self.seen) = (verdict.boots, Some(verdict.seen));
        Some(verdict.dropped_all)
    }

    pub(crate) fn burn(&mut self, serial: u64, binding: Binding) -> Option<Card> {
        let order = self.available.remove(&serial)?;
        self.gone.insert(serial, Some(binding));
        Some(Card { serial, order })
    }
}

/// The ledger as the taking uses it. What is burnt here is kept for the checks, and for faults.
pub(crate) struct Desk<'a> {
    pub(crate) durable: &'a mut Durable,
    pub(crate) fault: Option<Fault>,
    pub(crate) burnt: &'a mut Option<(Card, Binding)>,
    /// Burnt, and not yet durable: a fault.
    pub(crate) late: &'a mut bool,
    /// Whether the session reconciled with the peer as it is now.
    pub(crate) counts: bool,
}

/// A pack was to be burnt in a session that does not count any more.
#[derive(Debug, PartialEq)]
pub(crate) struct NotReconciled;

impl Ledger for Desk<'_> {
    type Pack = Card;
    type Error = NotReconciled;

    fn lowest(&mut self, _: &Class) -> Result<Option<u64>, Self::Error> {
        Ok(self.durable.available.keys().next().copied())
    }

    fn burn(&mut self, _: &Class, serial: u64, binding: Binding) -> Result<Option<Card>, Self::Error> {
        if !self.counts {
            return Err(NotReconciled);
        }
        let card = if self.fault == Some(Fault::BurnAfterSend) {
            *self.late = true;
            self.durable.available.get(&serial).map(|order| Card { serial, order: *order })
        } else {
            self.durable.burn(serial, binding)
        };
        if let Some(card) = card {
            *self.burnt = Some((card, binding));
        }
        Ok(card)
    }

    fn order(card: &Card) -> [u8; 32] {
        [card.order; 32]
    }
}
