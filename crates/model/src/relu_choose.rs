//! From the ranges of a head of 2ReLU to its scales and its series.

use crate::calibrate::{HeadRanges, LayerRanges};
use crate::choose_error::ChooseError;
use crate::compared::{Compared, Pace};
use crate::heads::{HEADROOM, SPARE_BITS, WIRE_FRAC, mixed_most, signed_bits};
use crate::opening::Opening;
use crate::positive::{Fitted, Positive, log2_floor};
use crate::relu_attention::STEP_BITS;
use crate::relu_spec::RaisedSpec;
use crate::shape::TOKEN_CLASSES;
use crate::spec::HeadSpec;

/// The largest sum that is expected over the largest that was seen.
const SUM_HEADROOM: f64 = 1.5;
/// Fractional bits of positive scores at most.
const MOST_FRAC: i32 = 14;
/// Fractional bits of the share that a raised sum is opened from, in units of the smallest class.
const FROM: i32 = 18;

/// The head of a layer, and the mean square of the defects that it makes in a row. `attention` is the largest output of the layer's
/// heads.
pub(crate) fn relu_head(
    (l, h): (usize, usize),
    r: &HeadRanges,
    attention: f32,
) -> Result<(HeadSpec, f64), ChooseError> {
    let hi = f64::from(r.sum.hi).max(f64::powi(2.0, -WIRE_FRAC));
    let top = log2_floor(hi * SUM_HEADROOM) + 1;
    let Fitted { curve: reciprocal, out: reciprocal_out, mean_square } = reciprocals((l, h), top)?;
    let (most, scores) = (mixed_most(r), f64::from(r.squares) * HEADROOM);
    let attention = f64::from(attention).max(f64::powi(2.0, -WIRE_FRAC)) * HEADROOM;
    let unit = (WIRE_FRAC + 1 - (top - STEP_BITS)).clamp(0, 2 * WIRE_FRAC);
    let (mut squares, mut mixed, mut raised) = (Vec::new(), Vec::new(), Vec::new());
    let mut steps = 1;
    for class in 0..TOKEN_CLASSES as i32 {
        let largest = most.max(attention * f64::powi(2.0, top));
        // values times positive scores are opened as they are, and again when they were raised
        let most_frac = 62 - SPARE_BITS - WIRE_FRAC - (log2_floor(largest) + 1) - class;
        let frac = most_frac.clamp(4, MOST_FRAC);
        squares.push(Opening { frac, bits: signed_bits(scores, frac) });
        let whole = frac + WIRE_FRAC;
        mixed.push(Opening { frac: whole, bits: signed_bits(most * f64::powi(2.0, class), whole) });
        let of_raised = (unit - class).min(whole);
        let bits = signed_bits(attention * f64::powi(2.0, top + class), of_raised);
        raised.push(Opening { frac: of_raised, bits });
        steps = steps.max(RaisedSpec::steps(top, class + frac));
    }
    let raised = Some(RaisedSpec { top, steps, mixed: raised });
    Ok((HeadSpec { squares, reciprocal, reciprocal_out, mixed, padded: None, raised }, mean_square))
}

/// The series of one over a raised sum, which is below the top and no further below it than a step.
fn reciprocals((l, h): (usize, usize), top: i32) -> Result<Fitted, ChooseError> {
    let (lo, hi) = (f64::powi(2.0, top - STEP_BITS), f64::powi(2.0, top));
    let place = format!("layer {l} head {h} attention sums");
    // a sum just below a threshold is raised to just below the top, one just above it is as it is
    let seen = (lo * 0.98, hi);
    Positive { place, function: &|v| 1.0 / v, seen, unusual: None, from: FROM }.wide_curve()
}

/// How sums less their thresholds are compared, for all heads of a layer.
pub(crate) fn compared_sums(l: usize, heads: &[HeadSpec]) -> Result<Compared, ChooseError> {
    let bits = |head: &HeadSpec| {
        let top = head.raised.as_ref().map_or(0, |raised| raised.top);
        let of = |(class, squares): (usize, &Opening)| top + class as i32 + squares.frac + 4;
        head.squares.iter().enumerate().map(of).max().unwrap_or(0)
    };
    let bits = heads.iter().map(bits).max().unwrap_or(0).max(2) as u32;
    // one word a row, whatever is dealt for it
    let compared = Compared { bits, cut: 0, pace: Pace::Fast };
    if !compared.is_possible() {
        let cure = "train with the range penalty";
        let (place, what) = (format!("layer {l}"), "bits of sums of positive scores");
        return Err(ChooseError::Range { place, what, value: f64::from(bits), limit: 32.0, cure });
    }
    Ok(compared)
}

/// The heads of a layer, their comparison, and the mean squares of their defects.
pub(crate) fn relu_heads(l: usize, r: &LayerRanges) -> Result<(Vec<HeadSpec>, Compared, f64), ChooseError> {
    let heads = r.heads.iter().enumerate().map(|(h, head)| relu_head((l, h), head, r.attention));
    let (heads, defects): (Vec<_>, Vec<f64>) = heads.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let compared = compared_sums(l, &heads)?;
    Ok((heads, compared, defects.iter().sum()))
}

/// What a head of 2ReLU needs for padded texts of the shortest class, which is what it has: sums of any size are raised.
pub(crate) fn padded(
    (l, h): (usize, usize),
    head: &HeadSpec,
    class: i32,
) -> Result<Option<(Opening, f64)>, ChooseError> {
    let Some(raised) = &head.raised else { return Ok(None) };
    Ok(Some((head.mixed[class as usize], reciprocals((l, h), raised.top)?.mean_square)))
}
