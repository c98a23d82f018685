//! What `doctor` says of a party's stock. Its service alone has the ledger open, so the service is who tells of it.

use std::time::Duration;

use cli::exit::{EXHAUSTED, STOCK};
use cli::memory::human;
use config::Config;
use indicatif::HumanDuration;
use roles::service::stock::{ClassStatus, StockStatus};

use super::{Check, Examination, State};

/// Percent of the quota from which on it is warned.
const NEARLY: u64 = 90;

/// Checks the stock that a configuration names, as the running service tells of it.
pub(super) fn check(config: &Config, found: &mut Examination) {
    if config.stock.is_none() {
        return;
    }
    let Some(status) = &found.own else {
        return found.say("stock", State::Warn, "unknown until this service runs");
    };
    let Some(stock) = status.stock.clone() else {
        let detail = "this service has none that it can read: it was started without [stock], or its log says what is \
                      wrong with the ledger; restart it";
        return fail(found, "stock".into(), STOCK, detail.into());
    };
    for class in &stock.classes {
        level(class, found);
    }
    disk(&stock, found);
    match stock.reconciled {
        true => found.say("stock reconciled", State::Ok, "compared with the other party's"),
        false => {
            let detail = "not compared with the other party's since this service began: no pack is taken before that";
            found.say("stock reconciled", State::Warn, detail);
        }
    }
    if let Some(why) = &stock.failed {
        found.say("stock orders", State::Warn, format!("the last one failed: {why}"));
    }
}

/// How much there is of a class, where there is to be some or is some.
fn level(class: &ClassStatus, found: &mut Examination) {
    let ClassStatus { tokens, available, ordered, oldest, low, .. } = class;
    if low.is_none() && *available == 0 && *ordered == 0 {
        return;
    }
    let check = format!("stock of {tokens} tokens");
    let mut detail = format!("{available} available, {ordered} ordered");
    if let Some(low) = low {
        detail += &format!(", low mark {low}");
    }
    if let Some(seconds) = oldest {
        detail += &format!(", the oldest {} old", HumanDuration(Duration::from_secs(*seconds)));
    }
    match low {
        Some(_) if *available == 0 => {
            detail += "; texts of this class wait for the dealer";
            fail(found, check, EXHAUSTED, detail);
        }
        Some(low) if available < low => found.say(check, State::Warn, detail),
        _ => found.say(check, State::Ok, detail),
    }
}

/// How much of its quota it takes.
fn disk(stock: &StockStatus, found: &mut Examination) {
    let StockStatus { used, quota, .. } = stock;
    let percent = (u128::from(*used) * 100 / u128::from((*quota).max(1))) as u64;
    let state = if percent >= NEARLY { State::Warn } else { State::Ok };
    found.say("stock disk", state, format!("{} used of a quota of {}, {percent} %", human(*used), human(*quota)));
}

fn fail(found: &mut Examination, check: String, code: i32, detail: String) {
    found.checks.push(Check { check, state: State::Fail, detail, code });
}
