//! Evaluations during training: which weights are the best so far, and whether the stage runs out of patience.

use std::cell::Cell;

use anyhow::Result;

use super::StageTraining;
use crate::checkpoint;
use crate::evaluate::{evaluate, extend};

impl StageTraining<'_> {
    /// Evaluates the weights on the development set. Rank 0 computes, and all hear the score.
    pub(super) fn evaluate(&mut self) -> Result<()> {
        let group = &self.group;
        let done = Cell::new(0);
        let evaluation = match group.leads() {
            true => Some(evaluate(&self.evaluated, &self.data.dev, &self.data.task, &|texts| {
                done.set(done.get() + texts);
                self.progress.evaluating(done.get(), self.data.dev.len());
                group.alive();
            })?),
            false => None,
        };
        let score = evaluation.as_ref().map_or(0.0, |evaluation| evaluation.metrics.main());
        let better = self.compare(group.broadcast_f64(score)?)?;
        let Some(evaluation) = evaluation else { return Ok(()) };
        let mark = if better { ", the best so far" } else { "" };
        let (name, metrics) = (self.plan.stage.name(), &evaluation.metrics);
        let (step, words, texts) = (self.run.state.stage_step, metrics.words(), metrics.samples);
        self.progress.say(&format!("{name} {step}: {words} on {texts} texts{mark}"));
        let mut entry = self.entry();
        extend(&mut entry, evaluation.entries());
        self.run.record(entry)
    }

    /// Notes a score, and keeps the weights if it is the best one.
    fn compare(&mut self, metric: f64) -> Result<bool> {
        let (plan, state) = (self.plan, &mut self.run.state);
        let enough = state.best_metric.is_none_or(|best| metric - best > plan.threshold);
        state.early_stopping_patience_counter = if enough { 0 } else { state.early_stopping_patience_counter + 1 };
        let better = state.best_metric.is_none_or(|best| metric > best);
        if better {
            if plan.keep_best {
                let path = checkpoint::best(&self.run.out);
                if self.group.leads() {
                    self.weights.write(&path, false)?;
                }
                state.trainer.best_model_checkpoint = Some(path);
            }
            state.best_metric = Some(metric);
            state.best_global_step = Some(state.global_step);
        }
        Ok(better)
    }
}
