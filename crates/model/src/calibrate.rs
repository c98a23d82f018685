//! Ranges of every opened value over sample texts: what `convert` needs to choose scales, without a data set.

use std::ops::RangeInclusive;

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bert::{Bert, BertFunction, BertSite};
use crate::config::AttentionKind;
use crate::float::Observer;
use crate::fold::Folded;
use crate::functions::Functions;
use crate::sample::{Sample, SampleError};
use crate::shape::{Shape, Texts};
use crate::softmax_ranges::SoftmaxRanges;
use crate::span::Span;
use crate::table::{Function, Site};

/// The format of `calibration.json`.
pub const CALIBRATION_VERSION: u32 = 2;

/// Ranges of a LayerNorm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormRanges {
    /// Largest absolute value of the centred input.
    pub input: f32,
    /// Sum of squares of a row.
    pub square_sum: Span,
}

/// Ranges of an attention head.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadRanges {
    /// Squares of shifted scores, or of 2ReLU the positive ones.
    pub squares: f32,
    /// Sum of a row of these over the number of tokens.
    pub sum: Span,
    /// These times values over the number of tokens.
    pub mixed: f32,
}

/// Ranges of a layer; absolute values unless a span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRanges {
    /// Query.
    pub query: f32,
    /// Key.
    pub key: f32,
    /// Value.
    pub value: f32,
    /// Scores, before the shift.
    pub scores: f32,
    /// What differs from head to head, with 2Quad.
    pub heads: Vec<HeadRanges>,
    /// The same with softmax.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub softmax: Vec<SoftmaxRanges>,
    /// Attention output.
    pub attention: f32,
    /// Input of the activation by neuron; of a quadratic, the line that is squared.
    pub gelu: Vec<f32>,
    /// Output of the activation.
    pub activation: f32,
}

/// Ranges of a model over sample texts (`calibration.json`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranges {
    /// [`CALIBRATION_VERSION`].
    pub version: u32,
    /// Sample texts, the stretched ones included.
    pub texts: usize,
    /// Fewest and most tokens of a text.
    pub tokens: (usize, usize),
    /// LayerNorms.
    pub norms: Vec<NormRanges>,
    /// Layers.
    pub layers: Vec<LayerRanges>,
    /// Largest absolute input of the pooler's tanh.
    pub pooler: f32,
    /// Largest absolute logit.
    pub logits: f32,
    /// Ranges over texts unlike those that the model is for; functions reach there where that is nearly free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusual: Option<Box<Ranges>>,
}

impl Ranges {
    fn empty(shape: &Shape) -> Ranges {
        let norm = NormRanges { input: 0.0, square_sum: Span::EMPTY };
        let softmax = shape.attention == AttentionKind::Softmax;
        let of = |kind: bool| if kind { shape.heads } else { 0 };
        let layer = LayerRanges {
            query: 0.0,
            key: 0.0,
            value: 0.0,
            scores: 0.0,
            heads: vec![HeadRanges { squares: 0.0, sum: Span::EMPTY, mixed: 0.0 }; of(!softmax)],
            softmax: vec![SoftmaxRanges::empty(); of(softmax)],
            attention: 0.0,
            gelu: vec![0.0; shape.inner],
            activation: 0.0,
        };
        Ranges {
            version: CALIBRATION_VERSION,
            texts: 0,
            tokens: (usize::MAX, 0),
            norms: vec![norm; shape.norms()],
            layers: vec![layer; shape.layers],
            pooler: 0.0,
            logits: 0.0,
            unusual: None,
        }
    }

