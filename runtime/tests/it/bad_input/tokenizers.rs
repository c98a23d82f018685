//! Mistakes in tokenizers, and texts of which they leave nothing.

use std::fs;

use super::{Case, TEACH, World, edit};
use crate::sessions::copy;

const WITH_STUDENT: &str = "distill --teacher {root}/teacher --student {root}/other --task sst2 --data-dir {root}/glue --max-seq-length 16 \
                            --output-dir {root}/out";

pub(crate) fn cases() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), run, code, says| Case { wrong, prepare, run, code, says };
    vec![
        case(
            "a tokenizer of another class",
            |w| {
                let config = "{\"tokenizer_class\": \"BertJapaneseTokenizer\", \"word_tokenizer_type\": \"mecab\"}";
                fs::write(w.path("teacher/tokenizer_config.json"), config).unwrap();
            },
            TEACH,
            3,
            &["`tokenizer_class` is BertJapaneseTokenizer", "choose a model"],
        ),
        case(
            "a tokenizer that begins texts with another token",
            |w| edit(&w.path("teacher/tokenizer.json"), "[\"[CLS]\",2]", "[\"w5\",5]"),
            TEACH,
            3,
            &["w5 (5) [SEP] (3) around a text", "expected [CLS] (2)", "post_processor"],
        ),
        case(
            "an added token with a number that it cannot have",
            |w| fs::write(w.path("teacher/added_tokens.json"), "{\"new\": 40}").unwrap(),
            TEACH,
            3,
            &["added_tokens.json", "`new` should have number 40", "number 29"],
        ),
        case(
            "a student with other words of the same number",
            |w| {
                copy(&w.path("teacher"), &w.path("other"));
                edit(&w.path("other/tokenizer.json"), "\"w28\":28", "\"other\":28");
            },
            WITH_STUDENT,
            3,
            &["`w28` has number 28", "choose another --student"],
        ),
        case(
            "a text of zero-width characters",
            |w| fs::write(w.path("texts"), "w5\n\u{200b}\u{200d}\n").unwrap(),
            "runtime infer --bundle {root}/bundle --file {root}/texts",
            3,
            &["line 2", "nothing is left of it"],
        ),
    ]
}
