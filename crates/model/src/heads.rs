//! Scales and series of attention heads.

use crate::calibrate::HeadRanges;
use crate::choose_error::ChooseError;
use crate::opening::Opening;
use crate::positive::{Fitted, Positive, log2_floor};
use crate::shape::TOKEN_CLASSES;
use crate::spec::HeadSpec;

/// Fractional bits of wires of ordinary size.
pub(crate) const WIRE_FRAC: i32 = 12;
/// Largest value expected over the largest seen.
pub(crate) const HEADROOM: f64 = 2.0;
/// Bits between a large tensor's range and its modulus: one restart in 2^26 elements.
pub(crate) const SPARE_BITS: i32 = 26;

/// The head of a layer, and the mean square of the defects that it makes in a row.
pub(crate) fn head(
    l: usize,
    h: usize,
    r: &HeadRanges,
    unusual: Option<&HeadRanges>,
) -> Result<(HeadSpec, f64), ChooseError> {
    // a sum is read in units of the token class, hence between half and all of its mean
    let positive = attention_sums((l, h), r, unusual, 0.5);
    let Fitted { curve: reciprocal, out: reciprocal_out, mean_square } = positive.curve()?;
    let squares_most = f64::from(r.squares) * HEADROOM;
    let mixed_most = mixed_most(r);
    let (mut squares, mut mixed) = (Vec::new(), Vec::new());
    for class in 0..TOKEN_CLASSES as i32 {
        // K - bits of the mixed values is 63 - log2(most 2^class) - frac - WIRE_FRAC, whatever their own scale
        let most_frac = 62 - SPARE_BITS - WIRE_FRAC - (log2_floor(mixed_most) + 1) - class;
        let frac = most_frac.clamp(4, 10);
        squares.push(Opening { frac, bits: signed_bits(squares_most, frac) });
        mixed.push(mixed_opening(mixed_most, positive.least().0, frac, class));
    }
    Ok((HeadSpec { squares, reciprocal, reciprocal_out, mixed, padded: None, raised: None }, mean_square))
}

/// The attention sums of a head, in units of a class whose texts have at least this part of its tokens.
pub(crate) fn attention_sums<'a>(
    (l, h): (usize, usize),
    r: &HeadRanges,
    unusual: Option<&HeadRanges>,
    least: f64,
) -> Positive<'a> {
    Positive {
        place: format!("layer {l} head {h} attention sums"),
        function: &|v| 1.0 / v,
        seen: (f64::from(r.sum.lo) * least, f64::from(r.sum.hi)),
        unusual: unusual.map(|u| f64::from(u.sum.lo) * least),
        from: 2 * WIRE_FRAC,
    }
}

/// The most that squares times values are expected to be, over the tokens. Of a head whose values are all zero it is one unit
/// of an ordinary wire, which has a logarithm.
pub(crate) fn mixed_most(r: &HeadRanges) -> f64 {
    (f64::from(r.mixed) * HEADROOM).max(f64::powi(2.0, -WIRE_FRAC))
}

/// How squares (with `frac` fractional bits) times values are opened, whose sums are at least so much in units of the class. A unit
/// of them, over the smallest sum, is a unit of the attention output.
pub(crate) fn mixed_opening(most: f64, least_sum: f64, frac: i32, class: i32) -> Opening {
    let unit = (WIRE_FRAC + 1 - log2_floor(least_sum)).clamp(0, WIRE_FRAC + frac);
    Opening { frac: unit - class, bits: signed_bits(most, unit) }
}

/// Bits of a signed range.
pub(crate) fn signed_bits(most: f64, frac: i32) -> u32 {
    let units = most * f64::powi(2.0, frac) + 1.0;
    (units.log2().ceil() as u32 + 1).max(2)
}