    /// Ranges over both.
    pub fn merge(mut self, other: &Ranges) -> Ranges {
        self.texts += other.texts;
        self.tokens = (self.tokens.0.min(other.tokens.0), self.tokens.1.max(other.tokens.1));
        for (a, b) in self.norms.iter_mut().zip(&other.norms) {
            a.input = a.input.max(b.input);
            a.square_sum.merge(&b.square_sum);
        }
        for (a, b) in self.layers.iter_mut().zip(&other.layers) {
            let pairs = [
                (&mut a.query, b.query),
                (&mut a.key, b.key),
                (&mut a.value, b.value),
                (&mut a.scores, b.scores),
                (&mut a.attention, b.attention),
                (&mut a.activation, b.activation),
            ];
            pairs.into_iter().for_each(|(x, y)| *x = x.max(y));
            a.gelu.iter_mut().zip(&b.gelu).for_each(|(x, y)| *x = x.max(*y));
            a.softmax.iter_mut().zip(&b.softmax).for_each(|(a, b)| a.merge(b));
            for (a, b) in a.heads.iter_mut().zip(&b.heads) {
                a.squares = a.squares.max(b.squares);
                a.mixed = a.mixed.max(b.mixed);
                a.sum.merge(&b.sum);
            }
        }
        self.pooler = self.pooler.max(other.pooler);
        self.logits = self.logits.max(other.logits);
        self.unusual = match (self.unusual.take(), &other.unusual) {
            (Some(a), Some(b)) => Some(Box::new(a.merge(b))),
            (one, other) => one.or_else(|| other.clone()),
        };
        self
    }
}

/// Observes the network over the samples. Sample texts rarely have two tokens or five hundred: the first few samples, cut short
/// before the token that ends them, and samples set end to end stand in for those, so that the ranges hold for every length. They
/// do not for beginnings without an end, the lone first token among them, which no tokenizer makes: a student was never shown
/// any, and their attention sums alone would widen the domains of the reciprocals ten times.
pub fn calibrate(folded: &Folded, samples: &[Sample], progress: &(dyn Fn() + Sync)) -> Result<Ranges, SampleError> {
    samples.iter().try_for_each(|sample| sample.check(&folded.shape))?;
    let stretched = stretched(samples, &folded.shape);
    observe_all(folded, &samples.iter().chain(&stretched).collect::<Vec<_>>(), progress)
}

/// Observes the network over texts unlike those that it is for, as they are ([`Ranges::unusual`]).
pub fn calibrate_unusual(
    folded: &Folded,
    samples: &[Sample],
    progress: &(dyn Fn() + Sync),
) -> Result<Ranges, SampleError> {
    samples.iter().try_for_each(|sample| sample.check(&folded.shape))?;
    observe_all(folded, &samples.iter().collect::<Vec<_>>(), progress)
}

fn observe_all(folded: &Folded, samples: &[&Sample], progress: &(dyn Fn() + Sync)) -> Result<Ranges, SampleError> {
    samples
        .par_iter()
        .filter(|sample| !sample.ids.is_empty())
        .map(|sample| {
            let ranges = observe(folded, sample)?;
            progress();
            Ok(ranges)
        })
        .try_reduce(|| Ranges::empty(&folded.shape), |a, b| Ok(a.merge(&b)))
}

/// Number of texts that [`calibrate`] adds to the samples.
pub fn stretched_count(samples: &[Sample], positions: usize) -> usize {
    stretch(samples, positions, false).len()
}

/// Tokens of the short texts that are observed beside the samples; two are a text of no words.
pub const SHORT: RangeInclusive<usize> = 2..=4;

/// A text cut to so many tokens: its beginning, and the token that ends it.
///
/// # Panics
///
/// Of no tokens, and of more than the text has.
pub fn shortened(ids: &[u32], segments: &[u32], tokens: usize) -> Sample {
    let ids = ids[..tokens - 1].iter().chain(ids.last()).copied().collect();
    Sample { ids, segments: segments[..tokens].to_vec() }
}

/// What is observed beside the samples.
pub(crate) fn stretched(samples: &[Sample], shape: &Shape) -> Vec<Sample> {
    stretch(samples, shape.positions, shape.attention == AttentionKind::Softmax)
}

