//! The keys of a `config.json` whose values must be of one type. Which types is transformers' word: it refuses null, quoted
//! numbers and whole numbers with a point where it has a default too.

use serde_json::{Map, Value};

use crate::config_error::ConfigError;
use crate::labels::short;

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Whole,
    Number,
    Text,
}

const TYPES: [(&str, Type); 14] = [
    ("model_type", Type::Text),
    ("vocab_size", Type::Whole),
    ("hidden_size", Type::Whole),
    ("num_hidden_layers", Type::Whole),
    ("num_attention_heads", Type::Whole),
    ("intermediate_size", Type::Whole),
    ("max_position_embeddings", Type::Whole),
    ("type_vocab_size", Type::Whole),
    ("hidden_act", Type::Text),
    ("layer_norm_eps", Type::Number),
    ("hidden_dropout_prob", Type::Number),
    ("attention_probs_dropout_prob", Type::Number),
    ("initializer_range", Type::Number),
    ("attention_softmax", Type::Text),
];

/// Keys that a configuration cannot do without.
const NEEDED: [&str; 6] = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
];

/// Refuses a value of another type, by its key.
pub(crate) fn check_types(keys: &Map<String, Value>) -> Result<(), ConfigError> {
    for (key, kind) in TYPES {
        let Some(value) = keys.get(key) else { continue };
        let (fits, expected) = match kind {
            Type::Whole => (value.is_u64(), "a whole number, without point, sign or quotes"),
            Type::Number => (value.is_number(), "a number, without quotes"),
            Type::Text => (value.is_string(), "a name in quotes"),
        };
        if !fits {
            let cure = if value.is_null() && !NEEDED.contains(&key) { ", or leave it out" } else { "" };
            return Err(ConfigError::Unsupported { key, got: short(value), expected: format!("{expected}{cure}") });
        }
    }
    let problems = ["single_label_classification", "multi_label_classification", "regression"];
    match keys.get("problem_type") {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_str().is_some_and(|name| problems.contains(&name)) => Ok(()),
        Some(value) => Err(ConfigError::Unsupported {
            key: "problem_type",
            got: short(value),
            expected: format!("{}, or leave it out", problems.join(", ")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_of_another_type_is_refused_with_its_key() {
        for (key, value) in [
            ("hidden_size", json!(384.0)),
            ("hidden_size", json!("384")),
            ("hidden_size", json!(null)),
            ("hidden_size", json!(-384)),
            ("type_vocab_size", json!(null)),
            ("hidden_act", json!(null)),
            ("hidden_act", json!({"a": 1})),
            ("layer_norm_eps", json!("1e-12")),
            ("layer_norm_eps", json!(null)),
            ("attention_probs_dropout_prob", json!(null)),
            ("problem_type", json!("token_classification")),
        ] {
            let keys = json!({key: value});
            let error = check_types(keys.as_object().unwrap()).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}` is {value}; supported: ")), "{error}");
            let cured = value.is_null() && key != "hidden_size" || key == "problem_type";
            assert_eq!(error.contains("leave it out"), cured, "{error}");
        }
        let fine = json!({"hidden_size": 384, "problem_type": null, "hidden_dropout_prob": 0, "hidden_act": "gelu"});
        check_types(fine.as_object().unwrap()).unwrap();
    }
}
