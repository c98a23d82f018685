//! A model's logits and scores on a data set.

use std::cell::Cell;
use std::time::Instant;

use anyhow::Result;
use candle_core::{Device, Tensor};
use datasets::Metrics;
use serde_json::Value;

use crate::bert::Bert;
use crate::loss::with_truth;
use crate::samples::Samples;
use crate::task_binding::TaskBinding;

/// The logits of every text, in the set's order. `step` is called with the number of texts of each pass.
pub fn logits(model: &Bert, samples: &Samples, step: &dyn Fn(usize)) -> Result<Vec<Vec<f32>>> {
    let mut all = vec![Vec::new(); samples.len()];
    for group in samples.groups() {
        let batch = samples.pack(&group, model.config().num_attention_heads, model.device())?;
        for (&sample, row) in group.iter().zip(model.logits(&batch, None)?.to_vec2::<f32>()?) {
            all[sample] = row;
        }
        step(group.len());
    }
    Ok(all)
}

/// A model's scores on a set, its mean loss with the true labels, and the time that took.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The scores.
    pub metrics: Metrics,
    /// Mean cross-entropy, of the classes or of each label, or mean squared error.
    pub loss: f64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Forward passes.
    pub passes: usize,
}

impl Evaluation {
    /// Everything as Trainer names it: `eval_accuracy`, `eval_loss`, `eval_runtime`, ...
    pub fn entries(&self) -> impl Iterator<Item = (String, Value)> {
        let second = |count: usize| count as f64 / self.seconds;
        let more = [
            ("eval_loss", self.loss),
            ("eval_runtime", self.seconds),
            ("eval_samples_per_second", second(self.metrics.samples)),
            ("eval_steps_per_second", second(self.passes)),
        ];
        let more = more.into_iter().map(|(name, number)| (name.to_string(), number.into()));
        results("eval_", &self.metrics).chain(more)
    }
}

/// Evaluates a model on a set.
pub fn evaluate(model: &Bert, samples: &Samples, task: &TaskBinding, step: &dyn Fn(usize)) -> Result<Evaluation> {
    let (begun, passes) = (Instant::now(), Cell::new(0));
    let logits = logits(model, samples, &|texts| {
        passes.set(passes.get() + 1);
        step(texts);
    })?;
    Ok(Evaluation {
        metrics: task.source.judge(&task.target, &logits, samples.labels()),
        loss: loss(&logits, samples)?,
        seconds: begun.elapsed().as_secs_f64(),
        passes: passes.get(),
    })
}

/// [`with_truth`] of all texts.
fn loss(logits: &[Vec<f32>], samples: &Samples) -> Result<f64> {
    let all: Vec<usize> = (0..samples.len()).collect();
    let shape = (logits.len(), logits.first().map_or(0, Vec::len));
    let logits = Tensor::from_vec(logits.concat(), shape, &Device::Cpu)?;
    Ok(with_truth(&logits, &samples.batch_labels(&all, &Device::Cpu)?)?.to_scalar::<f32>()?.into())
}

/// Scores under the names that result files have for them: `eval_accuracy`.
pub fn results(prefix: &str, metrics: &Metrics) -> impl Iterator<Item = (String, Value)> {
    metrics.named().into_iter().map(move |(name, score)| (format!("{prefix}{name}"), score.into()))
}

/// Adds entries to a JSON object.
pub fn extend(object: &mut Value, entries: impl IntoIterator<Item = (String, Value)>) {
    if let Some(object) = object.as_object_mut() {
        object.extend(entries);
    }
}
