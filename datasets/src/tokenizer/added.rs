//! Tokens beside the model's own words: those that files beside it declare, and the special ones.
//!
//! They are added in the order in which transformers adds them, for the numbers follow from the order. Where a file says which
//! number a token has, it must come out.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::Value;
use tokenizers::{AddedToken, Model};

use super::class::Class;
use super::config::{Config, token, word_of};
use super::special::Special;
use crate::Error;

/// The keys of special tokens, in the order in which they are added.
const KEYS: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Tokens with their numbers, as files declare them.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    tokens: BTreeMap<u32, AddedToken>,
}

impl Declared {
    /// What the files beside the vocabulary say. `own` are those of `tokenizer.json`.
    pub(super) fn read(folder: &Path, config: &Config, own: &BTreeMap<u32, AddedToken>) -> Result<Declared, Error> {
        let mut tokens = BTreeMap::new();
        let wrong = |file: &str, message: String| Error::Tokenizer { path: folder.join(file), message };
        if config.has_decoder() {
            let file = "tokenizer_config.json";
            let expected = "`added_tokens_decoder` is no object of numbers with their tokens";
            let listed = config.tokenizer.get("added_tokens_decoder").and_then(Value::as_object);
            for (number, value) in listed.ok_or_else(|| wrong(file, expected.into()))? {
                let parsed = number.parse().ok().zip(token(value, false));
                let (id, token) = parsed.ok_or_else(|| wrong(file, format!("{expected} (at `{number}`)")))?;
                tokens.insert(id, token);
            }
            return Ok(Declared { tokens });
        }
        let named: HashSet<&str> = KEYS.iter().filter_map(|key| config.word(key)).collect();
        let others: HashSet<&str> = config.others().into_iter().filter_map(word_of).collect();
        for (word, id) in numbered(folder, config)? {
            let special = named.contains(word) || others.contains(word);
            tokens.insert(id, AddedToken::from(word, special));
        }
        tokens.extend(own.iter().map(|(id, token)| (*id, token.clone())));
        Ok(Declared { tokens })
    }

    /// The number of a word.
    pub(super) fn id(&self, word: &str) -> Option<u32> {
        self.tokens.iter().find(|(_, token)| token.content == word).map(|(id, _)| *id)
    }
}

/// The words of `added_tokens.json`.
fn numbered<'a>(folder: &Path, config: &'a Config) -> Result<Vec<(&'a str, u32)>, Error> {
    let number = |(word, id): (&'a String, &Value)| {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let message = format!("`{word}` has no number; expected an object of words with their numbers");
        let wrong = || Error::Tokenizer { path: folder.join("added_tokens.json"), message };
        Ok((word.as_str(), id.ok_or_else(wrong)?))
    };
    config.added.iter().map(number).collect()
}

/// Adds what is declared and the special tokens. Says whether that changed anything.
pub(super) fn add(
    inner: &mut tokenizers::Tokenizer,
    folder: &Path,
    config: &Config,
    class: &Class,
    own: &BTreeMap<u32, AddedToken>,
    declared: &Declared,
) -> Result<bool, Error> {
    let specials = specials(inner, config, class, own, declared);
    let mut tokens: Vec<AddedToken> =
        declared.tokens.values().filter(|token| !own.values().any(|other| other == *token)).cloned().collect();
    let there: HashSet<String> = own.values().chain(&tokens).map(|token| token.content.clone()).collect();
    for special in &specials {
        match special {
            Special::Word(word) if !there.contains(word) => tokens.push(AddedToken::from(word.as_str(), true)),
            Special::Token(token) if !tokens.contains(token) => tokens.push(token.clone()),
            _ => {}
        }
    }
    for token in &mut tokens {
        token.special |= specials.iter().any(|special| special.word() == token.content);
    }
    let words: Vec<String> = tokens.iter().map(|token| token.content.clone()).collect();
    let wrong = |file: &str, message: String| Error::Tokenizer { path: folder.join(file), message };
    let added = inner.add_tokens(tokens).map_err(|e| wrong("tokenizer_config.json", e.to_string()))?;

    let file = if config.has_decoder() { "tokenizer_config.json" } else { "added_tokens.json" };
    let numbered = numbered(folder, config)?;
    let files = declared.tokens.iter().map(|(id, token)| {
        let is_own = own.get(id).is_some_and(|other| other.content == token.content);
        (if is_own { "tokenizer.json" } else { file }, token.content.as_str(), *id)
    });
    let beside = numbered.iter().map(|(word, id)| ("added_tokens.json", *word, *id));
    let own = own.iter().map(|(id, token)| ("tokenizer.json", token.content.as_str(), *id));
    for (file, word, id) in files.chain(beside).chain(own) {
        let got = inner.token_to_id(word);
        if got != Some(id) && !word.is_empty() {
            let got = got.map_or("not added at all".into(), |got| format!("number {got}"));
            let message = format!(
                "the added token `{word}` should have number {id} and comes out as {got}: the numbers of added tokens follow \
                 those of the vocabulary without a gap; mend the file, or save the tokenizer anew with save_pretrained"
            );
            return Err(wrong(file, message));
        }
    }
    for word in words {
        let id = inner.token_to_id(&word);
        let model = id.and_then(|id| inner.get_model().id_to_token(id));
        if let Some(other) = model.filter(|other| *other != word) {
            let message = format!(
                "the added token `{word}` and the word `{other}` would have the same number {}; is a word there twice?",
                id.unwrap_or_default()
            );
            return Err(wrong("tokenizer_config.json", message));
        }
    }
    Ok(added > 0)
}

/// The special tokens of the folder, or else the class's where they are words of the vocabulary.
fn specials(
    inner: &tokenizers::Tokenizer,
    config: &Config,
    class: &Class,
    own: &BTreeMap<u32, AddedToken>,
    declared: &Declared,
) -> Vec<Special> {
    let mut all: Vec<Special> = Vec::new();
    let mut add = |special: Special| {
        if !all.iter().any(|other| other.word() == special.word()) {
            all.push(special);
        }
    };
    // a word that stands for a declared token has its flags
    let known: Vec<&AddedToken> =
        if config.has_decoder() { declared.tokens.values().collect() } else { own.values().collect() };
    let with_flags = |word: &str| known.iter().rev().find(|token| token.content == word);
    for key in KEYS {
        if let Some(word) = config.word(key) {
            let given = config.special(key).filter(|value| value.is_object());
            let given = given.and_then(|value| token(value, !config.has_decoder() && config.special.contains_key(key)));
            let known = with_flags(word).map(|token| (*token).clone());
            add(known.or(given).map_or_else(|| class.special(key, word), Special::Token));
        } else if let Some((_, word)) = class.usual().iter().find(|(usual, _)| *usual == key)
            && inner.token_to_id(word).is_some()
        {
            add(class.special(key, word));
        }
    }
    for value in config.others() {
        match (value.as_str(), token(value, !config.has_decoder())) {
            (Some(word), _) => add(Special::Word(word.into())),
            (None, Some(token)) => add(Special::Token(token)),
            (None, None) => {}
        }
    }
    if config.others().is_empty() {
        let there = class.usual_others().iter().filter(|word| inner.token_to_id(word).is_some());
        there.for_each(|word| add(Special::Word((*word).into())));
    }
    all
}
