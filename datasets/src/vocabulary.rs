//! BERT's tokenizer from `vocab.txt`, for folders from the time before `tokenizer.json`.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Error;
use crate::table::text;

/// The special tokens by their keys in the folder's files, with their usual words. The first three must be in the vocabulary.
const SPECIAL: [(&str, &str); 5] = [
    ("unk_token", "[UNK]"),
    ("cls_token", "[CLS]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("mask_token", "[MASK]"),
];
const NEEDED: usize = 3;

/// What `tokenizer.json` would hold: word pieces of a word a line, in the order of their numbers.
pub(crate) fn tokenizer_json(folder: &Path) -> Result<Vec<u8>, Error> {
    let path = folder.join("vocab.txt");
    let text = text(&path)?;
    let mut lines: Vec<&str> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    if lines.last() == Some(&"") {
        lines.pop();
    }
    let words: Map<String, Value> = lines.iter().enumerate().map(|(id, word)| (word.to_string(), id.into())).collect();
    let config = object(&folder.join("tokenizer_config.json"))?;
    let map = object(&folder.join("special_tokens_map.json"))?;
    let mut special = Vec::new();
    for (at, (key, usual)) in SPECIAL.into_iter().enumerate() {
        let word = word(map.get(key)).or_else(|| word(config.get(key))).unwrap_or(usual);
        match words.get(word) {
            Some(id) => special.push((word, id)),
            None if at < NEEDED => {
                let message = format!("no line `{word}`: this is no vocabulary of BERT's");
                return Err(Error::Unusable { path, message });
            }
            None => {}
        }
    }
    let flag = |key: &str| config.get(key).and_then(Value::as_bool);
    let added = |(word, id): &(&str, &Value)| {
        json!({"id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": true})
    };
    let mut added: Vec<Value> = special.iter().map(added).collect();
    added.sort_by_key(|token| token["id"].as_u64());
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": flag("tokenize_chinese_chars").unwrap_or(true),
            "strip_accents": flag("strip_accents"), "lowercase": flag("do_lower_case").unwrap_or(true)},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "cls": special[1], "sep": special[2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": special[0].0, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": words},
    });
    Ok(json.to_string().into_bytes())
}

/// A file's JSON object; an empty one where there is no file.
fn object(path: &Path) -> Result<Map<String, Value>, Error> {
    if !path.is_file() {
        return Ok(Map::new());
    }
    let wrong = |error| Error::Unusable { path: path.into(), message: format!("no JSON object ({error})") };
    serde_json::from_str(&text(path)?).map_err(wrong)
}

/// A special token is written as its word, or as an object with it.
fn word(value: Option<&Value>) -> Option<&str> {
    let value = value?;
    value.as_str().or_else(|| value.get("content")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokenizer;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn ids(folder: &Path, text: &str) -> Vec<u32> {
        Tokenizer::load(folder, 16).unwrap().encode(text, None).unwrap().ids
    }

    const VOCAB: &str = "[PAD]\r\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nfine\nfilm\n##s\nécl\necl\n中\nFine\n##air\n";

    #[test]
    fn a_vocabulary_makes_berts_tokenizer() {
        let folder = folder(&[("vocab.txt", VOCAB)]);
        assert_eq!(ids(folder.path(), "A fine Éclair[MASK]中films"), [2, 5, 6, 10, 13, 4, 11, 7, 8, 3]);
        let tokenizer = Tokenizer::load(folder.path(), 16).unwrap();
        let pair = tokenizer.encode("fine", Some("film")).unwrap();
        assert_eq!((pair.ids, pair.type_ids), (vec![2, 6, 3, 7, 3], vec![0, 0, 0, 1, 1]));
        assert_eq!((tokenizer.vocab_size(), tokenizer.largest_id().unwrap()), (14, Some(13)));
    }

    #[test]
    fn the_folders_own_words_are_heeded() {
        let cased = folder(&[("vocab.txt", VOCAB), ("tokenizer_config.json", "{\"do_lower_case\": false}")]);
        assert_eq!(ids(cased.path(), "Fine éclair"), [2, 12, 9, 13, 3]);
        let config =
            "{\"strip_accents\": false, \"tokenize_chinese_chars\": false, \"cls_token\": {\"content\": \"fine\"}}";
        let other = folder(&[("vocab.txt", VOCAB), ("tokenizer_config.json", config)]);
        assert_eq!(ids(other.path(), "Éclair 中s"), [6, 9, 13, 11, 8, 3]);
        let map = folder(&[("vocab.txt", VOCAB), ("special_tokens_map.json", "{\"sep_token\": \"film\"}")]);
        assert_eq!(ids(map.path(), "fine"), [2, 6, 7]);
    }

    #[test]
    fn what_is_written_reads_the_same_and_is_not_cut() {
        let old = folder(&[("vocab.txt", VOCAB)]);
        let tokenizer = Tokenizer::load(old.path(), 5).unwrap();
        let new = folder(&[]);
        std::fs::write(new.path().join("tokenizer.json"), tokenizer.to_json().unwrap()).unwrap();
        for text in ["a fine film, Éclair 中 [SEP] films", "", "unknown"] {
            assert_eq!(ids(old.path(), text), ids(new.path(), text), "{text}");
        }
        let json: Value = serde_json::from_slice(&tokenizer.to_json().unwrap()).unwrap();
        assert!(json["truncation"].is_null() && json["padding"].is_null());
    }

    #[test]
    fn what_is_no_vocabulary_is_said() {
        let none = folder(&[("vocab.txt", "a\nb\n")]);
        assert!(Tokenizer::load(none.path(), 16).unwrap_err().to_string().contains("no line `[UNK]`"));
        let odd = folder(&[("vocab.txt", VOCAB), ("tokenizer_config.json", "[]")]);
        assert!(Tokenizer::load(odd.path(), 16).unwrap_err().to_string().contains("tokenizer_config.json: no JSON"));
        let error = Tokenizer::load(folder(&[]).path(), 16).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json"), "{error}");
    }
}
