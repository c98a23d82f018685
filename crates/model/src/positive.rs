//! The series of `1/v` and `1/sqrt v`: on which domain, with how many harmonics.
//!
//! Above its domain a series is wrong at once (at 1.1 times the end by more than its value), below it gently. Its period is a
//! power of two, so what lies between the domain that was asked for and the period is paid for already: the fit reaches as
//! far up as its error allows, and towards what unusual texts need.

use crate::choose_error::ChooseError;
use crate::fit::{Fit, Problem, Terms};
use crate::opening::{Curve, Opening, Segment};

/// Widening of the domain that was seen, on both sides.
const DOMAIN_HEADROOM: f64 = 1.5;
/// Widening of the domain that unusual texts were seen to need.
const UNUSUAL_HEADROOM: f64 = 1.1;
/// How far below the domain that must be held unusual texts are followed: a smaller argument costs harmonics at once.
const DEEPEST: f64 = 2.0;
/// Least period over the upper end of the domain: the fit needs room to come back to its beginning.
const GUARD: f64 = 1.1;
/// Relative error, rounding noise included, aimed at.
const TOLERANCE: f64 = 2e-4;
/// The same of a domain that reaches further than was asked for.
const WIDE_TOLERANCE: f64 = 8e-4;
/// Largest relative error, accepted.
const LIMIT: f64 = 4e-3;
/// Fractional bits of coefficients and of dealt terms.
const BITS: (u32, u32) = (22, 18);
/// Relative error aimed at over a wide domain.
const WIDE_AIM: f64 = 1.5e-3;
/// Fractional bits of coefficients and of dealt terms there: large coefficients make the rounding of what is dealt count.
const WIDE_BITS: (u32, u32) = (22, 21);
/// Numbers of harmonics that are tried.
const COUNTS: [usize; 10] = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384];

/// A function of positive arguments and where it is to hold.
pub(crate) struct Positive<'a> {
    /// Layer and place.
    pub(crate) place: String,
    /// `1/v` or `1/sqrt v`.
    pub(crate) function: &'a dyn Fn(f64) -> f64,
    /// Arguments that were seen.
    pub(crate) seen: (f64, f64),
    /// The smallest argument that unusual texts have, where that was observed; above, the period is filled anyway.
    pub(crate) unusual: Option<f64>,
    /// Fractional bits of the share that the argument is opened from.
    pub(crate) from: i32,
}

/// A function as it is run.
pub(crate) struct Fitted {
    pub(crate) curve: Curve,
    pub(crate) out: Opening,
    /// Mean square of the relative error over the arguments that were seen.
    pub(crate) mean_square: f64,
}

/// A domain with the scale and the period that follow from it.
#[derive(Clone, Copy, PartialEq)]
struct Domain {
    ends: (f64, f64),
    frac: i32,
    modulus_bits: u32,
}

impl Domain {
    fn of(ends: (f64, f64), from: i32) -> Domain {
        // 2^12 units at the lower end: half a unit there is 1e-4
        let frac = (12 - log2_floor(ends.0)).min(from);
        let modulus_bits = (ends.1 * GUARD * f64::powi(2.0, frac)).log2().ceil() as u32;
        Domain { ends, frac, modulus_bits }
    }

    fn period(&self) -> f64 {
        f64::powi(2.0, self.modulus_bits as i32 - self.frac)
    }

    /// The same period, used to its end.
    fn filled(self) -> Domain {
        Domain { ends: (self.ends.0, self.period() / GUARD), ..self }
    }
}

