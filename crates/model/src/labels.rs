//! The labels of a `config.json` as people's tools write them, read as transformers reads them: `num_labels` beside or in
//! place of `id2label`, names that are numbers, truth values or null, a `label2id` that says otherwise.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::config_error::ConfigError;

/// The most labels: each is a row of the head.
pub const MOST_LABELS: usize = 1 << 16;

/// The names by class number, taken out of a configuration with everything else that is said about labels. No names where it
/// says none. What is taken otherwise than it stands is noted.
pub(crate) fn take(
    keys: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<usize, String>, ConfigError> {
    let mut names = names(keys.remove("id2label"))?;
    let count = count(keys.remove("num_labels"))?;
    if let Some(count) = count.filter(|count| *count != names.len()) {
        if !names.is_empty() {
            let named = names.len();
            notes.push(format!(
                "config.json: `num_labels` is {count} and `id2label` names {named}; there are {count}, called LABEL_0 and so on, as in \
                 transformers"
            ));
        }
        names = (0..count).map(|number| (number, unnamed(number))).collect();
    }
    check_numbers(keys.remove("label2id"), &names, notes)?;
    Ok(names)
}

/// What transformers calls a class that nobody named.
pub fn unnamed(number: usize) -> String {
    format!("LABEL_{number}")
}

fn names(said: Option<Value>) -> Result<BTreeMap<usize, String>, ConfigError> {
    let wrong = |got: String| ConfigError::Unsupported {
        key: "id2label",
        got,
        expected: r#"class numbers with a name each, such as {"0": "NEGATIVE", "1": "POSITIVE"}"#.into(),
    };
    let said = match said {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(said)) => said,
        Some(other) => return Err(wrong(short(&other))),
    };
    let mut names = BTreeMap::new();
    for (key, value) in said {
        let shown = || format!("{key}: {}", short(&value));
        let number: usize = key.trim().parse().map_err(|_| wrong(shown()))?;
        let name = match &value {
            Value::String(name) => name.clone(),
            Value::Number(number) => number.to_string(),
            // as Python writes them
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::Null => unnamed(number),
            Value::Array(_) | Value::Object(_) => return Err(wrong(shown())),
        };
        if names.insert(number, name).is_some() {
            return Err(wrong(format!("{number} twice")));
        }
    }
    Ok(names)
}

fn count(said: Option<Value>) -> Result<Option<usize>, ConfigError> {
    let said = said.filter(|value| !value.is_null());
    let Some(value) = said else { return Ok(None) };
    let number =
        value.as_u64().filter(|number| (1..=MOST_LABELS as u64).contains(number)).and_then(|n| usize::try_from(n).ok());
    number.map(Some).ok_or_else(|| ConfigError::Unsupported {
        key: "num_labels",
        got: short(&value),
        expected: format!("a whole number from 1 to {MOST_LABELS}, without point or quotes"),
    })
}

/// A `label2id` decides nothing: `id2label` does. Where both are there and differ, that is said.
fn check_numbers(
    said: Option<Value>,
    names: &BTreeMap<usize, String>,
    notes: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let said = match said {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(said)) => said,
        Some(other) => {
            return Err(ConfigError::Unsupported {
                key: "label2id",
                got: short(&other),
                expected: r#"names with a class number each, such as {"NEGATIVE": 0, "POSITIVE": 1}"#.into(),
            });
        }
    };
    if names.is_empty() && !said.is_empty() {
        notes.push(
            "config.json: `label2id` without `id2label` names no label, as in transformers; write `id2label`".into(),
        );
    }
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    let other = said.iter().find(|(name, value)| {
        let mut places = names.iter().filter(|(_, named)| named == name).map(|(place, _)| *place as u64).peekable();
        places.peek().is_some() && places.all(|place| number(value) != Some(place))
    });
    if let Some((name, value)) = other {
        let value = short(value);
        notes.push(format!(
            "config.json: `label2id` gives {name} the number {value}, `id2label` another; `id2label` is taken, as in transformers"
        ));
    }
    Ok(())
}

