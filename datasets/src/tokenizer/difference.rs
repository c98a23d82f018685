//! Whether two tokenizers give the same numbers, and where they first differ.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Tokenizer;
use super::around::Around;

/// Parts of `tokenizer.json` that no number follows from.
const COSMETIC: [&str; 1] = ["trim_offsets"];

impl Tokenizer {
    /// The first thing by which another tokenizer gives other numbers to some text: a word, a piece, a step. How either is
    /// written down does not count.
    pub fn differs_from(&self, other: &Tokenizer) -> Option<String> {
        let words = words(&self.inner, &other.inner);
        let steps =
            || steps(&self.inner, &other.inner).unwrap_or_else(|e| Some(format!("they cannot be compared: {e}")));
        words.or_else(steps)
    }
}

/// The first word, in the order of the numbers, that has another number or none in the other.
fn words(mine: &tokenizers::Tokenizer, other: &tokenizers::Tokenizer) -> Option<String> {
    let first = |from: &tokenizers::Tokenizer, to: &tokenizers::Tokenizer| {
        let there = to.get_vocab(true);
        let by_number: BTreeMap<(u32, String), ()> =
            from.get_vocab(true).into_iter().map(|(word, id)| ((id, word), ())).collect();
        by_number.into_keys().find(|(id, word)| there.get(word) != Some(id)).map(|(id, word)| {
            let found = there.get(&word).map_or("none".to_string(), |number| number.to_string());
            (word, id.to_string(), found)
        })
    };
    if let Some((word, here, there)) = first(mine, other) {
        return Some(format!("the word `{word}` has number {here} in one and {there} in the other"));
    }
    let (word, there, here) = first(other, mine)?;
    Some(format!("the word `{word}` has number {here} in one and {there} in the other"))
}

fn steps(mine: &tokenizers::Tokenizer, other: &tokenizers::Tokenizer) -> Result<Option<String>, String> {
    let both = |of: fn(&tokenizers::Tokenizer) -> serde_json::Result<Value>| {
        let read = |from| of(from).map(plain).map_err(|e| e.to_string());
        Ok::<(Value, Value), String>((read(mine)?, read(other)?))
    };
    let (a, b) = both(|from| serde_json::to_value(from.get_model()))?;
    for (list, name) in [("merges", "merge"), ("vocab", "piece")] {
        let (a, b) =
            (a[list].as_array().map_or(&[][..], Vec::as_slice), b[list].as_array().map_or(&[][..], Vec::as_slice));
        if let Some(at) = (0..a.len().max(b.len())).find(|&at| a.get(at) != b.get(at)) {
            let shown = |list: &[Value]| list.get(at).map_or("none".to_string(), Value::to_string);
            return Ok(Some(format!("{name} number {at} is {} in one and {} in the other", shown(a), shown(b))));
        }
    }
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    for key in keys(&a).into_iter().chain(keys(&b)).filter(|key| key != "vocab" && key != "merges") {
        if a.get(&key) != b.get(&key) {
            return Ok(Some(format!("the model's `{key}` is {} in one and {} in the other", a[&key], b[&key])));
        }
    }
    let (a, b) = (added(mine), added(other));
    if let Some((word, _)) = a.iter().find(|(word, flags)| b.get(*word) != Some(flags)) {
        return Ok(Some(format!(
            "the added token `{word}` is looked for in texts in another way in the other, or not at all"
        )));
    }
    if let Some((word, _)) = b.iter().find(|(word, _)| !a.contains_key(*word)) {
        return Ok(Some(format!("the added token `{word}` is looked for in texts in one of the two only")));
    }
    let (a, b) = both(|from| serde_json::to_value(from.get_normalizer()))?;
    if a != b {
        return Ok(Some(format!("texts are normalised by {a} in one and by {b} in the other")));
    }
    let (a, b) = both(|from| serde_json::to_value(from.get_pre_tokenizer()))?;
    if a != b {
        return Ok(Some(format!("texts are split into words by {a} in one and by {b} in the other")));
    }
    let (a, b) = (Around::of(mine)?, Around::of(other)?);
    Ok((a != b).then(|| format!("one puts {}, the other {}", a.words(mine), b.words(other))))
}

/// Added tokens by their words, with what decides where they are found.
fn added(inner: &tokenizers::Tokenizer) -> BTreeMap<String, [bool; 4]> {
    let tokens = inner.get_added_tokens_decoder();
    let flags = |t: &tokenizers::AddedToken| [t.single_word, t.lstrip, t.rstrip, t.normalized];
    tokens.values().map(|token| (token.content.clone(), flags(token))).collect()
}

/// Without what does not matter; an unset `strip_accents` is what lower-casing makes of it.
fn plain(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.retain(|key, value| !COSMETIC.contains(&key.as_str()) && *value != "");
            if map.get("strip_accents") == Some(&Value::Null) {
                let lowercase = map.get("lowercase").cloned().unwrap_or_default();
                map.insert("strip_accents".into(), lowercase);
            }
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(|value| *value = plain(value.take()));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| *value = plain(value.take())),
        _ => {}
    }
    value
}
