//! `runtime stock drop`: all packs thrown away, by the ledger where it can be used, and with it where not.

use std::io::Write;
use std::time::SystemTime;

use anyhow::Result;
use cli::exit::USAGE;
use cli::memory::human;
use cli::{coded, describe, log};
use serde_json::json;
use stock::{Stock, StockError};

use super::place::{Place, said};
use super::{Look, packs, print};

const OTHER_PARTY: &str = "note: the other party throws its halves away when the two connect next";

/// How a stock is emptied.
enum Way {
    /// Its ledger is sound, and keeps what it knows.
    Ledger(Stock),
    /// Its ledger cannot be used, for this reason, and goes as well.
    Files(String),
}

/// Throws the packs away, or says what would go.
pub(super) fn run(look: &Look, yes: bool, out: &mut dyn Write) -> Result<()> {
    let places = look.place.places()?;
    let ways = places.iter().map(way).collect::<Result<Vec<_>>>()?;
    if !yes {
        let all = places.iter().zip(&ways).map(|(place, way)| would_go(place, way)).collect::<Result<Vec<_>>>()?;
        return Err(coded(USAGE, format!("this throws away {}; say --yes to do it", all.join(", and "))));
    }
    let (mut lines, mut stocks) = (String::new(), Vec::new());
    for (place, way) in places.iter().zip(ways) {
        let (name, folder) = (place.name(), &place.folder);
        let (dropped, why) = match way {
            Way::Ledger(stock) => (Some(stock.drop_all()?), None),
            Way::Files(why) => {
                Stock::remove(folder).map_err(said)?;
                (None, Some(why))
            }
        };
        lines += &match (dropped, &why) {
            (Some(dropped), _) => format!("{name}: {} thrown away\n", packs(dropped)),
            (None, why) => {
                let why = why.as_deref().unwrap_or_default();
                format!("{name}: all packs and the ledger removed, as it could not be used: {why}\n")
            }
        };
        stocks.push(json!({ "party": name, "folder": folder, "dropped": dropped, "ledger_removed": why }));
    }
    print(look, &lines, &stocks, out)?;
    if !look.place.is_local() && !look.quiet {
        log(OTHER_PARTY);
    }
    Ok(())
}

/// Opens a stock, or says why it is removed file by file. What may be another's, or in use, is neither.
fn way(place: &Place) -> Result<Way> {
    if !place.has_key() {
        return Ok(Way::Files("its key is gone".into()));
    }
    let error = match place.open() {
        Ok(stock) => return Ok(Way::Ledger(stock)),
        Err(error) => error,
    };
    match error.downcast_ref::<StockError>() {
        None | Some(StockError::OtherParty { .. } | StockError::KeyInside { .. }) => Err(error),
        Some(StockError::Io { .. } | StockError::Entropy(_)) => Err(error),
        Some(_) => Ok(Way::Files(describe(&error))),
    }
}

fn would_go(place: &Place, way: &Way) -> Result<String> {
    let folder = place.folder.display();
    Ok(match way {
        Way::Ledger(stock) => {
            let gauges = stock.gauges(SystemTime::now())?;
            let count = gauges.classes.iter().map(|class| class.available).sum();
            format!("{} ({}) in {folder}", packs(count), human(gauges.used))
        }
        Way::Files(why) => format!("the ledger and all packs in {folder} ({why})"),
    })
}
