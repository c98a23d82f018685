//! What befalls a stock while services run: files that go, copies that come back, orders that are cut, room that ends.

use std::fs;
use std::path::{Path, PathBuf};

use bundle::{Embedding, Role};
use cli::exit::STOCK;

use super::stocked::{PARTIES, asked, filled, full, level, logged, logs, packs, stock, world};
use super::{PATIENCE, soon};
use crate::sessions::{convert, copy};

fn files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut packs: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|name| name == "pack")).collect();
    packs.sort();
    packs
}

/// A pack that is not what was written is passed over, burnt at both, and the next one is taken; where none is left, the dealer
/// makes correlations for the request. The answer is never wrong.
#[test]
fn packs_that_are_deleted_swapped_or_altered_under_a_service_are_passed_over() {
    let world = full(1, 5);
    let (answer, _) = asked(&world, &[]);
    let one = files(&packs(&world, Role::Party1));
    assert_eq!(one.len(), 4);
    fs::remove_file(&one[0]).unwrap();
    let swapped = packs(&world, Role::Party1).join("swapped");
    for (from, to) in [(&one[1], &swapped), (&one[2], &one[1]), (&swapped, &one[2])] {
        fs::rename(from, to).unwrap();
    }
    let mut bytes = fs::read(&one[3]).unwrap();
    bytes[100] ^= 1;
    fs::write(&one[3], bytes).unwrap();
    // three of one taking are passed over, and then it is served on demand
    let mark = world.mark(Role::Party1);
    let (again, taken) = asked(&world, &[]);
    assert_eq!(taken, 0, "{}", logs(&world));
    assert_eq!(PARTIES.map(|role| level(&world, role).unwrap().burnt), [4; 2]);
    assert!(answer.iter().zip(&again).all(|(a, b)| (a - b).abs() < super::NEAR), "{answer:?} and {again:?}");
    logged(&world, Role::Party1, "a pack is passed over");
    // until both have compared what they have, none is asked for; for that they connect anew
    mark.wait("connected", 1);
    assert!(soon(|| stock(&world, Role::Party0).is_ok_and(|stock| stock.reconciled)), "{}", logs(&world));
    assert_eq!(asked(&world, &[]).1, 0, "the last one is altered");
    assert_eq!(filled(&world, 5).map(|level| level.burnt), [5; 2]);
    assert_eq!(asked(&world, &[]).1, 1);
}

