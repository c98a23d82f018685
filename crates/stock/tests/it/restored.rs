//! Two stocks that are compared, and what follows where one of them is an older copy of itself.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::SystemTime;

use stock::{
    Boots, Class, ClassState, Discard, Fate, Greeting, Lineage, MOST_CLASSES, Pack, Party, Reconciled, Restored, State,
    Stock, StockError,
};
use tempfile::TempDir;

use crate::fixture::{CLASS, available, binding, copy, files, folder, open, restore, write};

/// What one side says of having reconciled.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    discarded: u64,
    dropped_all: Option<Restored>,
}

const NOTHING: Said = Said { discarded: 0, dropped_all: None };

type Ranges = Vec<(u64, u64)>;

/// Two stocks in one temporary folder.
struct Pair {
    root: TempDir,
    p0: Option<Stock>,
    p1: Option<Stock>,
    reconciled: RefCell<Vec<Reconciled>>,
}

impl Pair {
    /// Two that have the same packs.
    fn with(count: u64) -> Pair {
        let mut pair = Pair { root: folder(), p0: None, p1: None, reconciled: RefCell::default() };
        pair.open();
        pair.reconcile();
        pair.make(count);
        pair
    }

    fn place(&self, party: Party) -> PathBuf {
        self.root.path().join(party.to_string())
    }

    fn open(&mut self) {
        (self.p0, self.p1) = (None, None);
        self.p0 = Some(open(&self.place(Party::P0), Party::P0));
        self.p1 = Some(open(&self.place(Party::P1), Party::P1));
    }

    fn both(&self) -> (&Stock, &Stock) {
        (self.p0.as_ref().unwrap(), self.p1.as_ref().unwrap())
    }

    fn reconcile(&self) -> (Said, Said) {
        let (p0, p1) = self.both();
        let s0 = p0.state(&p1.greeting().unwrap()).unwrap();
        let s1 = p1.state(&p0.greeting().unwrap()).unwrap();
        let reconciled = [p0.reconcile(&s1).unwrap(), p1.reconcile(&s0).unwrap()];
        *self.reconciled.borrow_mut() = reconciled.to_vec();
        let [here, there] = reconciled.map(|Reconciled { discarded, dropped_all, .. }| Said { discarded, dropped_all });
        (here, there)
    }

    /// Burns a pack at one side, in the session that reconciled last.
    fn burn(&self, party: Party, serial: u64) -> Result<Pack, StockError> {
        let (p0, p1) = self.both();
        let (stock, place) = if party == Party::P0 { (p0, 0) } else { (p1, 1) };
        let reconciled = self.reconciled.borrow()[place];
        stock.burn(&reconciled, &CLASS, serial, binding(serial))
    }

    /// P1 has its half first.
    fn make(&self, count: u64) {
        let (p0, p1) = self.both();
        let serials = p0.reserve(&CLASS, count).unwrap();
        p1.accept(&CLASS, serials.clone()).unwrap();
        write(p1, &CLASS, serials.clone(), 1000);
        write(p0, &CLASS, serials, 32);
    }

    fn available(&self) -> (Ranges, Ranges) {
        let (p0, p1) = self.both();
        (available(p0, &CLASS), available(p1, &CLASS))
    }

    fn close(&mut self) {
        (self.p0, self.p1) = (None, None);
    }

    fn image(&self, name: &str, party: Party) -> PathBuf {
        let image = self.root.path().join(name);
        copy(&self.place(party), &image);
        image
    }
}

