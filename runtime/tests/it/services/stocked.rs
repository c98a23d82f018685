//! Services with a stock: filled ahead, spent, filled again, with and without the dealer.

use std::fs;
use std::path::PathBuf;

use bundle::{PartyBundle, Role};
use cli::exit::EXHAUSTED;
use net::TlsIdentity;
use roles::handshake::{Identity, fresh};
use roles::service::examine::examine;
use roles::service::stock::{ClassStatus, StockStatus};
use serde_json::Value;
use trials::deployment::Plan;

use super::{PATIENCE, TEXT, World, soon};

pub(super) const PARTIES: [Role; 2] = [Role::Party0, Role::Party1];
/// The shortest class, which the text is of.
pub(super) const CLASS: u64 = 16;
/// What is logged when nobody is there who could make correlations.
const GONE: &str = "none of this class can be taken from the stock, and the dealer is not there after 8 s";

/// Services whose stock is kept between these marks.
pub(super) fn world(low: u64, high: u64) -> World {
    let mut plan = Plan::loopback(1).unwrap();
    plan.parties = "[stock]\nfolder = \"stock\"\nquota = \"1G\"\n".into();
    plan.party0 = format!("[stock.classes]\n{CLASS} = {{ low = {low}, high = {high} }}\n");
    World::of(plan)
}

/// What a party says of its stock, to itself.
pub(super) fn stock(world: &World, role: Role) -> anyhow::Result<StockStatus> {
    let (index, folder) = (usize::from(role == Role::Party1), world.services.folder(role.name()));
    let bundle = PartyBundle::open(&folder.join("bundle"), index)?;
    let me = Identity::pinned(role, fresh()?, bundle.id, &bundle.spec)?;
    let status = examine(&TlsIdentity::read(&folder.join("keys"))?, &me, &world.services.address(index)?, PATIENCE)?;
    Ok(status.status.stock.expect("a party tells itself of its stock"))
}

/// What it has of the class.
pub(super) fn level(world: &World, role: Role) -> anyhow::Result<ClassStatus> {
    let stock = stock(world, role)?;
    Ok(stock.classes.into_iter().find(|class| class.tokens == CLASS).expect("the shortest class"))
}

/// Waits until both parties have so many packs and none is on its way.
#[track_caller]
pub(super) fn filled(world: &World, count: u64) -> [ClassStatus; 2] {
    let mut levels = PARTIES.map(|role| level(world, role));
    let full = soon(|| {
        levels = PARTIES.map(|role| level(world, role));
        levels.iter().all(|level| level.as_ref().is_ok_and(|level| (level.available, level.ordered) == (count, 0)))
    });
    assert!(full, "not {count} packs: {levels:?}; {}", logs(world));
    levels.map(Result::unwrap)
}

/// Services that run, with as many packs as there are to be.
#[track_caller]
pub(super) fn full(low: u64, high: u64) -> World {
    let mut world = world(low, high);
    world.services.start_all().unwrap();
    filled(&world, high);
    world
}

pub(super) fn logs(world: &World) -> String {
    let log = |role| fs::read_to_string(world.services.log(role)).unwrap_or_default();
    [Role::Party0, Role::Party1, Role::Dealer].map(log).join("\n---\n")
}

/// Waits until a party has logged this.
#[track_caller]
pub(super) fn logged(world: &World, role: Role, words: &str) {
    let said = || fs::read_to_string(world.services.log(role)).unwrap_or_default().contains(words);
    assert!(soon(said), "{role} did not say `{words}`: {}", logs(world));
}

/// The answer to the text, and how many attempts took a pack.
#[track_caller]
pub(super) fn asked(world: &World, flags: &[&str]) -> (Vec<f64>, u64) {
    let words: Vec<&str> = ["infer", "--json", "--text", TEXT].into_iter().chain(flags.iter().copied()).collect();
    let said = world.configured(&words, "client0", &[]);
    assert_eq!(said.code, Some(0), "{said:?}; {}", logs(world));
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let logits = report["results"][0]["logits"].as_array().unwrap();
    let logits = logits.iter().map(|logit| logit.as_f64().unwrap()).collect();
    (logits, report["cost"]["attempts_from_stock"].as_u64().unwrap())
}

fn near(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < super::NEAR)
}

/// The folder of a party's packs.
pub(super) fn packs(world: &World, role: Role) -> PathBuf {
    world.services.folder(role.name()).join("stock").join("packs")
}

#[test]
fn a_stock_is_filled_spent_and_filled_again_and_what_is_not_in_it_is_made_on_demand() {
    let world = full(2, 3);
    let (first, taken) = asked(&world, &[]);
    assert_eq!(taken, 1);
    let levels = PARTIES.map(|role| level(&world, role).unwrap());
    assert_eq!(levels.each_ref().map(|level| (level.available, level.burnt)), [(2, 1); 2]);
    // below the low mark it is filled
    assert_eq!(asked(&world, &[]).1, 1);
    let levels = filled(&world, 3);
    assert_eq!(levels.each_ref().map(|level| (level.burnt, level.discarded)), [(2, 0); 2]);
    // of exact lengths there is no stock
    let (exact, taken) = asked(&world, &["--exact-lengths"]);
    assert!(taken == 0 && near(&exact, &first), "{exact:?} and {first:?}");
    // texts that share their rounds are of no class either
    let batch = ["infer", "--json", "--batch", "2", "--text", TEXT, "--text", TEXT];
    let said = world.configured(&batch, "client0", &[]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["cost"]["attempts_from_stock"], 0, "{said:?}");
    assert_eq!(filled(&world, 3).map(|level| level.burnt), [2; 2]);
    // a client is not told how much is used
    assert_eq!(world.services.status(0).unwrap().stock, None);
}

/// The dealer hears of packs when they are made. Of requests that use them, and of their restarts, it hears nothing at all.
#[test]
fn with_a_stock_the_dealer_is_told_of_orders_and_of_no_request() {
    let world = full(1, 4);
    let dealer = world.mark(Role::Dealer);
    // what was said of the order's end may still be on its way
    logged(&world, Role::Dealer, "session ended");
    let before = dealer.lines().len();
    for _ in 0..3 {
        assert_eq!(asked(&world, &[]).1, 1);
    }
    let lines = dealer.lines().split_off(before);
    assert!(lines.iter().all(|line| !line.contains("session begins") && !line.contains("dealing")), "{lines:#?}");
    // a text that is not padded is dealt for when it comes
    assert_eq!(asked(&world, &["--exact-lengths"]).1, 0);
    dealer.wait("dealing", 1);
}

#[test]
fn with_a_stock_the_dealer_may_be_away_and_without_either_the_client_is_told() {
    let mut world = world(1, 2);
    PARTIES.iter().for_each(|role| world.edit(role.name(), "[stock]\n", "[limits]\njoin = 8\n[stock]\n"));
    world.services.start_all().unwrap();
    filled(&world, 2);
    world.services.kill(Role::Dealer).unwrap();
    let (first, taken) = asked(&world, &[]);
    assert_eq!(taken, 1);
    let (second, taken) = asked(&world, &[]);
    assert!(taken == 1 && near(&first, &second), "{first:?} and {second:?}");
    let said = world.infer(0, &[]);
    said.ended(EXHAUSTED, &["party0 has no correlations left", GONE]);
    // it comes back, with roots that it draws anew, and fills what is empty
    world.services.start(Role::Dealer).unwrap();
    assert_eq!(filled(&world, 2).map(|level| level.burnt), [2; 2]);
    assert_eq!(asked(&world, &[]).1, 1);
    assert!(world.services.fallen().is_empty());
}
