//! What transformers rebuilds in a tokenizer that it has read from `tokenizer.json`, by what stands beside it.

use std::path::Path;

use serde_json::Value;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper, PreTokenizerWrapper};

use super::class::Class;
use super::config::Config;
use crate::Error;

/// A flag of `tokenizer_config.json`, its value where it is not given, and what it is called in `tokenizer.json`.
const CASE: [(&str, Value, &str); 3] = [
    ("do_lower_case", Value::Bool(true), "lowercase"),
    ("strip_accents", Value::Null, "strip_accents"),
    ("tokenize_chinese_chars", Value::Bool(true), "handle_chinese_chars"),
];
const PREFIX: &str = "add_prefix_space";

/// Rebuilds the normaliser and the splitting into words; what was changed is told in `notes`.
pub(super) fn rebuild(
    inner: &mut tokenizers::Tokenizer,
    folder: &Path,
    config: &Config,
    class: &Class,
    notes: &mut Vec<String>,
) -> Result<bool, Error> {
    let wrong = |message: String| Error::Tokenizer { path: folder.join("tokenizer.json"), message };
    let broken = |e: serde_json::Error| wrong(e.to_string());
    let count = notes.len();
    if class.heeds_case()
        && let Some(old) = inner.get_normalizer().cloned()
    {
        let mut state = serde_json::to_value(&old).map_err(broken)?;
        let mut said = Vec::new();
        for (key, usual, own) in CASE {
            let given = config.flag(folder, key)?;
            let wanted = given.map_or(usual, Value::Bool);
            if state.get(own).is_some_and(|value| *value != wanted) {
                said.push(told(key, &wanted, given.is_some(), &state[own]));
                state[own] = wanted;
            }
        }
        if !said.is_empty() {
            let new: NormalizerWrapper = serde_json::from_value(state).map_err(broken)?;
            stays(inner, &old, &new).map_err(wrong)?;
            inner.with_normalizer(Some(new)).map_err(|e| wrong(e.to_string()))?;
            notes.push(note(folder, &said));
        }
    }
    let mut state = serde_json::to_value(inner.get_pre_tokenizer()).map_err(broken)?;
    let given = config.flag(folder, PREFIX)?;
    let wanted = Value::Bool(given.unwrap_or(false));
    if state.get(PREFIX).is_some_and(|value| *value != wanted) {
        notes.push(note(folder, &[told(PREFIX, &wanted, given.is_some(), &state[PREFIX])]));
        state[PREFIX] = wanted;
        let new: PreTokenizerWrapper = serde_json::from_value(state).map_err(broken)?;
        inner.with_pre_tokenizer(Some(new));
    }
    Ok(notes.len() > count)
}

/// An added token that is looked for in its normalised form must have the same one afterwards: transformers goes on with the
/// old form until the tokenizer is saved and read again, so that nothing says which is meant.
fn stays(inner: &tokenizers::Tokenizer, old: &NormalizerWrapper, new: &NormalizerWrapper) -> Result<(), String> {
    for token in inner.get_added_tokens_decoder().values().filter(|token| token.normalized) {
        let form = |normalizer: &NormalizerWrapper| {
            let mut text = NormalizedString::from(token.content.as_str());
            normalizer.normalize(&mut text).map_err(|e| e.to_string())?;
            Ok::<String, String>(text.get().to_string())
        };
        if form(old)? != form(new)? {
            return Err(format!(
                "the added token `{}` is looked for in lower case or not, as tokenizer.json and tokenizer_config.json differ; \
                 read and save the tokenizer once with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
                token.content
            ));
        }
    }
    Ok(())
}

fn told(key: &str, wanted: &Value, is_given: bool, own: &Value) -> String {
    let how = if is_given { "" } else { ", since it is not given," };
    format!("`{key}`{how} is {wanted} where tokenizer.json has {own}")
}

fn note(folder: &Path, said: &[String]) -> String {
    let path = folder.join("tokenizer_config.json");
    format!(
        "{}: {}; it is read as transformers reads it, and tokenizer.json gives way",
        path.display(),
        said.join(", ")
    )
}
