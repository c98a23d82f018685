//! How much memory a conversion takes, from the student's folder alone.

use std::fs;
use std::path::Path;

use anyhow::Result;
use cli::memory::Memory;
use model::Config;

/// Beside the weights: the program, the tokenizer, the fitting of curves, and the values of a few texts at a time.
const REST: u64 = 64 << 20;

/// Refuses a conversion that needs more memory than there is, before weights are read.
pub fn check(student: &Path, memory: Memory) -> Result<()> {
    let needs = needs(student);
    memory.check(&needs, "convert on a machine with more memory")
}

/// What is in memory together where it is most; nothing where the folder cannot be read, which its reader says better.
fn needs(student: &Path) -> Vec<(&'static str, u64)> {
    let config = fs::read(student.join("config.json")).ok();
    let Some(config) = config.and_then(|json| serde_json::from_slice::<Config>(&json).ok()) else { return Vec::new() };
    let (all, largest) = words(&config);
    let tokenizer = fs::metadata(student.join("tokenizer.json")).map_or(0, |file| file.len());
    // as it came and with its neurons in order; as ring words; one matrix masked, and its mask
    let float = ("weights in floating point twice", times(8, all));
    let mut needs = vec![float, ("in fixed point", times(8, all)), ("masks", times(16, largest))];
    needs.push(("all else", REST + 12 * tokenizer));
    needs
}

fn times(bytes: u64, words: f64) -> u64 {
    bytes.saturating_mul(words as u64)
}

/// Words of all weights, and of the largest. The configuration was not checked: its numbers may be anything.
fn words(config: &Config) -> (f64, f64) {
    let size = |number: usize| number as f64;
    let (d, inner) = (size(config.hidden_size), size(config.intermediate_size));
    let table = (size(config.vocab_size) + size(config.type_vocab_size)) * d;
    // matrices with their biases, and the two rows of each residual
    let layer = 4.0 * (d * d + d) + 2.0 * d * inner + inner + d + 4.0 * d;
    let head = d * d + d + (d + 1.0) * size(config.num_labels());
    let all = table + size(config.max_position_embeddings) * d + size(config.num_hidden_layers) * layer + head;
    (all, table.max(d * inner))
}
