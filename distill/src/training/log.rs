//! The entries that training leaves in the log, and its lines on standard error.

use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use super::StageTraining;
use crate::evaluate::extend;
use crate::results::TRAIN_LOSS;

impl StageTraining<'_> {
    /// The means of the numbers since the last entry.
    pub(super) fn log(&mut self, rate: f64) -> Result<()> {
        let (state, plan) = (&mut self.run.state, self.plan);
        let done = state.stage_step;
        let (time, step) = self.logged;
        let seconds = time.elapsed().as_secs_f64() / done.saturating_sub(step).max(1) as f64;
        self.logged = (Instant::now(), done);
        let means = state.take_means();
        let mut text: Vec<String> = means.iter().map(|(name, mean)| format!("{name} {mean:.4}")).collect();
        text.push(format!("rate {rate:.2e}, {seconds:.3} s a step"));
        self.progress.say(&format!("{} {done}/{}: {}", plan.stage.name(), plan.schedule.steps, text.join(", ")));
        let mut entry = self.entry();
        extend(&mut entry, [("learning_rate".into(), rate.into())]);
        extend(&mut entry, means.into_iter().map(|(name, mean)| (name, mean.into())));
        self.run.record(entry)
    }

    /// What every entry says.
    pub(super) fn entry(&self) -> Value {
        let state = &self.run.state;
        json!({"stage": self.plan.stage.name(), "step": state.global_step, "epoch": state.trainer.epoch})
    }

    /// The last entry of a stage, with its mean loss and its speed.
    pub(super) fn log_end(&mut self) -> Result<()> {
        let state = &mut self.run.state;
        if state.stage_step < self.plan.schedule.steps {
            let evaluations = state.early_stopping_patience_counter;
            let name = self.plan.stage.name();
            self.progress.say(&format!("{name} ends early: {evaluations} evaluations without a better score"));
        }
        state.run_effort.add(state.stage_effort);
        let effort = state.stage_effort;
        let mut entry = self.entry();
        extend(&mut entry, [(TRAIN_LOSS.to_string(), effort.mean_loss().into())]);
        extend(&mut entry, effort.speeds());
        self.run.record(entry)
    }
}
