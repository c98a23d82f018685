//! The stock of a party that is a service: what is in it, and what is due.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use anyhow::Result;
use cli::exit::BUSY;
use serde::{Deserialize, Serialize};
use stock::Boot;
use tracing::{info, warn};

use crate::exit::code_of;
use crate::message::Role;
use crate::service::levels::{AFTER_FAILURE, Due, Level, Levels};
pub use crate::service::levels::{Marks, Refill};
use crate::service::snapshot::{Known, Snapshot};
use crate::stocked::{KeptClass, PartyStock};

/// How a party's stock is kept full. P0 decides; P1's has neither marks nor a calendar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filling {
    /// By class, in tokens that its texts are padded to.
    pub marks: BTreeMap<usize, Marks>,
    /// Orders at once.
    pub parallel: usize,
    /// When packs may be ordered; always, where nothing is said.
    pub refill: Option<Refill>,
}

/// The stock of a party that is a service.
pub struct StockService {
    pub(crate) kept: PartyStock,
    filling: Filling,
    state: Mutex<State>,
    /// Held from allotting packs to P1's answer: it takes orders in the order of their serials.
    pub(crate) turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    levels: Levels,
    snapshot: Snapshot,
    /// Why the last order failed, and when.
    failed: Option<(String, Instant)>,
    /// Classes that could not be ordered, and when they may be again: the others are ordered meanwhile.
    paused: BTreeMap<usize, Instant>,
    /// The other ledger's boot, and how many connections there are to it.
    peer: Option<(Boot, usize)>,
}

/// What is in stock, for `doctor` and `stock status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockStatus {
    /// By class.
    pub classes: Vec<ClassStatus>,
    /// Bytes on the disk.
    pub used: u64,
    /// The most that there may be.
    pub quota: u64,
    /// Whether it was compared with the other party's, so that packs may be taken.
    pub reconciled: bool,
    /// Why the last order failed, where it did.
    pub failed: Option<String>,
}

/// What is in stock of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassStatus {
    /// Tokens that its texts are padded to.
    pub tokens: u64,
    /// Packs that may be taken.
    pub available: u64,
    /// Packs on their way.
    pub ordered: u64,
    /// Packs that were spent.
    pub burnt: u64,
    /// Packs that were thrown away.
    pub discarded: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// How old the oldest is, in seconds.
    pub oldest: Option<u64>,
    /// Below so many packs are ordered, where this party orders.
    pub low: Option<u64>,
}

impl StockService {
    /// A stock that is kept full as `filling` says.
    pub fn new(kept: PartyStock, filling: Filling) -> Result<StockService> {
        for tokens in filling.marks.keys() {
            kept.of_tokens(*tokens)?;
        }
        Ok(StockService { kept, filling, state: Mutex::default(), turn: Mutex::default() })
    }

