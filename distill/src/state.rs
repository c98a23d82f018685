//! The state of a run, as `trainer_state.json` stores it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digests::InputDigests;
use crate::effort::Effort;
use crate::events;
use crate::trainer_state::TrainerState;

/// The parts of a run, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The teacher learns the task.
    Teacher,
    /// The student learns the teacher's hidden states and scores.
    Layers,
    /// The student learns the teacher's predictions, the true labels, or both.
    Prediction,
    /// The student's LayerNorms lose their division, layer by layer.
    Norms,
}

impl Stage {
    /// What the stage is called in logs.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Teacher => "teacher",
            Stage::Layers => "stage 1",
            Stage::Prediction => "stage 2",
            Stage::Norms => "norms",
        }
    }
}

/// A layer without the division in its LayerNorms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormTrial {
    /// The layer.
    pub layer: usize,
    /// The score on the development set.
    pub metric: f64,
    /// Whether it stayed so.
    pub kept: bool,
}

/// Everything about a run but its weights and the optimiser's moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The stage the run is in.
    pub stage: Stage,
    /// Steps taken in this stage.
    pub stage_step: u64,
    /// Steps taken in all stages.
    pub global_step: u64,
    /// The best score of this stage on the development set.
    pub best_metric: Option<f64>,
    /// The step after which the model had it.
    pub best_global_step: Option<u64>,
    /// Evaluations since the score was last better by the threshold.
    pub early_stopping_patience_counter: u64,
    /// What was tried in [`Stage::Norms`] so far, from the last layer on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub norms: Vec<NormTrial>,
    /// What decides the run's numbers; a run is resumed with the same only.
    pub settings: Value,
    /// Digests of the texts and models that it was begun with; a run is resumed with the same only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: InputDigests,
    /// Sums of what will be logged next, and the number of steps they are over.
    pub pending: BTreeMap<String, f64>,
    /// See `pending`.
    pub pending_steps: u64,
    /// Everything that was logged.
    pub log_history: Vec<Value>,
    /// Where TensorBoard's files are, below the output folder.
    pub logging_dir: PathBuf,
    /// What this stage took until now.
    pub stage_effort: Effort,
    /// What all stages took that are over.
    pub run_effort: Effort,
    /// Fields that other tools read.
    #[serde(flatten)]
    pub trainer: TrainerState,
}

impl State {
    /// The beginning of a run.
    pub fn new(settings: Value) -> State {
        State {
            stage: Stage::Teacher,
            stage_step: 0,
            global_step: 0,
            best_metric: None,
            best_global_step: None,
            early_stopping_patience_counter: 0,
            norms: Vec::new(),
            settings,
            inputs: InputDigests::new(),
            pending: BTreeMap::new(),
            pending_steps: 0,
            log_history: Vec::new(),
            logging_dir: events::new_folder(),
            stage_effort: Effort::default(),
            run_effort: Effort::default(),
            trainer: TrainerState::default(),
        }
    }

    /// Goes on to a later stage; stays where it is if it is there already.
    pub fn enter(&mut self, stage: Stage) {
        if self.stage < stage {
            self.stage = stage;
            self.begin();
        }
    }

    /// Begins a stage, or the next part of one.
    pub fn begin(&mut self) {
        self.stage_step = 0;
        self.best_metric = None;
        self.best_global_step = None;
        self.early_stopping_patience_counter = 0;
        self.stage_effort = Effort::default();
        self.trainer.best_model_checkpoint = None;
        self.pending.clear();
        self.pending_steps = 0;
    }

    /// Adds numbers to what will be logged.
    pub fn note(&mut self, numbers: &[(&str, f64)]) {
        for (name, number) in numbers {
            *self.pending.entry((*name).to_string()).or_default() += number;
        }
        self.pending_steps += 1;
    }

    /// The means of what was noted since the last call.
    pub fn take_means(&mut self) -> BTreeMap<String, f64> {
        let steps = std::mem::take(&mut self.pending_steps).max(1) as f64;
        std::mem::take(&mut self.pending).into_iter().map(|(name, sum)| (name, sum / steps)).collect()
    }
}
