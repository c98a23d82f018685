//! The series of `exp(s / m)` of shifted scores, and others by the same harmonics.
//!
//! Right where scores were seen; flat for [`CLIP`] nats above, so that a score beyond them is clipped and not folded; small far below,
//! where only that is asked; and bounded in the gap that closes the period. The period is no power of two: scores are multiplied with
//! a public integer before they are opened ([`Curve::stretch`]), which keeps harmonics within the range and not beside it.

use nalgebra::{DMatrix, DVector};

use crate::fit::Angles;
use crate::opening::{Curve, STRETCH_FRAC, Segment};
use crate::series::Series;

/// How far above the range the exponential is flat, in nats.
const CLIP: f64 = 3.0;
/// The period over what it must hold.
const GAP: f64 = 1.15;
/// Bits of the phase.
const PHASE_BITS: u32 = 18;
/// Fractional bits of coefficients and of dealt terms.
const BITS: (u32, u32) = (14, 16);
/// The same of the identity, whose coefficients are large, and whose errors add up over a row where scores are alike.
const IDENTITY_BITS: (u32, u32) = (20, BITS.1);
/// Numbers of harmonics that are tried.
const COUNTS: [usize; 20] = [4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 24, 28, 34, 40, 48, 56, 64];
/// How often weights are changed towards the largest error.
const SWEEPS: usize = 4;
const RIDGE: f64 = 1e-5;
/// Relative error of `exp(s)` aimed at, and the value below which only that it is small is asked.
const RELATIVE: f64 = 2e-3;
const TAIL: f64 = 2e-6;

/// The range of shifted scores, and the period that follows from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scores {
    lo: f64,
    hi: f64,
    /// Of the scores themselves.
    period: f64,
    /// Period of the stretched scores, a power of two, as an exponent.
    exponent: i32,
    stretch: u32,
}

/// From where to where scores with padding are, and what is allowed there.
pub(crate) type Band = ((f64, f64), f64);

/// A point to fit: the score, the value, and the error that is allowed there.
type Point = (f64, f64, f64);

impl Scores {
    pub(crate) fn of(lo: f64, hi: f64) -> Scores {
        let wanted = (hi + CLIP - lo) * GAP;
        let exponent = wanted.log2().floor() as i32;
        let unit = f64::powi(2.0, STRETCH_FRAC);
        // rounded down, so that the period is never shorter than asked for
        let stretch = (unit * f64::powi(2.0, exponent) / wanted).floor().max(1.0);
        let period = f64::powi(2.0, exponent) * unit / stretch;
        Scores { lo, hi, period, exponent, stretch: stretch as u32 }
    }

    /// `exp(s / m)` by the fewest harmonics that are good enough; how many these are. In the band of scores with padding it is as near
    /// to nothing as that says.
    pub(crate) fn exponential(&self, m: f64, padding: Band) -> (Curve, usize) {
        let points = self.exponential_points(m, (RELATIVE, TAIL), padding);
        let least = 0.25 * (self.hi + CLIP - self.lo) / m;
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for count in COUNTS.into_iter().filter(|count| *count as f64 >= least.min(64.0)) {
            let (error, coefficients) = self.fit(&points, count);
            if best.as_ref().is_none_or(|(least, ..)| error < *least) {
                best = Some((error, count, coefficients));
            }
            if error < 1.15 {
                break;
            }
        }
        let (_, count, coefficients) = best.unwrap_or((f64::INFINITY, 1, vec![0.0; 3]));
        (self.curve(&coefficients, count, BITS), count)
    }

    /// The same loosely, by so many harmonics.
    pub(crate) fn rough_exponential(&self, m: f64, count: usize, padding: Band) -> Curve {
        let points = self.exponential_points(m, (0.05, 1e-4), padding);
        self.curve(&self.fit(&points, count).1, count, BITS)
    }

