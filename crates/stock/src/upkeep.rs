//! Keeping two stocks the same, and one in order: what is discarded, when and why.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::class::{Class, Party};
use crate::error::{Discard, StockError};
use crate::ledger::random_number;
use crate::pack::{Expected, Pack};
use crate::sealed::sealed_length;
use crate::shared::{Inside, Shared};
use crate::state::{ClassState, Greeting, Lineage, MOST_CLASSES, State};
use crate::stock::{Reconciled, Stock};
use crate::tables::{RowError, View};

/// What a check of all packs came to.
#[derive(Debug)]
pub struct Verified {
    /// How many are what was written.
    pub sound: u64,
    /// What is wrong with the others, which were discarded.
    pub damaged: Vec<StockError>,
}

/// What a stock has of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassGauge {
    /// The class.
    pub class: Class,
    /// Packs that may be taken.
    pub available: u64,
    /// Packs that were allotted and are not here yet.
    pub ordered: u64,
    /// Packs that were spent.
    pub burnt: u64,
    /// Packs that were thrown away unspent.
    pub discarded: u64,
    /// Bytes of available packs on the disk.
    pub bytes: u64,
    /// How long the oldest available pack is here; zero where the clock was set back.
    pub oldest: Option<Duration>,
}

/// What a stock has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauges {
    /// By class, in order.
    pub classes: Vec<ClassGauge>,
    /// Bytes on the disk, packs that are being written included.
    pub used: u64,
    /// The most bytes it may have.
    pub quota: u64,
}

