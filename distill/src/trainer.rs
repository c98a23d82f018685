//! Flags that every stage is steered by, named and meant as in Hugging Face's Trainer and run_glue.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

/// How steps are made of batches, how long a stage goes on, what is kept and what is answered in the end.
#[derive(Args, Clone, Debug, Serialize)]
pub struct TrainerFlags {
    /// Batches whose gradients make one step, weighed by their texts.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub gradient_accumulation_steps: u16,
    /// Longest gradient of a step; longer ones are shortened to it. 0 leaves all as they are.
    #[arg(long, value_name = "LENGTH", default_value_t = 1.0, value_parser = super::options::amount)]
    pub max_grad_norm: f64,
    /// Put texts of nearly equal length into a batch.
    #[arg(long)]
    pub group_by_length: bool,
    /// Checkpoints that are kept, the newest ones.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    #[serde(skip)]
    pub save_total_limit: u16,
    /// End the teacher's fine-tuning and stage 2 after so many evaluations without a better score.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub early_stopping_patience: Option<u64>,
    /// With --early-stopping-patience: by how much a score must be better to count [default: 0].
    #[arg(long, value_name = "SCORE", requires = "early_stopping_patience",
        value_parser = super::options::amount)]
    pub early_stopping_threshold: Option<f64>,
    /// Answer the task's test set too: predict_results_TASK.txt.
    #[arg(long, conflicts_with = "evaluate_only")]
    #[serde(skip)]
    pub do_predict: bool,
    /// A file of your own to answer, with columns like the others'; it needs no labels.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["task", "evaluate_only"])]
    #[serde(skip)]
    pub test_file: Option<PathBuf>,
}

impl TrainerFlags {
    /// Whether a test set is answered.
    pub fn predicts(&self) -> bool {
        self.do_predict || self.test_file.is_some()
    }
}
