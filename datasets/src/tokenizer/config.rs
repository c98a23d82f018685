//! The files beside a vocabulary, which say how it is to be read.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::Error;
use crate::table::text;

const OTHERS: &str = "additional_special_tokens";

/// The objects in a folder's files; empty where there is no file.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// `tokenizer_config.json`.
    pub(super) tokenizer: Map<String, Value>,
    /// `special_tokens_map.json`.
    pub(super) special: Map<String, Value>,
    /// `added_tokens.json`.
    pub(super) added: Map<String, Value>,
    /// `config.json`.
    pub(super) model: Map<String, Value>,
}

impl Config {
    pub(super) fn read(folder: &Path) -> Result<Config, Error> {
        let read = |name: &str| object(&folder.join(name));
        Ok(Config {
            tokenizer: read("tokenizer_config.json")?,
            special: read("special_tokens_map.json")?,
            added: read("added_tokens.json")?,
            model: read("config.json")?,
        })
    }

    /// A flag of `tokenizer_config.json`; nothing where it is not given.
    pub(super) fn flag(&self, folder: &Path, key: &str) -> Result<Option<bool>, Error> {
        match self.tokenizer.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => {
                let message = format!("`{key}` is {other}; expected true or false");
                Err(Error::Tokenizer { path: folder.join("tokenizer_config.json"), message })
            }
        }
    }

    /// Whether the tokens that were added are all in `tokenizer_config.json`: then transformers reads no other file for them.
    pub(super) fn has_decoder(&self) -> bool {
        self.tokenizer.contains_key("added_tokens_decoder")
    }

    /// How a special token is given.
    pub(super) fn special(&self, key: &str) -> Option<&Value> {
        let from_map = if self.has_decoder() { None } else { self.special.get(key) };
        from_map.filter(|value| !value.is_null()).or_else(|| self.tokenizer.get(key)).filter(|value| !value.is_null())
    }

    /// The word of a special token.
    pub(super) fn word(&self, key: &str) -> Option<&str> {
        self.special(key).and_then(word_of)
    }

    /// Special tokens without a purpose that transformers knows.
    pub(super) fn others(&self) -> Vec<&Value> {
        let from_map = if self.has_decoder() { None } else { self.special.get(OTHERS) };
        let lists = [self.tokenizer.get(OTHERS), from_map].into_iter().flatten();
        lists.filter_map(Value::as_array).flatten().collect()
    }
}

/// The word of a token that is written as its word, or as an object with it.
pub(super) fn word_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// A token with its flags, as the library's files have it; nothing where it has no word.
pub(super) fn token(value: &Value, is_special: bool) -> Option<AddedToken> {
    let word = value.get("content")?.as_str()?;
    let flag = |key: &str, usual: bool| value.get(key).and_then(Value::as_bool).unwrap_or(usual);
    let special = is_special || flag("special", false);
    Some(AddedToken {
        content: word.to_string(),
        single_word: flag("single_word", false),
        lstrip: flag("lstrip", false),
        rstrip: flag("rstrip", false),
        normalized: flag("normalized", !special),
        special,
    })
}

/// A file's JSON object; an empty one where there is no file.
fn object(path: &Path) -> Result<Map<String, Value>, Error> {
    if !path.is_file() {
        return Ok(Map::new());
    }
    let wrong = |error| Error::Unusable { path: path.into(), message: format!("no JSON object ({error})") };
    serde_json::from_str(&text(path)?).map_err(wrong)
}
