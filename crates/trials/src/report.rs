//! Reports of trials: one compact JSON object, with the command, the day and the commit that it is of.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// What every report begins with.
pub fn origin() -> Value {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({
        "command": format!("trials {}", words.join(" ")),
        "date": said("date", &["-u", "+%F", "-d", &format!("@{seconds}")]),
        "commit": said("git", &["describe", "--always", "--dirty", "--exclude", "*"]),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
    })
}

/// The first line that a program says, or that it is unknown.
fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".into())
}

/// Writes `part` of a report into a file, under a name or, without one, as all that it holds.
pub fn write(path: &Path, name: Option<&str>, part: Value) -> Result<()> {
    let whole = match name {
        None => part,
        Some(name) => {
            let mut whole: Value = match std::fs::read_to_string(path) {
                Ok(text) => serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?,
                Err(_) => json!({}),
            };
            ensure!(whole.is_object(), "{} is not a report; name another file", path.display());
            whole[name] = part;
            whole
        }
    };
    cli::atomic::write(path, |file| Ok(std::fs::write(file, serde_json::to_string(&whole)? + "\n")?))
}

/// Both objects in one; what `more` says counts.
pub fn joined(mut first: Value, more: Value) -> Value {
    if let (Value::Object(first), Value::Object(more)) = (&mut first, more) {
        first.extend(more);
    }
    first
}

/// Digits of a number that a report keeps.
pub fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The middle of some values; not a number where there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let (middle, even) = (values.len() / 2, values.len().is_multiple_of(2));
    match (values.get(middle), even) {
        (Some(upper), true) => (values[middle - 1] + upper) / 2.0,
        (Some(one), false) => *one,
        (None, _) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0])), (2.0, 2.5));
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_part_of_a_report_leaves_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        write(&path, Some("one"), json!({ "a": 1 })).unwrap();
        write(&path, Some("other"), json!({ "b": 2 })).unwrap();
        write(&path, Some("one"), json!({ "a": 3 })).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"one\":{\"a\":3},\"other\":{\"b\":2}}\n");
    }
}
