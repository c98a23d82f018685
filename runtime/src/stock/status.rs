//! `runtime stock status`: what there is, by the ledger, or by the service that has it open.

use std::fmt::Write as _;
use std::io::Write;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use cli::exit::STOCK;
use cli::memory::human;
use cli::{coded, describe};
use config::Config;
use roles::service::stock::{ClassStatus, StockStatus};
use serde_json::{Value, json};
use stock::{ClassGauge, Gauges, StockError};

use super::place::{Place, said};
use super::{Look, print};
use crate::services::own;

/// What there is of a class.
struct Line {
    rows: u64,
    /// In hexadecimal, as the next.
    bundle: String,
    /// A service does not tell it.
    plan: Option<String>,
    available: u64,
    ordered: u64,
    burnt: u64,
    discarded: u64,
    bytes: u64,
    oldest: Option<Duration>,
}

/// What there is in a stock.
struct Levels {
    lines: Vec<Line>,
    used: u64,
    /// Nothing where there is no end to it.
    quota: Option<u64>,
    /// What only a service knows.
    service: Option<Service>,
}

/// What a running service says beside its counts.
struct Service {
    reconciled: bool,
    failed: Option<String>,
}

/// Counts packs, of every stock that is meant.
pub(super) fn run(look: &Look, out: &mut dyn Write) -> Result<()> {
    let (mut lines, mut stocks) = (String::new(), Vec::new());
    for place in look.place.places()? {
        let levels = levels(&place)?;
        lines += &table(&place, &levels)?;
        stocks.push(object(&place, &levels));
    }
    print(look, &lines, &stocks, out)
}

/// What the ledger says, or the service that works with it.
fn levels(place: &Place) -> Result<Levels> {
    let locked = match place.try_open()? {
        Ok(stock) => return Ok(Levels::counted(stock.gauges(SystemTime::now())?, place.quota)),
        Err(locked @ StockError::Locked { .. }) => said(locked),
        Err(other) => return Err(said(other)),
    };
    let Some(config) = &place.config else { return Err(locked) };
    asked(config)
        .map_err(|why| coded(STOCK, format!("{}; it was asked in vain: {}", describe(&locked), describe(&why))))
}

fn asked(config: &Config) -> Result<Levels> {
    let status = own::status(config)?;
    let none = "this service has no stock that it can read";
    let stock = status.stock.ok_or_else(|| coded(STOCK, none))?;
    Ok(Levels::of_service(stock, &status.bundle))
}

impl Levels {
    fn counted(gauges: Gauges, quota: Option<u64>) -> Levels {
        let line = |gauge: ClassGauge| {
            let ClassGauge { class, available, ordered, burnt, discarded, bytes, oldest } = gauge;
            let (rows, bundle, plan) = (class.rows.into(), hex::encode(class.bundle), Some(hex::encode(class.plan)));
            Line { rows, bundle, plan, available, ordered, burnt, discarded, bytes, oldest }
        };
        Levels { lines: gauges.classes.into_iter().map(line).collect(), used: gauges.used, quota, service: None }
    }

    /// Of a service it is known which classes it could have; those of which it never had any are left out, as in a ledger.
    fn of_service(stock: StockStatus, bundle: &str) -> Levels {
        let had = |class: &ClassStatus| {
            [class.available, class.ordered, class.burnt, class.discarded].iter().any(|count| *count > 0)
        };
        let line = |class: ClassStatus| {
            let ClassStatus { tokens: rows, available, ordered, burnt, discarded, bytes, oldest, .. } = class;
            let (bundle, oldest) = (bundle.to_owned(), oldest.map(Duration::from_secs));
            Line { rows, bundle, plan: None, available, ordered, burnt, discarded, bytes, oldest }
        };
        let StockStatus { classes, used, quota, reconciled, failed } = stock;
        let lines = classes.into_iter().filter(had).map(line).collect();
        Levels { lines, used, quota: Some(quota), service: Some(Service { reconciled, failed }) }
    }
}

fn table(place: &Place, levels: &Levels) -> Result<String> {
    let mut text = format!("{}, {}\n", place.name(), place.folder.display());
    if !levels.lines.is_empty() {
        let heads = ["rows", "available", "ordered", "burnt", "discarded", "bytes", "oldest", "bundle", "plan"];
        writeln!(text, "{}", row(&heads.map(String::from)))?;
    }
    for line in &levels.lines {
        let Line { rows, bundle, plan, available, ordered, burnt, discarded, bytes, oldest } = line;
        let age = oldest.map_or("-".into(), |age| indicatif::HumanDuration(age).to_string());
        let counts = [*rows, *available, *ordered, *burnt, *discarded].map(|count| count.to_string());
        let short = |id: &str| id.chars().take(8).collect::<String>();
        let ids = [short(bundle), plan.as_deref().map_or("-".into(), short)];
        let cells: Vec<String> = counts.into_iter().chain([human(*bytes), age]).chain(ids).collect();
        writeln!(text, "{}", row(&cells))?;
    }
    match levels.quota {
        Some(quota) => writeln!(text, "{} used of a quota of {}", human(levels.used), human(quota))?,
        None => writeln!(text, "{} used", human(levels.used))?,
    }
    if let Some(Service { reconciled, failed }) = &levels.service {
        let reconciled = match reconciled {
            true => "compared with the other party's",
            false => "not compared with the other party's yet: no pack is taken",
        };
        writeln!(text, "as the running service says; {reconciled}")?;
        if let Some(why) = failed {
            writeln!(text, "the last order failed: {why}")?;
        }
    }
    Ok(text)
}

fn row(cells: &[String]) -> String {
    let widths = [6, 10, 8, 8, 10, 9, 11, 9, 9];
    let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
    padded.collect::<Vec<_>>().join(" ")
}

fn object(place: &Place, levels: &Levels) -> Value {
    let class = |line: &Line| {
        json!({
            "rows": line.rows,
            "bundle": line.bundle,
            "plan": line.plan,
            "available": line.available,
            "ordered": line.ordered,
            "burnt": line.burnt,
            "discarded": line.discarded,
            "bytes": line.bytes,
            "oldest_seconds": line.oldest.map(|age| age.as_secs()),
        })
    };
    let classes: Vec<Value> = levels.lines.iter().map(class).collect();
    let mut object =
        json!({ "party": place.name(), "folder": place.folder, "classes": classes, "used_bytes": levels.used });
    if let Some(quota) = levels.quota {
        object["quota_bytes"] = json!(quota);
    }
    if let Some(Service { reconciled, failed }) = &levels.service {
        object["service"] = json!({ "reconciled": reconciled, "failed": failed });
    }
    object
}
