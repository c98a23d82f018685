//! Two steps for a head of softmax whose sums spread too far for one reciprocal: which smaller power a rough one is made of.

use crate::choose_error::ChooseError;
use crate::positive::{Fitted, Positive};
use crate::shape::TOKEN_CLASSES;
use crate::softmax_padding::{RoughSums, growth};
use crate::softmax_ranges::{OVER, SPLITS, SoftmaxRanges};
use crate::span::Span;
use crate::spec_error::SpecError;

/// Head-room of rough sums, below and above, in nats; and of sums that a rough reciprocal has corrected.
const ROUGH_MARGIN: (f64, f64) = (0.25, 0.5);
const CORRECTED_MARGIN: (f64, f64) = (0.7, 0.6);
/// Relative error of a rough reciprocal, aimed at and accepted: it cancels.
const ROUGH: (f64, f64) = (0.1, 0.4);
/// Fractional bits of rough sums, and of sums of a row.
const ROUGH_FRAC: i32 = 30;
pub(crate) const SUM_FRAC: i32 = 18;

/// One over sums between these, of so many fractional bits.
pub(crate) fn reciprocal(place: String, seen: (f64, f64), from: i32) -> Result<Fitted, ChooseError> {
    let function = |v: f64| 1.0 / v;
    Positive { place, function: &function, seen, unusual: None, from }.wide_curve()
}

/// Smallest and largest of sums of which that is taken, over all classes that were seen.
pub(crate) fn within(r: &SoftmaxRanges, which: usize, less: impl Fn(usize) -> f64) -> (f64, f64) {
    let of = |(class, sums): (usize, &[Span])| {
        (f64::from(sums[which].lo) - less(class), f64::from(sums[which].hi) - less(class))
    };
    r.seen().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), (l, h)| (lo.min(l), hi.max(h)))
}

/// A split of a spread that one series does not hold.
pub(crate) struct Split {
    pub(crate) which: usize,
    pub(crate) power: f64,
    pub(crate) units: Vec<i32>,
    /// Ends of the sums of smaller powers, in their units.
    rough: (f64, f64),
    /// Ends of the sums that the rough reciprocal has corrected.
    pub(crate) corrected: (f64, f64),
}

impl Split {
    /// The sums that padding is held to.
    pub(crate) fn rough_sums(&self, r: &SoftmaxRanges) -> RoughSums {
        let least = within(r, self.which, |_| 0.0).0;
        let most = self.rough.1.ln() - ROUGH_MARGIN.1;
        let most = self.units.iter().map(|unit| most + f64::from(*unit) * std::f64::consts::LN_2).collect();
        RoughSums { over: OVER[self.which], least, most }
    }

    /// The rough reciprocal, and the one that follows it.
    fn fitted(&self, named: &impl Fn(&str) -> String) -> Result<(Fitted, Fitted), ChooseError> {
        let function = |v: f64| v.powf(-self.power);
        let place = named("rough attention sums");
        let positive = Positive { place, function: &function, seen: self.rough, unusual: None, from: ROUGH_FRAC };
        let rough = positive.wide_curve_within(ROUGH.0, ROUGH.1)?;
        // the product is opened from a sum at SUM_FRAC and the rough reciprocal at its own
        let reciprocal = reciprocal(named("attention sums"), self.corrected, SUM_FRAC + rough.out.frac)?;
        Ok((rough, reciprocal))
    }
}

/// The split with the least to do for either of its series, of those whose series are good enough; its rough reciprocal, and the one
/// that follows it.
pub(crate) fn split(
    r: &SoftmaxRanges,
    named: &impl Fn(&str) -> String,
) -> Result<(Split, Fitted, Fitted), ChooseError> {
    let mut refusal = None;
    for split in splits(r) {
        match split.fitted(named) {
            Ok((rough, reciprocal)) => return Ok((split, rough, reciprocal)),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(|| SpecError::SoftmaxSeries.into()))
}

/// All splits, those first whose series have the least to do.
fn splits(r: &SoftmaxRanges) -> Vec<Split> {
    let ln2 = std::f64::consts::LN_2;
    let candidates = SPLITS.iter().enumerate().map(|(number, (which, power))| {
        let units = units(r, *which);
        let unit = |class: usize| f64::from(units[class]) * ln2;
        let rough = within(r, *which, unit);
        // what is read in units of 2^j gives a result in units of 2^-j
        let corrected = within(r, OVER.len() + number, |class| (1.0 - power) * unit(class));
        let (wide, rest) = (rough.1 - rough.0 + 1.0, corrected.1 - corrected.0 + 1.0);
        let cost = rest.max(wide - 1.0) + (power * wide - 10.0).max(0.0);
        let exp = |(lo, hi): (f64, f64), margin: (f64, f64)| ((lo - margin.0).exp(), (hi + margin.1).exp());
        // what padding adds to the one it takes from the other
        let (rough, corrected) = ((rough.0, rough.1 + growth()), (corrected.0 - power * growth(), corrected.1));
        let (rough, corrected) = (exp(rough, ROUGH_MARGIN), exp(corrected, CORRECTED_MARGIN));
        (cost, Split { which: *which, power: *power, units, rough, corrected })
    });
    let mut splits: Vec<_> = candidates.collect();
    splits.sort_by(|a, b| a.0.total_cmp(&b.0));
    splits.into_iter().map(|(_, split)| split).collect()
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
