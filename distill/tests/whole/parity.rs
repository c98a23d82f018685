//! What is trained is what is run: candle's student against the reference engine of the private run.

use candle_core::Tensor;
use distill::bert::{Bert, Packed};
use distill::calibration::folded;
use distill::folder::Folder;
use distill::weights::Weights;
use model::{AttentionKind, AttentionShift, Config, Float, Texts};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::tiny;

/// The largest difference of logits over a ragged batch of random texts.
fn largest_gap(config: Config, lengths: &[usize], seed: u64) -> f32 {
    let weights = Weights::draw(&config, seed).unwrap();
    let model = Bert::new(&config, &weights).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |n: usize, below: usize| -> Vec<u32> { (0..n).map(|_| random.next_u32() % below as u32).collect() };
    let texts: Vec<(Vec<u32>, Vec<u32>)> =
        lengths.iter().map(|&n| (draw(n, config.vocab_size), draw(n, config.type_vocab_size))).collect();
    let batch =
        Packed::new(texts.iter().map(|(ids, types)| (&ids[..], &types[..])), config.num_attention_heads).unwrap();
    let got: Tensor = model.logits(&batch, None).unwrap();
    let folder = Folder { path: "tiny".into(), config, weights, has_head: true };
    let folded = folded(&folder).unwrap();
    let (ids, segments): (Vec<_>, Vec<_>) = texts.into_iter().unzip();
    let shape = Texts::new(lengths, &folded.shape).unwrap();
    let want = Float::new(&folded, ()).logits(&shape, &ids.concat(), &segments.concat());
    let got = got.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(got.len(), want.len());
    got.iter().zip(want.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_student_computes_what_the_reference_engine_computes() {
    for seed in 0..5 {
        let mut config = tiny::config(3);
        config.attention_softmax = AttentionKind::TwoQuad;
        let gap = largest_gap(config, &[7, 1, 20, 2], seed);
        assert!(gap < 1e-4, "seed {seed}: {gap}");
    }
}

#[test]
fn shifts_of_their_own_for_each_head_mean_the_same_to_both() {
    let mut config = tiny::config(2);
    config.attention_softmax = AttentionKind::TwoQuad;
    config.attention_shift = AttentionShift::PerHead(vec![vec![5.0, 3.0, 7.5, 4.0], vec![6.0, 5.0, 2.5, 8.0]]);
    let gap = largest_gap(config, &[9, 4], 11);
    assert!(gap < 1e-4, "{gap}");
}
