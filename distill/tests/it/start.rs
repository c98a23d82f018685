//! Where a student starts, and what cannot be a student of what.

use std::path::PathBuf;

use distill::design::Design;
use distill::folder::Folder;
use distill::student::{check_tokenizer, start};
use distill::weights::Weights;
use model::{AttentionKind, AttentionShift, Config};

use crate::tiny;

fn folder(config: Config, seed: u64) -> Folder {
    let weights = Weights::draw(&config, seed).unwrap();
    Folder { path: PathBuf::from("tiny"), config, weights, has_head: true }
}

#[test]
fn a_student_keeps_layers_with_their_shifts() {
    let mut config = tiny::config(4);
    config.attention_shift = AttentionShift::PerHead((1..=4).map(|layer| vec![layer as f32; 4]).collect());
    let student = start(&folder(config, 1), None, Some(2), &Design::default()).unwrap();
    assert_eq!(student.learns_from, [1, 3]);
    assert_eq!(student.config.attention_softmax, AttentionKind::TwoQuad);
    assert_eq!((student.config.shift(0, 0), student.config.shift(1, 3)), (2.0, 4.0));
    assert!(student.shares_embeddings);
}

#[test]
fn a_student_without_a_head_takes_its_teachers() {
    let teacher = folder(tiny::config(4), 1);
    let other = Folder { has_head: false, ..folder(tiny::config(2), 2) };
    let student = start(&teacher, Some(other), None, &Design::default()).unwrap();
    assert!(!student.shares_embeddings);
    let head = |weights: &Weights| weights.tensor("classifier.weight").unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(head(&student.weights), head(&teacher.weights));
}

#[test]
fn what_does_not_fit_together_is_refused_with_both_numbers() {
    let refusal = |change: fn(&mut Config), layers| {
        let mut config = tiny::config(3);
        change(&mut config);
        start(&folder(tiny::config(2), 1), Some(folder(config, 2)), layers, &Design::default()).unwrap_err().to_string()
    };
    assert!(refusal(|config| config.vocab_size = 20, Some(2)).contains("20 words against 16"));
    assert!(refusal(|config| config.hidden_size = 64, Some(2)).contains("64 with 4 heads against 32 with 4"));
    assert!(refusal(|config| config.num_attention_heads = 2, Some(2)).contains("32 with 2 heads against 32 with 4"));
    assert!(refusal(|_| (), None).contains("3 layers cannot learn from a teacher of 2"));
    assert!(refusal(|_| (), Some(0)).contains("1 to 3"));
}

#[test]
fn a_student_with_another_tokenizer_is_refused_with_the_first_word_that_differs() {
    let fixture = tiny::Fixture::new();
    let (teacher, other) = (fixture.model("teacher", 2, false), fixture.model("other", 2, false));
    let teacher = datasets::Tokenizer::load(&teacher, 16).unwrap();
    check_tokenizer(&teacher, &other).unwrap();
    // written otherwise, and the same
    let path = other.join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json["decoder"] = serde_json::json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    std::fs::write(&path, serde_json::to_vec_pretty(&json).unwrap()).unwrap();
    check_tokenizer(&teacher, &other).unwrap();
    // two words changed places
    let vocab = &mut json["model"]["vocab"];
    let words: Vec<String> = [7, 8]
        .iter()
        .map(|id| vocab.as_object().unwrap().iter().find(|(_, v)| **v == *id).unwrap().0.clone())
        .collect();
    (vocab[&words[0]], vocab[&words[1]]) = (8.into(), 7.into());
    std::fs::write(&path, json.to_string()).unwrap();
    let error = check_tokenizer(&teacher, &other).unwrap_err();
    assert_eq!(cli::exit::code_in(&*error), Some(cli::exit::BAD_INPUT));
    let said = error.to_string();
    assert!(said.contains(&format!("`{}` has number 7 in one and 8 in the other", words[0])), "{said}");
    assert!(said.contains("choose another --student"), "{said}");
}

#[test]
fn a_written_student_is_read_with_its_teachers_tokenizer() {
    let fixture = tiny::Fixture::new();
    let teacher = fixture.model("teacher", 2, true);
    let path = teacher.join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json["post_processor"] = serde_json::Value::Null;
    std::fs::write(&path, json.to_string()).unwrap();
    // the model is another by name, which nothing but its config.json says
    let rename = |to: &str| {
        let path = teacher.join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config["tokenizer_class"] = to.into();
        std::fs::write(&path, config.to_string()).unwrap();
    };
    rename("DistilBertTokenizer");
    std::fs::write(teacher.join("added_tokens.json"), "{}").unwrap();
    let read = Folder::read(&teacher, 1).unwrap();
    let own = read.tokenizer(16).unwrap();
    let out = fixture.path("out");
    distill::folder::write(&out, &tiny::config(2), &read.weights, &teacher, false).unwrap();
    let written = datasets::Tokenizer::load(&out, 16).unwrap();
    assert_eq!((own.differs_from(&written), written.class()), (None, Some("DistilBertTokenizer")));
    assert!(written.notes().is_empty() && out.join("added_tokens.json").is_file());
    assert_eq!(written.encode("", Some("")).unwrap().type_ids, [0; 3]);
}
