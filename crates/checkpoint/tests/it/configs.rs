//! Configurations: which are read, and which are refused by name.

use checkpoint::{Error, read_config};

use crate::folder::{CONFIG, Folder, config};

fn with(from: &str, to: &str) -> Result<model::Config, String> {
    assert!(CONFIG.contains(from));
    let folder = Folder::bare(&CONFIG.replace(from, to));
    read_config(folder.path()).map_err(|error| {
        let message = error.to_string();
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
        message
    })
}

#[test]
fn an_ordinary_configuration_is_read_as_it_stands() {
    assert_eq!(read_config(Folder::whole().path()).unwrap(), config());
    let extras = r#""model_type": "bert", "is_decoder": false, "position_embedding_type": "absolute", "embedding_size": 12,
        "pad_token_id": -1, "classifier_dropout": null, "add_cross_attention": null,"#;
    with(r#""model_type": "bert","#, extras).unwrap();
    assert_eq!(with(r#""model_type": "bert","#, "").unwrap(), config(), "an old one says no type");
}

#[test]
fn a_file_that_is_not_a_configuration_is_named() {
    let folder = Folder::whole();
    folder.write("config.json", [0x7b, 0xff, 0x7d]);
    let error = read_config(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NotText { .. }) && error.to_string().contains("config.json"), "{error}");
    for text in ["", "{", "[]", "null", "{}", r#"{"model_type": 3}"#] {
        folder.write("config.json", text);
        let error = read_config(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Config { .. }) && error.to_string().contains("config.json"), "{text}: {error}");
    }
    folder.remove("config.json");
    let error = read_config(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NoConfig { .. }), "{error}");
    let error = read_config(&folder.file("nowhere")).unwrap_err().to_string();
    assert!(error.contains("nowhere has no config.json"), "{error}");
}

#[test]
fn labels_and_marks_are_read_as_people_write_them() {
    let names = r#""id2label": {"0": "NO", "1": "YES"}"#;
    for (labels, wanted) in [
        (r#""id2label": {"0": "NO", "1": "YES"}, "label2id": {"NO": "0", "YES": "1"}"#, ["NO", "YES"]),
        (r#""id2label": {"0": 0, "1": 1}, "label2id": {"0": 0, "1": 1}"#, ["0", "1"]),
        (r#""id2label": {"0": null, "1": null}"#, ["LABEL_0", "LABEL_1"]),
        (r#""id2label": null, "label2id": null, "problem_type": null"#, ["LABEL_0", "LABEL_1"]),
    ] {
        assert_eq!(with(names, labels).unwrap().labels(), wanted, "{labels}");
    }
    let folder = Folder::bare(&format!("\u{feff}{CONFIG}"));
    assert_eq!(read_config(folder.path()).unwrap(), config());
    for (from, to, words) in [
        (names, r#""id2label": ["NO", "YES"]"#, "`id2label` is [\"NO\",\"YES\"]; supported: "),
        (r#""hidden_size": 12"#, r#""hidden_size": 12.0"#, "`hidden_size` is 12.0; supported: a whole number"),
        (r#""model_type": "bert""#, r#""model_type": 3"#, "`model_type` is 3; supported: a name in quotes"),
        (r#""type_vocab_size": 1"#, r#""type_vocab_size": null"#, "or leave it out"),
    ] {
        let error = with(from, to).unwrap_err();
        assert!(error.contains(words) && error.contains("config.json"), "{error}");
    }
}

#[test]
fn what_makes_it_another_function_is_refused_with_key_and_value() {
    let cases = [
        (
            r#""position_embedding_type": "relative_key""#,
            "`position_embedding_type` is relative_key; supported: absolute",
        ),
        (r#""is_decoder": true"#, "`is_decoder` is true; supported: false"),
        (r#""add_cross_attention": true"#, "`add_cross_attention` is true"),
        (r#""embedding_size": 6"#, "`embedding_size` is 6; supported: the same as hidden_size, 12"),
        (r#""hidden_act": "silu""#, "`hidden_act` is silu; supported: gelu, gelu_new, gelu_pytorch_tanh, quad, relu"),
    ];
    for (key, words) in cases {
        let error = with(r#""model_type": "bert","#, &format!(r#""model_type": "bert", {key},"#)).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let error = with(r#""num_attention_heads": 3"#, r#""num_attention_heads": 5"#).unwrap_err();
    assert!(error.contains("a divisor of hidden_size 12"), "{error}");
    let error = with(r#""num_hidden_layers": 2"#, r#""num_hidden_layers": 25"#).unwrap_err();
    assert!(error.contains("1 to 24"), "{error}");
}

#[test]
fn every_number_of_heads_that_divides_and_up_to_24_layers_are_read() {
    for heads in [1, 2, 3, 4, 6, 12] {
        with(r#""num_attention_heads": 3"#, &format!(r#""num_attention_heads": {heads}"#)).unwrap();
    }
    for layers in [1, 12, 24] {
        with(r#""num_hidden_layers": 2"#, &format!(r#""num_hidden_layers": {layers}"#)).unwrap();
    }
}

#[test]
fn models_of_other_kinds_are_refused_by_name() {
    // a GPT-2 has other keys altogether: its kind is said, not the first key that is missing
    let folder = Folder::bare(r#"{"model_type": "gpt2", "n_embd": 768, "n_layer": 6}"#);
    let error = read_config(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Family { .. }));
    let message = error.to_string();
    for words in ["config.json: `model_type` is `gpt2`", "not an encoder", "use a `bert`"] {
        assert!(message.contains(words), "expected `{words}` in: {message}");
    }
    for (name, reason) in [("albert", "share"), ("modernbert", "rotary"), ("whisper", "no model of that kind")] {
        let error = with(r#""model_type": "bert""#, &format!(r#""model_type": "{name}""#)).unwrap_err();
        assert!(error.contains(&format!("`{name}`")) && error.contains(reason), "{error}");
    }
}
