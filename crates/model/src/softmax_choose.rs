//! From the ranges of a head of softmax to its scales and series.

use crate::choose_error::ChooseError;
use crate::exponential::Scores;
use crate::heads::{HEADROOM, WIRE_FRAC, signed_bits};
use crate::opening::Opening;
use crate::positive::{Fitted, Positive, log2_floor};
use crate::shape::TOKEN_CLASSES;
use crate::softmax_ranges::{OVER, SPLITS, SoftmaxRanges};
use crate::softmax_spec::{SoftmaxSpec, TwoSteps};
use crate::span::Span;

/// Head-room above the largest score that was seen, in nats.
const MARGIN: f64 = 1.0;
/// Below the smallest: so much, and so much of the range.
const BELOW: (f64, f64) = (1.0, 0.1);
/// Head-room of a row sum, below and above, in nats.
const SUM_MARGIN: (f64, f64) = (0.8, 1.0);
/// The same of rough sums, and of sums that a rough reciprocal has corrected.
const ROUGH_MARGIN: (f64, f64) = (0.25, 0.5);
const CORRECTED_MARGIN: (f64, f64) = (0.7, 0.7);
/// Largest ratio of row sums that one reciprocal takes.
const MOST_RATIO: f64 = 450.0;
/// Fractional bits of exponentials of half the scores, of their squares, and of row sums.
const HALF_FRAC: i32 = 13;
const SQUARE_FRAC: i32 = 14;
const SUM_FRAC: i32 = 18;
/// Relative error of a rough reciprocal, aimed at and accepted: it cancels.
const ROUGH: (f64, f64) = (0.1, 0.4);
/// Tokens of a text, for what defects are to be expected of it.
const TOKENS: f64 = 128.0;

/// A head, and mean squares of the defects of its reciprocal and of its exponentials in a row.
/// `attention` is the largest output of the layer's heads.
pub(crate) fn softmax_head(
    (l, h): (usize, usize),
    r: &SoftmaxRanges,
    attention: f32,
) -> Result<(SoftmaxSpec, f64, f64), ChooseError> {
    let (lo, hi) = (f64::from(r.scores.lo), f64::from(r.scores.hi));
    let (bottom, top) = (lo - BELOW.0 - BELOW.1 * (hi - lo), hi + MARGIN);
    let scores = Scores::of(bottom, top);
    let (exponential, count) = scores.exponential(2.0);
    let (identity, square) = scores.identity(count);
    let place = |what: &str| format!("layer {l} head {h}: {what}");
    let most = |power: f64| (top / power).exp() * 2.0;
    let exponential_out = Opening { frac: HALF_FRAC, bits: signed_bits(most(2.0), HALF_FRAC) };
    let squares = Opening { frac: SQUARE_FRAC, bits: signed_bits(most(1.0) * 2.0, SQUARE_FRAC) };

    let whole = within(r, 0, |_| 0.0);
    let sums = ((whole.0 - SUM_MARGIN.0).exp(), (whole.1 + SUM_MARGIN.1).exp());
    let mixed = mixed_opening(r, sums.0);
    let one_step = |ends: (f64, f64), from: i32| {
        let function = |v: f64| 1.0 / v;
        Positive { place: place("attention sums"), function: &function, seen: ends, unusual: None, from }.wide_curve()
    };
    let spec = |reciprocal, reciprocal_out, two_steps| SoftmaxSpec {
        exponential,
        identity,
        exponential_out,
        squares,
        mixed,
        reciprocal,
        reciprocal_out,
        two_steps,
    };
    if sums.1 / sums.0 <= MOST_RATIO
        && let Ok(Fitted { curve: reciprocal, out: reciprocal_out, mean_square }) = one_step(sums, 2 * HALF_FRAC)
    {
        return Ok((spec(reciprocal, reciprocal_out, None), mean_square, expected(square)));
    }

    let Split { which, power, units, rough: rough_ends, corrected } = split(r);
    let over = OVER[which];
    let function = |v: f64| v.powf(-power);
    let from = 30;
    let positive =
        Positive { place: place("rough attention sums"), function: &function, seen: rough_ends, unusual: None, from };
    let rough = positive.wide_curve_within(ROUGH.0, ROUGH.1)?;
    // the product is opened from a sum at SUM_FRAC and the rough reciprocal at its own
    let Fitted { curve: reciprocal, out: reciprocal_out, mean_square } =
        one_step(corrected, SUM_FRAC + rough.out.frac)?;
    let unit = WIRE_FRAC + 1 - log2_floor(corrected.0);
    let attention = f64::from(attention).max(f64::powi(2.0, -WIRE_FRAC));
    let two = TwoSteps {
        exponential: scores.rough_exponential(over, count),
        units,
        rough: rough.curve,
        rough_out: rough.out,
        sum: Opening { frac: SUM_FRAC, bits: signed_bits(sums.1 * HEADROOM, SUM_FRAC) },
        corrected: Opening { frac: unit, bits: signed_bits(attention * corrected.1 * HEADROOM, unit) },
        corrected_sum: Opening { frac: unit + 2, bits: signed_bits(corrected.1 * HEADROOM, unit + 2) },
    };
    Ok((spec(reciprocal, reciprocal_out, Some(two)), mean_square, expected(square)))
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

/// Smallest and largest of sums of which that is taken, over all classes that were seen.
fn within(r: &SoftmaxRanges, which: usize, less: impl Fn(usize) -> f64) -> (f64, f64) {
    let of = |(class, sums): (usize, &[Span])| {
        (f64::from(sums[which].lo) - less(class), f64::from(sums[which].hi) - less(class))
    };
    r.seen().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), (l, h)| (lo.min(l), hi.max(h)))
}

