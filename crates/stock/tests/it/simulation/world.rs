//! Two parties, their sessions and messages in flight, and all that may happen next.

mod steps;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use stock::taking::{Message, Proposer, Responder, Wanted};
use stock::{Binding, Boot, Greeting, Party, State};

use super::model::{Card, Durable, Fault};
use crate::fixture::CLASS;

const PARTIES: [Party; 2] = [Party::P0, Party::P1];

/// How often each thing may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    /// Packs at the beginning.
    pub(crate) packs: u64,
    pub(crate) sessions: u8,
    /// Takings in a session.
    pub(crate) requests: u8,
    /// Packs that are ordered later.
    pub(crate) orders: u8,
    pub(crate) crashes: u8,
    pub(crate) restores: u8,
    /// Messages that are lost.
    pub(crate) losses: u8,
    /// Whether a session may begin while another is whole. Packs may then be lost that are in no doubt, and no more.
    pub(crate) parallel: bool,
    /// Whether a session takes packs by what any session of its process found last, as services do, and not by its own finding.
    pub(crate) shared: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Wire {
    Greeting(Greeting),
    State(Box<State>),
    Message(Message),
    /// P0 has allotted this serial.
    Order(Card),
    /// P1 has that pack.
    Made(Card),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Hello,
    Answer,
    Reconcile,
    Idle,
    Propose(Proposer<Card>),
    Respond(Responder<Card>),
    Use(Card),
    Make(Card),
    Ended,
}

/// One side of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Half {
    phase: Phase,
    inbox: VecDeque<Wire>,
    request: u8,
    /// Serials that were ordered here.
    ordered: BTreeSet<u64>,
    /// The boots that reconciled.
    reconciled: Option<[Boot; 2]>,
    /// What was burnt last.
    burnt: Option<(Card, Binding)>,
    /// Of that: not yet durable, and a message went out since. Faults only.
    late: bool,
    sent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Session {
    id: u8,
    halves: [Half; 2],
    lossy: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Side {
    durable: Durable,
    /// Allotted in this boot, and not there yet: it goes with a crash.
    making: BTreeSet<u64>,
    /// The boot of the peer that was answered last.
    peer: Option<Boot>,
    /// The boots that reconciled last, in whichever session.
    reconciled: Option<[Boot; 2]>,
    up: bool,
    /// All that was ever on the disk.
    images: Vec<Rc<Durable>>,
    /// Restored, and not reconciled since.
    tainted: bool,
}

/// All there is, and what somebody who sees everything has noted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    sides: [Side; 2],
    sessions: Vec<Session>,
    /// What may still happen.
    left: Limits,
    opened: u64,
    begun: u8,
    used: BTreeMap<u64, Binding>,
    burnt: BTreeSet<u64>,
    allotted: BTreeSet<u64>,
    /// Packs that both had at one time.
    both: BTreeSet<u64>,
    restored: bool,
}

/// Something that may happen. Sessions and sides by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Connect,
    Step(usize, usize),
    Take(usize),
    Order(usize),
    Notice(usize, usize),
    Lose(usize, usize),
    Crash(usize),
    Restore(usize, usize),
    Open(usize),
}

impl World {
    pub(crate) fn new(limits: Limits) -> World {
        let side = |mark| {
            let durable = Durable::with(limits.packs, mark);
            Side {
                images: vec![Rc::new(durable.clone())],
                durable,
                making: BTreeSet::new(),
                peer: None,
                reconciled: None,
                up: true,
                tainted: false,
            }
        };
        World {
            sides: [side(1), side(2)],
            sessions: Vec::new(),
            left: limits,
            opened: 2,
            begun: 0,
            used: BTreeMap::new(),
            burnt: BTreeSet::new(),
            allotted: BTreeSet::new(),
            both: (0..limits.packs).collect(),
            restored: false,
        }
    }

