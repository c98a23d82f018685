//! What two parties tell each other of their stocks, and what follows from it.
//!
//! When they connect, each sends its [`Greeting`], answers the other's with its [`State`], and reconciles with the state that it
//! gets, before the first pack is taken. A pack that one side lacks and will never have is discarded at the other. A side
//! whose disk was restored from an older copy gives itself away by its *boots*: each opening of a ledger has a number and a
//! random mark, and each side remembers the last one that it saw of the other. A boot that was seen and is not in the
//! history of the ledger that should have had it means that this ledger is a copy of before: then both drop all they have.
//!
//! A state that was long under way, in a session that one side has left, would look like a copy as well. So it says which
//! greeting it answers, and one that answers an older greeting is not judged by ([`Lineage::judge`]).
//!
//! Two copies that agree with each other cannot be told from the truth: both restored to one moment, or to two between which
//! neither was opened. Keep stocks out of backups and snapshots.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::class::{Class, Party};

/// The most classes of which a state tells.
pub const MOST_CLASSES: usize = 256;
/// The most ranges of available serials of which a class of a state tells.
pub const MOST_RANGES: usize = 4096;
/// How many boots a ledger remembers of itself.
pub const MOST_BOOTS: usize = 256;

/// One opening of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Boot {
    /// Its number, one more than that of the opening before.
    pub epoch: u64,
    /// A random mark: a copy of the ledger has another one in an epoch of the same number.
    pub mark: u64,
}

/// The last boots of one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawBoots")]
pub struct Boots {
    epoch: u64,
    /// Marks of the last epochs, the newest last; never none.
    marks: Vec<u64>,
}

impl Boots {
    /// The first boot of a new ledger.
    pub fn first(mark: u64) -> Boots {
        Boots { epoch: 1, marks: vec![mark] }
    }

    pub(crate) fn from_parts(epoch: u64, marks: Vec<u64>) -> Option<Boots> {
        let fits = !marks.is_empty() && marks.len() <= MOST_BOOTS && marks.len() as u64 <= epoch;
        fits.then_some(Boots { epoch, marks })
    }

    pub(crate) fn marks(&self) -> &[u64] {
        &self.marks
    }

    /// The boot of now.
    pub fn now(&self) -> Boot {
        Boot { epoch: self.epoch, mark: self.marks.last().copied().unwrap_or_default() }
    }

    /// The ledger is opened again.
    pub fn again(&mut self, mark: u64) {
        self.epoch += 1;
        self.marks.push(mark);
        if self.marks.len() > MOST_BOOTS {
            self.marks.remove(0);
        }
    }

    /// The ledger goes on after the epochs that its other self had.
    pub fn beyond(&mut self, epoch: u64, mark: u64) {
        *self = Boots { epoch: self.epoch.max(epoch) + 1, marks: vec![mark] };
    }

    /// Whether a boot that somebody saw belongs to another history than this. Of one that is forgotten it is not said.
    fn contradicts(&self, seen: Boot) -> bool {
        let back = match self.epoch.checked_sub(seen.epoch) {
            // it was seen in an epoch that is still to come
            None => return true,
            Some(back) => back,
        };
        let place = usize::try_from(back).ok().and_then(|back| self.marks.len().checked_sub(back + 1));
        place.is_some_and(|place| self.marks[place] != seen.mark)
    }
}

/// What one side has of a class.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawClassState")]
pub struct ClassState {
    /// The class.
    pub class: Class,
    /// Serials from here on were never allotted, as far as this side knows.
    pub next: u64,
    /// Serials below it are no longer being made here: what is not available will not be.
    pub settled: u64,
    /// The available serials below `settled` and some above it: ranges, the end not included, in order.
    pub available: Vec<(u64, u64)>,
}

impl ClassState {
    /// Whether this side has the pack.
    pub fn has(&self, serial: u64) -> bool {
        let after = self.available.partition_point(|(start, _)| *start <= serial);
        after > 0 && serial < self.available[after - 1].1
    }

    /// Whether this side does not have the pack and never will.
    pub fn lacks(&self, serial: u64) -> bool {
        serial < self.settled && !self.has(serial)
    }

    /// Leaves out what is more than a state may tell, and says nothing of what follows it.
    pub(crate) fn shorten(&mut self) {
        if let Some((start, _)) = self.available.get(MOST_RANGES) {
            self.settled = self.settled.min(*start);
            self.available.truncate(MOST_RANGES);
        }
    }
}

/// What a ledger knows of its own boots and of the peer's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawLineage")]
pub struct Lineage {
    /// Whose ledger it is.
    pub party: Party,
    /// Its boots.
    pub boots: Boots,
    /// The last boot of the peer that it has seen.
    pub seen: Option<Boot>,
}

/// What one side says first when they connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Greeting {
    /// Who says so.
    pub party: Party,
    /// Its boot of now.
    pub boot: Boot,
    /// The last boot of the peer that it has seen.
    pub seen: Option<Boot>,
}

/// What one side tells the other when they connect. What was parsed is bounded and in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawState")]
pub struct State {
    /// What it knows of boots.
    pub lineage: Lineage,
    /// The greeting that it answers.
    pub answers: Greeting,
    /// Its classes, in order.
    pub classes: Vec<ClassState>,
}

impl State {
    /// What this side has of a class, where it tells of it.
    pub fn of(&self, class: &Class) -> Option<&ClassState> {
        self.classes.binary_search_by_key(class, |state| state.class).ok().map(|at| &self.classes[at])
    }
}

impl Lineage {
    /// What to say first.
    pub fn greeting(&self) -> Greeting {
        Greeting { party: self.party, boot: self.boots.now(), seen: self.seen }
    }

