//! The keys that there are, and what an unknown one may have been meant as.

use crate::origin::shown;

/// The keys of each table; `*` is any peer, and any class.
const KEYS: [(&str, &[&str]); 10] = [
    ("", &["role", "bundle", "keys", "listen", "peers", "clients", "run", "limits", "stock", "log"]),
    ("peers", &["party0", "party1", "dealer", "client"]),
    ("peers.*", &["pins", "address"]),
    ("clients", &["pins", "file", "any"]),
    ("run", &["deadline", "schedule", "threads", "memory", "engine", "functions", "truncation", "sines"]),
    (
        "limits",
        &[
            "sessions",
            "waiting",
            "sessions_per_client",
            "handshakes",
            "handshakes_per_address",
            "idle",
            "join",
            "drain",
        ],
    ),
    ("stock", &["folder", "key", "quota", "parallel", "refill", "renew", "classes"]),
    // texts are padded to powers of two; which of them a model has, its bundle says
    (
        "stock.classes",
        &["16", "32", "64", "128", "256", "512", "1024", "2048", "4096", "8192", "16384", "32768", "65536"],
    ),
    ("stock.classes.*", &["low", "high"]),
    ("log", &["format", "level"]),
];

/// The keys of a table.
pub(crate) fn keys_of(table: &str) -> &'static [&'static str] {
    let any = ["peers.", "stock.classes."].into_iter().find(|above| table.starts_with(above));
    let table = any.map_or(table.to_owned(), |above| format!("{above}*"));
    KEYS.iter().find(|(name, _)| *name == table).map_or(&[], |(_, keys)| keys)
}

/// What to say of a key that a table does not have.
pub(crate) fn unknown(table: &str, key: &str) -> String {
    let (name, keys) = (shown(&within(table, key)), keys_of(table));
    if let Some(near) = nearest(key, keys) {
        return format!("unknown key `{name}`; did you mean `{}`?", within(table, near));
    }
    // a key below the wrong header is a common mistake
    let elsewhere = KEYS.iter().find(|(_, keys)| keys.contains(&key)).map(|(home, _)| *home);
    match elsewhere {
        Some("") => format!("unknown key `{name}`; `{key}` stands at the top of the file, before the first [table]"),
        Some(home @ ("clients" | "run" | "limits" | "stock" | "stock.classes" | "log")) => {
            format!("unknown key `{name}`; did you mean `{home}.{key}`?")
        }
        _ if table.is_empty() => format!("unknown key `{name}`; the keys are {}", keys.join(", ")),
        _ => format!("unknown key `{name}`; the keys of `{table}` are {}", keys.join(", ")),
    }
}

/// The name of a key from the top.
pub(crate) fn within(table: &str, key: &str) -> String {
    if table.is_empty() { key.into() } else { format!("{table}.{key}") }
}

/// The one of several words that is close enough to be meant.
pub(crate) fn nearest<'a>(word: &str, among: &[&'a str]) -> Option<&'a str> {
    // words far longer than any key are not compared
    let most = (word.len() <= 64).then_some((word.len() / 3).max(1))?;
    let word = word.to_lowercase().replace('-', "_");
    let distances = among.iter().map(|other| (strsim::damerau_levenshtein(&word, other), *other));
    distances.filter(|(distance, _)| *distance <= most).min().map(|(_, other)| other)
}
