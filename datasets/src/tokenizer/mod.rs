//! Text to token numbers, as transformers reads the tokenizer of a model's folder.
//!
//! What is right is what `AutoTokenizer` of transformers makes of the folder; `tests/it/tokenisation.rs` holds us to it. What
//! cannot be read that way is refused.

mod added;
mod around;
mod class;
mod config;
mod difference;
mod rebuilt;
mod special;
mod vocabulary;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use tokenizers::{AddedToken, ModelWrapper};

use crate::Error;
use added::Declared;
use around::Around;
use class::{Class, Kind};
use config::Config;

const JSON: &str = "tokenizer.json";
/// Vocabularies of other tokenizers than BERT's, which are read from `tokenizer.json` only.
const OTHERS: [&str; 4] = ["vocab.json", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model"];

/// The tokenizer of a model's folder, cut to a length, without padding.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    path: PathBuf,
    max_length: usize,
    inner: tokenizers::Tokenizer,
    /// The file, where it is what it was read as.
    whole: Option<Vec<u8>>,
    class: Option<&'static str>,
    notes: Vec<String>,
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
    /// Reads `tokenizer.json`, or else BERT's `vocab.txt`, from a model's folder, and heeds what stands beside it. Texts are cut
    /// to `max_length` tokens.
    pub fn load(folder: &Path, max_length: usize) -> Result<Tokenizer, Error> {
        let [json, vocabulary] = [JSON, "vocab.txt"].map(|name| folder.join(name));
        let is_old = !json.is_file() && vocabulary.is_file();
        let path = if is_old { vocabulary } else { json };
        let other = OTHERS.iter().find(|name| folder.join(name).is_file());
        if let (false, false, Some(other)) = (is_old, path.is_file(), other) {
            let message = format!(
                "there is no tokenizer.json, and {other} is not read here; write one with python and transformers: \
                 AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
            );
            return Err(Error::Tokenizer { path: folder.join(other), message });
        }
        let config = Config::read(folder)?;
        let class = match Class::of(folder, &config)? {
            // nothing says whose it is, and only BERT's are read from a vocabulary
            Class { name: None, .. } if is_old => Class { kind: Kind::Bert, name: None },
            class => class,
        };
        let mut notes = Vec::new();
        let (bytes, declared) = match is_old {
            true => {
                let declared = Declared::read(folder, &config, &BTreeMap::new())?;
                let (json, note) = vocabulary::tokenizer_json(folder, &config, &class, &declared)?;
                notes.extend(note);
                (json.to_string().into_bytes(), Some(declared))
            }
            false => (read(&path)?, None),
        };
        let own = own_tokens(&path, &bytes)?;
        let declared = declared.map_or_else(|| Declared::read(folder, &config, &own), Ok)?;
        let mut inner = parse(&path, &bytes)?;
        let added = added::add(&mut inner, folder, &config, &class, &own, &declared)?;
        let rebuilt = rebuilt::rebuild(&mut inner, folder, &config, &class, &mut notes)?;
        let held = around::hold(&mut inner, folder, &config, &class, &mut notes)?;
        let whole = (!is_old && !added && !rebuilt && !held).then_some(bytes);
        Tokenizer { path, max_length, inner, whole, class: class.name, notes }.cut()
    }

    /// Reads a `tokenizer.json` as it stands, whatever lies beside it: one that [`Tokenizer::to_json`] made.
    pub fn read(path: &Path, max_length: usize) -> Result<Tokenizer, Error> {
        let inner = parse(path, &read(path)?)?;
        let wrong = |message: String| Error::Tokenizer { path: path.into(), message };
        let around = Around::of(&inner).map_err(wrong)?;
        if !around.is_plausible() {
            let found = around.words(&inner);
            return Err(wrong(format!(
                "it puts {found}, which neither BERT nor RoBERTa has; convert the student anew"
            )));
        }
        Tokenizer { path: path.into(), max_length, inner, whole: None, class: None, notes: Vec::new() }.cut()
    }

    /// Sets the length, in which the tokens around a pair and a word of each must have room.
    fn cut(mut self) -> Result<Tokenizer, Error> {
        let wrong = |message: String| Error::Tokenizer { path: self.path.clone(), message };
        let (max_length, least) = (self.max_length, Around::of(&self.inner).map_err(wrong)?.two.len() + 2);
        if max_length < least {
            return Err(wrong(format!("expected a length of at least {least} tokens, got {max_length}")));
        }
        let cut = tokenizers::TruncationParams { max_length, ..Default::default() };
        self.inner.with_truncation(Some(cut)).map_err(|e| wrong(e.to_string()))?;
        Ok(self)
    }

    /// What there is to tell the user about how the folder was read; each is a warning.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The class by which transformers reads the folder, where one is named or follows from the model's kind.
    pub fn class(&self) -> Option<&'static str> {
        self.class
    }

    /// What `tokenizer.json` holds for this tokenizer, not cut to a length; the file itself where it is just that.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        if let Some(whole) = &self.whole {
            return Ok(whole.clone());
        }
        let wrong = |e: tokenizers::Error| Error::Tokenizer { path: self.path.clone(), message: e.to_string() };
        let mut inner = self.inner.clone();
        inner.with_truncation(None).map_err(wrong)?;
        Ok(inner.to_string(true).map_err(wrong)?.into_bytes())
    }

    /// Encodes one text, or a pair.
    pub fn encode(&self, text: &str, pair: Option<&str>) -> Result<Encoding, Error> {
        Ok(self.encode_telling(text, pair)?.0)
    }

    /// The same, with the number of a text (0 or 1) of which nothing is left.
    pub(crate) fn encode_telling(&self, text: &str, pair: Option<&str>) -> Result<(Encoding, Option<usize>), Error> {
        let encoded = match pair {
            None => self.inner.encode_fast(text, true),
            Some(pair) => self.inner.encode_fast((text, pair), true),
        };
        let encoded = encoded
            .map_err(|e| Error::Tokenizer { path: self.path.clone(), message: format!("cannot encode: {e}") })?;
        let of = encoded.get_sequence_ids();
        let nothing = (0..=usize::from(pair.is_some())).find(|part| !of.contains(&Some(*part)));
        let encoding = Encoding {
            ids: encoded.get_ids().to_vec(),
            type_ids: encoded.get_type_ids().to_vec(),
            truncated: !encoded.get_overflowing().is_empty(),
        };
        Ok((encoding, nothing))
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

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}