    /// The stretched scores themselves, by so many harmonics; and the mean square of what is missing to them.
    pub(crate) fn identity(&self, count: usize) -> (Curve, f64) {
        let stretch = f64::from(self.stretch) / f64::powi(2.0, STRETCH_FRAC);
        let points: Vec<Point> = spread(self.lo, self.hi, 600).map(|s| (s, stretch * s, 1e-2)).collect();
        let (_, coefficients) = self.fit(&points, count);
        let missing = |s: f64| (self.at(&coefficients, count, s) - stretch * s).powi(2);
        let square = spread(self.lo, self.hi, 500).map(missing).sum::<f64>() / 500.0;
        (self.curve(&coefficients, count, IDENTITY_BITS), square)
    }

    fn exponential_points(&self, m: f64, (relative, tail): (f64, f64), ((from, to), of_band): Band) -> Vec<Point> {
        let Scores { lo, hi, period, .. } = *self;
        let value = |s: f64| (s.min(hi) / m).exp();
        // the error that is allowed to the m-th power: relative to it, or what its square root may be off by where that is more
        let allowed = |s: f64| {
            let f = value(s);
            let e = f.powf(m);
            match e > tail {
                true => (relative * e).max(2.0 * (tail * e).sqrt()) / (m * f.powf(m - 1.0)),
                false => tail.powf(1.0 / m),
            }
        };
        let inside = spread(lo, hi, 300).chain(spread(lo.max(-14.0).min(hi - 0.1), hi, 300));
        // head-room above what was seen: looser
        let seen = inside.map(|s| (s, value(s), allowed(s) * if s > hi - 0.7 { 4.0 } else { 1.0 }));
        let clipped = spread(hi, hi + CLIP, 40).skip(1).map(|s| (s, value(s), 0.25 * value(s)));
        let gap = (1..=40).map(|i| {
            let part = f64::from(i) / 41.0;
            let s = hi + CLIP + (lo + period - hi - CLIP) * part;
            (s, value(hi) * (1.0 - part), 0.6 * value(hi))
        });
        let band = spread(from, to, 100).map(|s| (s, value(s), allowed(s).min(of_band)));
        seen.chain(clipped).chain(gap).chain(band).collect()
    }

    /// Least squares of errors over what is allowed, reweighted towards the largest; that one, and the coefficients: the constant,
    /// cosines, sines.
    fn fit(&self, points: &[Point], count: usize) -> (f64, Vec<f64>) {
        let columns = 2 * count + 1;
        let rows: Vec<Vec<f64>> = points.iter().map(|(s, ..)| self.row(*s, count)).collect();
        let mut weights = vec![1.0; points.len()];
        let mut best = (f64::INFINITY, vec![0.0; columns]);
        for _ in 0..SWEEPS {
            let mut normal = DMatrix::<f64>::zeros(columns, columns);
            let mut right = DVector::<f64>::zeros(columns);
            for ((row, (_, value, allowed)), weight) in rows.iter().zip(points).zip(&weights) {
                let weight = weight / (allowed * allowed);
                for i in 0..columns {
                    right[i] += weight * row[i] * value;
                    (0..=i).for_each(|j| normal[(i, j)] += weight * row[i] * row[j]);
                }
            }
            for i in 0..columns {
                (0..i).for_each(|j| normal[(j, i)] = normal[(i, j)]);
                normal[(i, i)] += RIDGE * points.len() as f64 * if i == 0 { 1e-3 } else { 1.0 };
            }
            let Some(solver) = normal.cholesky() else { break };
            let solution = solver.solve(&right);
            let error = |(row, (_, value, allowed)): (&Vec<f64>, &Point)| {
                let sum: f64 = row.iter().zip(solution.iter()).map(|(a, b)| a * b).sum();
                (sum - value).abs() / allowed
            };
            let errors: Vec<f64> = rows.iter().zip(points).map(error).collect();
            let most = errors.iter().copied().fold(0.0, f64::max);
            if most < best.0 {
                best = (most, solution.iter().copied().collect());
            }
            weights.iter_mut().zip(&errors).for_each(|(weight, error)| *weight *= 0.2 + error / most.max(1e-300));
            let mean = weights.iter().sum::<f64>() / weights.len() as f64;
            weights.iter_mut().for_each(|weight| *weight /= mean);
        }
        best
    }

