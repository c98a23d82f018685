//! What a party's operator is told of its stock while the service runs, which has the ledger to itself.

use std::fs;

use bundle::Role;
use cli::exit::{EXHAUSTED, LOST, STOCK};
use serde_json::Value;

use super::stocked::{PARTIES, asked, filled, full, level, stock, world};
use super::{Said, World, soon};

/// What doctor says of a thing: its state and its words.
#[track_caller]
fn found(said: &Said, check: &str) -> (String, String) {
    let report = json(said);
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|found| found["check"] == check).unwrap_or_else(|| panic!("no {check}: {said:?}"));
    let word = |key: &str| check[key].as_str().unwrap().to_owned();
    (word("state"), word("detail"))
}

#[track_caller]
fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn doctor(world: &World, role: Role) -> Said {
    world.configured(&["doctor", "--json"], role.name(), &[])
}

#[track_caller]
fn status(world: &World, role: Role) -> Value {
    let said = world.configured(&["stock", "status", "--json"], role.name(), &[]);
    said.ended(0, &[]);
    json(&said)["stocks"][0].clone()
}

/// The class that there is, without its age, which grows.
fn class(mut stock: Value) -> Value {
    let class = stock["classes"][0].as_object_mut().unwrap();
    class.remove("oldest_seconds");
    class.remove("plan");
    stock["classes"].take()
}

const OF_CLASS: &str = "stock of 16 tokens";

#[test]
fn doctor_says_how_much_there_is_and_what_is_amiss_by_what_the_service_tells() {
    let mut world = world(2, 3);
    let said = doctor(&world, Role::Party0);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(found(&said, "stock"), ("warn".into(), "unknown until this service runs".into()));
    assert!(!world.services.folder("party0").join("stock").exists(), "doctor has made a stock");
    world.services.start_all().unwrap();
    filled(&world, 3);
    for role in PARTIES {
        let said = doctor(&world, role);
        assert_eq!(said.code, Some(0), "{said:?}");
        let (state, detail) = found(&said, OF_CLASS);
        assert!(state == "ok" && detail.starts_with("3 available, 0 ordered"), "{said:?}");
        assert_eq!((detail.contains("low mark 2"), detail.contains(" old")), (role == Role::Party0, true), "{detail}");
        assert_eq!(found(&said, "stock reconciled"), ("ok".into(), "compared with the other party's".into()));
        let (state, detail) = found(&said, "stock disk");
        assert!(state == "ok" && detail.contains("of a quota of 1.0 GB, 0 %"), "{said:?}");
        let told = json(&said)["stock"].clone();
        assert_eq!((&told["classes"][0]["available"], &told["reconciled"]), (&3.into(), &true.into()), "{told}");
    }
    // the dealer is away, so that what is taken stays taken
    world.services.kill(Role::Dealer).unwrap();
    for (left, state) in [(2, "ok"), (1, "warn"), (0, "fail")] {
        assert_eq!(asked(&world, &[]).1, 1);
        let said = doctor(&world, Role::Party0);
        assert_eq!(said.code, Some(LOST), "the dealer is what comes first: {said:?}");
        let (found, detail) = found(&said, OF_CLASS);
        assert!(found == state && detail.starts_with(&format!("{left} available")), "{state}: {said:?}");
    }
    // party1 has no marks, and no packs
    let said = doctor(&world, Role::Party1);
    assert!(json(&said)["checks"].as_array().unwrap().iter().all(|found| found["check"] != OF_CLASS), "{said:?}");
}