    /// What is in stock.
    pub fn status(&self) -> Result<StockStatus> {
        let gauges = self.kept.stock().gauges(SystemTime::now())?;
        let failed = self.lock().failed.as_ref().map(|(why, at)| format!("{why} ({} s ago)", at.elapsed().as_secs()));
        let of = |kept: &KeptClass| {
            let gauge = gauges.classes.iter().find(|gauge| gauge.class == kept.class);
            ClassStatus {
                tokens: kept.tokens as u64,
                available: gauge.map_or(0, |gauge| gauge.available),
                ordered: gauge.map_or(0, |gauge| gauge.ordered),
                burnt: gauge.map_or(0, |gauge| gauge.burnt),
                discarded: gauge.map_or(0, |gauge| gauge.discarded),
                bytes: gauge.map_or(0, |gauge| gauge.bytes),
                oldest: gauge.and_then(|gauge| gauge.oldest).map(|age| age.as_secs()),
                low: self.filling.marks.get(&kept.tokens).map(|marks| marks.low),
            }
        };
        let classes = self.kept.classes().iter().map(of).collect();
        Ok(StockStatus {
            classes,
            used: gauges.used,
            quota: gauges.quota,
            reconciled: self.kept.shared().is_reconciled(),
            failed,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection to a ledger of that boot, until what this gives goes; nothing where there are enough. Connections to
    /// a ledger of before, which has been opened again, count no more.
    pub(crate) fn connect(&self, boot: Boot) -> Option<Connected<'_>> {
        let mut state = self.lock();
        let links = state.peer.filter(|(known, _)| *known == boot).map_or(0, |(_, links)| links);
        if links >= self.parallel() {
            return None;
        }
        state.peer = Some((boot, links + 1));
        Some(Connected { stock: self, boot })
    }

    /// Orders at once.
    pub(crate) fn parallel(&self) -> usize {
        self.filling.parallel.max(1)
    }

    /// What is due now, its packs allotted.
    pub(crate) fn due(&self) -> Result<Option<Allotted<'_>>> {
        let mut state = self.lock();
        let now = Instant::now();
        state.paused.retain(|_, until| now < *until);
        let stock = self.kept.stock();
        let Known { gauges, calendar } = state.snapshot.of(stock)?;
        let level = |tokens| {
            let class = self.kept.classes().iter().find(|kept| kept.tokens == tokens).map(|kept| kept.class);
            let gauge = gauges.classes.iter().find(|gauge| Some(gauge.class) == class);
            gauge.map_or(Level::default(), |gauge| Level { available: gauge.available, ordered: gauge.ordered })
        };
        let State { levels, paused, .. } = &mut *state;
        let open = |tokens| !paused.contains_key(&tokens);
        let calendar = (self.filling.refill, calendar.as_ref());
        match levels.due((&self.filling.marks, &open), calendar, SystemTime::now(), level) {
            Due::Nothing => Ok(None),
            Due::Renew(calendar) => {
                let thrown = stock.renew(&serde_json::to_vec(&calendar)?)?;
                info!(role = %Role::Party0, thrown, "the stock is renewed: what was left was thrown away");
                anyhow::bail!("the stock is renewed, and compared anew")
            }
            Due::Order { tokens, count, calendar } => {
                let class = self.kept.of_tokens(tokens)?;
                let of = gauges.classes.iter().find(|gauge| gauge.class == class.class && gauge.available > 0);
                let each = of.map_or(0, |gauge| gauge.bytes / gauge.available);
                if stock.used().saturating_add(count.saturating_mul(each)) > gauges.quota {
                    let quota = gauges.quota;
                    let why = format!("{count} packs for {tokens} tokens do not fit into the quota of {quota} bytes");
                    state.failed = Some((why, now));
                    state.paused.insert(tokens, now + AFTER_FAILURE);
                    return Ok(None);
                }
                let serials = stock.reserve(&class.class, count)?;
                if let Some(calendar) = calendar {
                    stock.set_calendar(&serde_json::to_vec(&calendar)?)?;
                }
                Ok(Some(Allotted { class, serials }))
            }
        }
    }

    /// An order was made to its end.
    pub(crate) fn order_made(&self) {
        self.lock().failed = None;
    }

    /// An order was not: what is left of it is given up, and the next one waits a little.
    pub(crate) fn order_failed(&self, allotted: &Allotted<'_>, made: u64, error: &anyhow::Error) {
        let Allotted { class, serials } = allotted;
        self.kept.stock().give_up(&class.class, serials.clone());
        let mut state = self.lock();
        let rest = (serials.end - serials.start).saturating_sub(made);
        if let Err(error) = self.order_again(&mut state, class.tokens, rest) {
            warn!(role = %Role::Party0, "what was not made is not ordered again today: {}", cli::describe(&error));
        }
        // what gave way to a request, at either party, is made later, and nothing is wrong
        if code_of(error) != BUSY {
            state.failed = Some((cli::describe(error), Instant::now()));
        }
        state.paused.insert(class.tokens, Instant::now() + AFTER_FAILURE);
    }
}

impl StockService {
    /// Notes that so many packs of a renewed stock are still to be ordered.
    fn order_again(&self, state: &mut State, tokens: usize, count: u64) -> Result<()> {
        let stock = self.kept.stock();
        let Some(mut calendar) = state.snapshot.of(stock)?.calendar else { return Ok(()) };
        calendar.not_made(tokens, count);
        Ok(stock.set_calendar(&serde_json::to_vec(&calendar)?)?)
    }
}

impl fmt::Debug for StockService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StockService({:?}, redacted)", self.kept)
    }
}

/// Packs that P0 is about to order.
pub(crate) struct Allotted<'k> {
    pub(crate) class: &'k KeptClass,
    pub(crate) serials: Range<u64>,
}

/// One of the connections to the other party's ledger.
pub(crate) struct Connected<'s> {
    stock: &'s StockService,
    boot: Boot,
}

impl Connected<'_> {
    /// Whether the other ledger was not opened again since.
    pub(crate) fn counts(&self) -> bool {
        self.stock.lock().peer.is_some_and(|(boot, _)| boot == self.boot)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        let mut state = self.stock.lock();
        match state.peer {
            Some((boot, links)) if boot == self.boot && links > 1 => state.peer = Some((boot, links - 1)),
            Some((boot, _)) if boot == self.boot => {
                state.peer = None;
                self.stock.kept.shared().disconnected(boot);
            }
            _ => {}
        }
    }
}
