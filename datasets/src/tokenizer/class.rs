//! Tokenizer classes of transformers: which of them split texts as we do, and what each changes in what it reads.

use std::path::Path;

use serde_json::{Map, Value};

use super::config::Config;
use super::special::Special;
use crate::Error;

/// What a class does beyond reading `tokenizer.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Heeds `do_lower_case`, `strip_accents` and `tokenize_chinese_chars`.
    Bert,
    /// The same, and its models see no segments.
    DistilBert,
    /// Its mask takes the space before it along; its models see no segments.
    Roberta,
    /// The same with another mask.
    XlmRoberta,
    /// The same with names for words of its pieces that are not used.
    Camembert,
    /// Heeds case and accents; its models see no segments, and its special tokens are RoBERTa's but for unknown words.
    Mpnet,
    /// Nothing.
    Plain,
}

/// Names without `Fast`; the latter two stand for `tokenizer.json` as it is.
const KNOWN: [(&str, Kind); 9] = [
    ("BertTokenizer", Kind::Bert),
    ("ElectraTokenizer", Kind::Bert),
    ("DistilBertTokenizer", Kind::DistilBert),
    ("RobertaTokenizer", Kind::Roberta),
    ("XLMRobertaTokenizer", Kind::XlmRoberta),
    ("CamembertTokenizer", Kind::Camembert),
    ("MPNetTokenizer", Kind::Mpnet),
    ("PreTrainedTokenizer", Kind::Plain),
    ("TokenizersBackend", Kind::Plain),
];
/// What transformers takes where no class is named, by `model_type`.
const OF_MODELS: [(&str, &str); 5] = [
    ("bert", "BertTokenizer"),
    ("roberta", "RobertaTokenizer"),
    ("xlm-roberta", "XLMRobertaTokenizer"),
    ("camembert", "CamembertTokenizer"),
    ("mpnet", "MPNetTokenizer"),
];
const BERTS: [(&str, &str); 5] = [
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];
const ROBERTAS: [(&str, &str); 7] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];
const MPNETS: [(&str, &str); 7] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "[UNK]"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];
const UNUSED: [&str; 3] = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"];

/// Keys that name ways of splitting which are not ours, and the value with which they change nothing.
const OTHER_WAYS: [(&str, &str); 5] = [
    ("word_tokenizer_type", "basic"),
    ("subword_tokenizer_type", "wordpiece"),
    ("split_special_tokens", "false"),
    ("truncation_side", "right"),
    ("fast_tokenizer_files", "[]"),
];

/// The class of a folder's tokenizer.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) kind: Kind,
    /// Its name, where one is named or follows from the model's kind.
    pub(super) name: Option<&'static str>,
}

impl Class {
    /// The class that transformers takes, or why it is not read here.
    pub(super) fn of(folder: &Path, config: &Config) -> Result<Class, Error> {
        let path = folder.join("tokenizer_config.json");
        let named = |map: &Map<String, Value>| map.get("tokenizer_class").and_then(Value::as_str).map(str::to_string);
        let (name, path) = match (named(&config.tokenizer), named(&config.model)) {
            (Some(name), _) => (name, path),
            (None, Some(name)) => (name, folder.join("config.json")),
            (None, None) if config.tokenizer.get("auto_map").is_some_and(|map| !map.is_null()) => {
                let message = format!("`auto_map` names code of the model's own, which is not run here; {}", cure());
                return Err(Error::Tokenizer { path, message });
            }
            (None, None) => {
                // a config.json without a kind is a BERT's; without a config.json nothing is known
                let model = config.model.get("model_type").and_then(Value::as_str);
                let model = model.or((!config.model.is_empty()).then_some("bert"));
                let name = OF_MODELS.iter().find(|(kind, _)| Some(*kind) == model).map(|(_, name)| *name);
                (name.unwrap_or("PreTrainedTokenizer").to_string(), path)
            }
        };
        let plain = name.strip_suffix("Fast").unwrap_or(&name);
        let Some((known, kind)) = KNOWN.iter().find(|(known, _)| *known == plain) else {
            let message =
                format!("`tokenizer_class` is {name}, which splits texts in a way that is not read here; {}", cure());
            return Err(Error::Tokenizer { path, message });
        };
        let path = folder.join("tokenizer_config.json");
        for (key, same) in OTHER_WAYS {
            let Some(value) = config.tokenizer.get(key).filter(|value| !value.is_null()) else { continue };
            let got = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            if got != same {
                let message = format!("`{key}` is {got}, which is not done here; expected {same}; {}", cure());
                return Err(Error::Tokenizer { path, message });
            }
        }
        let is_named = *known != "PreTrainedTokenizer" || named(&config.tokenizer).or(named(&config.model)).is_some();
        Ok(Class { kind: *kind, name: is_named.then_some(*known) })
    }

    /// Whether it rebuilds BERT's normaliser.
    pub(super) fn heeds_case(&self) -> bool {
        matches!(self.kind, Kind::Bert | Kind::DistilBert | Kind::Mpnet)
    }

    /// Whether its models are given the numbers of segments.
    pub(super) fn has_segments(&self) -> bool {
        matches!(self.kind, Kind::Bert | Kind::Plain)
    }

    /// The words of its special tokens, where the folder does not name others.
    pub(super) fn usual(&self) -> &'static [(&'static str, &'static str)] {
        match self.kind {
            Kind::Bert | Kind::DistilBert => &BERTS,
            Kind::Roberta | Kind::XlmRoberta | Kind::Camembert => &ROBERTAS,
            Kind::Mpnet => &MPNETS,
            Kind::Plain => &[],
        }
    }

    /// Further special tokens, where the folder does not name others.
    pub(super) fn usual_others(&self) -> &'static [&'static str] {
        if self.kind == Kind::Camembert { &UNUSED } else { &[] }
    }

    /// A special token that is named by its word alone.
    pub(super) fn special(&self, key: &str, word: &str) -> Special {
        let mask = tokenizers::AddedToken::from(word, false).lstrip(true);
        match (key, self.kind) {
            ("mask_token", Kind::Roberta | Kind::Camembert) => Special::Token(mask.normalized(false)),
            ("mask_token", Kind::XlmRoberta | Kind::Mpnet) => Special::Token(mask),
            _ => Special::Word(word.into()),
        }
    }
}

fn cure() -> String {
    let names: Vec<&str> = KNOWN[..KNOWN.len() - 2].iter().map(|(name, _)| *name).collect();
    format!("choose a model whose tokenizer is a {} or a PreTrainedTokenizerFast", names.join(", "))
}
