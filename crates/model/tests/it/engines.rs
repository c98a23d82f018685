//! The same network on `Float` and `Clear`.

use std::sync::Arc;

use model::{Config, InputKind, Sample, Shape, Texts, calibrate, choose, clear_logits, fold, quantise, synthetic};

pub(crate) fn config([layers, width, heads, inner]: [usize; 4], act: &str) -> Config {
    let text = format!(
        r#"{{"vocab_size":97,"hidden_size":{width},"num_hidden_layers":{layers},"num_attention_heads":{heads},
        "intermediate_size":{inner},"max_position_embeddings":24,"attention_softmax":"2quad","hidden_act":"{act}"}}"#
    );
    Config::from_json(&text).unwrap()
}

pub(crate) fn sample(seed: u64, tokens: usize) -> Sample {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u32
    };
    Sample { ids: (0..tokens).map(|_| next() % 97).collect(), segments: (0..tokens).map(|_| next() % 2).collect() }
}

#[test]
fn clear_fixed_point_is_close_to_float_over_random_networks() {
    let shapes = [[1, 32, 2, 64], [2, 32, 4, 128], [3, 48, 3, 96], [2, 64, 1, 192]];
    close("gelu", 0..40, &shapes);
    close("gelu_new", 40..48, &shapes);
    close("gelu_pytorch_tanh", 48..50, &shapes);
}

/// As many heads as divide the width, and as few and as many layers as there may be.
#[test]
fn clear_fixed_point_is_close_to_float_for_every_number_of_heads_and_layers() {
    let heads = [1, 2, 3, 4, 6, 8, 12, 16, 24, 48].map(|heads| [1, 48, heads, 64]);
    close("gelu", 60..70, &heads);
    close("gelu", 70..71, &[[24, 32, 2, 64]]);
}

fn close(act: &str, seeds: std::ops::Range<u64>, shapes: &[[usize; 4]]) {
    let mut worst = 0.0f64;
    for seed in seeds {
        let dims = shapes[seed as usize % shapes.len()];
        let config = config(dims, act);
        let shape = Shape::of(&config);
        let mut folded = fold(&shape, &synthetic(&config, seed)).unwrap();
        let samples: Vec<_> = (0..24).map(|i| sample(seed * 100 + i, 1 + (i as usize * 7) % 24)).collect();
        let ranges = calibrate(&folded, &samples, &|| ()).unwrap();
        let choice = choose(&shape, &ranges).unwrap();
        for (l, order) in choice.orders.iter().enumerate() {
            folded.permute_neurons(l, order);
        }
        let spec = Arc::new(choice.spec);
        let quantised = quantise(folded.matrices(), &spec.calibrated(InputKind::OneHot).scales).unwrap();
        let batch = [&samples[1], &samples[5]];
        let texts = Texts::new(&batch.map(|s| s.ids.len()), &shape).unwrap();
        let ids: Vec<u32> = batch.iter().flat_map(|s| s.ids.clone()).collect();
        let segments: Vec<u32> = batch.iter().flat_map(|s| s.segments.clone()).collect();
        let float = folded.logits(&texts, &ids, &segments).unwrap();
        let clear = clear_logits(&spec, &quantised, &texts, &ids, &segments).unwrap();
        for (row, clear) in float.rows().into_iter().zip(&clear) {
            for (f, c) in row.iter().zip(clear) {
                worst = worst.max((f64::from(*f) - c).abs());
                assert!((f64::from(*f) - c).abs() < 0.02, "{act}, {dims:?}, seed {seed}: float {f}, clear {c}");
            }
        }
    }
    println!("{act}: largest difference {worst}");
}
