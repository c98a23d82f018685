//! All ways in which two parties may take packs, crash, lose messages, and be restored: a search that leaves out none.
//!
//! Both run the steps of [`stock::taking`] and judge each other's states by [`stock::Lineage::judge`], as the real ledger does;
//! only the disk is a model. Every state that can be reached within some limits is reached, each once; in each, all that
//! may happen next does, a crash of either side included, so that "at every step" is meant literally.

mod model;
mod world;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use model::Fault;
use world::{Limits, Move, World};

#[derive(Debug, Default)]
struct Searched {
    states: usize,
    crashes: usize,
    restores: usize,
}

/// Tries all ways; ends at the first that comes to something that must not be, and says how it came to it.
fn search(limits: Limits, fault: Option<Fault>) -> Result<Searched, String> {
    // of a state its hash is kept: among a million, two that are the same by chance are one in thirty million searches
    let seen_as = |world: &World| {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish()
    };
    let start = World::new(limits);
    let mut seen = HashSet::from([seen_as(&start)]);
    let mut searched = Searched { states: 1, ..Searched::default() };
    // ways are followed one after the other, so that only one is in memory
    let mut way: Vec<(World, Vec<Move>)> = vec![(start.clone(), start.moves())];
    let mut taken: Vec<Move> = Vec::new();
    while let Some((world, moves)) = way.last_mut() {
        let Some(happens) = moves.pop() else {
            way.pop();
            taken.pop();
            continue;
        };
        let mut next = world.clone();
        searched.crashes += usize::from(matches!(happens, Move::Crash(_)));
        searched.restores += usize::from(matches!(happens, Move::Restore(..)));
        taken.push(happens);
        next.apply(happens, fault).map_err(|what| format!("{what}, after {taken:?}"))?;
        if seen.insert(seen_as(&next)) {
            searched.states += 1;
            let moves = next.moves();
            way.push((next, moves));
        } else {
            taken.pop();
        }
    }
    Ok(searched)
}

const CALM: Limits = Limits {
    packs: 2,
    sessions: 2,
    requests: 2,
    orders: 0,
    crashes: 0,
    restores: 0,
    losses: 0,
    parallel: false,
    shared: false,
};

#[test]
fn no_crash_at_any_step_makes_a_pack_used_twice_or_lost_without_doubt() {
    let searched = search(Limits { crashes: 2, losses: 1, ..CALM }, None).unwrap();
    println!("{searched:?}");
    assert!(searched.crashes >= 5000, "{searched:?}");
}

#[test]
fn packs_that_are_made_meanwhile_are_had_by_both_or_discarded() {
    let searched = search(Limits { packs: 1, orders: 1, crashes: 2, requests: 1, ..CALM }, None).unwrap();
    println!("{searched:?}");
    assert!(searched.crashes >= 5000, "{searched:?}");
}

#[test]
fn sessions_side_by_side_use_no_pack_twice() {
    let searched = search(Limits { parallel: true, crashes: 1, requests: 1, ..CALM }, None).unwrap();
    println!("{searched:?}");
    assert!(searched.crashes >= 5000, "{searched:?}");
}

/// Two connections may compare at once, and what the one finds is taken by in the other: also by a session of before that still
/// stands, and while one side is put back to what it was.
#[test]
fn connections_that_compare_at_once_use_no_pack_twice() {
    let both = Limits { parallel: true, shared: true, requests: 1, ..CALM };
    for limits in
        [Limits { crashes: 1, losses: 1, ..both }, Limits { packs: 1, sessions: 3, crashes: 1, restores: 1, ..both }]
    {
        let searched = search(limits, None).unwrap();
        println!("{searched:?}");
        assert!(searched.crashes >= 5000, "{searched:?}");
    }
}

/// What it takes for a pack to be used again by way of two copies, one after the other.
const RESTORED: Limits = Limits { packs: 1, sessions: 3, crashes: 2, restores: 2, requests: 1, ..CALM };

#[test]
fn a_side_restored_from_any_earlier_disk_uses_no_pack_twice() {
    let searched = search(RESTORED, None).unwrap();
    println!("{searched:?}");
    assert!(searched.crashes >= 5000 && searched.restores >= 5000, "{searched:?}");
}

/// What it takes for both to be restored, to disks that do not fit each other.
const BOTH: Limits = Limits { packs: 1, sessions: 2, crashes: 3, restores: 2, requests: 1, ..CALM };

#[test]
fn both_restored_to_disks_that_do_not_fit_each_other_use_no_pack_twice() {
    let searched = search(BOTH, None).unwrap();
    println!("{searched:?}");
    assert!(searched.crashes >= 5000 && searched.restores >= 5000, "{searched:?}");
}

/// A planted fault is found, and comes to `what`.
fn is_found(fault: Fault, limits: Limits, what: &str) {
    match search(limits, Some(fault)) {
        Err(found) => assert!(found.contains(what), "{fault:?}: {found}"),
        Ok(searched) => panic!("{fault:?} is not found in {searched:?}"),
    }
}

#[test]
fn a_pack_that_is_burnt_after_it_was_announced_is_found() {
    is_found(Fault::BurnAfterSend, Limits { crashes: 1, ..CALM }, "has not durably burnt it");
}

#[test]
fn a_pack_that_is_put_back_after_an_error_is_found() {
    is_found(Fault::PutBack, Limits { packs: 1, losses: 1, ..CALM }, "is used for");
}

#[test]
fn ledgers_that_are_not_compared_are_found() {
    is_found(Fault::NoReconcile, RESTORED, "is used for");
}

#[test]
fn boots_that_are_not_looked_at_are_found() {
    is_found(Fault::EpochsIgnored, BOTH, "is used for");
}

#[test]
fn states_that_are_out_of_date_and_count_are_found() {
    is_found(Fault::LateStatesCount, Limits { crashes: 1, ..CALM }, "nothing was restored");
}

#[test]
fn sessions_that_go_on_beside_a_peer_that_was_opened_again_are_found() {
    for shared in [false, true] {
        is_found(Fault::OldSessionsGoOn, Limits { shared, ..RESTORED }, "is used for");
    }
}

#[test]
fn serials_that_are_allotted_again_after_a_crash_are_found() {
    is_found(Fault::SerialsReturn, Limits { orders: 2, crashes: 1, ..CALM }, "is allotted twice");
}