/// An altered byte in the middle is found while the pack is used: the session ends, and no answer is given.
#[test]
fn a_pack_that_is_altered_in_its_middle_ends_the_session_that_uses_it_and_no_other() {
    let world = full(1, 2);
    for path in files(&packs(&world, Role::Party1)) {
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 20;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let said = world.infer(0, &[]);
    assert!(said.code != Some(0) && !said.out.contains("label"), "{said:?}");
    logged(&world, Role::Party1, "is not what was written");
    let said = world.infer(0, &[]);
    assert!(said.code != Some(0) && !said.out.contains("label"), "{said:?}");
    filled(&world, 2);
    assert_eq!(asked(&world, &[]).1, 1);
}

/// A party that is restored from a copy of before would spend packs twice: all are thrown away, at both.
#[test]
fn a_restored_copy_at_either_party_costs_both_all_packs() {
    for role in PARTIES {
        let mut world = full(1, 4);
        let (own, copied) = (world.services.folder(role.name()).join("stock"), world.path("copy"));
        world.services.kill(role).unwrap();
        copy(&own, &copied);
        world.services.start(role).unwrap();
        world.services.ready(PATIENCE).unwrap();
        filled(&world, 4);
        assert_eq!(asked(&world, &[]).1, 1);
        world.services.kill(role).unwrap();
        fs::remove_dir_all(&own).unwrap();
        copy(&copied, &own);
        let mark = world.mark(if role == Role::Party0 { Role::Party1 } else { Role::Party0 });
        world.services.start(role).unwrap();
        mark.wait("was restored from an older copy", 1);
        logged(&world, role, "all packs were thrown away");
        let levels = filled(&world, 4);
        assert!(levels.iter().all(|level| level.discarded >= 3), "{levels:?}");
        assert_eq!(asked(&world, &[]).1, 1);
    }
}

/// Two that agree with each other would deceive each other: what is noted beside their keys does not.
#[test]
fn copies_of_one_moment_at_both_parties_cost_both_all_packs() {
    let mut world = full(1, 4);
    let own = PARTIES.map(|role| world.services.folder(role.name()).join("stock"));
    let copied = PARTIES.map(|role| world.path(role.name()));
    PARTIES.iter().for_each(|role| world.services.kill(*role).unwrap());
    own.iter().zip(&copied).for_each(|(own, copied)| copy(own, copied));
    PARTIES.iter().for_each(|role| world.services.start(*role).unwrap());
    filled(&world, 4);
    assert_eq!(asked(&world, &[]).1, 1);
    PARTIES.iter().for_each(|role| world.services.kill(*role).unwrap());
    for (own, copied) in own.iter().zip(&copied) {
        fs::remove_dir_all(own).unwrap();
        copy(copied, own);
    }
    PARTIES.iter().for_each(|role| world.services.start(*role).unwrap());
    PARTIES.iter().for_each(|role| logged(&world, *role, "is an older copy of itself"));
    let levels = filled(&world, 4);
    assert!(levels.iter().all(|level| level.discarded >= 4), "{levels:?}");
    assert_eq!(asked(&world, &[]).1, 1);
}

#[test]
fn an_order_that_is_cut_leaves_what_was_made_and_the_rest_is_made_later() {
    let mut world = world(20, 40);
    world.services.start_all().unwrap();
    for role in [Role::Dealer, Role::Party1, Role::Party0] {
        let before = level(&world, Role::Party0).map_or(0, |level| level.available);
        let grown = || level(&world, Role::Party0).map_or(0, |level| level.available) > before;
        assert!(soon(grown), "no more than {before} packs: {}", logs(&world));
        world.services.kill(role).unwrap();
        world.services.start(role).unwrap();
        world.services.ready(PATIENCE).unwrap();
    }
    filled(&world, 40);
    assert_eq!(files(&packs(&world, Role::Party0)).len(), 40);
    assert_eq!(files(&packs(&world, Role::Party1)).len(), 40);
    assert_eq!(asked(&world, &[]).1, 1);
}

#[test]
fn a_quota_that_is_reached_ends_orders_and_not_the_service() {
    let mut world = world(2, 3);
    world.edit("party1", "quota = \"1G\"", "quota = \"20K\"");
    world.services.start_all().unwrap();
    world.services.ready(PATIENCE).unwrap();
    logged(&world, Role::Party1, "the stock is full");
    logged(&world, Role::Party0, "an order of packs was not made to its end");
    assert!(stock(&world, Role::Party0).unwrap().failed.is_some());
    // what is not in stock is made on demand
    assert_eq!(asked(&world, &[]).1, 0);
    assert!(world.services.fallen().is_empty());
}

#[test]
fn packs_of_a_bundle_that_was_replaced_are_thrown_away() {
    let mut world = full(1, 2);
    for role in [Role::Party0, Role::Party1, Role::Dealer] {
        world.services.kill(role).unwrap();
    }
    let other = world.path("other");
    convert(&world.place.student(), Embedding::Private, &other);
    for (name, part) in [("party0", "party0"), ("party1", "party1"), ("dealer", "dealer"), ("client0", "client")] {
        let to = world.services.folder(name).join("bundle");
        fs::remove_dir_all(&to).unwrap();
        copy(&other.join(part), &to);
    }
    world.services.start_all().unwrap();
    for role in PARTIES {
        logged(&world, role, "packs of another bundle or release were thrown away");
    }
    filled(&world, 2);
    assert_eq!(asked(&world, &[]).1, 1);
}

#[test]
fn a_second_process_on_a_ledger_is_refused() {
    let world = full(1, 2);
    let said = world.configured(&["party"], "party0", &["listen=127.0.0.1:0"]);
    said.ended(STOCK, &["another process works with the stock"]);
    assert_eq!(asked(&world, &[]).1, 1);
}
