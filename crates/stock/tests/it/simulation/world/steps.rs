//! What one side does in one step.

use stock::taking::{Message, Proposer, Responder, Step, TakingError};
use stock::{Binding, State};

use super::super::model::{Card, Desk, Fault, NotReconciled};
use super::{Half, PARTIES, Phase, Wire, World};

impl World {
    pub(super) fn order(&mut self, at: usize) -> Result<(), String> {
        let side = &mut self.sides[0];
        let serial = side.durable.next;
        side.durable.next += 1;
        side.making.insert(serial);
        if !self.allotted.insert(serial) && !self.restored {
            return Err(format!("serial {serial} is allotted twice"));
        }
        self.left.orders -= 1;
        let card = Card { serial, order: self.left.orders + 1 };
        self.sessions[at].halves[0].ordered.insert(serial);
        self.send(at, 0, Wire::Order(card));
        Ok(())
    }

    fn send(&mut self, at: usize, from: usize, wire: Wire) {
        let session = &mut self.sessions[at];
        session.halves[from].sent = true;
        let to = &mut session.halves[1 - from];
        if to.phase != Phase::Ended {
            to.inbox.push_back(wire);
        }
    }

    /// A side leaves a session: what it had burnt stays burnt, and what was being made is given up.
    pub(super) fn end(&mut self, at: usize, place: usize, fault: Option<Fault>) {
        let half = std::mem::replace(&mut self.sessions[at].halves[place], Half::ended());
        let side = &mut self.sides[place];
        for serial in &half.ordered {
            side.making.remove(serial);
        }
        if let (Some(Fault::PutBack), Some((card, _))) = (fault, half.burnt) {
            side.durable.gone.remove(&card.serial);
            side.durable.available.insert(card.serial, card.order);
        }
    }

    pub(super) fn step(&mut self, at: usize, place: usize, fault: Option<Fault>) -> Result<(), String> {
        let (side, half) = (&mut self.sides[place], &mut self.sessions[at].halves[place]);
        if half.late && half.sent {
            half.late = false;
            if let Some((card, binding)) = half.burnt {
                side.durable.burn(card.serial, binding);
            }
            return Ok(());
        }
        match std::mem::replace(&mut half.phase, Phase::Idle) {
            Phase::Hello => {
                half.phase = Phase::Answer;
                let greeting = side.durable.lineage(PARTIES[place]).greeting();
                self.send(at, place, Wire::Greeting(greeting));
            }
            Phase::Answer => {
                let Some(Wire::Greeting(greeting)) = half.inbox.pop_front() else {
                    self.end(at, place, fault);
                    return Ok(());
                };
                half.phase = Phase::Reconcile;
                side.peer = Some(greeting.boot);
                let state = side.durable.state(PARTIES[place], greeting, &side.making);
                self.send(at, place, Wire::State(Box::new(state)));
            }
            Phase::Reconcile => {
                // a state that was lost: whatever comes instead of it is out of step
                let Some(Wire::State(peer)) = half.inbox.pop_front() else {
                    self.end(at, place, fault);
                    return Ok(());
                };
                return self.reconcile(at, place, &peer, fault);
            }
            Phase::Use(card) => {
                half.request += 1;
                let burnt = half.burnt;
                return self.use_pack(place, card, burnt);
            }
            Phase::Make(card) => {
                if side.making.remove(&card.serial) {
                    side.durable.available.insert(card.serial, card.order);
                    self.send(at, place, Wire::Made(card));
                }
            }
            Phase::Idle => self.receive(at, place, fault),
            Phase::Propose(machine) => self.propose(at, machine, fault),
            Phase::Respond(machine) => self.respond(at, machine, None, fault),
            Phase::Ended => unreachable!("an ended half makes no step"),
        }
        Ok(())
    }

    fn reconcile(&mut self, at: usize, place: usize, peer: &State, fault: Option<Fault>) -> Result<(), String> {
        let mark = u64::from(self.sessions[at].id) * 1000 + place as u64;
        let side = &mut self.sides[place];
        let had: Vec<u64> = side.durable.available.keys().copied().collect();
        let Some(dropped) = side.durable.reconcile(PARTIES[place], peer, mark, fault) else {
            self.end(at, place, fault);
            return Ok(());
        };
        side.tainted = false;
        side.reconciled = Some([side.durable.boots.now(), peer.lineage.boots.now()]);
        self.sessions[at].halves[place].reconciled = side.reconciled;
        if dropped.is_some() {
            side.making.clear();
            return if self.restored { Ok(()) } else { Err("all is dropped, and nothing was restored".to_owned()) };
        }
        let lost = had.iter().find(|serial| {
            let gone = !self.sides[place].durable.available.contains_key(serial);
            gone && self.both.contains(serial) && !self.burnt.contains(serial)
        });
        match lost {
            Some(serial) if !self.restored && !self.left.parallel => {
                Err(format!("pack {serial} is lost without doubt"))
            }
            _ => Ok(()),
        }
    }