impl Stock {
    /// What this side has, for people and metrics.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn classes(&self) -> Result<Vec<ClassState>, StockError> {
        let inside = self.shared.lock();
        inside.ledger.view(|view| classes(&inside, view))
    }

    /// What to say to the peer first.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn greeting(&self) -> Result<Greeting, StockError> {
        Ok(self.shared.lock().ledger.view(|view| lineage(self.party(), view))?.greeting())
    }

    /// What this side has, in answer to the peer's greeting. Where that is of another boot of the peer, sessions of before
    /// burn no more packs.
    ///
    /// # Errors
    /// [`StockError::SameParty`], and those of the ledger.
    pub fn state(&self, answers: &Greeting) -> Result<State, StockError> {
        let party = self.party();
        if answers.party == party {
            return Err(StockError::SameParty { party });
        }
        let mut inside = self.shared.lock();
        inside.peer = Some(answers.boot);
        inside.ledger.view(|view| {
            Ok(State { lineage: lineage(party, view)?, answers: *answers, classes: classes(&inside, view)? })
        })
    }

    /// Follows from what the peer says: discards what it does not have and never will, or all, where one of the two ledgers
    /// is a restored copy. Both sides reconcile whenever they connect, before a pack is taken; a pack that is just being taken in
    /// another session is lost then. Doing it twice does no more than once.
    ///
    /// # Errors
    /// [`StockError::SameParty`]; [`StockError::OutOfDate`], and nothing has changed; those of the ledger.
    pub fn reconcile(&self, peer: &State) -> Result<Reconciled, StockError> {
        let party = self.party();
        if peer.lineage.party == party {
            return Err(StockError::SameParty { party });
        }
        let mut inside = self.shared.lock();
        let own = inside.ledger.view(|view| lineage(party, view))?;
        let verdict = own.judge(peer, random_number()?).ok_or(StockError::OutOfDate)?;
        let all = verdict.dropped_all.is_some();
        let packs = available(&inside, |class, serial| all || peer.of(class).is_some_and(|of| of.lacks(serial)))?;
        let behind = if party == Party::P0 { behind(&inside, peer)? } else { Vec::new() };
        if all {
            inside.making.clear();
            inside.given_up += 1;
        }
        let reconciled = Reconciled {
            discarded: packs.len() as u64,
            dropped_all: verdict.dropped_all,
            own: verdict.boots.now(),
            peer: peer.lineage.boots.now(),
        };
        if verdict.boots == own.boots && own.seen == Some(verdict.seen) && packs.is_empty() && behind.is_empty() {
            inside.reconciled = true;
            return Ok(reconciled);
        }
        let why = if all { Discard::Restored } else { Discard::Orphan };
        let lengths = inside.ledger.change(|change| {
            change.set_boots(&verdict.boots)?;
            change.set_seen(verdict.seen)?;
            for (class, next) in &behind {
                change.set_next(class, *next)?;
            }
            // what was ordered is gone: it is ordered again
            if all {
                change.set_calendar(None)?;
            }
            change.discard(&packs, why)
        })?;
        self.shared.remove_files(&mut inside, &packs, &lengths);
        inside.reconciled = true;
        Ok(reconciled)
    }

    /// Discards the packs of all classes but those that `serves` says are still of use, oldest first; says how many. So packs
    /// go whose bundle was replaced, or whose plan another release no longer makes.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn retire(&self, serves: impl Fn(&Class) -> bool) -> Result<u64, StockError> {
        let mut inside = self.shared.lock();
        inside.making.retain(|class, _| serves(class));
        inside.given_up += 1;
        let mut old = Vec::new();
        inside.ledger.view(|view| {
            view.each_available(|class, serial, row| {
                if !serves(&class) {
                    old.push((row.made, class, serial));
                }
            })
        })?;
        old.sort_unstable();
        let packs: Vec<_> = old.into_iter().map(|(_, class, serial)| (class, serial)).collect();
        // in parts, so that an interruption leaves the newest
        for part in packs.chunks(1024) {
            discard(&self.shared, &mut inside, part, Discard::Retired)?;
        }
        Ok(packs.len() as u64)
    }

    /// Discards all packs; says how many. Serials and boots go on, and nothing is noted of orders any more.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn drop_all(&self) -> Result<u64, StockError> {
        self.drop_noting(None)
    }

    /// As [`Stock::drop_all`], and notes something of orders in the same change: both are done, or neither.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn renew(&self, calendar: &[u8]) -> Result<u64, StockError> {
        self.drop_noting(Some(calendar))
    }

    fn drop_noting(&self, calendar: Option<&[u8]>) -> Result<u64, StockError> {
        let mut inside = self.shared.lock();
        inside.making.clear();
        inside.given_up += 1;
        let packs = available(&inside, |_, _| true)?;
        let lengths = inside.ledger.change(|change| {
            change.set_calendar(calendar)?;
            change.discard(&packs, Discard::Dropped)
        })?;
        self.shared.remove_files(&mut inside, &packs, &lengths);
        Ok(packs.len() as u64)
    }

    /// Reads every available pack to its end and discards those that are not what was written.
    ///
    /// # Errors
    /// Those of the ledger; a file that is missing or damaged is none of them.
    pub fn verify(&self) -> Result<Verified, StockError> {
        let shared = &self.shared;
        let mut verified = Verified { sound: 0, damaged: Vec::new() };
        let mut from = Some((Class { bundle: [0; 16], plan: [0; 32], rows: 0 }, 0));
        while let Some(start) = from {
            let next = shared.lock().ledger.view(|view| {
                let Some((class, serial)) = view.next_available(start)? else { return Ok(None) };
                Ok(view.available(&class, serial)?.map(|row| (class, serial, row)))
            })?;
            let Some((class, serial, row)) = next else { break };
            from = Some((class, serial + 1));
            let path = shared.folder.pack(&class, serial);
            let expected = Expected { owner: shared.owner, class, serial, order: row.order, content: row.content };
            let checked = match File::open(&path) {
                Ok(file) => Pack::open(&shared.key, expected, path, file).and_then(Pack::check),
                Err(_) => Err(StockError::PackMissing { class, serial, path }),
            };
            let Err(error) = checked else {
                verified.sound += 1;
                continue;
            };
            // somebody may have taken it while it was read
            let mut inside = shared.lock();
            if inside.ledger.view(|view| view.available(&class, serial))?.is_some() {
                discard(shared, &mut inside, &[(class, serial)], Discard::Damaged)?;
                verified.damaged.push(error);
            }
        }
        Ok(verified)
    }

    /// What is in stock. `now` is this machine's clock.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn gauges(&self, now: SystemTime) -> Result<Gauges, StockError> {
        let inside = self.shared.lock();
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut gauges: BTreeMap<Class, ClassGauge> = BTreeMap::new();
        inside.ledger.view(|view| {
            for (class, row) in view.classes()? {
                let ordered = inside.making.get(&class).map_or(0, |serials| serials.len() as u64);
                let (burnt, discarded) = (row.burnt, row.discarded);
                gauges.insert(
                    class,
                    ClassGauge { class, available: 0, ordered, burnt, discarded, bytes: 0, oldest: None },
                );
            }
            view.each_available(|class, _, row| {
                let Some(gauge) = gauges.get_mut(&class) else { return };
                gauge.available += 1;
                gauge.bytes = gauge.bytes.saturating_add(sealed_length(row.content));
                let age = now.saturating_sub(Duration::from_secs(row.made));
                gauge.oldest = gauge.oldest.max(Some(age));
            })
        })?;
        Ok(Gauges { classes: gauges.into_values().collect(), used: inside.used, quota: self.shared.quota })
    }
}