impl Positive<'_> {
    /// The domain that must be held.
    pub(crate) fn least(&self) -> (f64, f64) {
        (self.seen.0 / DOMAIN_HEADROOM, self.seen.1 * DOMAIN_HEADROOM)
    }

    /// The curve, how its result is opened, and how far its results are from what they should be.
    pub(crate) fn curve(&self) -> Result<Fitted, ChooseError> {
        let least = Domain::of(self.least(), self.from);
        let fewest = COUNTS.partition_point(|c| (*c as f64) < (least.ends.1 / least.ends.0).sqrt());
        let fewest = fewest.min(COUNTS.len() - 1);
        let (fit, error, scale) = self.fit(least, &COUNTS[fewest..]);
        if error.is_nan() || error > LIMIT || least.modulus_bits > 32 {
            return Err(self.too_wide(least, error));
        }
        let (domain, fit, scale) = self.widened(least, fit.count(), error).unwrap_or((least, fit, scale));
        Ok(self.fitted(&fit, domain, scale, BITS))
    }

    /// The same of a domain that is wide, and begins where nothing smaller is expected: by fits that are coarser, and made in
    /// a twentieth of the time.
    pub(crate) fn wide_curve(&self) -> Result<Fitted, ChooseError> {
        self.wide_curve_within(WIDE_AIM, LIMIT)
    }

    /// The same by a relative error that is aimed at, and one that is accepted; up to the end of the period if it can be.
    pub(crate) fn wide_curve_within(&self, aim: f64, limit: f64) -> Result<Fitted, ChooseError> {
        let least = Domain::of((self.seen.0, self.least().1), self.from);
        let filled = self.wide_curve_of(least.filled(), aim, limit);
        filled.or_else(|refusal| self.wide_curve_of(least, aim, limit).map_err(|_| refusal))
    }

    fn wide_curve_of(&self, domain: Domain, aim: f64, limit: f64) -> Result<Fitted, ChooseError> {
        let ratio = domain.period() / domain.ends.0;
        let first = COUNTS.partition_point(|count| (*count as f64) < ratio / if aim > 0.01 { 40.0 } else { 6.0 });
        let first = first.min(COUNTS.len() - 1);
        let scale = self.scale(domain);
        let scaled = |v: f64| (self.function)(v) / f64::powi(2.0, scale);
        let (function, period) = (&scaled, domain.period());
        let problem = Problem { function, domain: domain.ends, period, terms: Terms::All, relative: true };
        let error = |fit: &Fit| fit.error + problem.noise(fit, WIDE_BITS.0, WIDE_BITS.1);
        let mut best: Option<Fit> = None;
        for fit in COUNTS[first..].iter().filter_map(|count| problem.wide(*count)) {
            let enough = error(&fit) <= aim;
            if best.as_ref().is_none_or(|best| error(&fit) < error(best)) {
                best = Some(fit);
            }
            if enough {
                break;
            }
        }
        let value = best.as_ref().map_or(f64::INFINITY, error);
        let Some(fit) = best.filter(|_| value <= limit && domain.modulus_bits <= 32) else {
            return Err(self.too_wide(domain, value));
        };
        Ok(self.fitted(&fit, domain, scale, WIDE_BITS))
    }

    /// A fit as it is run, with so many fractional bits of coefficients and of dealt terms.
    fn fitted(&self, fit: &Fit, domain: Domain, scale: i32, bits: (u32, u32)) -> Fitted {
        let series = fit.rounded(domain.modulus_bits, bits.0, bits.1, scale);
        let out = Opening { frac: 18 - scale, bits: 20 };
        let mean_square = self.mean_square(fit, domain, scale, out);
        Fitted {
            curve: Curve { frac: domain.frac, stretch: 0, segments: vec![Segment { cols: 1, series }] },
            out,
            mean_square,
        }
    }

    fn too_wide(&self, domain: Domain, value: f64) -> ChooseError {
        let (lo, hi) = domain.ends;
        ChooseError::Range {
            place: format!("{}, between {lo:.4} and {hi:.4}", self.place),
            what: "relative error of the best series",
            value,
            limit: LIMIT,
            cure: "its largest argument is too many times its smallest: train with distill's --range-penalty and --short-texts, or calibrate on other texts",
        }
    }

    /// Mean square of the relative error over the arguments that were seen: the fit's, and that of opening the result.
    fn mean_square(&self, fit: &Fit, domain: Domain, scale: i32, out: Opening) -> f64 {
        let (lo, hi) = self.seen;
        let points = 400;
        let at = |i: usize| lo * (hi / lo).powf(i as f64 / (points - 1) as f64);
        // rounding at random to a unit has a mean square of a sixth
        let rounding = f64::powi(2.0, -2 * out.frac) / 6.0;
        let square = |v: f64| {
            let right = (self.function)(v);
            let error = fit.at(v, domain.period()) * f64::powi(2.0, scale) - right;
            (error * error + rounding) / (right * right)
        };
        (0..points).map(|i| square(at(i))).sum::<f64>() / points as f64
    }

    /// A wider domain at no more than one step of harmonics more: towards what unusual texts need below and as far up as the
    /// period goes, or only up, or half of that way up.
    fn widened(&self, least: Domain, count: usize, error: f64) -> Option<(Domain, Fit, i32)> {
        let filled = least.filled();
        let below = self.unusual.map_or(least.ends.0, |lo| (lo / UNUSUAL_HEADROOM).max(least.ends.0 / DEEPEST));
        let deeper = Domain::of((below.min(least.ends.0), filled.ends.1), self.from).filled();
        let half = Domain { ends: (least.ends.0, (least.ends.1 * filled.ends.1).sqrt()), ..least };
        let at = COUNTS.partition_point(|c| *c < count);
        let mut tried = None;
        for domain in [deeper, filled, half].into_iter().filter(|domain| domain.modulus_bits <= 32) {
            if tried.replace(domain) == Some(domain) {
                continue;
            }
            for count in COUNTS.iter().skip(at).take(2) {
                let (fit, reached, scale) = self.fit(domain, &[*count]);
                if reached <= error.max(WIDE_TOLERANCE) {
                    return Some((domain, fit, scale));
                }
            }
        }
        None
    }

    /// Bits before the point of the largest result.
    fn scale(&self, domain: Domain) -> i32 {
        log2_floor((self.function)(domain.ends.0)) + 1
    }

    /// The series of the fewest of these numbers of harmonics that is good enough, or else the best; its relative error, and
    /// the bits before the point of its largest result, by which its coefficients are scaled.
    fn fit(&self, domain: Domain, counts: &[usize]) -> (Fit, f64, i32) {
        let scale = self.scale(domain);
        let scaled = |v: f64| (self.function)(v) / f64::powi(2.0, scale);
        let (function, period) = (&scaled, domain.period());
        let problem = Problem { function, domain: domain.ends, period, terms: Terms::All, relative: true };
        let (fit, error) = problem.smallest(counts, BITS, TOLERANCE);
        (fit, error, scale)
    }
}

pub(crate) fn log2_floor(v: f64) -> i32 {
    v.log2().floor() as i32
}