    fn use_pack(&mut self, place: usize, card: Card, burnt: Option<(Card, Binding)>) -> Result<(), String> {
        let party = PARTIES[place];
        let Some((_, binding)) = burnt.filter(|(of, _)| *of == card) else {
            return Err(format!("{party} uses what it did not burn: {card:?}"));
        };
        if self.sides[place].durable.gone.get(&card.serial) != Some(&Some(binding)) {
            return Err(format!("{party} uses pack {} and has not durably burnt it", card.serial));
        }
        if place == 0 && !self.restored && self.sides[1].durable.gone.get(&card.serial) != Some(&Some(binding)) {
            return Err(format!("P0 uses pack {} and P1 has not durably burnt it", card.serial));
        }
        let first = *self.used.entry(card.serial).or_insert(binding);
        if first != binding {
            return Err(format!("pack {} is used for {first} and for {binding}", card.serial));
        }
        Ok(())
    }

    /// P0 hears that P1 has a pack, P1 hears of an order or of a taking.
    fn receive(&mut self, at: usize, place: usize, fault: Option<Fault>) {
        let wanted = self.sessions[at].wanted(place);
        let (side, half) = (&mut self.sides[place], &mut self.sessions[at].halves[place]);
        match (place, half.inbox.pop_front()) {
            (0, Some(Wire::Made(card))) => {
                if side.making.remove(&card.serial) {
                    side.durable.available.insert(card.serial, card.order);
                }
            }
            (1, Some(Wire::Order(card))) if card.serial >= side.durable.next => {
                side.durable.next = card.serial + 1;
                side.making.insert(card.serial);
                half.ordered.insert(card.serial);
                half.phase = Phase::Make(card);
            }
            (1, Some(Wire::Message(take))) => self.respond(at, Responder::new(wanted), Some(take), fault),
            _ => self.end(at, place, fault),
        }
    }

    fn propose(&mut self, at: usize, mut machine: Proposer<Card>, fault: Option<Fault>) {
        let message = match machine.is_waiting().then(|| self.sessions[at].halves[0].inbox.pop_front()).flatten() {
            Some(Wire::Message(message)) => Some(message),
            // what P1 made meanwhile; the machine waits on
            Some(wire) => {
                self.sessions[at].halves[0].inbox.push_front(wire);
                self.receive(at, 0, fault);
                if self.sessions[at].halves[0].phase != Phase::Ended {
                    self.sessions[at].halves[0].phase = Phase::Propose(machine);
                }
                return;
            }
            None => None,
        };
        let stepped = machine.step(&mut self.desk(at, 0, fault), message);
        self.follow(at, 0, stepped, Phase::Propose(machine), fault);
    }

    fn respond(&mut self, at: usize, mut machine: Responder<Card>, first: Option<Message>, fault: Option<Fault>) {
        let waiting = first.is_none() && machine.is_waiting();
        let message = match waiting.then(|| self.sessions[at].halves[1].inbox.pop_front()).flatten() {
            Some(Wire::Message(message)) => Some(message),
            Some(_) => return self.end(at, 1, fault),
            None => first,
        };
        let stepped = machine.step(&mut self.desk(at, 1, fault), message);
        self.follow(at, 1, stepped, Phase::Respond(machine), fault);
    }

    fn desk(&mut self, at: usize, place: usize, fault: Option<Fault>) -> Desk<'_> {
        let Half { burnt, late, sent, reconciled, .. } = &mut self.sessions[at].halves[place];
        let side = &mut self.sides[place];
        *sent = false;
        let reconciled = if self.left.shared { side.reconciled } else { *reconciled };
        let counts = reconciled == side.peer.map(|peer| [side.durable.boots.now(), peer]);
        let counts = counts || matches!(fault, Some(Fault::NoReconcile | Fault::OldSessionsGoOn));
        Desk { durable: &mut side.durable, fault, burnt, late, counts }
    }

    fn follow(
        &mut self,
        at: usize,
        place: usize,
        stepped: Result<Step<Card>, TakingError<NotReconciled>>,
        same: Phase,
        fault: Option<Fault>,
    ) {
        self.burnt.extend(self.sessions[at].halves[place].burnt.map(|(card, _)| card.serial));
        let half = &mut self.sessions[at].halves[place];
        match stepped {
            Ok(Step::Again | Step::Receive) => half.phase = same,
            Ok(Step::Send(message)) => {
                half.phase = same;
                self.send(at, place, Wire::Message(message));
            }
            Ok(Step::Ready(card)) => half.phase = Phase::Use(card),
            // both know that there is none: the session goes on without
            Err(TakingError::Exhausted { .. }) => half.request = u8::MAX,
            Err(_) => self.end(at, place, fault),
        }
    }
}
