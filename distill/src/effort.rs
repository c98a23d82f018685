//! What training took: time, texts, losses, under Trainer's names.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A stage's work, or a run's, over all parts of a run that was resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Wall-clock time, evaluations included.
    pub seconds: f64,
    /// Steps taken.
    pub steps: u64,
    /// Texts learned from, as often as they were.
    pub texts: u64,
    /// The sum of the steps' losses.
    pub loss: f64,
}

impl Effort {
    /// Adds one step.
    pub fn step(&mut self, texts: usize, loss: f64) {
        self.steps += 1;
        self.texts += texts as u64;
        self.loss += loss;
    }

    /// Adds time.
    pub fn took(&mut self, time: Duration) {
        self.seconds += time.as_secs_f64();
    }

    /// Adds a stage's to a run's.
    pub fn add(&mut self, stage: Effort) {
        self.seconds += stage.seconds;
        self.steps += stage.steps;
        self.texts += stage.texts;
        self.loss += stage.loss;
    }

    /// `train_loss`: the mean of a stage's steps.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.steps as f64
    }

    /// `train_runtime` and what was done in a second of it.
    pub fn speeds(&self) -> [(String, Value); 3] {
        [
            ("train_runtime".into(), self.seconds.into()),
            ("train_samples_per_second".into(), (self.texts as f64 / self.seconds).into()),
            ("train_steps_per_second".into(), (self.steps as f64 / self.seconds).into()),
        ]
    }
}
