//! A model's answers on a set, and how good they are.

use anyhow::{Context, Result};
use datasets::Metrics;

use crate::bert::Bert;
use crate::samples::Samples;

/// Texts in one pass.
const GROUP: usize = 64;

/// The logits of every text, in the set's order.
pub fn logits(model: &Bert, samples: &Samples) -> Result<Vec<Vec<f32>>> {
    let mut all = vec![Vec::new(); samples.len()];
    for group in samples.groups(GROUP) {
        let batch = samples.pack(&group, model.config().num_attention_heads)?;
        for (&sample, row) in group.iter().zip(model.logits(&batch, None)?.to_vec2::<f32>()?) {
            all[sample] = row;
        }
    }
    Ok(all)
}

/// The scores of a model on a set.
pub fn judge(model: &Bert, samples: &Samples) -> Result<Metrics> {
    let classes: Vec<usize> = logits(model, samples)?
        .iter()
        .map(|row| datasets::largest(row).context("a model without classes"))
        .collect::<Result<_>>()?;
    Ok(Metrics::of_classes(&classes, samples.labels()))
}
