//! Two real stocks take packs together by the steps that the simulation searches.

use std::collections::VecDeque;

use stock::taking::{Message, Proposer, Responder, Step, TakingError, Wanted};
use stock::{Counter, Fate, Pack, Party, Reconciled, Stock, StockError};
use tempfile::TempDir;

use crate::fixture::{CLASS, ORDER, available, binding, content, file, folder, open, read, write};

/// Two stocks that reconciled and have the packs 0 to 3.
struct Two {
    root: TempDir,
    stocks: [Stock; 2],
    reconciled: [Reconciled; 2],
}

fn two() -> Two {
    let root = folder();
    let stocks = [Party::P0, Party::P1].map(|party| open(&root.path().join(party.to_string()), party));
    let [p0, p1] = &stocks;
    let states = [p0.state(&p1.greeting().unwrap()).unwrap(), p1.state(&p0.greeting().unwrap()).unwrap()];
    let reconciled = [p0.reconcile(&states[1]).unwrap(), p1.reconcile(&states[0]).unwrap()];
    let serials = p0.reserve(&CLASS, 4).unwrap();
    p1.accept(&CLASS, serials.clone()).unwrap();
    write(p1, &CLASS, serials.clone(), 300_000);
    write(p0, &CLASS, serials, 32);
    Two { root, stocks, reconciled }
}

impl Two {
    fn counters(&self) -> [Counter<'_>; 2] {
        [0, 1].map(|place| Counter { stock: &self.stocks[place], reconciled: self.reconciled[place], noticed: |_| () })
    }

    fn place(&self, party: Party) -> std::path::PathBuf {
        self.root.path().join(party.to_string())
    }
}

fn wanted(request: u64) -> Wanted {
    Wanted { class: CLASS, binding: binding(request), agreement: [3; 32] }
}

type Taken = Result<Pack, TakingError<StockError>>;

/// Lets both run until neither has anything left to do.
fn take(two: &Two, here: Wanted, there: Wanted) -> (Option<Taken>, Option<Taken>) {
    let [mut p0, mut p1] = two.counters();
    let (mut proposer, mut responder) = (Proposer::new(here), Responder::new(there));
    let (mut to_p0, mut to_p1) = (VecDeque::new(), VecDeque::new());
    let (mut left, mut right) = (None, None);
    for _ in 0..100 {
        if left.is_none() {
            let message = if proposer.is_waiting() { to_p0.pop_front() } else { None };
            left = follow(proposer.step(&mut p0, message), &mut to_p1);
        }
        if right.is_none() {
            let message = if responder.is_waiting() { to_p1.pop_front() } else { None };
            right = follow(responder.step(&mut p1, message), &mut to_p0);
        }
    }
    (left, right)
}

fn follow(step: Result<Step<Pack>, TakingError<StockError>>, wire: &mut VecDeque<Message>) -> Option<Taken> {
    match step {
        Ok(Step::Again | Step::Receive) => None,
        Ok(Step::Send(message)) => {
            // as it travels
            let sent = serde_json::to_string(&message).unwrap();
            wire.push_back(serde_json::from_str(&sent).unwrap());
            None
        }
        Ok(Step::Ready(pack)) => Some(Ok(pack)),
        Err(error) => Some(Err(error)),
    }
}

fn is_burnt(stock: &Stock, reconciled: &Reconciled, serial: u64, request: u64) -> bool {
    let error = stock.burn(reconciled, &CLASS, serial, binding(99)).unwrap_err();
    matches!(error, StockError::NotAvailable { fate: Fate::Burnt(by), .. } if by == binding(request))
}

#[test]
fn both_take_the_lowest_pack_and_have_the_halves_of_one() {
    let two = two();
    for serial in 0..2 {
        let (here, there) = take(&two, wanted(serial), wanted(serial));
        let (here, there) = (here.unwrap().unwrap(), there.unwrap().unwrap());
        assert_eq!((here.serial(), there.serial(), here.order()), (serial, serial, ORDER));
        assert_eq!((read(here), read(there)), (content(serial, 32), content(serial, 300_000)));
        assert!((0..2).all(|place| is_burnt(&two.stocks[place], &two.reconciled[place], serial, serial)));
    }
    assert!(two.stocks.iter().all(|stock| available(stock, &CLASS) == [(2, 4)]));
}

