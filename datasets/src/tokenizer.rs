//! Text to token numbers.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Error, vocabulary};

/// The shortest length a tokenizer is cut to: room for the special tokens of a pair and a word of each.
const SHORTEST: usize = 5;

/// The tokenizer of a model's folder, cut to a length, without padding.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    path: PathBuf,
    max_length: usize,
    inner: tokenizers::Tokenizer,
}

/// A text as numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoding {
    /// The tokens, `[CLS]` and `[SEP]` included.
    pub ids: Vec<u32>,
    /// The segment of each token.
    pub type_ids: Vec<u32>,
    /// Whether something did not fit and was cut off.
    pub truncated: bool,
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoding {{ {} tokens, secret, truncated: {} }}", self.ids.len(), self.truncated)
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json`, or else BERT's `vocab.txt`, from a model's folder. Texts are cut to `max_length` tokens.
    pub fn load(folder: &Path, max_length: usize) -> Result<Tokenizer, Error> {
        let [json, vocabulary] = ["tokenizer.json", "vocab.txt"].map(|name| folder.join(name));
        let is_old = !json.is_file() && vocabulary.is_file();
        let path = if is_old { vocabulary } else { json };
        let wrong = |message: String| Error::Tokenizer { path: path.clone(), message };
        if max_length < SHORTEST {
            return Err(wrong(format!("expected a length of at least {SHORTEST} tokens, got {max_length}")));
        }
        let bytes = match is_old {
            true => vocabulary::tokenizer_json(folder)?,
            false => std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?,
        };
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| wrong(e.to_string()))?;
        inner.with_padding(None);
        let cut = tokenizers::TruncationParams { max_length, ..Default::default() };
        inner.with_truncation(Some(cut)).map_err(|e| wrong(e.to_string()))?;
        Ok(Tokenizer { path, max_length, inner })
    }

    /// What `tokenizer.json` holds for this tokenizer, not cut to a length.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        let wrong = |e: tokenizers::Error| Error::Tokenizer { path: self.path.clone(), message: e.to_string() };
        let mut inner = self.inner.clone();
        inner.with_truncation(None).map_err(wrong)?;
        Ok(inner.to_string(true).map_err(wrong)?.into_bytes())
    }

    /// Encodes one text, or a pair.
    pub fn encode(&self, text: &str, pair: Option<&str>) -> Result<Encoding, Error> {
        let encoded = match pair {
            None => self.inner.encode_fast(text, true),
            Some(pair) => self.inner.encode_fast((text, pair), true),
        };
        let encoded = encoded
            .map_err(|e| Error::Tokenizer { path: self.path.clone(), message: format!("cannot encode: {e}") })?;
        Ok(Encoding {
            ids: encoded.get_ids().to_vec(),
            type_ids: encoded.get_type_ids().to_vec(),
            truncated: !encoded.get_overflowing().is_empty(),
        })
    }

    /// Number of words, special tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The largest number that a text can be encoded with: of the words, or of what is put around every text and pair. Not
    /// one less than [`Tokenizer::vocab_size`] where numbers are left out.
    pub fn largest_id(&self) -> Result<Option<u32>, Error> {
        let around = [self.encode("", None)?, self.encode("", Some(""))?];
        let words = self.inner.get_vocab(true).into_values();
        Ok(words.chain(around.into_iter().flat_map(|encoding| encoding.ids)).max())
    }

    /// The length texts are cut to.
    pub fn max_length(&self) -> usize {
        self.max_length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "fine", "film", "##s"];
        let vocab: serde_json::Map<String, serde_json::Value> =
            words.iter().enumerate().map(|(id, word)| (word.to_string(), id.into())).collect();
        let json = serde_json::json!({
            "version": "1.0",
            "padding": {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                "pad_type_id": 0, "pad_token": "[PAD]"},
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocab},
        });
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
        folder
    }

    #[test]
    fn texts_become_numbers_without_padding() {
        let tokenizer = Tokenizer::load(small().path(), 16).unwrap();
        let one = tokenizer.encode("A fine film", None).unwrap();
        assert_eq!(one, Encoding { ids: vec![2, 4, 5, 6, 3], type_ids: vec![0; 5], truncated: false });
        let pair = tokenizer.encode("films", Some("dull")).unwrap();
        assert_eq!(pair.ids, [2, 6, 7, 3, 1, 3]);
        assert_eq!(pair.type_ids, [0, 0, 0, 0, 1, 1]);
        assert_eq!((tokenizer.vocab_size(), tokenizer.largest_id().unwrap()), (8, Some(7)));
    }

    #[test]
    fn the_largest_number_counts_and_not_the_number_of_words() {
        let folder = small();
        let path = folder.path().join("tokenizer.json");
        let json = std::fs::read_to_string(&path).unwrap();
        let with = |from: &str, to: &str| {
            assert!(json.contains(from), "{from}");
            std::fs::write(&path, json.replace(from, to)).unwrap();
            let tokenizer = Tokenizer::load(folder.path(), 16).unwrap();
            (tokenizer.vocab_size(), tokenizer.largest_id().unwrap())
        };
        assert_eq!(with("\"film\":6", "\"film\":600"), (8, Some(600)));
        // what stands around a text need not be a word
        assert_eq!(with("[\"[SEP]\",3]", "[\"[SEP]\",99]"), (8, Some(99)));
    }

    #[test]
    fn a_text_is_not_printed() {
        let encoding = Tokenizer::load(small().path(), 16).unwrap().encode("a fine film", None).unwrap();
        assert_eq!(format!("{encoding:?}"), "Encoding { 5 tokens, secret, truncated: false }");
    }

    #[test]
    fn what_is_cut_off_is_said() {
        let tokenizer = Tokenizer::load(small().path(), 5).unwrap();
        let long = tokenizer.encode("a fine film a fine film", None).unwrap();
        assert_eq!(long.ids, [2, 4, 5, 6, 3]);
        assert!(long.truncated);
        assert!(!tokenizer.encode("a fine film", None).unwrap().truncated);
    }

    #[test]
    fn a_bad_folder_or_length_is_an_error() {
        assert!(matches!(Tokenizer::load(Path::new("/nowhere"), 16), Err(Error::Read { .. })));
        assert!(Tokenizer::load(small().path(), 2).unwrap_err().to_string().contains("at least 5"));
        let folder = small();
        std::fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
        assert!(matches!(Tokenizer::load(folder.path(), 16), Err(Error::Tokenizer { .. })));
    }
}
