//! What is in a stock and how far its orders have come, read again only where something may have changed.

use std::time::SystemTime;

use anyhow::Result;
use stock::{Gauges, Stock};

use crate::service::levels::Calendar;

/// What was read of a stock last. It is looked at every second, and reading it takes as long as it has packs.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    last: Option<((u64, u64), Known)>,
    /// How often it was read.
    reads: u64,
}

/// What a ledger says.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// But for the bytes in use, which change while a pack is written.
    pub(crate) gauges: Gauges,
    pub(crate) calendar: Option<Calendar>,
}

impl Snapshot {
    /// What the stock has now.
    pub(crate) fn of(&mut self, stock: &Stock) -> Result<Known> {
        // before it is read: what changes meanwhile is seen next time
        let version = stock.version();
        if let Some((read, known)) = &self.last
            && *read == version
        {
            return Ok(known.clone());
        }
        let gauges = stock.gauges(SystemTime::now())?;
        // what another release noted counts as nothing: then the stock is renewed once more
        let calendar = stock.calendar()?.and_then(|noted| serde_json::from_slice(&noted).ok());
        let known = Known { gauges, calendar };
        self.reads += 1;
        self.last = Some((version, known.clone()));
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use stock::{Boots, Class, Lineage, Party, State, StockKey};

    use super::*;

    #[test]
    fn a_stock_in_which_nothing_changes_is_read_once() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("stock");
        let stock = Stock::open(&folder, StockKey::from_bytes([1; 32]), Party::P0, 1 << 20).unwrap();
        let lineage = Lineage { party: Party::P1, boots: Boots::first(1), seen: None };
        stock.state(&lineage.greeting()).unwrap();
        stock.reconcile(&State { lineage, answers: stock.greeting().unwrap(), classes: Vec::new() }).unwrap();
        let class = Class { bundle: [1; 16], plan: [2; 32], rows: 16 };
        let mut snapshot = Snapshot::default();
        for _ in 0..100 {
            assert!(snapshot.of(&stock).unwrap().gauges.classes.is_empty());
        }
        assert_eq!(snapshot.reads, 1);
        stock.reserve(&class, 3).unwrap();
        for _ in 0..100 {
            assert_eq!(snapshot.of(&stock).unwrap().gauges.classes[0].ordered, 3);
        }
        stock.give_up(&class, 0..3);
        assert_eq!(snapshot.of(&stock).unwrap().gauges.classes[0].ordered, 0);
        assert_eq!(snapshot.reads, 3);
    }
}