fn lineage(party: Party, view: &View) -> Result<Lineage, RowError> {
    Ok(Lineage { party, boots: view.boots()?, seen: view.seen()? })
}

/// What this side has of each class, at the moment of `view`.
fn classes(inside: &Inside, view: &View) -> Result<Vec<ClassState>, RowError> {
    let mut classes = BTreeMap::new();
    for (class, row) in view.classes()? {
        let settled = inside.settled(&class, row.next);
        classes.insert(class, ClassState { class, next: row.next, settled, available: Vec::new() });
    }
    view.each_available(|class, serial, _| {
        let Some(of) = classes.get_mut(&class) else { return };
        match of.available.last_mut() {
            Some((_, end)) if *end == serial => *end += 1,
            _ => of.available.push((serial, serial + 1)),
        }
    })?;
    let mut classes: Vec<ClassState> = classes.into_values().collect();
    classes.iter_mut().for_each(ClassState::shorten);
    if classes.len() > MOST_CLASSES {
        // of a class that is left out nothing follows; those with packs matter more
        classes.sort_by_key(|of| of.available.is_empty());
        classes.truncate(MOST_CLASSES);
        classes.sort_by_key(|of| of.class);
    }
    Ok(classes)
}

/// The classes of which the peer has seen serials beyond those allotted here, by a ledger that is no more. A peer that makes up
/// classes does not fill this ledger: one that is new here is noted only while fewer than [`MOST_CLASSES`] are known. A serial
/// of one that is not could be allotted again, and the peer, which has seen it, accepts no such order.
fn behind(inside: &Inside, peer: &State) -> Result<Vec<(Class, u64)>, StockError> {
    inside.ledger.view(|view| {
        let known: BTreeMap<Class, u64> = view.classes()?.into_iter().map(|(class, row)| (class, row.next)).collect();
        let mut room = MOST_CLASSES.saturating_sub(known.len());
        let mut behind = Vec::new();
        for of in &peer.classes {
            match known.get(&of.class) {
                Some(next) if *next < of.next => behind.push((of.class, of.next)),
                None if of.next > 0 && room > 0 => {
                    room -= 1;
                    behind.push((of.class, of.next));
                }
                _ => {}
            }
        }
        Ok(behind)
    })
}

/// The available packs that `is_meant` picks.
fn available(inside: &Inside, is_meant: impl Fn(&Class, u64) -> bool) -> Result<Vec<(Class, u64)>, StockError> {
    let mut packs = Vec::new();
    inside.ledger.view(|view| {
        view.each_available(|class, serial, _| {
            if is_meant(&class, serial) {
                packs.push((class, serial));
            }
        })
    })?;
    Ok(packs)
}

fn discard(shared: &Shared, inside: &mut Inside, packs: &[(Class, u64)], why: Discard) -> Result<(), StockError> {
    if packs.is_empty() {
        return Ok(());
    }
    let lengths = inside.ledger.change(|change| change.discard(packs, why))?;
    shared.remove_files(inside, packs, &lengths);
    Ok(())
}