/// Short texts, and texts set end to end. With `ends` these begin and end as one text does: heads of softmax that attend to the
/// first and to the last token would meet what no text has.
fn stretch(samples: &[Sample], positions: usize, ends: bool) -> Vec<Sample> {
    let cut = |s: &Sample, n: usize| (n < s.ids.len()).then(|| shortened(&s.ids, &s.segments, n));
    let short = samples.iter().take(4).flat_map(|s| SHORT.filter_map(move |n| cut(s, n)));
    let mut all: Vec<Sample> = short.collect();
    let inner = |s: &Sample| match ends && s.ids.len() > 2 {
        true => 1..s.ids.len() - 1,
        false => 0..s.ids.len(),
    };
    let words = |s: &Sample| inner(s).map(|at| (s.ids[at], s.segments[at])).collect::<Vec<_>>();
    let mut words = samples.iter().flat_map(words).cycle();
    for length in [positions / 8, positions / 4, positions / 2, positions / 2, positions, positions] {
        let (mut ids, segments): (Vec<u32>, Vec<u32>) = words.by_ref().take(length).unzip();
        if let (true, Some(sample), [first, .., last]) = (ends, samples.first(), &mut ids[..]) {
            (*first, *last) = (sample.ids[0], sample.ids[sample.ids.len() - 1]);
        }
        all.push(Sample { ids, segments });
    }
    all
}

fn observe(folded: &Folded, sample: &Sample) -> Result<Ranges, SampleError> {
    let tokens = sample.ids.len();
    let too_long = |_| SampleError::Length { got: tokens, most: folded.shape.positions };
    let texts = Texts::new(&[tokens], &folded.shape).map_err(too_long)?;
    let mut ranges = Ranges::empty(&folded.shape);
    (ranges.texts, ranges.tokens) = (1, (tokens, tokens));
    let mut seen = Seen { bert: folded.bert(), ranges };
    let logits = folded.observed(Functions::Series, &mut seen, &texts, &sample.ids, &sample.segments)?;
    let mut ranges = seen.ranges;
    ranges.logits = largest(&logits);
    Ok(ranges)
}

/// The ranges seen so far.
struct Seen<'b> {
    bert: &'b Bert,
    ranges: Ranges,
}

