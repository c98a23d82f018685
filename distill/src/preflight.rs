//! Checks that need only the models' configurations, so that a run is refused before weights are fetched or read.

use std::path::Path;

use anyhow::{Result, ensure};
use cli::coded;
use cli::exit::USAGE;
use model::Config;

use crate::folder::check_positions;
use crate::options::Options;
use crate::plan::batch;
use crate::state::Stage;
use crate::{memory, student};

/// Texts are cut to this many tokens where neither the user nor a model says otherwise.
const LENGTH: usize = 128;

/// A model's folder and its configuration.
pub type NamedConfig<'a> = (&'a Path, &'a Config);

/// Checks a run with this teacher and a student that starts from `start` or from the teacher; returns the most tokens of a text.
pub fn check(
    options: &Options,
    processes: usize,
    teacher: NamedConfig<'_>,
    start: Option<NamedConfig<'_>>,
) -> Result<usize> {
    let start = start.unwrap_or(teacher);
    let length = length(options, &[teacher, start])?;
    let mut mine = start.1.clone();
    student::check_layers(options.student_layers, mine.num_hidden_layers)?;
    mine.num_hidden_layers = options.student_layers.unwrap_or(mine.num_hidden_layers);
    let batch = batch(options, Stage::Layers).max(batch(options, Stage::Prediction));
    let sum = usize::from(options.trainer.gradient_accumulation_steps);
    memory::check(options.memory, teacher.1, &mine, batch, sum, length, processes)?;
    Ok(length)
}

/// The same of a teacher whose student starts from a model that is not known yet.
pub fn check_teacher(options: &Options, teacher: NamedConfig<'_>) -> Result<usize> {
    let length = length(options, &[teacher])?;
    memory::check_evaluation(options.memory, teacher.1, length, false)?;
    Ok(length)
}

/// The most tokens of a text that all models can read.
pub fn length(options: &Options, models: &[NamedConfig<'_>]) -> Result<usize> {
    let least = models.iter().map(|(_, config)| config.max_position_embeddings).min().unwrap_or(LENGTH);
    let length = options.max_seq_length.unwrap_or(least.min(LENGTH));
    for (path, config) in models {
        check_positions(path, config)?;
        let (path, limit) = (path.display(), config.max_position_embeddings);
        let message = || format!("--max-seq-length is {length}; {path} reads {limit} tokens at most");
        ensure!(length <= limit, coded(USAGE, message()));
    }
    Ok(length)
}