#[test]
fn what_one_side_lacks_is_discarded_at_the_other_and_nothing_else() {
    let mut pair = Pair::with(10);
    let (p0, p1) = pair.both();
    for serial in [0, 3] {
        drop(pair.burn(Party::P0, serial).unwrap());
    }
    drop(pair.burn(Party::P0, 1).unwrap());
    drop(pair.burn(Party::P1, 1).unwrap());
    drop(pair.burn(Party::P1, 9).unwrap());
    // an order of which P0 has a half, that P1 is still making; and one of which P1 has not heard
    let more = p0.reserve(&CLASS, 2).unwrap();
    p1.accept(&CLASS, more.clone()).unwrap();
    write(p0, &CLASS, more, 32);
    let unheard = p0.reserve(&CLASS, 1).unwrap();
    write(p0, &CLASS, unheard, 32);
    let (here, there) = pair.reconcile();
    assert_eq!((here.discarded, there.discarded, here.dropped_all, there.dropped_all), (1, 2, None, None));
    assert_eq!(pair.available(), (vec![(2, 3), (4, 9), (10, 13)], vec![(2, 3), (4, 9)]));
    let error = pair.burn(Party::P1, 3).unwrap_err();
    assert!(matches!(error, StockError::NotAvailable { fate: Fate::Discarded(Discard::Orphan), .. }), "{error}");
    assert_eq!(files(&pair.place(Party::P1)).len(), 6);
    assert_eq!(pair.reconcile(), (NOTHING, NOTHING), "twice does no more than once");
    // after a restart nothing is being made any more; what P1 never saw it may still come to see
    pair.open();
    let (here, there) = pair.reconcile();
    assert_eq!((here.discarded, there.discarded), (2, 0));
    assert_eq!(pair.available(), (vec![(2, 3), (4, 9), (12, 13)], vec![(2, 3), (4, 9)]));
    pair.make(1);
    assert_eq!(pair.reconcile().0.discarded, 1);
    assert_eq!(pair.available(), (vec![(2, 3), (4, 9), (13, 14)], vec![(2, 3), (4, 9), (13, 14)]));
}

#[test]
fn a_copy_of_the_same_epoch_replays_nothing() {
    for party in [Party::P0, Party::P1] {
        let mut pair = Pair::with(4);
        pair.close();
        let image = pair.image("image", party);
        pair.open();
        pair.reconcile();
        for party in [Party::P0, Party::P1] {
            drop(pair.burn(party, 0).unwrap());
        }
        drop(pair.burn(Party::P0, 1).unwrap());
        pair.close();
        restore(&image, &pair.place(party));
        pair.open();
        pair.reconcile();
        let (p0, p1) = pair.available();
        assert!([&p0, &p1].iter().all(|side| side.iter().all(|(start, _)| *start >= 2)), "{p0:?} {p1:?}");
    }
}

#[test]
fn a_copy_that_was_opened_again_meanwhile_makes_both_drop_all() {
    for party in [Party::P0, Party::P1] {
        for openings in 0..3 {
            let mut pair = Pair::with(4);
            pair.close();
            let image = pair.image("image", party);
            for _ in 0..2 {
                pair.open();
                pair.reconcile();
            }
            pair.make(2);
            pair.close();
            restore(&image, &pair.place(party));
            // the copy may be opened as often as the true one was, or more often
            for _ in 0..openings {
                drop(open(&pair.place(party), party));
            }
            pair.open();
            let (here, there) = pair.reconcile();
            for reconciled in [here, there] {
                let restored = reconciled.dropped_all.unwrap();
                assert_eq!(restored.party, party);
                assert!(restored.to_string().contains(&format!("the stock of {party} was restored")), "{restored}");
            }
            assert_eq!(pair.available(), (vec![], vec![]));
            assert!(files(&pair.place(Party::P0)).is_empty() && files(&pair.place(Party::P1)).is_empty());
            let error = pair.burn(Party::P1, 0).unwrap_err();
            assert!(
                matches!(error, StockError::NotAvailable { fate: Fate::Discarded(Discard::Restored), .. }),
                "{error}"
            );
            // and then go on with serials that neither has seen
            assert_eq!(pair.reconcile(), (NOTHING, NOTHING));
            pair.make(2);
            assert_eq!(pair.available(), (vec![(6, 8)], vec![(6, 8)]));
            pair.open();
            assert_eq!(pair.reconcile(), (NOTHING, NOTHING));
            assert_eq!(pair.available(), (vec![(6, 8)], vec![(6, 8)]));
        }
    }
}

#[test]
fn a_stock_that_was_removed_at_one_side_is_dropped_at_the_other_and_no_serial_returns() {
    for party in [Party::P0, Party::P1] {
        let mut pair = Pair::with(3);
        pair.close();
        Stock::remove(&pair.place(party)).unwrap();
        pair.open();
        assert!(pair.reconcile().1.dropped_all.is_some());
        pair.make(1);
        assert_eq!(pair.available(), (vec![(3, 4)], vec![(3, 4)]));
        pair.open();
        assert_eq!(pair.reconcile(), (NOTHING, NOTHING));
    }
}

