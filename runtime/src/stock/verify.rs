//! `runtime stock verify`: whether the packs are what was written.

use std::io::Write;

use anyhow::Result;
use cli::exit::STOCK;
use cli::{coded, log, spinner};
use serde_json::json;

use super::{Look, packs, print};

/// Reads all packs and discards damaged ones, which makes the command fail.
pub(super) fn run(look: &Look, out: &mut dyn Write) -> Result<()> {
    let places = look.place.places()?;
    // what cannot be opened is found before hours are spent on the other
    let opened = places.iter().map(|place| place.open()).collect::<Result<Vec<_>>>()?;
    let (mut lines, mut stocks, mut damaged) = (String::new(), Vec::new(), 0);
    for (place, stock) in places.iter().zip(opened) {
        let name = place.name();
        let busy = spinner(look.quiet, format!("reading the packs of {name}"));
        let found = stock.verify()?;
        busy.finish_and_clear();
        let bad: Vec<String> = found.damaged.iter().map(ToString::to_string).collect();
        bad.iter().for_each(|what| log(&format!("{name}: {what}")));
        damaged += bad.len() as u64;
        lines += &format!("{name}: {} sound, {} damaged and discarded\n", packs(found.sound), bad.len());
        let folder = &place.folder;
        stocks.push(json!({ "party": name, "folder": folder, "sound": found.sound, "damaged": bad }));
    }
    print(look, &lines, &stocks, out)?;
    if damaged == 0 {
        return Ok(());
    }
    let what =
        format!("{} damaged; what was is discarded, and nothing of it will be used: see to the disk", packs(damaged));
    Err(coded(STOCK, what))
}
