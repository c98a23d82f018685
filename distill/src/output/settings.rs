//! The options that decide a run's numbers, as JSON: a run is resumed only with the same ones.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use crate::options::Options;

/// The number of processes also decides the numbers, though it is not an option.
const WORLD_SIZE: &str = "WORLD_SIZE";

/// The settings of a run of so many processes.
pub(super) fn of(options: &Options, processes: usize) -> Result<Value> {
    let mut settings = serde_json::to_value(options)?;
    if let (Some(settings), true) = (settings.as_object_mut(), processes > 1) {
        settings.insert(WORLD_SIZE.into(), processes.into());
    }
    Ok(settings)
}

/// Which settings differ, with both values and a word for each: `--seed was 42, is now 43`.
pub(crate) fn changes(before: &Value, now: &Value, words: [&str; 2]) -> String {
    let none = serde_json::Map::new();
    let (before, now) = (before.as_object().unwrap_or(&none), now.as_object().unwrap_or(&none));
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let shown = |value: Option<&Value>| value.map_or("nothing".to_string(), Value::to_string);
    let change = |name: &String| {
        let (was, is) = (before.get(name), now.get(name));
        let flag = || if name == WORLD_SIZE { name.clone() } else { format!("--{}", name.replace('_', "-")) };
        (was != is).then(|| format!("{} {} {}, {} {}", flag(), words[0], shown(was), words[1], shown(is)))
    };
    names.into_iter().filter_map(change).collect::<Vec<_>>().join(", ")
}
