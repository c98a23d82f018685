//! Where a student starts, and what cannot be a student of what.

use std::path::PathBuf;

use distill::design::Design;
use distill::folder::Folder;
use distill::student::start;
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
