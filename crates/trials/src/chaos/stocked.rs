//! Chaos with stocks: for which classes packs are made, and what both parties have of them in the end.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bundle::Role;
use serde_json::{Value, json};
use stock::{ClassState, Party, Stock, StockKey};

use crate::asking::{classes, samples};
use crate::chaos::counts::Counts;
use crate::chaos::taken::{Name, Taken, pack};
use crate::deployment::{Deployment, STOCK};

/// Marks of each class: few packs, so that some requests find none.
const MARKS: [u64; 2] = [3, 6];
/// The most bytes of packs of a party.
const QUOTA: u64 = 16 << 30;
/// Between two looks at what there is.
const LOOK: Duration = Duration::from_secs(1);

/// Lines of TOML for both parties and for P0 alone: a stock of all classes of these texts.
pub(super) fn lines(bundle: &Path, texts: &[String]) -> Result<[String; 2]> {
    let client = bundle.join(Role::Client.name());
    let classes = classes(&client, &samples(&client, texts)?)?;
    let [low, high] = MARKS;
    let marks = classes.iter().map(|tokens| format!("{tokens} = {{ low = {low}, high = {high} }}\n"));
    Ok([
        format!("[stock]\nfolder = \"{STOCK}\"\nquota = \"{QUOTA}\"\n"),
        format!("[stock.classes]\n{}", marks.collect::<String>()),
    ])
}

/// Waits until both parties have what there is to be, and the same. Gives what `runtime stock status` says of each then.
pub(super) fn settled(deployment: &Deployment, within: Duration, counts: &mut Counts) -> Result<[Value; 2]> {
    let end = Instant::now() + within;
    loop {
        let [zero, one] = [deployment.stock(0)?, deployment.stock(1)?];
        let same = zero.classes.iter().zip(&one.classes).all(|(zero, one)| {
            let marks = zero.low.is_none_or(|low| zero.available >= low);
            (zero.ordered, one.ordered) == (0, 0) && zero.available == one.available && marks
        });
        if zero.reconciled && one.reconciled && same {
            break;
        }
        if Instant::now() > end {
            counts.violation(format!("the stocks are not the same though nobody asks: {zero:?}, {one:?}"));
            break;
        }
        thread::sleep(LOOK);
    }
    Ok([deployment.stock_status(Role::Party0)?, deployment.stock_status(Role::Party1)?])
}

/// Reads both logs and, now that no service has them, both ledgers.
pub(super) fn check(deployment: &Deployment, told: [Value; 2], counts: &mut Counts) -> Result<()> {
    let mut violations = Vec::new();
    let mut parties = Vec::new();
    for (role, party) in [(Role::Party0, Party::P0), (Role::Party1, Party::P1)] {
        let path = deployment.log(role);
        let log = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        // by the other party's ledger, or by what it knows of its own
        if ["all packs were thrown away", "all its packs were thrown away"].iter().any(|words| log.contains(words)) {
            violations.push(format!("{role} threw all packs away, and no ledger was restored; see {}", path.display()));
        }
        let taken = Taken::read(role.name(), &log, &mut violations);
        parties.push((taken, available(&deployment.folder(role.name()), party)?));
    }
    let [(zero, left), (one, other)] = &parties[..] else { return Ok(()) };
    let both = zero.agreed(one, &mut violations);
    violations.extend(orphans([left, other]));
    let spent = |taken: &Taken, left: &BTreeSet<Name>| {
        let back = left.iter().filter(|name| taken.has(name)).map(pack);
        back.map(|pack| format!("{pack} was taken and is available")).collect::<Vec<_>>()
    };
    violations.extend([spent(zero, left), spent(one, other)].concat());
    for (at, (taken, left)) in parties.iter().enumerate() {
        let sum = |key: &str| sum(&told[at], key);
        if sum("available") != left.len() as u64 {
            violations.push(format!("party{at} told of {} packs and has {}", sum("available"), left.len()));
        }
        if sum("burnt") < taken.count() as u64 {
            violations.push(format!("party{at} wrote {} packs down as burnt and took {}", sum("burnt"), taken.count()));
        }
    }
    let of = |at: usize| {
        let sum = |key: &str| sum(&told[at], key);
        let (available, burnt, discarded) = (sum("available"), sum("burnt"), sum("discarded"));
        let taken = parties[at].0.count();
        json!({ "taken": taken, "available": available, "burnt": burnt, "discarded": discarded })
    };
    counts.stock = Some(json!({ "party0": of(0), "party1": of(1), "taken_at_both": both }));
    violations.into_iter().for_each(|what| counts.violation(what));
    Ok(())
}

/// The sum over all classes of what `runtime stock status` tells of each.
fn sum(told: &Value, key: &str) -> u64 {
    told["classes"].as_array().into_iter().flatten().filter_map(|class| class[key].as_u64()).sum()
}

/// The packs that a party has.
fn available(folder: &Path, party: Party) -> Result<BTreeSet<Name>> {
    let place = folder.join(STOCK);
    ensure!(Stock::is_in(&place)?, "no stock in {}", place.display());
    let key = StockKey::read_or_create(&folder.join("keys").join("stock.key"))?;
    let states = Stock::open(&place, key, party, QUOTA)?.classes()?;
    Ok(states.iter().flat_map(names).collect())
}

/// Packs of a class as logs name them.
fn names(state: &ClassState) -> impl Iterator<Item = Name> {
    let class = hex::encode(&state.class.plan[..4]);
    let serials = state.available.iter().flat_map(|(start, end)| *start..*end);
    serials.map(move |serial| (class.clone(), serial))
}

/// Packs that one party has and the other has not.
fn orphans([zero, one]: [&BTreeSet<Name>; 2]) -> Vec<String> {
    let alone = |party: &'static str, own: &BTreeSet<Name>, other: &BTreeSet<Name>| {
        own.difference(other).map(|name| format!("{party} alone has {}", pack(name))).collect::<Vec<_>>()
    };
    [alone("party0", zero, one), alone("party1", one, zero)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_that_is_alone_is_found_at_either_party() {
        let class = stock::Class { bundle: [1; 16], plan: [2; 32], rows: 16 };
        let packs = |available: Vec<(u64, u64)>| {
            names(&ClassState { class, next: 9, settled: 9, available }).collect::<BTreeSet<Name>>()
        };
        let [zero, one] = [packs(vec![(2, 4), (6, 7)]), packs(vec![(2, 3), (6, 8)])];
        assert!(orphans([&zero, &zero]).is_empty());
        let alone = ["party0 alone has pack 3 of class 02020202", "party1 alone has pack 7 of class 02020202"];
        assert_eq!(orphans([&zero, &one]), alone);
    }
}