#[test]
fn both_restored_are_found_out_where_their_copies_are_of_different_boots() {
    let mut pair = Pair::with(3);
    pair.close();
    let older = pair.image("older", Party::P0);
    pair.open();
    pair.reconcile();
    pair.close();
    let newer = pair.image("newer", Party::P1);
    pair.open();
    pair.reconcile();
    for party in [Party::P0, Party::P1] {
        drop(pair.burn(party, 0).unwrap());
    }
    pair.close();
    restore(&older, &pair.place(Party::P0));
    restore(&newer, &pair.place(Party::P1));
    pair.open();
    let (here, there) = pair.reconcile();
    assert!(here.dropped_all.is_some() && there.dropped_all.is_some());
    assert_eq!(pair.available(), (vec![], vec![]));
}

#[test]
fn a_peer_that_tells_little_makes_nobody_discard() {
    let folder = folder();
    let stock = crate::fixture::alone(folder.path());
    crate::fixture::fill(&stock, &CLASS, 3, 32);
    let said = |classes| {
        let lineage = Lineage { party: Party::P1, boots: Boots::first(1), seen: None };
        let reconciled = stock.reconcile(&State { lineage, answers: stock.greeting().unwrap(), classes }).unwrap();
        (reconciled.discarded, reconciled.dropped_all)
    };
    assert_eq!(said(vec![]), (0, None));
    let settled_at = |settled| ClassState { class: CLASS, next: 3, settled, available: vec![] };
    assert_eq!(said(vec![settled_at(0)]), (0, None));
    assert_eq!(said(vec![settled_at(2)]), (2, None));
    // a peer that knows of serials that this ledger never allotted
    let ahead = ClassState { class: CLASS, next: 50, settled: 2, available: vec![] };
    said(vec![ahead]);
    assert_eq!(stock.reserve(&CLASS, 1).unwrap(), 50..51);
}

#[test]
fn a_peer_that_makes_up_classes_does_not_fill_the_ledger() {
    let folder = folder();
    let stock = crate::fixture::alone(folder.path());
    crate::fixture::fill(&stock, &CLASS, 1, 32);
    let said = |from: u32| {
        let of = |rows| ClassState { class: Class { rows, ..CLASS }, next: 50, settled: 0, available: vec![] };
        let mut classes: Vec<ClassState> = (from..from + MOST_CLASSES as u32 - 1).map(of).collect();
        classes.insert(0, of(CLASS.rows));
        let lineage = Lineage { party: Party::P1, boots: Boots::first(1), seen: None };
        stock.reconcile(&State { lineage, answers: stock.greeting().unwrap(), classes }).unwrap();
        stock.gauges(SystemTime::now()).unwrap().classes.len()
    };
    for from in [1000, 2000, 3000] {
        assert_eq!(said(from), MOST_CLASSES);
    }
    // of those that are known here it is followed
    assert_eq!(stock.reserve(&CLASS, 1).unwrap(), 50..51);
    assert_eq!(stock.reserve(&Class { rows: 1000, ..CLASS }, 1).unwrap(), 50..51);
}

#[test]
fn a_state_of_before_the_last_boot_of_the_peer_changes_nothing() {
    let pair = Pair::with(3);
    let (p0, _) = pair.both();
    let lineage = Lineage { party: Party::P1, boots: Boots::first(99), seen: None };
    let answers = Greeting { seen: None, ..p0.greeting().unwrap() };
    let late = State { lineage, answers, classes: Vec::new() };
    assert!(matches!(p0.reconcile(&late).unwrap_err(), StockError::OutOfDate));
    assert_eq!(pair.available(), (vec![(0, 3)], vec![(0, 3)]));
    // in answer to this greeting it is another ledger
    let other = State { answers: p0.greeting().unwrap(), ..late };
    assert!(p0.reconcile(&other).unwrap().dropped_all.is_some());
}

#[test]
fn a_session_of_before_the_peer_was_opened_again_burns_nothing_any_more() {
    let mut pair = Pair::with(3);
    let before = pair.reconciled.borrow().clone();
    pair.p1 = None;
    pair.p1 = Some(open(&pair.place(Party::P1), Party::P1));
    drop(pair.burn(Party::P0, 0).unwrap());
    // as soon as the peer was told what is here, and not only once both have reconciled
    let (p0, p1) = pair.both();
    let state = p0.state(&p1.greeting().unwrap()).unwrap();
    assert!(matches!(pair.burn(Party::P0, 1).unwrap_err(), StockError::NotReconciled { .. }));
    p1.reconcile(&state).unwrap();
    pair.reconcile();
    let refused = pair.both().0.burn(&before[0], &CLASS, 1, binding(1)).unwrap_err();
    assert!(matches!(refused, StockError::NotReconciled { .. }), "{refused}");
    drop(pair.burn(Party::P0, 1).unwrap());
}
