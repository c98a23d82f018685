//! What a peer may send as its state, and what it may not.

use serde_json::{Value, json};
use stock::{Boot, Boots, Class, ClassState, Greeting, Lineage, MOST_BOOTS, MOST_CLASSES, MOST_RANGES, Party, State};

use crate::fixture::CLASS;

fn state() -> State {
    let mut boots = Boots::first(1);
    boots.again(2);
    let of =
        |rows| ClassState { class: Class { rows, ..CLASS }, next: 20, settled: 12, available: vec![(2, 5), (9, 10)] };
    let seen = Some(Boot { epoch: 3, mark: 4 });
    let answers = Greeting { party: Party::P0, boot: Boot { epoch: 5, mark: 6 }, seen: None };
    State { lineage: Lineage { party: Party::P1, boots, seen }, answers, classes: vec![of(16), of(64)] }
}

fn parsed(value: &Value) -> Result<State, String> {
    serde_json::from_value(value.clone()).map_err(|e| e.to_string())
}

#[test]
fn a_state_comes_back_as_it_was_sent() {
    let sent = serde_json::to_string(&state()).unwrap();
    assert_eq!(serde_json::from_str::<State>(&sent).unwrap(), state());
    let received = state();
    let of = received.of(&CLASS).unwrap();
    let lacking: Vec<u64> = (0..21).filter(|serial| of.lacks(*serial)).collect();
    assert_eq!(lacking, [0, 1, 5, 6, 7, 8, 10, 11]);
    assert!(received.of(&Class { rows: 65, ..CLASS }).is_none());
}

#[test]
fn a_state_that_makes_no_sense_or_has_no_end_is_refused() {
    let whole = serde_json::to_value(state()).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value = whole.clone();
        change(&mut value);
        parsed(&value)
    };
    assert!(with(&|_| {}).is_ok());
    let ranges = |ranges: Value| with(&|value| value["classes"][0]["available"] = ranges.clone());
    for bad in [json!([[5, 5]]), json!([[6, 5]]), json!([[2, 5], [5, 6]]), json!([[9, 10], [2, 5]]), json!([[2, 21]])] {
        assert!(ranges(bad.clone()).unwrap_err().contains("ranges of serials"), "{bad}");
    }
    let many = |most: usize| json!((0..=most).map(|n| json!([3 * n, 3 * n + 1])).collect::<Vec<_>>());
    assert!(ranges(many(MOST_RANGES)).unwrap_err().contains("at most 4096"));
    assert!(with(&|value| value["classes"][0]["settled"] = json!(21)).is_err());
    assert!(with(&|value| value["classes"][0]["next"] = json!(u64::MAX)).is_err());
    // twice the same, or out of order
    assert!(with(&|value| value["classes"][1] = value["classes"][0].clone()).unwrap_err().contains("in order"));
    assert!(with(&|value| value["lineage"]["boots"]["marks"] = json!([])).is_err());
    assert!(with(&|value| value["lineage"]["boots"]["marks"] = json!([1, 2, 3])).is_err());
    assert!(with(&|value| value["lineage"]["boots"]["epoch"] = json!(u64::MAX)).is_err());
    assert!(with(&|value| value["lineage"]["seen"]["epoch"] = json!(u64::MAX)).is_err());
    assert!(with(&|value| value["lineage"]["boots"]["marks"] = json!(vec![0; MOST_BOOTS + 1])).is_err());
    assert!(with(&|value| value["classes"] = json!(vec![value["classes"][0].clone(); MOST_CLASSES + 1])).is_err());
    assert!(with(&|value| value["lineage"]["party"] = json!("P2")).is_err());
}

#[test]
fn a_boot_that_was_seen_and_is_not_in_the_history_gives_a_copy_away_at_both_sides() {
    let side = |party, boots: &Boots, seen| Lineage { party, boots: boots.clone(), seen };
    let mut theirs = Boots::first(10);
    theirs.again(11);
    let ours = Boots::first(20);
    let copy = theirs.clone();
    theirs.again(12);
    let us = side(Party::P0, &ours, Some(theirs.now()));
    let judged = |boots: &Boots| {
        let peer = side(Party::P1, boots, Some(ours.now()));
        let (here, there) = (us.restored(&peer), peer.restored(&us));
        assert_eq!(here, there, "both come to the same");
        here.map(|restored| (restored.party, restored.seen))
    };
    assert_eq!(judged(&theirs), None);
    let caught = Some((Party::P1, 3));
    // older; opened as often as the true one was; and more often
    let mut copy = copy;
    for mark in [13, 14, 15] {
        assert_eq!(judged(&copy), caught, "{copy:?}");
        copy.again(mark);
    }
    assert_eq!(judged(&Boots::first(1)), caught, "made anew");
    // true ones that were opened again, even more often than they remember, are believed
    for mark in 0..1000 {
        theirs.again(mark);
        assert_eq!(judged(&theirs), None);
    }
}

#[test]
fn a_copy_goes_on_beyond_what_was_seen_of_its_other_self() {
    let mut theirs = Boots::first(1);
    (2..9).for_each(|mark| theirs.again(mark));
    let mut us = Lineage { party: Party::P0, boots: Boots::first(5), seen: Some(theirs.now()) };
    let mut peer = Lineage { party: Party::P1, boots: Boots::first(6), seen: Some(us.boots.now()) };
    let answer = |lineage: &Lineage, to: &Lineage| State {
        lineage: lineage.clone(),
        answers: to.greeting(),
        classes: Vec::new(),
    };
    let judge = |us: &Lineage, peer: &Lineage, mark| us.judge(&answer(peer, us), mark).unwrap();
    let (here, there) = (judge(&us, &peer, 50), judge(&peer, &us, 60));
    assert!(here.dropped_all.is_some() && there.dropped_all.is_some());
    assert_eq!((here.boots.clone(), here.seen), (us.boots.clone(), theirs.now()));
    assert_eq!(there.boots.now(), Boot { epoch: 9, mark: 60 });
    (us.boots, us.seen) = (here.boots, Some(here.seen));
    (peer.boots, peer.seen) = (there.boots, Some(there.seen));
    let (here, there) = (judge(&us, &peer, 51), judge(&peer, &us, 61));
    assert!(here.dropped_all.is_none() && there.dropped_all.is_none());
    assert_eq!(here.seen, Boot { epoch: 9, mark: 60 });
}

#[test]
fn a_state_that_was_long_under_way_is_not_taken_for_a_copy() {
    let mut boots = Boots::first(1);
    let peer = |boots: &Boots, answers| {
        let lineage = Lineage { party: Party::P1, boots: boots.clone(), seen: None };
        State { lineage, answers, classes: Vec::new() }
    };
    let mut us = Lineage { party: Party::P0, boots: Boots::first(5), seen: None };
    let early = peer(&boots, us.greeting());
    boots.again(2);
    let late = peer(&boots, us.greeting());
    us.seen = Some(us.judge(&late, 0).unwrap().seen);
    assert_eq!(us.judge(&early, 0), None, "it answers a greeting of before the second boot was seen");
    // again the same says nothing new, and does no harm
    assert_eq!(us.judge(&late, 0).unwrap().seen, boots.now());
    // a copy that is what it was says so in answer to this greeting
    assert!(us.judge(&peer(&Boots::first(1), us.greeting()), 0).unwrap().dropped_all.is_some());
}