/// A value as it stands, as far as a line has room for it.
pub(crate) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(said: Value) -> (Vec<String>, Vec<String>) {
        let (mut keys, mut notes) = (said.as_object().unwrap().clone(), Vec::new());
        let names = take(&mut keys, &mut notes).unwrap();
        assert!(keys.is_empty(), "{keys:?}");
        (names.into_values().collect(), notes)
    }

    /// What transformers 5.24 says to the same: see `crates/checkpoint/tests/labels.py`.
    #[test]
    fn labels_are_those_of_transformers() {
        for (said, wanted) in [
            (json!({}), &[][..]),
            (json!({"id2label": null, "label2id": null}), &[]),
            (json!({"id2label": {}, "label2id": {}}), &[]),
            (json!({"num_labels": null}), &[]),
            (json!({"num_labels": 3}), &["LABEL_0", "LABEL_1", "LABEL_2"]),
            (json!({"num_labels": 2, "id2label": {"0": "a", "1": "b"}}), &["a", "b"]),
            (json!({"id2label": {"0": 0, "1": 1}, "label2id": {"0": 0, "1": 1}}), &["0", "1"]),
            (json!({"id2label": {"0": false, "1": true}}), &["False", "True"]),
            (json!({"id2label": {"0": 1.5, "1": 2.0}}), &["1.5", "2.0"]),
            (json!({"id2label": {"0": null, "1": null}}), &["LABEL_0", "LABEL_1"]),
            (json!({"id2label": {"00": "a", " 1": "b"}}), &["a", "b"]),
            (json!({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": "0", "b": "1"}}), &["a", "b"]),
            (json!({"id2label": {"0": "a", "1": "a"}, "label2id": {"a": 1}}), &["a", "a"]),
        ] {
            assert_eq!(taken(said.clone()), (wanted.iter().map(ToString::to_string).collect(), vec![]), "{said}");
        }
    }

    #[test]
    fn what_is_taken_otherwise_than_it_stands_is_noted() {
        let (names, notes) = taken(json!({"num_labels": 3, "id2label": {"0": "a", "1": "b"}}));
        assert_eq!(names, ["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert!(notes[0].contains("`num_labels` is 3 and `id2label` names 2"), "{notes:?}");
        let (names, notes) = taken(json!({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}}));
        assert_eq!(names, ["a", "b"]);
        assert!(notes[0].contains("`label2id` gives a the number 1"), "{notes:?}");
        let (names, notes) = taken(json!({"label2id": {"a": 0, "b": 1, "c": 2}}));
        assert!(names.is_empty() && notes[0].contains("write `id2label`"), "{notes:?}");
    }

    #[test]
    fn what_names_no_labels_is_refused_with_its_key() {
        for (said, key, got) in [
            (json!({"id2label": ["a", "b"]}), "id2label", r#"["a","b"]"#),
            (json!({"id2label": {"a": "b"}}), "id2label", r#"a: "b""#),
            (json!({"id2label": {"0": ["a"]}}), "id2label", r#"0: ["a"]"#),
            (json!({"id2label": {"0": "a", "00": "b"}}), "id2label", "0 twice"),
            (json!({"id2label": 2}), "id2label", "2"),
            (json!({"label2id": "a"}), "label2id", r#""a""#),
            (json!({"num_labels": "3"}), "num_labels", r#""3""#),
            (json!({"num_labels": 3.0}), "num_labels", "3.0"),
            (json!({"num_labels": 0}), "num_labels", "0"),
            (json!({"num_labels": 1u64 << 40}), "num_labels", "1099511627776"),
        ] {
            let error = take(&mut said.as_object().unwrap().clone(), &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}` is {got}; supported: ")), "{error}");
        }
    }
}