    /// Whether either ledger is a restored copy, by what each saw of the other. Both sides come to the same answer.
    pub fn restored(&self, peer: &Lineage) -> Option<Restored> {
        let theirs = self.seen.filter(|seen| peer.boots.contradicts(*seen));
        let ours = peer.seen.filter(|seen| self.boots.contradicts(*seen));
        let restored = |party, seen: Boot, boots: &Boots| Restored { party, seen: seen.epoch, epoch: boots.epoch };
        ours.map(|seen| restored(self.party, seen, &self.boots))
            .or(theirs.map(|seen| restored(peer.party, seen, &peer.boots)))
    }

    /// What follows for a ledger from the boots in the peer's state; nothing where that state is out of date: it answers a
    /// greeting of before another boot of the peer was seen. `mark` is a random number, for a boot to begin where this
    /// ledger turns out to be an older copy.
    ///
    /// These are the rules without a disk: [`crate::Stock::reconcile`] follows them, and so does the model in the tests.
    pub fn judge(&self, peer: &State, mark: u64) -> Option<Verdict> {
        let (theirs, now) = (&peer.lineage, peer.lineage.boots.now());
        if peer.answers != self.greeting() && self.seen != Some(now) {
            return None;
        }
        let dropped_all = self.restored(theirs);
        let mut boots = self.boots.clone();
        if let Some(seen) = theirs.seen.filter(|seen| self.boots.contradicts(*seen)) {
            boots.beyond(seen.epoch, mark);
        }
        // what was seen is not forgotten for an older copy, which will go on beyond it
        let seen = self.seen.filter(|seen| theirs.boots.contradicts(*seen)).unwrap_or(now);
        Some(Verdict { dropped_all, boots, seen })
    }
}

/// See [`Lineage::judge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Why all is to be dropped.
    pub dropped_all: Option<Restored>,
    /// The boots of this side from now on.
    pub boots: Boots,
    /// The boot of the peer to remember.
    pub seen: Boot,
}

/// A ledger turned out to be a restored copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Restored {
    /// Whose ledger.
    pub party: Party,
    /// The epoch of it that the other side has seen.
    pub seen: u64,
    /// The epoch that it is in, which does not descend from that one.
    pub epoch: u64,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restored { party, seen, epoch } = self;
        write!(
            f,
            "the stock of {party} was restored from an older copy or made anew: its boot {seen} was seen, and its boot {epoch} does not follow it"
        )
    }
}

/// A list that stops the parser where it becomes too long.
struct Few<T, const MOST: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counted<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Counted<T, MOST> {
            type Value = Few<T, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MOST} entries")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut few = Vec::new();
                while let Some(entry) = entries.next_element()? {
                    if few.len() == MOST {
                        return Err(serde::de::Error::invalid_length(MOST + 1, &self));
                    }
                    few.push(entry);
                }
                Ok(Few(few))
            }
        }
        deserializer.deserialize_seq(Counted(PhantomData))
    }
}

#[derive(Deserialize)]
struct RawBoots {
    epoch: u64,
    marks: Few<u64, MOST_BOOTS>,
}

impl TryFrom<RawBoots> for Boots {
    type Error = &'static str;
    fn try_from(raw: RawBoots) -> Result<Boots, &'static str> {
        // beyond the last number there is none to go on with
        let boots = Boots::from_parts(raw.epoch, raw.marks.0).filter(|boots| boots.epoch < u64::MAX / 2);
        boots.ok_or("a ledger has a boot, and not more marks than boots")
    }
}

#[derive(Deserialize)]
struct RawClassState {
    class: Class,
    next: u64,
    settled: u64,
    available: Few<(u64, u64), MOST_RANGES>,
}

impl TryFrom<RawClassState> for ClassState {
    type Error = &'static str;
    fn try_from(raw: RawClassState) -> Result<ClassState, &'static str> {
        let RawClassState { class, next, settled, available: Few(available) } = raw;
        let ordered = available.windows(2).all(|pair| pair[0].1 < pair[1].0);
        let filled = available.iter().all(|(start, end)| start < end && *end <= next);
        if !ordered || !filled || settled > next || next > MOST_SERIAL {
            return Err("ranges of serials that were allotted, in order and apart");
        }
        Ok(ClassState { class, next, settled, available })
    }
}

/// Serials end below it, so that they can be counted without overflow.
pub(crate) const MOST_SERIAL: u64 = 1 << 62;

#[derive(Deserialize)]
struct RawLineage {
    party: Party,
    boots: Boots,
    seen: Option<Boot>,
}

impl TryFrom<RawLineage> for Lineage {
    type Error = &'static str;
    fn try_from(raw: RawLineage) -> Result<Lineage, &'static str> {
        let RawLineage { party, boots, seen } = raw;
        if seen.is_some_and(|seen| seen.epoch >= u64::MAX / 2) {
            return Err("an epoch that leaves room for others");
        }
        Ok(Lineage { party, boots, seen })
    }
}

#[derive(Deserialize)]
struct RawState {
    lineage: Lineage,
    answers: Greeting,
    classes: Few<ClassState, MOST_CLASSES>,
}

impl TryFrom<RawState> for State {
    type Error = &'static str;
    fn try_from(raw: RawState) -> Result<State, &'static str> {
        let RawState { lineage, answers, classes: Few(classes) } = raw;
        if !classes.windows(2).all(|pair| pair[0].class < pair[1].class) {
            return Err("classes in order, each once");
        }
        Ok(State { lineage, answers, classes })
    }
}