    /// All that may happen next.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        let whole = self.sessions.iter().any(|session| session.halves.iter().all(|half| half.phase != Phase::Ended));
        let free = self.sessions.len() < 2 && self.left.sessions > 0 && self.sides.iter().all(|side| side.up);
        if free && (self.left.parallel || !whole) {
            moves.push(Move::Connect);
        }
        for (at, session) in self.sessions.iter().enumerate() {
            for place in 0..2 {
                self.moves_of(at, session, place, &mut moves);
            }
        }
        for (place, side) in self.sides.iter().enumerate() {
            if side.up && self.left.crashes > 0 {
                moves.push(Move::Crash(place));
            }
            if !side.up {
                moves.push(Move::Open(place));
                let images = 0..side.images.len();
                moves.extend(images.filter(|image| self.may_restore(place, *image)).map(|i| Move::Restore(place, i)));
            }
        }
        moves
    }

    fn moves_of(&self, at: usize, session: &Session, place: usize, moves: &mut Vec<Move>) {
        let (half, other) = (&session.halves[place], &session.halves[1 - place]);
        if half.phase == Phase::Ended {
            return;
        }
        if half.can_step() {
            moves.push(Move::Step(at, place));
        }
        if place == 0 && half.phase == Phase::Idle {
            if half.request < self.left.requests {
                moves.push(Move::Take(at));
            }
            if self.left.orders > 0 {
                moves.push(Move::Order(at));
            }
        }
        // a peer that is gone is noticed at once or late; one that says nothing any more is given up
        if other.phase == Phase::Ended || (session.lossy && half.inbox.is_empty()) {
            moves.push(Move::Notice(at, place));
        }
        if self.left.losses > 0 && !half.inbox.is_empty() {
            moves.push(Move::Lose(at, place));
        }
    }

    /// One side at a time is an older copy of itself; or both, where each can be told from the other's truth.
    fn may_restore(&self, place: usize, image: usize) -> bool {
        let lineage = |durable: &Durable, place: usize| durable.lineage(PARTIES[place]);
        let other = 1 - place;
        let found_out = || {
            let copy = lineage(&self.sides[place].images[image], place);
            copy.restored(&lineage(&self.sides[other].durable, other)).is_some()
        };
        let differs = *self.sides[place].images[image] != self.sides[place].durable;
        self.left.restores > 0 && differs && (!self.sides[other].tainted || found_out())
    }

    /// Lets something happen; says what must not have.
    pub(crate) fn apply(&mut self, happens: Move, fault: Option<Fault>) -> Result<(), String> {
        match happens {
            Move::Connect => {
                self.left.sessions -= 1;
                self.begun += 1;
                self.sessions.push(Session { id: self.begun, halves: [Half::new(), Half::new()], lossy: false });
            }
            Move::Step(at, place) => self.step(at, place, fault)?,
            Move::Take(at) => {
                let wanted = self.sessions[at].wanted(0);
                self.sessions[at].halves[0].phase = Phase::Propose(Proposer::new(wanted));
            }
            Move::Order(at) => self.order(at)?,
            Move::Notice(at, place) => self.end(at, place, fault),
            Move::Lose(at, place) => {
                self.left.losses -= 1;
                self.sessions[at].lossy = true;
                self.sessions[at].halves[place].inbox.pop_front();
            }
            Move::Crash(place) => {
                self.left.crashes -= 1;
                self.sides[place].up = false;
                self.sides[place].making.clear();
                self.sides[place].peer = None;
                self.sides[place].reconciled = None;
                for session in &mut self.sessions {
                    session.halves[place] = Half::ended();
                }
            }
            Move::Restore(place, image) => {
                self.left.restores -= 1;
                let side = &mut self.sides[place];
                (side.durable, side.tainted) = (Durable::clone(&side.images[image]), true);
                self.restored = true;
            }
            Move::Open(place) => {
                self.opened += 1;
                let side = &mut self.sides[place];
                side.up = true;
                side.durable.boots.again(self.opened);
                if fault == Some(Fault::SerialsReturn) {
                    side.durable.next = 0;
                }
            }
        }
        self.settle();
        Ok(())
    }

    /// Notes what came to the disks, and forgets what makes no difference any more.
    fn settle(&mut self) {
        self.sessions.retain(|session| session.halves.iter().any(|half| half.phase != Phase::Ended));
        for side in &mut self.sides {
            if self.left.restores == 0 || self.left.crashes == 0 && side.up {
                side.images.clear();
            } else if !side.images.iter().any(|image| **image == side.durable) {
                side.images.push(Rc::new(side.durable.clone()));
            }
        }
        let theirs = &self.sides[1].durable.available;
        self.both.extend(self.sides[0].durable.available.keys().filter(|serial| theirs.contains_key(serial)));
    }
}

impl Half {
    fn new() -> Half {
        Half { phase: Phase::Hello, ..Half::ended() }
    }

    fn ended() -> Half {
        let (inbox, ordered) = (VecDeque::new(), BTreeSet::new());
        Half {
            phase: Phase::Ended,
            inbox,
            request: 0,
            ordered,
            reconciled: None,
            burnt: None,
            late: false,
            sent: false,
        }
    }

    fn can_step(&self) -> bool {
        match &self.phase {
            _ if self.late && self.sent => true,
            Phase::Hello | Phase::Use(_) | Phase::Make(_) => true,
            Phase::Answer | Phase::Reconcile | Phase::Idle => !self.inbox.is_empty(),
            Phase::Propose(machine) => !machine.is_waiting() || !self.inbox.is_empty(),
            Phase::Respond(machine) => !machine.is_waiting() || !self.inbox.is_empty(),
            Phase::Ended => false,
        }
    }
}

impl Session {
    fn wanted(&self, place: usize) -> Wanted {
        let request = u64::from(self.halves[place].request);
        let binding = Binding { session: [self.id; 16], request, attempt: 0 };
        Wanted { class: CLASS, binding, agreement: [self.id; 32] }
    }
}
