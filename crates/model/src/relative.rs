//! The shift of the rows of a head of softmax, in integers.

use crate::arithmetic::{Form, PaddedShift, RowShift};
use crate::engine::{HeadPadding, SoftmaxHead};

/// Fractional bits of the multiples of scores in the shift of a row.
const FEATURE_FRAC: i32 = 14;

/// What is taken from scores, and the fractional bits of what is left. `stretch` is that of the exponential's curve.
pub(crate) fn row_shift((scores, predicted): (Form, Form), head: &SoftmaxHead, stretch: u32) -> (RowShift, i32) {
    let Form { rows, cols, frac } = scores;
    assert_eq!((rows, cols), (head.own.len(), head.rows), "scores of a head");
    let to = frac + FEATURE_FRAC;
    let (first, column) = head.predicted;
    let number = |number: f64, frac: i32| (number * f64::powi(2.0, frac)).round() as i64 as u64;
    let [near @ .., mean, log] = head.features;
    // by libm, which gives the same on every machine: parties that rounded differently would share nothing
    let of_length = |tokens: usize| number(libm::log(tokens as f64) * log, to);
    let (constant, padding) = match head.padding {
        None => (of_length(cols), None),
        Some(HeadPadding { depth, row }) => {
            // tokens come before padding: what these add up to is the logarithm of how many there are
            let steps = (0..cols).map(|at| of_length(at + 1).wrapping_sub(of_length(at.max(1)))).collect();
            let row = number(row, to);
            (row, Some(PaddedShift { row: row.wrapping_neg(), steps, depth: number(depth, to) }))
        }
    };
    let by = RowShift {
        own: head.own.clone(),
        cols,
        scores_up: FEATURE_FRAC as u32,
        predicted: (first, column, predicted.cols, (to - predicted.frac) as u32),
        near: near.map(|times| number(times, FEATURE_FRAC)),
        sum: number(mean / head.padded_rows as f64, FEATURE_FRAC),
        constant,
        padding,
        times: u64::from(stretch.max(1)),
    };
    (by, to)
}
