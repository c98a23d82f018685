//! How much memory a run needs, so that too much is refused before it begins.

use anyhow::Result;
use cli::memory::{Memory, with_margin};
use model::Config;

use crate::samples::group_of;
use crate::weights::shapes;

/// What takes memory at the same time, and how many bytes of it.
type Needs = Vec<(&'static str, u64)>;

/// Bytes of a number.
const NUMBER: u64 = 4;
/// The program, its threads and its buffers.
const PROGRAM: u64 = 40 << 20;

/// Refuses a run that does not fit: the teacher's and the student's configurations, texts in a batch, batches in a step,
/// tokens in a text, processes that train together.
pub fn check(
    memory: Memory,
    teacher: &Config,
    student: &Config,
    batch: usize,
    accumulation: usize,
    length: usize,
    processes: usize,
) -> Result<()> {
    // the sum of a step's gradients, and those of one batch where there are several
    let sums = accumulation.min(2) as u64;
    let total = |needs: &Needs| needs.iter().map(|(_, bytes)| bytes).sum::<u64>();
    let stages = [fine_tuning(teacher, sums, batch, length), stage1(teacher, student, sums, batch, length)];
    let mut needs = stages.into_iter().max_by_key(total).unwrap_or_default();
    needs.push(("observing what is opened", calibration(student)));
    if processes > 1 {
        needs.push(("gradients to exchange", weights(teacher).max(weights(student))));
    }
    let cure = format!(
        "lower --per-device-train-batch-size (now {batch}) or --max-seq-length (now {length}), or say with --memory how much \
         there is"
    );
    memory.check(&with_fragmentation(needs), &cure)
}

/// The same for a model that is only evaluated, with `calibrate` also observed.
pub fn check_evaluation(memory: Memory, model: &Config, length: usize, calibrate: bool) -> Result<()> {
    let mut needs = vec![
        ("weights", weights(model) + PROGRAM),
        ("a group of texts", forward_pass(model, group_of(length), length)),
    ];
    if calibrate {
        needs.push(("observing what is opened", 2 * weights(model) + calibration(model)));
    }
    memory.check(&with_fragmentation(needs), "lower --max-seq-length, or say with --memory how much there is")
}

/// Adds a tenth for fragmentation, because freed memory is kept and does not always fit the next request, and the usual margin.
fn with_fragmentation(needs: Needs) -> Needs {
    needs.into_iter().map(|(name, bytes)| (name, with_margin(bytes + bytes / 10))).collect()
}

/// Fine-tuning: the weights as they were read and as they are trained.
fn fine_tuning(model: &Config, sums: u64, batch: usize, length: usize) -> Needs {
    let weights = weights(model);
    let step = backward_graph(model, batch, length).max(forward_pass(model, group_of(length), length));
    vec![
        ("weights", 2 * weights + PROGRAM),
        ("gradients", sums * weights),
        ("AdamW's moments", 2 * weights),
        ("a batch", step),
    ]
}

/// Stage 1, which asks for more than stage 2: beside the student's graph there are the teacher's values, the differences
/// between both and their gradients.
fn stage1(teacher: &Config, student: &Config, sums: u64, batch: usize, length: usize) -> Needs {
    let mine = weights(student);
    let (tokens, layers) = ((batch * length) as u64, student.num_hidden_layers as u64);
    let differences = 5 * NUMBER * tokens * layers * (hidden(student) + scores(student, length));
    let step = backward_graph(student, batch, length) + forward_pass(teacher, batch, length) + differences;
    vec![
        ("teacher", weights(teacher) + PROGRAM),
        ("student", 2 * mine),
        ("gradients", sums * mine),
        ("AdamW's moments", 2 * mine),
        ("a batch", step.max(forward_pass(student, group_of(length), length))),
    ]
}

/// What every tensor of a model takes.
fn weights(config: &Config) -> u64 {
    shapes(config).values().map(|shape| NUMBER * shape.iter().product::<usize>() as u64).sum()
}

fn hidden(config: &Config) -> u64 {
    config.hidden_size as u64
}

/// Scores of one token, all heads.
fn scores(config: &Config, length: usize) -> u64 {
    (config.num_attention_heads * length) as u64
}

/// What training keeps of a batch until the backward pass ends: of each token the results of the operations in `bert.rs` and
/// three squares of scores, and the gradients of the one layer that the backward pass has reached.
fn backward_graph(config: &Config, batch: usize, length: usize) -> u64 {
    let layer = 12 * hidden(config) + 2 * config.intermediate_size as u64 + 3 * scores(config, length);
    NUMBER * (batch * length) as u64 * ((config.num_hidden_layers as u64 + 1) * layer + 8 * hidden(config))
}

/// What one pass without training keeps: what [`crate::bert::ForwardTrace`] holds, and one layer at work.
fn forward_pass(config: &Config, batch: usize, length: usize) -> u64 {
    let layer = 3 * hidden(config) + config.intermediate_size as u64 + 2 * scores(config, length);
    NUMBER * (batch * length) as u64 * (config.num_hidden_layers as u64 + 2) * layer
}

/// What `model::calibrate` takes beside the weights, in memory of its own: a text on each thread, of which up to three are as
/// long as the model reads (two whole ones, two halves), and of each a dozen copies of a layer's values.
fn calibration(config: &Config) -> u64 {
    let positions = config.max_position_embeddings;
    let layer = hidden(config) + config.intermediate_size as u64 + scores(config, positions);
    12 * NUMBER * positions as u64 * layer * rayon::current_num_threads().min(3) as u64
}
