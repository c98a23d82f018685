//! The scores of a run beside those that training left, in the student's file of results.

use std::fs;
use std::path::Path;

use anyhow::Result;
use cli::coded;
use cli::exit::{BAD_INPUT, UNWRITABLE};
use serde_json::{Map, Value};

/// What the keys of a run begin with, by how the logits were computed: on shares, in floating point, in fixed point in clear.
pub(crate) const PREFIXES: [&str; 3] = ["private_eval_", "float_eval_", "clear_eval_"];

/// The object in a file of results.
pub(crate) fn read(path: &Path) -> Result<Map<String, Value>> {
    let cure = "--results takes a file that training left, such as the student's all_results.json";
    let bad = |what: String| coded(BAD_INPUT, format!("{}: {what}; {cure}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    match serde_json::from_str(&text).map_err(|error| bad(format!("not JSON: {error}")))? {
        Value::Object(object) => Ok(object),
        _ => Err(bad("not a JSON object".into())),
    }
}

/// Puts the entries of this run into the place of an earlier run's; everything else stays.
pub(crate) fn merge(path: &Path, entries: impl IntoIterator<Item = (String, Value)>) -> Result<()> {
    let mut object = read(path)?;
    object.retain(|key, _| !PREFIXES.iter().any(|prefix| key.starts_with(prefix)));
    object.extend(entries);
    let mut text = serde_json::to_string_pretty(&object)?;
    text.push('\n');
    cli::atomic::write(path, |temporary| Ok(fs::write(temporary, &text)?)).map_err(|error| {
        let cure = "make room or allow it, or take another --results";
        coded(UNWRITABLE, format!("cannot write {}: {}; {cure}", path.display(), cli::describe(&error)))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_takes_the_place_of_another_and_touches_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all_results.json");
        let kept =
            json!({"eval_accuracy": 0.893348623853211, "options": {"seed": 42, "weights": [0.1, 2.109243631362915]}});
        fs::write(&path, kept.to_string()).unwrap();
        let old = [("clear_eval_accuracy", json!(0.5)), ("private_eval_accuracy", json!(0.5))];
        merge(&path, old.map(|(key, value)| (key.into(), value))).unwrap();
        merge(&path, [("private_eval_accuracy".into(), json!(0.75))]).unwrap();
        let mut expected = kept;
        expected["private_eval_accuracy"] = json!(0.75);
        assert_eq!(Value::Object(read(&path).unwrap()), expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_object_is_refused_and_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all_results.json");
        for text in ["[1]", "{\"a\": 1", ""] {
            fs::write(&path, text).unwrap();
            let error = merge(&path, []).unwrap_err();
            assert_eq!(error.downcast_ref::<cli::Coded>().unwrap().code, BAD_INPUT);
            assert!(error.to_string().contains("all_results.json: not"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(merge(&folder.path().join("none.json"), []).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
