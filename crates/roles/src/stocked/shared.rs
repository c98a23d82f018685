//! A stock, and what comparing it with the other party's came to last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stock::{Boot, Counter, Reconciled, State, Stock, StockError};
use tracing::{info, warn};

/// A stock that several connections compare with the other party's, while sessions take packs from it.
pub(crate) struct SharedStock {
    stock: Stock,
    /// What comparing came to last; packs are taken from then on.
    last: Mutex<Option<Reconciled>>,
    /// Notified when there is such a thing.
    compared: Condvar,
    /// Whether a pack could not be taken since, so that what both have may differ.
    doubt: AtomicBool,
}

impl SharedStock {
    /// A stock that was compared with nothing yet.
    pub(crate) fn new(stock: Stock) -> SharedStock {
        SharedStock { stock, last: Mutex::new(None), compared: Condvar::new(), doubt: AtomicBool::new(false) }
    }

    /// The stock itself.
    pub(crate) fn stock(&self) -> &Stock {
        &self.stock
    }

    /// Follows from what the other party's stock says of itself. The lock is held until the result is noted: of two connections
    /// the one that compared last notes last, or packs would be refused by what was found out of a ledger that is no more.
    pub(crate) fn reconcile(&self, peer: &State) -> Result<(), StockError> {
        let role = self.stock.party();
        let mut last = self.lock();
        let reconciled = self.stock.reconcile(peer)?;
        *last = Some(reconciled);
        drop(last);
        self.compared.notify_all();
        if let Some(why) = reconciled.dropped_all {
            warn!(%role, "all packs were thrown away: {why}");
        } else if reconciled.discarded > 0 {
            info!(%role, discarded = reconciled.discarded, "packs that the other party has not were thrown away");
        }
        Ok(())
    }

    /// Whether packs can be taken: the ledgers were compared.
    pub(crate) fn is_reconciled(&self) -> bool {
        self.lock().is_some()
    }

    /// By what packs are taken in a session.
    pub(crate) fn counter(&self) -> Option<Counter<'_>> {
        self.lock().map(|reconciled| Counter {
            stock: &self.stock,
            reconciled,
            noticed: |error| warn!("a pack is passed over: {error}"),
        })
    }

    /// The same, once the ledgers were compared: a party that was just started again may still be at it.
    pub(crate) fn counter_within(&self, within: Duration) -> Option<Counter<'_>> {
        drop(self.compared.wait_timeout_while(self.lock(), within, |reconciled| reconciled.is_none()));
        self.counter()
    }

    /// The other ledger of that boot is gone: until it is back and compared anew, no packs are asked for.
    pub(crate) fn disconnected(&self, boot: Boot) {
        self.lock().take_if(|reconciled| reconciled.peer() == boot);
    }

    /// A pack could not be taken: the ledgers have to be compared anew.
    pub(crate) fn doubt(&self) {
        self.doubt.store(true, Ordering::Relaxed);
    }

    /// Whether they have to be, since this was last asked.
    pub(crate) fn takes_doubt(&self) -> bool {
        self.doubt.swap(false, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Reconciled>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, OnceLock, TryLockError, Weak};

    use stock::{Boots, Lineage, Party, StockKey};

    use super::*;

    /// P1 with nothing in stock, after so many starts.
    fn peer(stock: &Stock, boots: &Boots) -> State {
        let lineage = Lineage { party: Party::P1, boots: boots.clone(), seen: None };
        stock.state(&lineage.greeting()).unwrap();
        State { lineage, answers: stock.greeting().unwrap(), classes: Vec::new() }
    }

    fn open(folder: &Path, watch: stock::Watch) -> Stock {
        Stock::open_watched(&folder.join("stock"), StockKey::from_bytes([1; 32]), Party::P0, 1 << 20, watch).unwrap()
    }

    /// Whoever looks, in the midst of a comparison, for what the last one came to has to wait: so no connection can note what it
    /// found out after another one that compared later, and no session takes packs by what is being replaced.
    #[test]
    fn nothing_is_noted_or_taken_while_a_comparison_is_under_way() {
        let root = tempfile::tempdir().unwrap();
        let shared: Arc<OnceLock<Weak<SharedStock>>> = Arc::default();
        let looked = Arc::new(Mutex::new(Vec::new()));
        let (place, seen) = (Arc::clone(&shared), Arc::clone(&looked));
        let stock = open(
            root.path(),
            Arc::new(move |_| {
                if let Some(shared) = place.get().and_then(Weak::upgrade) {
                    let held = matches!(shared.last.try_lock(), Err(TryLockError::WouldBlock));
                    seen.lock().unwrap().push(held);
                }
                Ok(())
            }),
        );
        let under_test = Arc::new(SharedStock::new(stock));
        shared.set(Arc::downgrade(&under_test)).unwrap();
        under_test.reconcile(&peer(under_test.stock(), &Boots::first(7))).unwrap();
        let looked = looked.lock().unwrap();
        assert!(!looked.is_empty() && looked.iter().all(|held| *held), "{looked:?}");
    }

    #[test]
    fn what_was_found_out_of_a_ledger_that_is_no_more_is_not_noted() {
        let root = tempfile::tempdir().unwrap();
        let shared = SharedStock::new(open(root.path(), Arc::new(|_| Ok(()))));
        let mut boots = Boots::first(7);
        let early = peer(shared.stock(), &boots);
        boots.again(8);
        let late = peer(shared.stock(), &boots);
        shared.reconcile(&late).unwrap();
        assert!(matches!(shared.reconcile(&early), Err(StockError::OutOfDate)));
        assert_eq!(shared.counter().unwrap().reconciled.peer(), boots.now());
        shared.disconnected(Boots::first(7).now());
        assert!(shared.is_reconciled(), "another ledger than that one");
        shared.disconnected(boots.now());
        assert!(!shared.is_reconciled());
    }
}
