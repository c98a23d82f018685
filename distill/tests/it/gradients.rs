//! A loss reaches every variable.

use candle_core::{Device, Tensor};
use distill::bert::{Bert, PackedBatch};
use distill::loss::{cross_entropy, mean_square};
use distill::ops::DropoutKey;
use distill::parallel::ProcessGroup;
use distill::range::penalty;
use distill::weights::Weights;
use model::{AttentionKind, Config};

use crate::tiny;

const KEY: DropoutKey = DropoutKey { seed: 1, step: 2 };

fn batch(config: &Config) -> PackedBatch {
    // Every word, position and segment of the tables' first rows appears, so that gradients reach the tables.
    let texts: [(&[u32], &[u32]); 2] = [(&[2, 4, 5, 6, 3], &[0, 0, 0, 1, 1]), (&[2, 8, 3], &[0, 0, 1])];
    PackedBatch::new(texts.into_iter(), config.num_attention_heads, &Device::Cpu).unwrap()
}

#[test]
fn every_variable_gets_a_gradient_under_softmax_and_2quad() {
    for kind in [AttentionKind::Softmax, AttentionKind::TwoQuad] {
        let mut config = tiny::config(2);
        config.attention_softmax = kind;
        let weights = Weights::draw(&config, 3).unwrap().trainable(|_| false).unwrap();
        let model = Bert::new(&config, &weights).unwrap();
        let logits = model.logits(&batch(&config), Some(KEY)).unwrap();
        let classes = Tensor::new(&[1u32, 0], &Device::Cpu).unwrap();
        let gradients = cross_entropy(&logits, &classes).unwrap().backward().unwrap();
        for (name, weight) in weights.iter() {
            let gradient = gradients.get(weight).unwrap_or_else(|| panic!("{name} has no gradient"));
            let largest = gradient.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
            // A bias of the keys shifts all scores of a row alike: softmax does not see it.
            let unseen = kind == AttentionKind::Softmax && name.ends_with("key.bias");
            assert!(largest > 0.0 || unseen, "{name} has a gradient of zero");
        }
    }
}

#[test]
fn scores_and_hidden_states_carry_gradients_of_their_own() {
    let mut config = tiny::config(2);
    config.attention_softmax = AttentionKind::TwoQuad;
    let weights = Weights::draw(&config, 3).unwrap().trainable(|_| false).unwrap();
    let trace = Bert::new(&config, &weights).unwrap().encode(&batch(&config), None).unwrap();
    let zero = trace.scores[1].zeros_like().unwrap();
    let from_scores = mean_square(&trace.scores[1], &zero).unwrap().backward().unwrap();
    let name = |part: &str| weights.tensor(&format!("bert.encoder.layer.1.{part}")).unwrap();
    assert!(from_scores.get(name("attention.self.key.bias")).is_some());
    assert!(from_scores.get(name("attention.self.value.weight")).is_none());
    let group = ProcessGroup::alone();
    let shard = group.shard(&[0, 1], &[5, 3]);
    assert!(penalty(&trace, &config, &shard).unwrap().backward().unwrap().get(name("output.dense.weight")).is_some());
}

#[test]
fn frozen_weights_get_no_gradient_and_dropout_changes_the_answer() {
    let config = tiny::config(2);
    let weights = Weights::draw(&config, 3).unwrap().trainable(|name| name.starts_with("bert.embeddings.")).unwrap();
    let model = Bert::new(&config, &weights).unwrap();
    let logits = |key| model.logits(&batch(&config), key).unwrap();
    let gradients = logits(None).sum_all().unwrap().backward().unwrap();
    for (name, weight) in weights.iter() {
        assert_eq!(gradients.get(weight).is_some(), !name.starts_with("bert.embeddings."), "{name}");
    }
    let rows = |key| logits(key).to_vec2::<f32>().unwrap();
    assert_eq!(rows(None), rows(None));
    assert_eq!(rows(Some(KEY)), rows(Some(KEY)));
    assert_ne!(rows(None), rows(Some(KEY)));
}

#[test]
fn a_text_is_answered_alike_alone_and_among_others() {
    let config = tiny::config(2);
    let model = Bert::new(&config, &Weights::draw(&config, 3).unwrap()).unwrap();
    let all = model.logits(&batch(&config), None).unwrap().to_vec2::<f32>().unwrap();
    let alone = PackedBatch::new([(&[2u32, 8, 3][..], &[0u32, 0, 1][..])].into_iter(), 4, &Device::Cpu).unwrap();
    let alone = model.logits(&alone, None).unwrap().to_vec2::<f32>().unwrap();
    assert!(all[1].iter().zip(&alone[0]).all(|(a, b)| (a - b).abs() < 1e-5));
}
