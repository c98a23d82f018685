//! The penalty on values outside the ranges that private inference approximates well, and the ranges that were observed.

use anyhow::Result;
use candle_core::Tensor;
use model::{AttentionKind, Config};
use serde::Serialize;

use crate::bert::{Bert, ForwardTrace};
use crate::ops::{log_square_sums, log_variances, range_penalty, score_range_penalty, spread, sum_spread};
use crate::parallel::Shard;
use crate::samples::Samples;

// The four numbers below are targets of the training, not limits of the private run: those are in the crate `model`
// (`choose.rs`), which takes its domains from calibration.json, widens them by a head-room, and refuses what no series of its
// can follow. The targets are narrower than that on purpose. A penalty only pulls: some values stay outside, texts that
// nobody has seen go further, and every domain that stays narrow needs fewer terms, which is less to deal and less to compute.

/// How far above `-c` scores are to stay. 2Quad's weight is 0 at `-c` and grows again below it, so that a score this near
/// means "hardly any weight", and a lower one would mean more. A row that is all near `-c` has a sum near 0, at whose lower end
/// the series of 1/D must be exact.
const NEAREST: f32 = 1.0;
/// Where scores are to end. With c = 5 a score of 15 weighs 400, sixteen times a score of 0: it makes the upper end of the sums,
/// and the series of 1/D is dearer the larger the largest sum is over the smallest.
const HIGHEST_SCORE: f32 = 15.0;
/// Where GeLU's inputs are to end, on both sides. A run holds neurons of up to 124, head-room included, each in the narrowest of
/// five classes that takes it; up to 11 the third class (up to 28) is enough.
const GELU: f32 = 11.0;
/// Half the width, in natural logarithms, that a LayerNorm's variances may take at no cost, and a head's mean squares: a ratio
/// of 16 in all. The series of 1/sqrt and 1/D are dearer the larger the largest argument is over the smallest, and beyond some
/// 120 there is none for 1/D; how large they are costs nothing, hence no centre.
const LOG_SPREAD: f32 = 1.386;
/// How much more a row's mean square counts than a value elsewhere. Rows beyond the spread are one in hundreds (SST-2: words of
/// praise in texts of three tokens), and the widest alone decides whether there is a series.
const ROWS: f64 = 20.0;

/// The scores that suit a layer's 2Quad; one range for all heads, that of the smallest shift.
pub fn score_range(config: &Config, layer: usize) -> (f32, f32) {
    let shifts = (0..config.num_attention_heads).map(|head| config.shift(layer, head));
    (NEAREST - shifts.fold(f32::INFINITY, f32::min), HIGHEST_SCORE)
}

/// The penalty on everything outside its range, over all layers; this process's part of the whole batch's.
pub fn penalty(trace: &ForwardTrace, config: &Config, shard: &Shard<'_>) -> Result<Tensor> {
    let mut terms = Vec::new();
    if config.attention_softmax == AttentionKind::TwoQuad {
        attention_penalty(&mut terms, trace, config, shard)?;
    }
    for inputs in &trace.gelu_inputs {
        terms.push(shard.over_tokens(&range_penalty(inputs, -GELU, GELU)?)?);
    }
    // The first norm's input is the sum of the embeddings, which may be frozen.
    let norms = &trace.norm_inputs[1..];
    let sum = |inputs| Ok(log_variances(inputs)?.iter().sum());
    let centres = shard.means(|| norms.iter().map(sum).collect())?;
    for (place, inputs) in norms.iter().enumerate() {
        let centre = centres.as_ref().map(|centres| centres[place]);
        terms.push(shard.over_tokens(&spread(inputs, centre, LOG_SPREAD)?)?);
    }
    Ok(Tensor::stack(&terms, 0)?.sum_all()?)
}

/// The penalty on scores, and on the spread of the sums that 2Quad divides by; a head's sums count like a LayerNorm's variances.
fn attention_penalty(terms: &mut Vec<Tensor>, trace: &ForwardTrace, config: &Config, shard: &Shard<'_>) -> Result<()> {
    let ragged = &trace.ragged;
    let shifts = |layer: usize| -> Vec<f32> { (0..ragged.heads()).map(|head| config.shift(layer, head)).collect() };
    let layers: Vec<(&Tensor, Vec<f32>)> =
        (0..).map(shifts).zip(&trace.scores).map(|(c, scores)| (scores, c)).collect();
    let sums = || -> Result<Vec<f32>> {
        let of_layers: Vec<_> = layers.iter().map(|(s, c)| log_square_sums(s, c, ragged)).collect::<Result<_, _>>()?;
        Ok(of_layers.concat())
    };
    let centres = shard.means(sums)?;
    for (layer, (scores, shifts)) in layers.iter().enumerate() {
        let (low, high) = score_range(config, layer);
        terms.push(shard.over_scores(&score_range_penalty(scores, low, high, ragged)?)?);
        let centres = centres.as_ref().map(|centres| &centres[layer * ragged.heads()..][..ragged.heads()]);
        let spread = sum_spread(scores, shifts, centres, LOG_SPREAD, ragged)?;
        terms.push((shard.over_tokens(&spread)? * ROWS)?);
    }
    Ok(())
}

/// The smallest and the largest value observed at one place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ObservedRange {
    /// The smallest.
    pub low: f32,
    /// The largest.
    pub high: f32,
}

impl ObservedRange {
    const NOTHING: ObservedRange = ObservedRange { low: f32::INFINITY, high: f32::NEG_INFINITY };

    fn add(&mut self, numbers: &[f32]) {
        for &number in numbers {
            self.low = self.low.min(number);
            self.high = self.high.max(number);
        }
    }
}

/// The ranges observed in one layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ObservedLayer {
    /// Attention scores.
    pub scores: ObservedRange,
    /// Inputs to GeLU.
    pub gelu: ObservedRange,
    /// Variances in the LayerNorm after attention.
    pub attention_variance: ObservedRange,
    /// Variances in the LayerNorm after the feed-forward part.
    pub variance: ObservedRange,
}

/// The ranges over a set, layer by layer. `step` is called with the number of texts of each pass.
pub fn ranges(model: &Bert, samples: &Samples, step: &dyn Fn(usize)) -> Result<Vec<ObservedLayer>> {
    const NOTHING: ObservedLayer = ObservedLayer {
        scores: ObservedRange::NOTHING,
        gelu: ObservedRange::NOTHING,
        attention_variance: ObservedRange::NOTHING,
        variance: ObservedRange::NOTHING,
    };
    let mut ranges = vec![NOTHING; model.config().num_hidden_layers];
    for group in samples.groups() {
        let trace = model.encode(&samples.pack(&group, model.config().num_attention_heads, model.device())?, None)?;
        for (layer, seen) in ranges.iter_mut().enumerate() {
            seen.scores.add(&trace.ragged.flat_scores(&trace.scores[layer])?);
            seen.gelu.add(&trace.gelu_inputs[layer].flatten_all()?.to_vec1::<f32>()?);
            let variances = |norm: usize| -> Result<Vec<f32>> {
                Ok(log_variances(&trace.norm_inputs[norm])?.into_iter().map(f32::exp).collect())
            };
            seen.attention_variance.add(&variances(1 + 2 * layer)?);
            seen.variance.add(&variances(2 + 2 * layer)?);
        }
        step(group.len());
    }
    Ok(ranges)
}
