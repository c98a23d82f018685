//! How much memory a conversion takes.

use std::fs;
use std::path::Path;

use anyhow::Result;
use cli::memory::{Memory, with_margin};
use model::{Config, Sample, Shape};

use crate::student::Student;

/// The program, and the fitting of curves: 17 MB were seen of a program that is not optimised, with a student of no size.
const REST: u64 = 20 << 20;
/// What a tokenizer takes, as a multiple of its file.
const TOKENIZER: u64 = 60;
const CURE: &str = "use a machine with more memory";

/// Refuses a conversion that needs more memory than there is, before weights are read. A folder that cannot be read passes:
/// its reader says better what is wrong.
pub fn check(student: &Path, memory: Memory) -> Result<()> {
    let Ok(config) = checkpoint::read_config(student) else { return Ok(()) };
    memory.check(&needs(student, words(&config)), CURE)
}

/// Refuses texts that need more memory than there is, once the weights are read and before the long work begins.
pub(crate) fn check_texts(student: &Student, observed: &[Sample], compared: &[Sample], memory: Memory) -> Result<()> {
    let together = rayon::current_num_threads();
    let (observed, compared) = (observing(student.shape(), observed, together), comparing(student.shape(), compared));
    let mut needs = needs(&student.folder, words(&student.config)).to_vec();
    // an allocator keeps what texts took, so that it adds to what comes later
    needs.push(("values of the longest texts", with_margin(observed.max(compared))));
    if memory.limit.is_none() {
        // what is available was counted with these in memory
        needs[0].1 /= 2;
    }
    memory.check(&needs, CURE)
}

fn needs(student: &Path, (all, largest): (f64, f64)) -> [(&'static str, u64); 4] {
    let tokenizer = fs::metadata(student.join("tokenizer.json")).map_or(0, |file| file.len());
    [
        // as they came, and with neurons in the order of the spec
        ("weights in floating point", (8.0 * all) as u64),
        ("in fixed point", (8.0 * all) as u64),
        // of the largest at a time, and its mask
        ("masked parts", (16.0 * largest) as u64),
        ("all else", REST.saturating_add(TOKENIZER.saturating_mul(tokenizer))),
    ]
    .map(|(name, bytes)| (name, with_margin(bytes)))
}

/// The longest texts, one a thread at the same time.
fn observing(shape: &Shape, samples: &[Sample], together: usize) -> u64 {
    if samples.is_empty() {
        return 0;
    }
    let mut lengths: Vec<usize> = samples.iter().map(|sample| sample.ids.len()).collect();
    // what is observed beside the samples: texts as long as the model takes, and of half that length
    lengths.extend([shape.positions, shape.positions, shape.positions / 2, shape.positions / 2]);
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths.iter().take(together).map(|tokens| 4.0 * values(shape, *tokens)).sum::<f64>() as u64
}

/// The longest text, in words of 8 bytes.
fn comparing(shape: &Shape, samples: &[Sample]) -> u64 {
    let longest = samples.iter().map(|sample| sample.ids.len()).max().unwrap_or(0);
    (8.0 * values(shape, longest)) as u64
}

/// The most values of a text of so many tokens that are there at once.
fn values(shape: &Shape, tokens: usize) -> f64 {
    let [tokens, width, inner, heads] = [tokens, shape.width, shape.inner, shape.heads].map(|n| n as f64);
    let input = tokens * shape.one_hot() as f64;
    let attention = 4.0 * heads * tokens * tokens + 6.0 * tokens * width;
    let feed_forward = 5.0 * tokens * inner + 6.0 * tokens * width;
    input + input.max(attention).max(feed_forward)
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
