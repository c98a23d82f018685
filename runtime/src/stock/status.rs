//! `runtime stock status`: what there is.

use std::fmt::Write as _;
use std::io::Write;
use std::time::SystemTime;

use anyhow::Result;
use cli::memory::human;
use serde_json::{Value, json};
use stock::{ClassGauge, Gauges};

use super::place::Place;
use super::{Look, print};

/// Counts packs, of every stock that is meant.
pub(super) fn run(look: &Look, out: &mut dyn Write) -> Result<()> {
    let (mut lines, mut stocks) = (String::new(), Vec::new());
    for place in look.place.places()? {
        let gauges = place.open()?.gauges(SystemTime::now())?;
        lines += &table(&place, &gauges)?;
        stocks.push(object(&place, &gauges));
    }
    print(look, &lines, &stocks, out)
}

fn table(place: &Place, gauges: &Gauges) -> Result<String> {
    let mut text = format!("{}, {}\n", place.name(), place.folder.display());
    if !gauges.classes.is_empty() {
        let heads = ["rows", "available", "ordered", "burnt", "discarded", "bytes", "oldest", "bundle", "plan"];
        writeln!(text, "{}", row(&heads.map(String::from)))?;
    }
    for gauge in &gauges.classes {
        let ClassGauge { class, available, ordered, burnt, discarded, bytes, oldest } = gauge;
        let age = oldest.map_or("-".into(), |age| indicatif::HumanDuration(age).to_string());
        let counts = [u64::from(class.rows), *available, *ordered, *burnt, *discarded].map(|count| count.to_string());
        let ids = [hex::encode(&class.bundle[..4]), hex::encode(&class.plan[..4])];
        let cells: Vec<String> = counts.into_iter().chain([human(*bytes), age]).chain(ids).collect();
        writeln!(text, "{}", row(&cells))?;
    }
    match place.quota {
        Some(quota) => writeln!(text, "{} used of a quota of {}", human(gauges.used), human(quota))?,
        None => writeln!(text, "{} used", human(gauges.used))?,
    }
    Ok(text)
}

fn row(cells: &[String]) -> String {
    let widths = [6, 10, 8, 8, 10, 9, 11, 9, 9];
    let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
    padded.collect::<Vec<_>>().join(" ")
}

fn object(place: &Place, gauges: &Gauges) -> Value {
    let class = |gauge: &ClassGauge| {
        json!({
            "rows": gauge.class.rows,
            "bundle": hex::encode(gauge.class.bundle),
            "plan": hex::encode(gauge.class.plan),
            "available": gauge.available,
            "ordered": gauge.ordered,
            "burnt": gauge.burnt,
            "discarded": gauge.discarded,
            "bytes": gauge.bytes,
            "oldest_seconds": gauge.oldest.map(|age| age.as_secs()),
        })
    };
    let classes: Vec<Value> = gauges.classes.iter().map(class).collect();
    let mut object =
        json!({ "party": place.name(), "folder": place.folder, "classes": classes, "used_bytes": gauges.used });
    if let Some(quota) = place.quota {
        object["quota_bytes"] = json!(quota);
    }
    object
}