#[test]
fn packs_that_p1_lacks_are_passed_over_and_stay_burnt() {
    let two = two();
    let [p0, p1] = &two.stocks;
    drop(p1.burn(&two.reconciled[1], &CLASS, 0, binding(7)).unwrap());
    // its file is gone, which comes out when it is burnt
    std::fs::remove_file(file(&two.place(Party::P1), 1)).unwrap();
    std::fs::remove_file(file(&two.place(Party::P0), 2)).unwrap();
    let (here, there) = take(&two, wanted(1), wanted(1));
    assert_eq!((here.unwrap().unwrap().serial(), there.unwrap().unwrap().serial()), (3, 3));
    assert!((0..3).all(|serial| is_burnt(p0, &two.reconciled[0], serial, 1)));
    assert_eq!(available(p1, &CLASS), [(2, 3)]);
    let (here, there) = take(&two, wanted(2), wanted(2));
    let error = here.unwrap().unwrap_err();
    assert!(matches!(error, TakingError::Exhausted { passed: 0, .. }), "{error}");
    assert!(error.to_string().contains("wait for the dealer"), "{error}");
    assert!(there.is_none());
}

#[test]
fn parties_that_do_not_agree_use_nothing_and_lose_the_pack() {
    let other = [Wanted { agreement: [4; 32], ..wanted(1) }, Wanted { binding: binding(2), ..wanted(1) }];
    for there in other {
        let two = two();
        let (here, there) = take(&two, wanted(1), there);
        assert!(here.is_none(), "P0 still waits");
        let error = there.unwrap().unwrap_err();
        assert!(matches!(error, TakingError::Differ { serial: 0 }), "{error}");
        assert!(two.stocks.iter().all(|stock| available(stock, &CLASS) == [(1, 4)]));
    }
    // another class is out of step before anything is burnt
    let two = two();
    let class = stock::Class { rows: 1, ..CLASS };
    let (_, there) = take(&two, wanted(1), Wanted { class, ..wanted(1) });
    let error = there.unwrap().unwrap_err();
    assert!(matches!(error, TakingError::OutOfStep { .. }), "{error}");
    assert_eq!(available(&two.stocks[1], &CLASS), [(0, 4)]);
}

#[test]
fn halves_of_different_orders_are_noticed() {
    let two = two();
    let [p0, p1] = &two.stocks;
    let serial = p0.reserve(&CLASS, 1).unwrap().start;
    p1.accept(&CLASS, serial..serial + 1).unwrap();
    for (stock, order) in [(p0, [1; 32]), (p1, [2; 32])] {
        let mut writer = stock.writer(&CLASS, serial).unwrap();
        writer.append(&[0; 32]).unwrap();
        writer.finish(order).unwrap();
    }
    for before in 0..serial {
        take(&two, wanted(before), wanted(before)).0.unwrap().unwrap();
    }
    let (_, there) = take(&two, wanted(9), wanted(9));
    assert!(matches!(there.unwrap().unwrap_err(), TakingError::Differ { .. }));
}

#[test]
fn an_answer_to_something_else_ends_the_taking() {
    let two = two();
    let [mut p0, mut p1] = two.counters();
    let digest = [0; 32];
    let answers = [
        Message::Taken { serial: 9, digest },
        Message::Gone { serial: 9 },
        Message::Take { class: CLASS, serial: 0, digest },
    ];
    for answer in answers {
        let mut proposer = Proposer::new(wanted(1));
        while !proposer.is_waiting() {
            proposer.step(&mut p0, None).unwrap();
        }
        assert!(matches!(proposer.step(&mut p0, None).unwrap(), Step::Receive));
        let error = proposer.step(&mut p0, Some(answer)).unwrap_err();
        assert!(matches!(error, TakingError::OutOfStep { .. }), "{error}");
        assert!(matches!(proposer.step(&mut p0, None).unwrap_err(), TakingError::OutOfStep { .. }));
    }
    // a digest that is not P0's
    let mut proposer = Proposer::new(wanted(1));
    while !proposer.is_waiting() {
        proposer.step(&mut p0, None).unwrap();
    }
    let error = proposer.step(&mut p0, Some(Message::Taken { serial: 3, digest })).unwrap_err();
    assert!(matches!(error, TakingError::Differ { serial: 3 }), "{error}");
    let mut responder = Responder::new(wanted(1));
    let error = responder.step(&mut p1, Some(Message::Gone { serial: 0 })).unwrap_err();
    assert!(matches!(error, TakingError::OutOfStep { .. }), "{error}");
    // a message that nobody waits for
    let error = Proposer::new(wanted(1)).step(&mut p0, Some(Message::Gone { serial: 0 })).unwrap_err();
    assert!(matches!(error, TakingError::OutOfStep { .. }), "{error}");
}
