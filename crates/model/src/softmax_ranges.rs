//! Ranges of a head of softmax.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::shape::{TOKEN_CLASSES, token_class};
use crate::span::Span;

/// Of which powers of the exponential row sums are looked at: `exp(s)`, `exp(s / 2)`, `exp(s / 4)`.
pub(crate) const OVER: [f64; 3] = [1.0, 2.0, 4.0];
/// Ways to split a spread between a rough reciprocal and the one that follows: which of these sums, and its power.
pub(crate) const SPLITS: [(usize, f64); 6] = [(1, 1.0), (1, 1.5), (1, 1.75), (1, 2.0), (2, 2.0), (2, 3.0)];

/// Ranges of a head of softmax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftmaxRanges {
    /// Shifted scores.
    pub scores: Span,
    /// What was taken from the rows of scores.
    pub shift: Span,
    /// Exponentials times values.
    pub mixed: f32,
    /// By class of the rows that texts would be padded to, logarithms of row sums of `exp(s)`, `exp(s / 2)`, `exp(s / 4)`, and of the first over powers of the others.
    pub sums: Vec<Vec<Span>>,
}

impl SoftmaxRanges {
    pub(crate) fn empty() -> SoftmaxRanges {
        let sums = vec![vec![Span::EMPTY; OVER.len() + SPLITS.len()]; TOKEN_CLASSES];
        SoftmaxRanges { scores: Span::EMPTY, shift: Span::EMPTY, mixed: 0.0, sums }
    }

    /// Sees the shifted scores of a text that would be padded to so many rows.
    pub(crate) fn see(&mut self, scores: &Array2<f32>, padded_rows: usize) {
        let sums = &mut self.sums[token_class(padded_rows)];
        for row in scores.rows() {
            row.iter().for_each(|s| self.scores.see(*s));
            let logs = OVER.map(|over| log_sum(row.iter().map(|s| f64::from(*s)), over));
            let splits = SPLITS.map(|(which, power)| logs[0] - power * logs[which]);
            sums.iter_mut().zip(logs.into_iter().chain(splits)).for_each(|(span, v)| span.see(v as f32));
        }
    }

    pub(crate) fn merge(&mut self, other: &SoftmaxRanges) {
        self.scores.merge(&other.scores);
        self.shift.merge(&other.shift);
        self.mixed = self.mixed.max(other.mixed);
        for (own, other) in self.sums.iter_mut().zip(&other.sums) {
            own.iter_mut().zip(other).for_each(|(own, other)| own.merge(other));
        }
    }

    /// The smallest and the largest sum of a row.
    pub fn row_sums(&self) -> (f64, f64) {
        let of = |(_, sums): (usize, &[Span])| (f64::from(sums[0].lo).exp(), f64::from(sums[0].hi).exp());
        self.seen().map(of).fold((f64::INFINITY, 0.0), |(lo, hi), (l, h)| (lo.min(l), hi.max(h)))
    }

    /// The classes of lengths that were seen, with the spans of their sums.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (usize, &[Span])> {
        let seen = |(_, sums): &(usize, &Vec<Span>)| sums.first().is_some_and(|span| span.lo <= span.hi);
        self.sums.iter().enumerate().filter(seen).map(|(class, sums)| (class, sums.as_slice()))
    }
}

/// `ln sum exp(s / over)`.
pub(crate) fn log_sum(scores: impl Iterator<Item = f64> + Clone, over: f64) -> f64 {
    let most = scores.clone().fold(f64::NEG_INFINITY, f64::max);
    most / over + scores.map(|s| ((s - most) / over).exp()).sum::<f64>().ln()
}
