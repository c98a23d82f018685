//! BERT's tokenizer from `vocab.txt`, for folders from the time before `tokenizer.json`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::added::Declared;
use super::class::{Class, Kind};
use super::config::Config;
use crate::Error;
use crate::table::text;

/// What `tokenizer.json` would hold, and what to tell the user: word pieces of a word a line, in the order of their numbers.
pub(super) fn tokenizer_json(
    folder: &Path,
    config: &Config,
    class: &Class,
    declared: &Declared,
) -> Result<(Value, Option<String>), Error> {
    let path = folder.join("vocab.txt");
    let other = |message: String| Error::Tokenizer { path: folder.join("tokenizer_config.json"), message };
    if let (false, Some(name)) = (matches!(class.kind, Kind::Bert | Kind::DistilBert), class.name) {
        let message = format!(
            "the tokenizer is a {name}, and there is no tokenizer.json but a vocab.txt, which only a BertTokenizer is read from; \
             write one with python and transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        );
        return Err(other(message));
    }
    if config.flag(folder, "do_basic_tokenize")? == Some(false) {
        let message = "`do_basic_tokenize` is false: texts would be split at spaces alone, which is not done here; \
                       choose a model whose texts are split as BERT's are";
        return Err(other(message.into()));
    }
    let text = text(&path)?.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    if lines.last() == Some(&"") {
        lines.pop();
    }
    let words: Map<String, Value> = lines.iter().enumerate().map(|(id, word)| (word.to_string(), id.into())).collect();
    let number = |key: &str, usual: &'static str| {
        let word = config.word(key).unwrap_or(usual).to_string();
        // an unknown word's stand-in is looked up among the words only
        let declared = if key == "unk_token" { None } else { declared.id(&word).map(Value::from) };
        let id = words.get(&word).cloned().or(declared);
        let message = format!("no line `{word}`: this is no vocabulary of BERT's");
        id.map(|id| (word, id)).ok_or(Error::Unusable { path: path.clone(), message })
    };
    let (unknown, cls, sep) =
        (number("unk_token", "[UNK]")?, number("cls_token", "[CLS]")?, number("sep_token", "[SEP]")?);
    let lowercase = config.flag(folder, "do_lower_case")?;
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": config.flag(folder, "tokenize_chinese_chars")?.unwrap_or(true),
            "strip_accents": config.flag(folder, "strip_accents")?, "lowercase": lowercase.unwrap_or(true)},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "cls": cls, "sep": sep},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": unknown.0, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": words},
    });
    let capitals = lines.iter().filter(|word| has_capitals(word)).count();
    let note = (capitals > 0 && lowercase.is_none()).then(|| {
        format!(
            "{}: {capitals} words have capitals, and texts are read in lower case, as transformers does where nothing else is \
             said; if the model is a cased one, write {{\"do_lower_case\": false}} to tokenizer_config.json beside it",
            path.display()
        )
    });
    Ok((json, note))
}

/// Whether lower-casing leaves such a word without use; what is in brackets is a special token.
fn has_capitals(word: &str) -> bool {
    !(word.starts_with('[') && word.ends_with(']')) && word.chars().any(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

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
