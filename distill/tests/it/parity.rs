//! What is trained is what is run: candle's student against the reference engine of the private run.

use std::path::Path;

use distill::bert::{Bert, PackedBatch};
use distill::calibration::folded;
use distill::folder::Folder;
use distill::weights::Weights;
use model::{AttentionKind, AttentionShift, Config, Texts};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::tiny;

type Text = (Vec<u32>, Vec<u32>);

/// The largest difference of logits over a batch.
fn largest_gap(folder: &Folder, texts: &[Text]) -> f32 {
    let model = Bert::new(&folder.config, &folder.weights).unwrap();
    let heads = folder.config.num_attention_heads;
    let batch =
        PackedBatch::new(texts.iter().map(|(ids, types)| (&ids[..], &types[..])), heads, &candle_core::Device::Cpu)
            .unwrap();
    let got = model.logits(&batch, None).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let folded = folded(folder).unwrap();
    let lengths: Vec<usize> = texts.iter().map(|(ids, _)| ids.len()).collect();
    let (ids, segments): (Vec<_>, Vec<_>) = texts.iter().cloned().unzip();
    let shape = Texts::new(&lengths, &folded.shape).unwrap();
    let want = folded.logits(&shape, &ids.concat(), &segments.concat()).unwrap();
    assert_eq!(got.len(), want.len());
    got.iter().zip(want.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The same for random weights and texts.
fn random_gap(config: Config, lengths: &[usize], seed: u64) -> f32 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |n: usize, below: usize| -> Vec<u32> { (0..n).map(|_| random.next_u32() % below as u32).collect() };
    let texts: Vec<Text> =
        lengths.iter().map(|&n| (draw(n, config.vocab_size), draw(n, config.type_vocab_size))).collect();
    let weights = Weights::draw(&config, seed).unwrap();
    largest_gap(&Folder { path: "tiny".into(), config, weights, has_head: true }, &texts)
}

#[test]
fn the_student_computes_what_the_reference_engine_computes() {
    for seed in 0..5 {
        let mut config = tiny::config(3);
        config.attention_softmax = AttentionKind::TwoQuad;
        let gap = random_gap(config, &[7, 1, 20, 2], seed);
        assert!(gap < 1e-4, "seed {seed}: {gap}");
    }
}

#[test]
fn gelu_by_tanh_means_the_same_to_both() {
    let mut config = tiny::config(2);
    (config.attention_softmax, config.hidden_act) = (AttentionKind::TwoQuad, "gelu_pytorch_tanh".into());
    let gap = random_gap(config.clone(), &[9, 4, 1], 12);
    assert!(gap < 1e-4, "{gap}");
}

#[test]
fn shifts_of_their_own_for_each_head_mean_the_same_to_both() {
    let mut config = tiny::config(2);
    config.attention_softmax = AttentionKind::TwoQuad;
    config.attention_shift = AttentionShift::PerHead(vec![vec![5.0, 3.0, 7.5, 4.0], vec![6.0, 5.0, 2.5, 8.0]]);
    let gap = random_gap(config, &[9, 4], 11);
    assert!(gap < 1e-4, "{gap}");
}

fn shipped() -> Option<Folder> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/sst2-minilm-l4-2quad");
    if !path.is_dir() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(Folder::read(&path, 0).unwrap())
}

#[test]
fn the_shipped_student_is_the_same_to_both() {
    let Some(folder) = shipped() else { return };
    assert!(folder.has_head);
    let tokenizer = folder.tokenizer(128).unwrap();
    let long = "it is never less than watchable , and often more , ".repeat(9);
    let texts = ["a warm , funny and deeply moving film", "dull", long.as_str(), "unflinchingly bleak and desperate"];
    let texts = texts.map(|text| {
        let encoding = tokenizer.encode(text, None).unwrap();
        (encoding.ids, encoding.type_ids)
    });
    let gap = largest_gap(&folder, &texts);
    assert!(gap < 1e-4, "{gap}");
}

/// One line of what `scripts/check_transformers.py --save` writes.
#[derive(serde::Deserialize)]
struct Line {
    text: String,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

#[test]
fn the_shipped_student_is_the_same_to_transformers() {
    let Some(folder) = shipped() else { return };
    let tokenizer = folder.tokenizer(128).unwrap();
    let model = Bert::new(&folder.config, &folder.weights).unwrap();
    let lines: Vec<Line> = serde_json::from_str(include_str!("transformers.json")).unwrap();
    assert_eq!(lines.len(), 20);
    let mut gap = 0.0f32;
    for Line { text, ids, logits } in lines {
        let encoding = tokenizer.encode(&text, None).unwrap();
        assert_eq!(encoding.ids, ids, "{text}");
        let texts = [(&encoding.ids[..], &encoding.type_ids[..])];
        let batch =
            PackedBatch::new(texts.into_iter(), folder.config.num_attention_heads, &candle_core::Device::Cpu).unwrap();
        let got = model.logits(&batch, None).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        gap = got.iter().zip(&logits).map(|(a, b)| (a - b).abs()).fold(gap, f32::max);
        assert_eq!(got.len(), logits.len());
    }
    eprintln!("largest difference from transformers: {gap:.1e}");
    assert!(gap < 1e-4, "{gap}");
}
