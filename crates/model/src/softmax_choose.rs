//! From the ranges of a head of softmax to its scales and series.

use crate::choose_error::ChooseError;
use crate::engine::FEATURES;
use crate::exponential::Scores;
use crate::heads::{HEADROOM, WIRE_FRAC, signed_bits};
use crate::opening::Opening;
use crate::positive::{Fitted, log2_floor};
use crate::shape::{Shape, SoftmaxPadding};
use crate::softmax_padding::{Placed, place};
use crate::softmax_ranges::{OVER, SoftmaxRanges};
use crate::softmax_spec::{SoftmaxSpec, TwoSteps};
use crate::softmax_split::{SUM_FRAC, Split, reciprocal, split, within};

/// Head-room above the largest score that was seen, in nats.
const MARGIN: f64 = 1.0;
/// Below the smallest: so much, and so much of the range.
const BELOW: (f64, f64) = (1.0, 0.1);
/// Head-room of a row sum, below and above, in nats.
const SUM_MARGIN: (f64, f64) = (0.8, 1.0);
/// Largest ratio of row sums that one reciprocal takes.
const MOST_RATIO: f64 = 450.0;
/// Fractional bits of exponentials of half the scores, of their squares, and of row sums.
const HALF_FRAC: i32 = 13;
const SQUARE_FRAC: i32 = 14;
/// Tokens of a text, for what defects are to be expected of it.
const TOKENS: f64 = 128.0;

/// A head, where it puts padding, and mean squares of the defects of its reciprocal and of its exponentials in a row.
/// `attention` is the largest output of the layer's heads.
pub(crate) fn softmax_head(
    shape: &Shape,
    (l, h): (usize, usize),
    r: &SoftmaxRanges,
    attention: f32,
) -> Result<(SoftmaxSpec, SoftmaxPadding, f64, f64), ChooseError> {
    let (lo, hi) = (f64::from(r.scores.lo), f64::from(r.scores.hi));
    let (bottom, top) = (lo - BELOW.0 - BELOW.1 * (hi - lo), hi + MARGIN);
    let [.., log] = shape.row_shifts.get(l).map_or([0.0; FEATURES], |heads| heads[h]);
    let named = |what: &str| format!("layer {l} head {h}: {what}");
    let most = |power: f64| (top / power).exp() * 2.0;
    let exponential_out = Opening { frac: HALF_FRAC, bits: signed_bits(most(2.0), HALF_FRAC) };
    let squares = Opening { frac: SQUARE_FRAC, bits: signed_bits(most(1.0) * 2.0, SQUARE_FRAC) };

    let whole = within(r, 0, |_| 0.0);
    let sums = ((whole.0 - SUM_MARGIN.0).exp(), (whole.1 + SUM_MARGIN.1).exp());
    let mixed = mixed_opening(r, sums.0);
    let of_scores = |placed: &Placed| {
        let scores = Scores::of(bottom.min(placed.least - BELOW.0), top);
        let (exponential, count) = scores.exponential(2.0, (placed.band, placed.allowed.0));
        (scores, exponential, count)
    };
    let spec = |exponential, identity, reciprocal: Fitted, two_steps| SoftmaxSpec {
        exponential,
        identity,
        exponential_out,
        squares,
        mixed,
        reciprocal: reciprocal.curve,
        reciprocal_out: reciprocal.out,
        two_steps,
    };
    if sums.1 / sums.0 <= MOST_RATIO
        && let Ok(reciprocal) = reciprocal(named("attention sums"), sums, 2 * HALF_FRAC)
    {
        let placed = place(shape, r, log, whole, None);
        let (scores, exponential, count) = of_scores(&placed);
        let ((identity, square), of_sums) = (scores.identity(count), reciprocal.mean_square);
        return Ok((spec(exponential, identity, reciprocal, None), placed.padding, of_sums, expected(square)));
    }

    let (split, rough, reciprocal) = split(r, &named)?;
    let placed = place(shape, r, log, whole, Some(&split.rough_sums(r)));
    let (scores, exponential, count) = of_scores(&placed);
    let (identity, square) = scores.identity(count);
    let Split { which, units, corrected, .. } = split;
    let of_sums = reciprocal.mean_square;
    let unit = WIRE_FRAC + 1 - log2_floor(corrected.0);
    let attention = f64::from(attention).max(f64::powi(2.0, -WIRE_FRAC));
    let two = TwoSteps {
        exponential: scores.rough_exponential(OVER[which], count, (placed.band, placed.allowed.1)),
        units,
        rough: rough.curve,
        rough_out: rough.out,
        sum: Opening { frac: SUM_FRAC, bits: signed_bits(sums.1 * HEADROOM, SUM_FRAC) },
        corrected: Opening { frac: unit, bits: signed_bits(attention * corrected.1 * HEADROOM, unit) },
        corrected_sum: Opening { frac: unit + 2, bits: signed_bits(corrected.1 * HEADROOM, unit + 2) },
    };
    Ok((spec(exponential, identity, reciprocal, Some(two)), placed.padding, of_sums, expected(square)))
}

/// What the identity is off by in a row of scores, in the mean square: errors of one sign add up.
fn expected(square: f64) -> f64 {
    TOKENS * TOKENS * square / 4.0
}

/// How exponentials times values are opened: a unit of them, over the smallest sum, is a unit of the attention output.
fn mixed_opening(r: &SoftmaxRanges, least_sum: f64) -> Opening {
    let most = (f64::from(r.mixed) * HEADROOM).max(f64::powi(2.0, -WIRE_FRAC));
    let frac = (WIRE_FRAC + 2 - log2_floor(least_sum)).clamp(WIRE_FRAC, WIRE_FRAC + SQUARE_FRAC);
    Opening { frac, bits: signed_bits(most, frac) }
}