#[test]
fn doctor_says_when_the_disk_has_no_room_for_what_is_ordered() {
    let mut world = world(1, 1);
    world.services.start_all().unwrap();
    let [level, _] = filled(&world, 1);
    // room for one pack and a half, and three are to be there
    world.services.kill(Role::Party0).unwrap();
    world.edit("party0", "quota = \"1G\"", &format!("quota = \"{}\"", level.bytes * 21 / 20));
    world.edit("party0", "low = 1, high = 1", "low = 3, high = 3");
    world.services.start(Role::Party0).unwrap();
    assert!(soon(|| stock(&world, Role::Party0).is_ok_and(|stock| stock.failed.is_some())));
    let said = doctor(&world, Role::Party0);
    let (state, detail) = found(&said, "stock orders");
    assert!(state == "warn" && detail.starts_with("the last one failed: ") && detail.contains("quota"), "{said:?}");
    let (state, detail) = found(&said, "stock disk");
    assert!(state == "warn" && detail.ends_with(", 95 %"), "{said:?}");
    assert_eq!(found(&said, OF_CLASS).0, "warn", "{said:?}");
    let said = world.configured(&["stock", "status"], "party0", &[]);
    assert!(said.code == Some(0) && said.out.contains("\nthe last order failed: "), "{said:?}");
}

#[test]
fn doctor_names_a_class_that_is_empty_first_and_a_service_that_has_no_stock() {
    let mut world = full(1, 1);
    world.services.kill(Role::Party0).unwrap();
    // what is spent does not come again where the disk has no room
    fs::remove_dir_all(world.services.folder("party0").join("stock")).unwrap();
    world.edit("party0", "quota = \"1G\"", "quota = \"1K\"");
    world.services.start(Role::Party0).unwrap();
    world.services.ready(super::PATIENCE).unwrap();
    let said = doctor(&world, Role::Party0);
    assert_eq!(said.code, Some(EXHAUSTED), "{said:?}");
    let first = json(&said)["checks"][0].clone();
    assert_eq!(first["check"], OF_CLASS, "{said:?}");
    assert!(first["detail"].as_str().unwrap().ends_with("; texts of this class wait for the dealer"), "{first}");
    // a configuration that was changed and not read again
    world.services.kill(Role::Party1).unwrap();
    let with = fs::read_to_string(world.services.config("party1")).unwrap();
    world.edit("party1", "[stock]\nfolder = \"stock\"\nquota = \"1G\"\n", "");
    world.services.start(Role::Party1).unwrap();
    assert!(soon(|| world.services.status(1).is_ok_and(|status| status.missing.is_empty())));
    fs::write(world.services.config("party1"), with).unwrap();
    let said = doctor(&world, Role::Party1);
    assert_eq!((said.code, found(&said, "stock").0), (Some(STOCK), "fail".into()), "{said:?}");
}

#[test]
fn stock_status_asks_the_service_that_has_the_ledger_and_both_say_the_same() {
    let mut world = full(1, 2);
    world.services.kill(Role::Dealer).unwrap();
    asked(&world, &[]);
    let told = PARTIES.map(|role| status(&world, role));
    for (told, role) in told.iter().zip(PARTIES) {
        let level = level(&world, role).unwrap();
        assert_eq!((level.available, level.burnt), (1, 1));
        assert_eq!(told["service"], serde_json::json!({ "reconciled": true, "failed": null }));
        assert_eq!((&told["used_bytes"], &told["quota_bytes"]), (&level.bytes.into(), &1_000_000_000_u64.into()));
        let said = world.configured(&["stock", "status"], role.name(), &[]);
        for words in ["16          1        0        1          0", "as the running service says; compared with"] {
            assert!(said.code == Some(0) && said.out.contains(words), "{words}: {said:?}");
        }
    }
    for (told, role) in told.into_iter().zip(PARTIES) {
        world.services.kill(role).unwrap();
        let counted = status(&world, role);
        assert!(counted["service"].is_null());
        assert_eq!(class(counted), class(told), "{role}");
    }
    // a service that has the ledger and cannot be asked
    world.services.start(Role::Party0).unwrap();
    assert!(soon(|| world.services.status(0).is_ok()));
    let said = world.configured(&["stock", "status"], "party0", &["listen=127.0.0.1:1"]);
    let words =
        ["another process works with the stock in ", "stop the service; it was asked in vain: cannot reach party0"];
    said.ended(STOCK, &words);
}
