//! Folders of tokenizers that contradict themselves or lack something: read as transformers reads them, or refused by name.

use std::fs;
use std::path::Path;

use datasets::{Empty, Error, Length, Tokenizer, encode_all};
use serde_json::{Value, json};
use tempfile::TempDir;

const WORDS: [&str; 10] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "fine", "film", "Fine", "##s"];

fn vocabulary() -> Value {
    WORDS
        .iter()
        .enumerate()
        .map(|(id, word)| (word.to_string(), Value::from(id)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// An uncased WordPiece tokenizer.
fn whole() -> Value {
    json!({
        "version": "1.0", "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocabulary()},
    })
}

/// A byte-level BPE of a few letters, as RoBERTa has it.
fn bytes() -> Value {
    let words = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "Ġ", "Ġa", "<mask>"];
    let vocab: serde_json::Map<String, Value> =
        words.iter().enumerate().map(|(id, word)| (word.to_string(), id.into())).collect();
    json!({
        "version": "1.0", "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": true, "add_prefix_space": false},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": [["Ġ", "a"]]},
    })
}

fn folder(files: &[(&str, Value)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in files {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn bert() -> (&'static str, Value) {
    ("config.json", json!({"model_type": "bert"}))
}

fn load(files: &[(&str, Value)]) -> Result<Tokenizer, Error> {
    Tokenizer::load(folder(files).path(), 16)
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, None).unwrap().ids
}

fn refused(files: &[(&str, Value)], says: &[&str]) {
    let error = load(files).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    for says in says {
        assert!(error.to_string().contains(says), "expected `{says}` in: {error}");
    }
}

#[test]
fn the_case_is_that_of_tokenizer_config_and_said() {
    let read = |config: Value| load(&[bert(), ("tokenizer.json", whole()), ("tokenizer_config.json", config)]).unwrap();
    let cased = read(json!({"do_lower_case": false}));
    assert_eq!(ids(&cased, "Fine fine Film"), [2, 8, 6, 1, 3]);
    assert!(cased.notes()[0].contains("`do_lower_case` is false where tokenizer.json has true"), "{:?}", cased.notes());
    assert!(read(json!({"do_lower_case": true})).notes().is_empty());
    let plain = read(json!({"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"}));
    assert_eq!(ids(&plain, "Fine"), [2, 6, 3]);
    refused(
        &[bert(), ("tokenizer.json", whole()), ("tokenizer_config.json", json!({"do_lower_case": "no"}))],
        &["`do_lower_case` is \"no\""],
    );
}

#[test]
fn lower_case_that_nobody_asked_for_is_said() {
    let mut json = whole();
    json["normalizer"]["lowercase"] = false.into();
    let unstated = load(&[bert(), ("tokenizer.json", json.clone())]).unwrap();
    assert_eq!(ids(&unstated, "Fine"), [2, 6, 3]);
    assert!(
        unstated.notes()[0].contains("since it is not given, is true where tokenizer.json has false"),
        "{:?}",
        unstated.notes()
    );
    let old = load(&[bert(), ("vocab.txt", WORDS.join("\n").into())]).unwrap();
    assert!(old.notes()[0].contains("1 words have capitals"), "{:?}", old.notes());
    let stated =
        [bert(), ("vocab.txt", WORDS.join("\n").into()), ("tokenizer_config.json", json!({"do_lower_case": true}))];
    assert!(load(&stated).unwrap().notes().is_empty());
    // for a bundle, the file is what it is
    let stands = folder(&[bert(), ("tokenizer.json", json)]);
    assert_eq!(ids(&Tokenizer::read(&stands.path().join("tokenizer.json"), 16).unwrap(), "Fine"), [2, 8, 3]);
}

#[test]
fn an_added_token_whose_form_would_be_either_is_refused() {
    let mut json = whole();
    json["added_tokens"] = json!([{"id": 10, "content": "Covid", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": false}]);
    let files = [bert(), ("tokenizer.json", json), ("tokenizer_config.json", json!({"do_lower_case": false}))];
    refused(&files, &["`Covid`", "save_pretrained"]);
}

#[test]
fn a_space_before_a_text_is_that_of_tokenizer_config() {
    let model = ("config.json", json!({"model_type": "roberta"}));
    let without = load(&[model.clone(), ("tokenizer.json", bytes())]).unwrap();
    assert_eq!((ids(&without, "a"), without.notes().len()), (vec![0, 4, 2], 0));
    let files = [model, ("tokenizer.json", bytes()), ("tokenizer_config.json", json!({"add_prefix_space": true}))];
    let with = load(&files).unwrap();
    assert_eq!((ids(&with, "a"), with.notes().len()), (vec![0, 7, 2], 1));
    assert_eq!(with.encode("a", Some("b")).unwrap().type_ids, [0; 7]);
}

#[test]
fn word_pieces_without_ends_get_those_of_bert() {
    let mut json = whole();
    json["post_processor"] = Value::Null;
    let tokenizer = load(&[bert(), ("tokenizer.json", json.clone())]).unwrap();
    let pair = tokenizer.encode("a", Some("film")).unwrap();
    assert_eq!((pair.ids, pair.type_ids), (vec![2, 5, 3, 7, 3], vec![0, 0, 0, 1, 1]));
    assert!(tokenizer.notes()[0].contains("[CLS] and [SEP] are added"), "{:?}", tokenizer.notes());
    let written = folder(&[]);
    let path = written.path().join("tokenizer.json");
    fs::write(&path, tokenizer.to_json().unwrap()).unwrap();
    assert_eq!(ids(&Tokenizer::read(&path, 16).unwrap(), "a"), [2, 5, 3]);
    // as it stands it is no tokenizer of a classifier
    fs::write(&path, json.to_string()).unwrap();
    assert!(Tokenizer::read(&path, 16).unwrap_err().to_string().contains("nothing around a text"));
}

#[test]
fn other_ends_are_refused_with_what_was_found() {
    let with = |change: fn(&mut Value)| {
        let mut json = whole();
        change(&mut json);
        [bert(), ("tokenizer.json", json)]
    };
    refused(&with(|json| json["post_processor"]["sep"] = json!(["[SEP]", 99])), &["no word (99)", "[SEP] (3)"]);
    refused(
        &with(|json| json["post_processor"]["cls"] = json!(["a", 5])),
        &["a (5) [SEP] (3) around a text", "[CLS] (2)"],
    );
    // one segment for both texts of a pair
    let one_segment = |json: &mut Value| {
        let (cls, sep) = (
            json!({"SpecialToken": {"id": "[CLS]", "type_id": 0}}),
            json!({"SpecialToken": {"id": "[SEP]", "type_id": 0}}),
        );
        let text = |name| json!({"Sequence": {"id": name, "type_id": 0}});
        let special = |word: &str, id: u32| json!({"id": word, "ids": [id], "tokens": [word]});
        json["post_processor"] = json!({"type": "TemplateProcessing", "single": [cls, text("A"), sep],
            "pair": [cls, text("A"), sep, text("B"), sep], "special_tokens": {"[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3)}});
    };
    refused(&with(one_segment), &["segments [0, 0, 0]"]);
    let mut bare = bytes();
    bare["post_processor"] = Value::Null;
    refused(
        &[("config.json", json!({"model_type": "roberta"})), ("tokenizer.json", bare)],
        &["nothing around a text", "<s> (0) </s> (2)"],
    );
}

#[test]
fn a_model_that_sees_no_segments_is_given_none() {
    let config = json!({"model_input_names": ["input_ids", "attention_mask"]});
    let tokenizer = load(&[bert(), ("tokenizer.json", whole()), ("tokenizer_config.json", config)]).unwrap();
    assert_eq!(tokenizer.encode("a", Some("a")).unwrap().type_ids, [0; 5]);
    assert_eq!(tokenizer.encode("a", Some("a")).unwrap().ids, [2, 5, 3, 5, 3]);
}

#[test]
fn tokens_that_stand_beside_a_vocabulary_have_their_numbers_and_flags() {
    let words = ("vocab.txt", Value::from(WORDS.join("\n")));
    let beside = load(&[bert(), words.clone(), ("added_tokens.json", json!({"covid": 10, "[NAME]": 11}))]).unwrap();
    assert_eq!(ids(&beside, "a covid [NAME]s"), [2, 5, 10, 11, 1, 3]);
    let token = |word: &str, single| json!({"content": word, "lstrip": false, "rstrip": false, "normalized": false, "single_word": single, "special": false});
    let decoder = json!({"added_tokens_decoder": {"11": token("[NAME]", false), "10": token("covid", true)}});
    for file in ["vocab.txt", "tokenizer.json"] {
        let content = if file == "vocab.txt" { words.1.clone() } else { whole() };
        let with = folder(&[bert(), (file, content), ("tokenizer_config.json", decoder.clone())]);
        let tokenizer = Tokenizer::load(with.path(), 16).unwrap();
        assert_eq!(ids(&tokenizer, "a covid covids [NAME]"), [2, 5, 10, 1, 11, 3], "{file}");
        assert_eq!(tokenizer.largest_id().unwrap(), Some(11));
        // what is written beside the same files is read the same
        fs::write(with.path().join("tokenizer.json"), tokenizer.to_json().unwrap()).unwrap();
        let again = Tokenizer::load(with.path(), 16).unwrap();
        assert_eq!(ids(&again, "a covid covids [NAME]"), [2, 5, 10, 1, 11, 3], "{file}");
        assert_eq!(tokenizer.differs_from(&again), None);
    }
    let with = |beside: Value, config: Value| {
        [bert(), words.clone(), ("added_tokens.json", beside), ("tokenizer_config.json", config)]
    };
    refused(
        &with(json!({"covid": 12}), json!({})),
        &["added_tokens.json", "`covid` should have number 12", "number 10"],
    );
    refused(&with(json!({"fine": 10}), json!({})), &["`fine` should have number 10"]);
    refused(&with(json!({"other": 10}), decoder), &["`other` should have number 10", "not added at all"]);
    refused(&with(json!({"other": "x"}), json!({})), &["`other` has no number"]);
    refused(&with(json!({}), json!({"added_tokens_decoder": {"10": "covid"}})), &["added_tokens_decoder"]);
    let twice = [
        bert(),
        ("vocab.txt", format!("{}\na", WORDS.join("\n")).into()),
        ("special_tokens_map.json", json!({"additional_special_tokens": ["[NAME]"]})),
    ];
    refused(&twice, &["would have the same number 10"]);
}

#[test]
fn other_ways_of_splitting_are_refused_by_name() {
    let words = ("vocab.txt", Value::from(WORDS.join("\n")));
    let with = |file: (&'static str, Value), config: Value| [bert(), file, ("tokenizer_config.json", config)];
    for class in ["BertJapaneseTokenizer", "BertweetTokenizer", "AlbertTokenizerFast", "MyTokenizer"] {
        for file in [words.clone(), ("tokenizer.json", whole())] {
            refused(
                &with(file, json!({"tokenizer_class": class})),
                &[&format!("`tokenizer_class` is {class}"), "choose a model"],
            );
        }
    }
    refused(
        &[("config.json", json!({"model_type": "bert", "tokenizer_class": "BertJapaneseTokenizer"})), words.clone()],
        &["config.json", "BertJapanese"],
    );
    let cases = [
        (json!({"word_tokenizer_type": "mecab"}), "`word_tokenizer_type` is mecab"),
        (json!({"subword_tokenizer_type": "character"}), "`subword_tokenizer_type` is character"),
        (json!({"do_basic_tokenize": false}), "`do_basic_tokenize` is false"),
        (json!({"split_special_tokens": true}), "`split_special_tokens` is true"),
        (json!({"truncation_side": "left"}), "`truncation_side` is left"),
        (json!({"auto_map": {"AutoTokenizer": ["mine.Mine", null]}}), "`auto_map`"),
        (json!({"tokenizer_class": "RobertaTokenizer"}), "no tokenizer.json but a vocab.txt"),
    ];
    for (config, says) in cases {
        refused(&with(words.clone(), config), &[says]);
    }
    // transformers does not look at it beside a tokenizer.json
    assert!(load(&with(("tokenizer.json", whole()), json!({"do_basic_tokenize": false}))).is_ok());
    refused(&[bert(), ("vocab.json", json!({}))], &["there is no tokenizer.json, and vocab.json is not read here"]);
    let mut random = bytes();
    random["model"]["dropout"] = json!(0.1);
    refused(&[("config.json", json!({"model_type": "roberta"})), ("tokenizer.json", random)], &["`dropout`"]);
}

#[test]
fn two_tokenizers_are_told_apart_by_what_they_do() {
    let read = |json: &Value| load(&[bert(), ("tokenizer.json", json.clone())]).unwrap();
    let with = |change: fn(&mut Value)| {
        let mut json = whole();
        change(&mut json);
        read(&json)
    };
    let own = read(&whole());
    let says = |other: &Tokenizer, says: &str| {
        let how = own.differs_from(other).unwrap_or_default();
        assert!(how.contains(says), "expected `{says}` in: {how}");
    };
    says(
        &with(|json| (json["model"]["vocab"]["fine"], json["model"]["vocab"]["film"]) = (7.into(), 6.into())),
        "`fine` has number 6 in one and 7",
    );
    says(&with(|json| json["model"]["vocab"]["more"] = 10.into()), "`more` has number none in one and 10");
    says(&with(|json| json["model"]["max_input_chars_per_word"] = 9.into()), "max_input_chars_per_word");
    says(&with(|json| json["pre_tokenizer"] = json!({"type": "WhitespaceSplit"})), "WhitespaceSplit");
    says(&with(|json| json["normalizer"]["clean_text"] = false.into()), "normalised");
    let cosmetic = with(|json| {
        json["decoder"] = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
        json["truncation"] = json!({"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0});
    });
    assert_eq!(own.differs_from(&cosmetic), None);
    assert_eq!(
        own.differs_from(
            &load(&[
                bert(),
                ("vocab.txt", WORDS.join("\n").into()),
                ("tokenizer_config.json", json!({"strip_accents": null}))
            ])
            .unwrap()
        ),
        None
    );

    let bpe = |json: &Value| {
        load(&[("config.json", json!({"model_type": "roberta"})), ("tokenizer.json", json.clone())]).unwrap()
    };
    let mut other = bytes();
    other["model"]["merges"] = json!([]);
    assert!(bpe(&bytes()).differs_from(&bpe(&other)).unwrap().contains("merge number 0"));
    assert_eq!(bpe(&bytes()).differs_from(&bpe(&bytes())), None);
}

#[test]
fn a_text_of_which_nothing_is_left_is_empty() {
    let tokenizers = [
        load(&[bert(), ("tokenizer.json", whole())]).unwrap(),
        load(&[bert(), ("vocab.txt", WORDS.join("\n").into())]).unwrap(),
    ];
    for tokenizer in &tokenizers {
        let all = |texts: &[(&str, Option<&str>)], empty| {
            encode_all(tokenizer, texts.iter().copied(), Length::default(), empty, &|| ())
        };
        for nothing in ["", " \t", "\u{200b}\u{200d}", "\u{fffd}", "\u{7}\u{0}"] {
            let error = all(&[("a", None), (nothing, None)], Empty::Refused).unwrap_err();
            assert!(matches!(error, Error::Nothing { text: 2, second: false }), "{error}");
            let error = all(&[("a", Some(nothing))], Empty::Refused).unwrap_err();
            assert!(matches!(error, Error::Nothing { text: 1, second: true }), "{error}");
            let error = all(&[(nothing, Some("a"))], Empty::Refused).unwrap_err();
            assert!(matches!(error, Error::Nothing { text: 1, second: false }), "{error}");
            assert_eq!((error.exit_code(), error.to_string().contains("U+FFFD")), (3, true));
            // in a task no row is left out
            assert_eq!(all(&[(nothing, Some("a"))], Empty::Taken).unwrap().texts[0].ids, [2, 3, 5, 3]);
        }
        assert!(all(&[("\u{200b}a", Some("[MASK]")), ("?", None)], Empty::Refused).is_ok());
        let long = ["a"; 40].join(" ");
        assert!(all(&[(&long, Some("a")), ("a", Some(&long)), (&long, None)], Empty::Refused).unwrap().truncated == 3);
    }
    let bpe = load(&[("config.json", json!({"model_type": "roberta"})), ("tokenizer.json", bytes())]).unwrap();
    let error = encode_all(&bpe, [("a", Some(""))], Length::default(), Empty::Refused, &|| ()).unwrap_err();
    assert!(matches!(error, Error::Nothing { text: 1, second: true }), "{error}");
    assert!(Tokenizer::load(Path::new("/nowhere"), 16).is_err());
}
