//! A model's answers on a set, and how good they are.

use anyhow::Result;
use datasets::Metrics;
use serde_json::Value;

use crate::bert::Bert;
use crate::question::Question;
use crate::samples::Samples;

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

/// The scores of a model on a set.
pub fn judge(model: &Bert, samples: &Samples, question: &Question, step: &dyn Fn(usize)) -> Result<Metrics> {
    let logits = logits(model, samples, step)?;
    Ok(question.source.judge(&question.target, &logits, samples.labels()))
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