    fn row(&self, s: f64, count: usize) -> Vec<f64> {
        let harmonics: Vec<u32> = (1..=count as u32).collect();
        let (cosines, sines): (Vec<f64>, Vec<f64>) =
            Angles::new(s * std::f64::consts::TAU / self.period, &harmonics).unzip();
        [vec![1.0], cosines, sines].concat()
    }

    fn at(&self, coefficients: &[f64], count: usize, s: f64) -> f64 {
        self.row(s, count).iter().zip(coefficients).map(|(a, b)| a * b).sum()
    }

    fn curve(&self, coefficients: &[f64], count: usize, bits: (u32, u32)) -> Curve {
        let most = coefficients.iter().fold(1e-9f64, |most, c| most.max(c.abs()));
        // coefficients below two, so that they are as exact as their bits
        let exponent = most.log2().floor() as i32;
        let round = |c: f64, frac: u32| (c * f64::powi(2.0, frac as i32 - exponent)).round() as i64;
        let series = Series {
            modulus_bits: PHASE_BITS,
            coefficient_frac: bits.0,
            trig_frac: bits.1,
            exponent,
            constant: round(coefficients[0], bits.0 + bits.1),
            harmonics: (1..=count as u32).collect(),
            cosines: coefficients[1..=count].iter().map(|c| round(*c, bits.0)).collect(),
            sines: coefficients[1 + count..].iter().map(|c| round(*c, bits.0)).collect(),
        };
        let frac = PHASE_BITS as i32 - self.exponent;
        Curve { frac, stretch: self.stretch, segments: vec![Segment { cols: 1, series }] }
    }
}

fn spread(lo: f64, hi: f64, count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |i| lo + (hi - lo) * i as f64 / (count - 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponential_is_right_where_scores_are_and_bounded_elsewhere() {
        for (lo, hi) in [(-19.0, 0.9), (-22.0, 1.1), (-45.0, 1.3)] {
            let scores = Scores::of(lo, hi);
            let band = ((lo, -17.0), 4e-4);
            let (curve, count) = scores.exponential(2.0, band);
            let stretch = f64::from(curve.stretch) / 256.0;
            let at = |s: f64| curve.segments[0].series.at(stretch * s, curve.frac).unwrap();
            for s in spread(lo, hi - 0.8, 400) {
                let (got, right) = (at(s).powi(2), s.exp());
                let allowed = (6e-3 * right).max(6.0 * (TAIL * right).sqrt()).max(1e-5);
                assert!((got - right).abs() < allowed, "{lo} to {hi}, {count} harmonics: {got} for {right} at {s}");
            }
            for s in spread(lo, lo + scores.period, 900) {
                assert!(at(s).abs() < 2.2 * (hi / 2.0).exp(), "{s}: {}", at(s));
            }
            let (identity, square) = scores.identity(count);
            let same = |s: f64| identity.segments[0].series.at(stretch * s, identity.frac).unwrap() / stretch - s;
            println!("{lo} to {hi}: {count} harmonics, identity off by {:.5} in the mean square root", square.sqrt());
            assert!(spread(lo, hi, 300).all(|s| same(s).abs() < 0.3), "{count}");
            assert!(spread(band.0.0, band.0.1, 100).all(|s| at(s).abs() < 2e-3), "{count}: padding is nothing");
            // a score far above is seen
            assert!(spread(hi + 4.0, hi + 8.0, 20).all(|s| same(s).abs() > 2.0));
        }
    }
}
