//! What a tokenizer puts around texts and pairs: a network reads the answer off the first token, so it must be there.

use std::path::Path;

use serde_json::{Value, json};
use tokenizers::{ModelWrapper, PostProcessorWrapper};

use super::class::Class;
use super::config::Config;
use crate::Error;

/// Words for the beginning and the end of a text, where a folder does not say which.
const USUAL: [(&str, &str); 2] = [("[CLS]", "[SEP]"), ("<s>", "</s>")];

/// The tokens around an empty text and around an empty pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) one: Vec<u32>,
    pub(super) two: Vec<u32>,
    pub(super) segments: Vec<u32>,
}

impl Around {
    pub(super) fn of(inner: &tokenizers::Tokenizer) -> Result<Around, String> {
        let failed = |e: tokenizers::Error| format!("cannot encode an empty text: {e}");
        let one = inner.encode_fast("", true).map_err(failed)?;
        let two = inner.encode_fast(("", ""), true).map_err(failed)?;
        Ok(Around { one: one.get_ids().to_vec(), two: two.get_ids().to_vec(), segments: two.get_type_ids().to_vec() })
    }

    /// Whether it is BERT's way or RoBERTa's with these two tokens; without `segments`, all are 0.
    fn is_usual(&self, cls: u32, sep: u32, segments: bool) -> bool {
        let bert = self.two == [cls, sep, sep] && self.segments == [0, 0, u32::from(segments)];
        let roberta = self.two == [cls, sep, sep, sep] && self.segments == [0; 4];
        self.one == [cls, sep] && (bert || roberta)
    }

    /// Whether it is one of these ways with whatever tokens.
    pub(super) fn is_plausible(&self) -> bool {
        let [cls, sep] = self.one[..] else { return false };
        self.is_usual(cls, sep, true) || self.is_usual(cls, sep, false)
    }

    /// The same in words.
    pub(super) fn words(&self, inner: &tokenizers::Tokenizer) -> String {
        let word = |id: &u32| format!("{} ({id})", inner.id_to_token(*id).unwrap_or_else(|| "no word".into()));
        let list = |ids: &[u32]| match ids {
            [] => "nothing".to_string(),
            ids => ids.iter().map(word).collect::<Vec<_>>().join(" "),
        };
        format!(
            "{} around a text, {} around a pair in the segments {:?}",
            list(&self.one),
            list(&self.two),
            self.segments
        )
    }
}

/// Holds what stands around texts to the folder's words for beginning and end. What BERT puts there is added to word pieces
/// that have nothing, and segments are taken away where the model is not given them.
pub(super) fn hold(
    inner: &mut tokenizers::Tokenizer,
    folder: &Path,
    config: &Config,
    class: &Class,
    notes: &mut Vec<String>,
) -> Result<bool, Error> {
    let path = folder.join("tokenizer.json");
    let wrong = |message: String| Error::Tokenizer { path: path.clone(), message };
    let (cls, sep) = ends(inner, config, class).ok_or_else(|| {
        wrong("there is no token for the beginning and the end of a text; name them as `cls_token` and `sep_token` in tokenizer_config.json".into())
    })?;
    let (first, last) = (id(inner, &cls), id(inner, &sep));
    let has_segments = class.has_segments() && names_segments(config);
    let before = Around::of(inner).map_err(wrong)?;
    if before.is_usual(first, last, has_segments) {
        return Ok(false);
    }
    let is_bare = inner.get_post_processor().is_none() && matches!(inner.get_model(), ModelWrapper::WordPiece(_));
    // the same tokens, and only the segments are not for this model
    let is_marked = !has_segments
        && before.one == [first, last]
        && [&[first, last, last][..], &[first, last, last, last]].contains(&&before.two[..]);
    if is_bare || is_marked {
        let ends = if before.two.len() == 4 { 2 } else { 1 };
        let made = template((&cls, first), (&sep, last), ends, has_segments);
        let made: PostProcessorWrapper = serde_json::from_value(made).map_err(|e| wrong(e.to_string()))?;
        inner.with_post_processor(Some(made));
        if is_bare {
            notes.push(format!(
                "{} puts nothing around texts; {cls} and {sep} are added, as BERT has them",
                path.display()
            ));
        }
    }
    let after = Around::of(inner).map_err(wrong)?;
    match after.is_usual(first, last, has_segments) {
        true => Ok(true),
        false => Err(wrong(format!(
            "it puts {}; expected {cls} ({first}) {sep} ({last}) around a text, as BERT or RoBERTa have it, for the answer is read \
             off the first token; give the post_processor of the model's own tokenizer",
            after.words(inner)
        ))),
    }
}

/// The words for beginning and end: those that the folder names, or usual ones that are there.
fn ends(inner: &tokenizers::Tokenizer, config: &Config, class: &Class) -> Option<(String, String)> {
    let usual = |key: &str| class.usual().iter().find(|(usual, _)| *usual == key).map(|(_, word)| *word);
    let given = |key: &str| config.word(key).or_else(|| usual(key));
    let named = given("cls_token").zip(given("sep_token"));
    let of_class = usual("cls_token").zip(usual("sep_token"));
    let all = named.into_iter().chain(of_class).chain(USUAL);
    let is_there = |word: &str| inner.token_to_id(word).is_some();
    all.into_iter().find(|(cls, sep)| is_there(cls) && is_there(sep)).map(|(cls, sep)| (cls.into(), sep.into()))
}

fn id(inner: &tokenizers::Tokenizer, word: &str) -> u32 {
    inner.token_to_id(word).unwrap_or_default()
}

/// Whether the model is given the numbers of segments.
fn names_segments(config: &Config) -> bool {
    let names = config.tokenizer.get("model_input_names").and_then(Value::as_array);
    names.is_none_or(|names| names.iter().any(|name| name == "token_type_ids"))
}

fn template(cls: (&str, u32), sep: (&str, u32), ends: usize, segments: bool) -> Value {
    let token = |(word, _): (&str, u32), segment: u32| json!({"SpecialToken": {"id": word, "type_id": segment}});
    let text = |name: &str, segment: u32| json!({"Sequence": {"id": name, "type_id": segment}});
    let second = u32::from(segments);
    let mut pair = vec![token(cls, 0), text("A", 0)];
    pair.extend(std::iter::repeat_n(token(sep, 0), ends));
    pair.extend([text("B", second), token(sep, second)]);
    let special = |(word, id): (&str, u32)| (word.to_string(), json!({"id": word, "ids": [id], "tokens": [word]}));
    let tokens: serde_json::Map<String, Value> = [special(cls), special(sep)].into_iter().collect();
    json!({"type": "TemplateProcessing", "single": [token(cls, 0), text("A", 0), token(sep, 0)], "pair": pair,
        "special_tokens": tokens})
}
