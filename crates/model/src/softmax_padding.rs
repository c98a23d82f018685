//! Where a head of softmax puts padding: scores with padding far below all others, rows of padding where openings hold what they give.
//!
//! Nothing of padding is attended to: its exponentials come to less than a ten-thousandth of the smallest sum. A score with padding is
//! `-m - depth`, where `m` is the shift of its row; a score in a row of padding is `-m`, with an `m` of its own.

use crate::shape::{Shape, SoftmaxPadding, TOKEN_CLASSES, token_class};
use crate::softmax_ranges::SoftmaxRanges;

/// Head-room of the shifts of rows to both sides, in nats: so much, and so much of their range.
const MARGIN: (f64, f64) = (1.0, 0.1);
/// What the exponentials of padding may come to, over the smallest sum; and the same of the smaller power of two steps, which cancels.
const SMALL: (f64, f64) = (1e-4, 0.1);

/// Sums of two steps that padding is held to.
#[derive(Clone, Debug)]
pub(crate) struct RoughSums {
    /// They are sums of `exp(s / over)`.
    pub(crate) over: f64,
    /// The logarithm of the smallest.
    pub(crate) least: f64,
    /// By class, that of the largest that is expected.
    pub(crate) most: Vec<f64>,
}

/// Where padding is.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) padding: SoftmaxPadding,
    /// Scores with padding: these, in nats.
    pub(crate) band: (f64, f64),
    /// What an exponential of them may be off by, and a smaller power of two steps.
    pub(crate) allowed: (f64, f64),
    /// The smallest score of all that come with padding.
    pub(crate) least: f64,
}

/// By how much the logarithm of a sum of smaller powers may grow by what padding adds.
pub(crate) fn growth() -> f64 {
    SMALL.1.ln_1p()
}

/// Where a head puts padding. `log` multiplies the logarithm of the number of tokens ([`crate::FEATURES`]), `sums` are the logarithms
/// of the smallest and of the largest sum of a row.
pub(crate) fn place(
    shape: &Shape,
    ranges: &SoftmaxRanges,
    log: f64,
    sums: (f64, f64),
    rough: Option<&RoughSums>,
) -> Placed {
    let (lo, hi) = (f64::from(ranges.shift.lo), f64::from(ranges.shift.hi));
    let margin = MARGIN.0 + MARGIN.1 * (hi - lo);
    let (mut least, mut most) = (lo - margin, hi + margin);
    let (mut rows, shortest) = (Vec::with_capacity(TOKEN_CLASSES), token_class(shape.padded_length(1)));
    for class in 0..TOKEN_CLASSES {
        let of_class = (1 << class).min(shape.positions) as f64;
        let fewest = if class <= shortest { 1.0 } else { of_class / 2.0 };
        // a row of padding attends to all tokens alike; no sum of it may be larger than others are
        let enough = of_class.ln() - sums.1;
        let enough = rough.map_or(enough, |of| enough.max(of.over * (of_class.ln() - of.most[class])));
        let shift = least.max(enough);
        rows.push(shift - (fewest.ln() * log).min(of_class.ln() * log));
        if (shortest..=token_class(shape.positions)).contains(&class) {
            most = most.max(shift + (of_class / fewest).ln() * log.abs());
        }
    }
    least = least.min(most);
    let longest = shape.positions as f64;
    let depth = (longest / SMALL.0).ln() - sums.0;
    let depth = rough.map_or(depth, |of| depth.max(of.over * ((longest / SMALL.1).ln() - of.least)));
    let small = |of: f64, sum: f64| of * sum.exp() / longest;
    let allowed = (small(SMALL.0, sums.0).sqrt(), rough.map_or(f64::INFINITY, |of| small(SMALL.1, of.least)));
    let band = (-depth - (most - least), -depth);
    // of the first class on, rows of padding have shifts of `least` or more
    Placed { padding: SoftmaxPadding { depth: depth - least, rows }, band, allowed, least: band.0.min(-most) }
}