/// A split of a spread that one series does not hold.
struct Split {
    which: usize,
    power: f64,
    units: Vec<i32>,
    rough: (f64, f64),
    corrected: (f64, f64),
}

/// The split with the least to do for either of its series.
fn split(r: &SoftmaxRanges) -> Split {
    let ln2 = std::f64::consts::LN_2;
    let candidates = SPLITS.iter().enumerate().map(|(number, (which, power))| {
        let units = units(r, *which);
        let unit = |class: usize| f64::from(units[class]) * ln2;
        let rough = within(r, *which, unit);
        // what is read in units of 2^j gives a result in units of 2^-j
        let corrected = within(r, OVER.len() + number, |class| (1.0 - power) * unit(class));
        let (wide, rest) = (rough.1 - rough.0 + 1.0, corrected.1 - corrected.0 + 1.0);
        let cost = wide.max(rest) + (power * wide - 10.0).max(0.0);
        let exp = |(lo, hi): (f64, f64), margin: (f64, f64)| ((lo - margin.0).exp(), (hi + margin.1).exp());
        let (rough, corrected) = (exp(rough, ROUGH_MARGIN), exp(corrected, CORRECTED_MARGIN));
        (cost, Split { which: *which, power: *power, units, rough, corrected })
    });
    let best = candidates.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, split)| split);
    best.unwrap_or(Split {
        which: 1,
        power: 1.0,
        units: vec![0; TOKEN_CLASSES],
        rough: (1.0, 2.0),
        corrected: (1.0, 2.0),
    })
}

/// Powers of two in whose units sums are read, by class: how they grow with the number of tokens, which is public.
fn units(r: &SoftmaxRanges, which: usize) -> Vec<i32> {
    let middle = |(class, sums): (usize, &[Span])| {
        (class as f64, f64::from(sums[which].lo + sums[which].hi) / 2.0 / std::f64::consts::LN_2)
    };
    let points: Vec<(f64, f64)> = r.seen().map(middle).collect();
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let variance: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let slope = if variance > 0.0 { (covariance / variance).clamp(0.0, 1.0 - 1.0 / OVER[which]) } else { 0.0 };
    (0..TOKEN_CLASSES).map(|class| (slope * class as f64).round() as i32).collect()
}
