//! Checkpoints of any shape with random weights, for tests and for measuring shapes whose weights are not at hand.

use ndarray::{ArrayD, IxDyn};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::bert::RELATIVE_BUCKETS;
use crate::config::Config;
use crate::fold::Tensors;

/// A checkpoint with the tensors of `config`, drawn from `seed`: matrices of variance one over their inputs, LayerNorm
/// scales around one, so that every activation has about the size that it has in a trained model.
pub fn synthetic(config: &Config, seed: u64) -> Tensors {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut draw = Draw(ChaCha20Rng::from_seed(key), Tensors::new());
    let (d, inner) = (config.hidden_size, config.intermediate_size);
    draw.tensor("embeddings.word_embeddings.weight", &[config.vocab_size, d], 0.0, 0.05);
    draw.tensor("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, d], 0.0, 0.02);
    draw.tensor("embeddings.position_embeddings.weight", &[config.max_position_embeddings, d], 0.0, 0.02);
    draw.norm("embeddings.LayerNorm", d);
    for l in 0..config.num_hidden_layers {
        let name = |part: &str| format!("encoder.layer.{l}.{part}");
        for part in ["query", "key", "value"] {
            draw.dense(&name(&format!("attention.self.{part}")), d, d);
        }
        draw.dense(&name("attention.output.dense"), d, d);
        draw.norm(&name("attention.output.LayerNorm"), d);
        draw.dense(&name("intermediate.dense"), d, inner);
        draw.dense(&name("output.dense"), inner, d);
        draw.norm(&name("output.LayerNorm"), d);
    }
    if config.relative_positions {
        let name = "encoder.relative_attention_bias.weight";
        draw.tensor(name, &[RELATIVE_BUCKETS, config.num_attention_heads], 0.0, 0.5);
    }
    draw.dense("pooler.dense", d, d);
    draw.dense("classifier", d, config.num_labels());
    draw.1
}

/// Not the generator of secrets: a shape's random network stays the same when that changes.
struct Draw(ChaCha20Rng, Tensors);

impl Draw {
    fn tensor(&mut self, name: &str, shape: &[usize], mean: f64, deviation: f64) {
        let words: Vec<u64> = (0..shape.iter().product()).map(|_| self.0.next_u64()).collect();
        // the sum of the four 16-bit parts of a word, centred: close enough to normal, and the same on every machine
        let normal = |w: u64| {
            let sum: u64 = (0..4).map(|i| (w >> (16 * i)) & 0xffff).sum();
            (sum as f64 - 131_070.0) / (65536.0 * (1.0f64 / 3.0).sqrt())
        };
        let values = words.into_iter().map(|w| (mean + deviation * normal(w)) as f32).collect();
        if let Ok(tensor) = ArrayD::from_shape_vec(IxDyn(shape), values) {
            self.1.insert(name.to_string(), tensor);
        }
    }

    fn dense(&mut self, name: &str, from: usize, to: usize) {
        self.tensor(&format!("{name}.weight"), &[to, from], 0.0, 1.0 / (from as f64).sqrt());
        self.tensor(&format!("{name}.bias"), &[to], 0.0, 0.1);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.tensor(&format!("{name}.weight"), &[width], 1.0, 0.1);
        self.tensor(&format!("{name}.bias"), &[width], 0.0, 0.1);
    }
}
