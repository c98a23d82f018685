//! The shift of the rows of a head of softmax, in integers.

use crate::arithmetic::{Form, RowShift};
use crate::engine::SoftmaxHead;

/// Fractional bits of the multiples of scores in the shift of a row.
const FEATURE_FRAC: i32 = 14;

/// What is taken from scores, and the fractional bits of what is left. `stretch` is that of the exponential's curve.
pub(crate) fn row_shift((scores, predicted): (Form, Form), head: &SoftmaxHead, stretch: u32) -> (RowShift, i32) {
    let Form { rows, cols, frac } = scores;
    assert_eq!((rows, cols), (head.own.len(), head.tokens), "scores of a head");
    let to = frac + FEATURE_FRAC;
    let (first, column) = head.predicted;
    let multiple = |times: f64| (times * f64::powi(2.0, FEATURE_FRAC)).round() as i64 as u64;
    let [near @ .., mean, log] = head.features;
    let tokens = head.tokens as f64;
    // by libm, which gives the same on every machine: parties that rounded differently would share nothing
    let constant = (libm::log(tokens) * log * f64::powi(2.0, to)).round() as i64 as u64;
    let by = RowShift {
        own: head.own.clone(),
        cols,
        scores_up: FEATURE_FRAC as u32,
        predicted: (first, column, predicted.cols, (to - predicted.frac) as u32),
        near: near.map(multiple),
        sum: multiple(mean / tokens),
        constant,
        times: u64::from(stretch.max(1)),
    };
    (by, to)
}