fn parse(path: &Path, bytes: &[u8]) -> Result<tokenizers::Tokenizer, Error> {
    let wrong = |message: String| Error::Tokenizer { path: path.into(), message };
    let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| wrong(e.to_string()))?;
    if let ModelWrapper::BPE(model) = inner.get_model()
        && model.dropout.is_some_and(|share| share > 0.0)
    {
        let message = "the model's `dropout` is not 0, so that a text has other tokens each time; set it to null";
        return Err(wrong(message.into()));
    }
    inner.with_padding(None);
    inner.with_truncation(None).map_err(|e| wrong(e.to_string()))?;
    Ok(inner)
}

/// The added tokens of a `tokenizer.json`, with the numbers that it says.
fn own_tokens(path: &Path, bytes: &[u8]) -> Result<BTreeMap<u32, AddedToken>, Error> {
    #[derive(serde::Deserialize)]
    struct Own {
        #[serde(default)]
        added_tokens: Vec<Numbered>,
    }
    #[derive(serde::Deserialize)]
    struct Numbered {
        id: u32,
        #[serde(flatten)]
        token: AddedToken,
    }
    let own: Own =
        serde_json::from_slice(bytes).map_err(|e| Error::Tokenizer { path: path.into(), message: e.to_string() })?;
    Ok(own.added_tokens.into_iter().map(|one| (one.id, one.token)).collect())
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