impl Observer for Seen<'_> {
    fn wire(&mut self, site: Site, value: &Array2<f32>) {
        let most = largest(value);
        let (norms, layers) = (&mut self.ranges.norms, &mut self.ranges.layers);
        let place = match self.bert.site_of(site) {
            BertSite::NormInput { norm } => &mut norms[norm].input,
            BertSite::Query { layer } => &mut layers[layer].query,
            BertSite::Key { layer } => &mut layers[layer].key,
            BertSite::Value { layer } => &mut layers[layer].value,
            BertSite::Scores { layer } => &mut layers[layer].scores,
            BertSite::Mixed { layer, head, .. } if self.bert.shape.attention == AttentionKind::Softmax => {
                &mut layers[layer].softmax[head].mixed
            }
            BertSite::Squares { .. } if self.bert.shape.attention == AttentionKind::Softmax => return,
            BertSite::Squares { layer, head, .. } => &mut layers[layer].heads[head].squares,
            // one text is observed at a time
            BertSite::Mixed { layer, head, .. } => {
                let mixed = &mut layers[layer].heads[head].mixed;
                *mixed = mixed.max(most / self.ranges.tokens.0 as f32);
                return;
            }
            BertSite::ActivationInput { layer } => return see_columns(&mut layers[layer].gelu, value),
            BertSite::PoolerInput => &mut self.ranges.pooler,
            BertSite::Attention { layer } | BertSite::Weighted { layer } => &mut layers[layer].attention,
            BertSite::Activation { layer } => &mut layers[layer].activation,
            // of a LayerNorm that does not divide: it is its own input
            BertSite::Normal { norm } if self.bert.shape.is_linear(norm) => {
                let sums = value.rows().into_iter().map(|row| row.iter().map(|v| v * v).sum());
                sums.for_each(|sum| norms[norm].square_sum.see(sum));
                &mut norms[norm].input
            }
            // known beforehand: one-hot rows, normal rows, values of fitted functions
            BertSite::OneHot | BertSite::Normal { .. } | BertSite::Pooled => return,
            BertSite::InverseDeviation { .. } | BertSite::Reciprocal { .. } => return,
            BertSite::NormDefect { .. } | BertSite::ReciprocalDefect { .. } => return,
            // follows from the scores, or is not made in floating point
            BertSite::Power { .. } | BertSite::Raised { .. } | BertSite::RaisedSum { .. } => return,
            BertSite::Exponential { .. } | BertSite::Sum { .. } | BertSite::Rough { .. } => return,
            BertSite::Corrected { .. } | BertSite::CorrectedSum { .. } | BertSite::ExponentialDefect { .. } => return,
        };
        *place = place.max(most);
    }

    fn shifts(&mut self, exponential: Function, shifts: &[f32]) {
        if let BertFunction::Exponential { layer, head } = self.bert.function_of(exponential) {
            shifts.iter().for_each(|shift| self.ranges.layers[layer].softmax[head].shift.see(*shift));
        }
    }

    fn phase(&mut self, function: Function, value: &Array2<f32>) {
        let Ranges { norms, layers, tokens, pooler, .. } = &mut self.ranges;
        match self.bert.function_of(function) {
            BertFunction::InverseRoot { norm } => value.iter().for_each(|v| norms[norm].square_sum.see(*v)),
            BertFunction::Exponential { layer, head } => {
                layers[layer].softmax[head].see(value, self.bert.shape.padded_length(value.ncols()));
            }
            BertFunction::Identity { .. } | BertFunction::RoughExponential { .. } | BertFunction::Rough { .. } => {}
            BertFunction::Reciprocal { .. } if self.bert.shape.attention == AttentionKind::Softmax => {}
            BertFunction::Reciprocal { layer, head, .. } => {
                value.iter().for_each(|v| layers[layer].heads[head].sum.see(v / tokens.0 as f32));
            }
            BertFunction::Gelu { layer } => see_columns(&mut layers[layer].gelu, value),
            BertFunction::Tanh => *pooler = pooler.max(largest(value)),
        }
    }
}

/// The largest absolute value of each column.
fn see_columns(most: &mut [f32], value: &Array2<f32>) {
    for row in value.rows() {
        most.iter_mut().zip(row).for_each(|(most, v)| *most = most.max(v.abs()));
    }
}

fn largest(value: &Array2<f32>) -> f32 {
    value.iter().fold(0.0, |most, v| most.max(v.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_end_as_the_samples_do_and_long_ones_fill_the_positions() {
        let text = |ids: std::ops::Range<u32>| {
            let ids: Vec<u32> = ids.chain([102]).collect();
            Sample { segments: (0..ids.len() as u32).map(|i| i / 4).collect(), ids }
        };
        let samples = [text(1..7), text(11..13)];
        let all = stretch(&samples, 32, false);
        let shown = |s: &Sample| (s.ids.clone(), s.segments.clone());
        let short = [vec![1, 102], vec![1, 2, 102], vec![1, 2, 3, 102], vec![11, 102]];
        for (sample, want) in all.iter().zip(&short) {
            assert_eq!(shown(sample), (want.clone(), vec![0; want.len()]));
        }
        let lengths: Vec<usize> = all[short.len()..].iter().map(|s| s.ids.len()).collect();
        assert_eq!(lengths, [4, 8, 16, 16, 32, 32]);
        assert_eq!(all[short.len() + 1].ids, [5, 6, 102, 11, 12, 102, 1, 2]);
        assert_eq!(stretched_count(&samples, 32), all.len());
    }
}
