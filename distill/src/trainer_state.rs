//! Fields of Hugging Face's `TrainerState` beside our own state, for tools that read them; a run does not.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::plan::StagePlan;

/// Names and meanings are Trainer's. A run's stages follow each other like one training: `max_steps` is the global step at
/// which the current one ends, `epoch` and `num_train_epochs` are the current one's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainerState {
    /// Passes over the training set in this stage.
    pub epoch: f64,
    /// How many there will be.
    pub num_train_epochs: u64,
    /// The global step that this stage ends with.
    pub max_steps: u64,
    /// Texts in a batch.
    pub train_batch_size: usize,
    /// Steps between two evaluations.
    pub eval_steps: u64,
    /// Steps between two lines of log.
    pub logging_steps: u64,
    /// Steps between two checkpoints.
    pub save_steps: u64,
    /// The weights of the best model of this stage, where it keeps them.
    pub best_model_checkpoint: Option<PathBuf>,
    /// Of several processes rank 0 alone writes this.
    pub is_local_process_zero: bool,
    /// Of several processes rank 0 alone writes this.
    pub is_world_process_zero: bool,
    /// Always false, because no hyper-parameters are searched.
    pub is_hyper_param_search: bool,
}

impl TrainerState {
    /// Of a stage that begins, or is resumed, after `before` steps of others.
    pub fn begin(&mut self, plan: &StagePlan, before: u64) {
        *self = TrainerState {
            num_train_epochs: plan.epochs,
            max_steps: before + plan.schedule.steps,
            train_batch_size: plan.batch,
            eval_steps: plan.evaluate_every,
            logging_steps: plan.log_every,
            save_steps: plan.save_every,
            is_local_process_zero: true,
            is_world_process_zero: true,
            ..std::mem::take(self)
        };
    }
}
