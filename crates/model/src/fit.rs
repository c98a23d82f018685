//! Fits Fourier series by regularised least squares, and rounds them to integers.

use nalgebra::{DMatrix, DVector};

use crate::series::Series;

/// Which harmonics and terms a fit may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Odd harmonics, cosines and a constant: even functions whose derivative is a square wave (GeLU(x) - x/2).
    EvenOdd,
    /// Odd harmonics, sines: odd functions with a plateau (tanh).
    OddOdd,
    /// All harmonics, sines, cosines and a constant.
    All,
}

/// What to fit.
pub struct Problem<'a> {
    /// The function.
    pub function: &'a dyn Fn(f64) -> f64,
    /// Where the result must hold.
    pub domain: (f64, f64),
    /// Its period; larger than the domain.
    pub period: f64,
    /// Terms.
    pub terms: Terms,
    /// Whether the error counts relative to `|f|`.
    pub relative: bool,
}

/// A fitted series in floating point.
pub struct Fit {
    constant: f64,
    harmonics: Vec<u32>,
    cosines: Vec<f64>,
    sines: Vec<f64>,
    /// Largest error on the domain: relative where the problem asks so.
    pub error: f64,
    /// Euclidean norm of all coefficients; rounding noise of the dealt terms is proportional to it.
    pub norm: f64,
}

/// Weights of the penalty on coefficients, relative to a column of the problem. A period much longer than the domain makes
/// the problem ill-conditioned: without a penalty the coefficients explode, and with them the rounding noise.
const RIDGES: [f64; 4] = [1e-9, 1e-8, 1e-7, 1e-6];

impl Problem<'_> {
    /// Fits with that many harmonics, under each penalty.
    fn fits(&self, count: usize) -> Vec<Fit> {
        let harmonics: Vec<u32> = match self.terms {
            Terms::All => (1..=count as u32).collect(),
            Terms::EvenOdd | Terms::OddOdd => (0..count as u32).map(|k| 2 * k + 1).collect(),
        };
        let columns = self.row(0.0, &harmonics).len();
        let grid = self.grid(columns * 6 + 200);
        let mut a = DMatrix::<f64>::zeros(grid.len(), columns);
        let mut b = DVector::<f64>::zeros(grid.len());
        for (i, x) in grid.iter().enumerate() {
            let y = (self.function)(*x);
            let w = if self.relative { 1.0 / y.abs() } else { 1.0 };
            b[i] = y * w;
            for (j, v) in self.row(*x, &harmonics).into_iter().enumerate() {
                a[(i, j)] = v * w;
            }
        }
        let unit = a.column(0).norm().max(1.0);
        // the large problem once, then one small problem for each penalty
        let qr = a.qr();
        qr.q_tr_mul(&mut b);
        let (r, b) = (qr.r(), b.rows(0, columns).into_owned());
        let solve = |ridge: f64| {
            let mut stacked = DMatrix::<f64>::zeros(2 * columns, columns);
            stacked.rows_mut(0, columns).copy_from(&r);
            (0..columns).for_each(|j| stacked[(columns + j, j)] = ridge * unit);
            let mut right = DVector::<f64>::zeros(2 * columns);
            right.rows_mut(0, columns).copy_from(&b);
            let qr = stacked.qr();
            qr.q_tr_mul(&mut right);
            let solved = qr.r().solve_upper_triangular(&right.rows(0, columns));
            self.with_coefficients(&harmonics, solved.unwrap_or_else(|| DVector::zeros(columns)).as_slice())
        };
        RIDGES.iter().map(|ridge| solve(*ridge)).collect()
    }

    pub(crate) fn with_coefficients(&self, harmonics: &[u32], mut x: &[f64]) -> Fit {
        let count = harmonics.len();
        let mut take = |there: bool, many: usize| {
            if !there {
                return vec![0.0; many];
            }
            let (taken, rest) = x.split_at(many);
            x = rest;
            taken.to_vec()
        };
        let constant = take(self.terms != Terms::OddOdd, 1)[0];
        let cosines = take(self.terms != Terms::OddOdd, count);
        let sines = take(self.terms != Terms::EvenOdd, count);
        let norm = (constant * constant + cosines.iter().chain(&sines).map(|c| c * c).sum::<f64>()).sqrt();
        let mut fit = Fit { constant, harmonics: harmonics.to_vec(), cosines, sines, error: 0.0, norm };
        let check = self.grid(count * 50 + 1511);
        fit.error = check.iter().map(|x| self.error_at(&fit, *x)).fold(0.0, f64::max);
        fit
    }

    /// The best fit with that many harmonics, as evaluated with so many fractional bits.
    pub fn fit(&self, count: usize, coefficient_frac: u32, trig_frac: u32) -> Fit {
        let total = |fit: &Fit| fit.error + self.noise(fit, coefficient_frac, trig_frac);
        let best = self.fits(count).into_iter().min_by(|a, b| total(a).total_cmp(&total(b)));
        best.unwrap_or_else(|| self.with_coefficients(&[], &[0.0]))
    }

    /// The smallest fit that is worth it: its own error is within half of `tolerance`, or within half of the rounding noise,
    /// which more harmonics do not lower; within an eighth of it where it alone is above four times `tolerance`. Otherwise the
    /// best of those tried. With its error, noise included.
    pub fn smallest(&self, counts: &[usize], bits: (u32, u32), tolerance: f64) -> (Fit, f64) {
        let mut best: Option<(Fit, f64)> = None;
        for count in counts {
            let fit = self.fit(*count, bits.0, bits.1);
            let noise = self.noise(&fit, bits.0, bits.1);
            // a series that noisy has no error to spare
            let own = if noise <= 4.0 * tolerance { noise.max(tolerance) / 2.0 } else { noise / 8.0 };
            let enough = fit.error <= own;
            let error = fit.error + noise;
            if best.as_ref().is_none_or(|(_, least)| error < *least) {
                best = Some((fit, error));
            }
            if enough {
                break;
            }
        }
        best.unwrap_or_else(|| (self.fit(1, bits.0, bits.1), f64::INFINITY))
    }

    /// Rounding noise (three standard deviations) of the coefficients and the dealt terms, in the units of the error.
    pub(crate) fn noise(&self, fit: &Fit, coefficient_frac: u32, trig_frac: u32) -> f64 {
        let terms = 2.0 * fit.harmonics.len() as f64;
        let unit = |frac: u32| f64::powi(2.0, -(frac as i32));
        // rounding to a unit has deviation 0.29; a dealt term is at most one, a public one at most its coefficient
        let deviation = 0.29 * ((terms / 2.0).sqrt() * unit(coefficient_frac)).hypot(fit.norm * unit(trig_frac));
        let least = match self.relative {
            true => f64::min((self.function)(self.domain.0).abs(), (self.function)(self.domain.1).abs()),
            false => 1.0,
        };
        3.0 * deviation / least
    }

    fn error_at(&self, fit: &Fit, x: f64) -> f64 {
        let y = (self.function)(x);
        let error = (fit.at(x, self.period) - y).abs();
        if self.relative { error / y.abs() } else { error }
    }

    fn row(&self, x: f64, harmonics: &[u32]) -> Vec<f64> {
        let base = x * std::f64::consts::TAU / self.period;
        let mut row = Vec::with_capacity(2 * harmonics.len() + 1);
        if self.terms != Terms::OddOdd {
            row.push(1.0);
            row.extend(Angles::new(base, harmonics).map(|(cos, _)| cos));
        }
        if self.terms != Terms::EvenOdd {
            row.extend(Angles::new(base, harmonics).map(|(_, sin)| sin));
        }
        row
    }

    /// Half of the points evenly spaced, half geometrically where the domain is positive.
    pub(crate) fn grid(&self, points: usize) -> Vec<f64> {
        let (lo, hi) = self.domain;
        let step = |i: usize, n: usize| i as f64 / (n - 1) as f64;
        if lo <= 0.0 {
            return (0..points).map(|i| lo + (hi - lo) * step(i, points)).collect();
        }
        let half = points / 2;
        let even = (0..half).map(|i| lo + (hi - lo) * step(i, half));
        even.chain((0..half).map(|i| lo * (hi / lo).powf(step(i, half)))).collect()
    }
}

/// Cosine and sine of evenly spaced multiples of an angle, each turned on from the one before: a fit asks for tens of millions.
pub(crate) struct Angles {
    left: usize,
    now: (f64, f64),
    step: (f64, f64),
}

impl Angles {
    pub(crate) fn new(base: f64, multiples: &[u32]) -> Angles {
        let turn = |times: u32| {
            let (sin, cos) = (f64::from(times) * base).sin_cos();
            (cos, sin)
        };
        let first = multiples.first().copied().unwrap_or(0);
        let step = multiples.get(1).map_or(0, |second| second - first);
        debug_assert!(multiples.is_sorted_by(|a, b| b - a == step), "multiples are evenly spaced");
        Angles { left: multiples.len(), now: turn(first), step: turn(step) }
    }
}

impl Iterator for Angles {
    type Item = (f64, f64);

    fn next(&mut self) -> Option<(f64, f64)> {
        self.left = self.left.checked_sub(1)?;
        let ((cos, sin), (c, s)) = (self.now, self.step);
        self.now = (cos * c - sin * s, sin * c + cos * s);
        Some((cos, sin))
    }
}

impl Fit {
    /// Harmonics.
    pub(crate) fn count(&self) -> usize {
        self.harmonics.len()
    }

    /// The value of the series.
    pub fn at(&self, x: f64, period: f64) -> f64 {
        let base = x * std::f64::consts::TAU / period;
        let mut sum = self.constant;
        let terms = self.cosines.iter().zip(&self.sines);
        for ((c, s), (cos, sin)) in terms.zip(Angles::new(base, &self.harmonics)) {
            sum += c * cos + s * sin;
        }
        sum
    }

    /// Integers for a phase with that many bits in its period. What was fitted is `f 2^-exponent`.
    pub fn rounded(&self, modulus_bits: u32, coefficient_frac: u32, trig_frac: u32, exponent: i32) -> Series {
        let round = |c: f64, frac: u32| (c * f64::powi(2.0, frac as i32)).round() as i64;
        Series {
            modulus_bits,
            coefficient_frac,
            trig_frac,
            exponent,
            constant: round(self.constant, coefficient_frac + trig_frac),
            harmonics: self.harmonics.clone(),
            cosines: self.cosines.iter().map(|c| round(*c, coefficient_frac)).collect(),
            sines: self.sines.iter().map(|c| round(*c, coefficient_frac)).collect(),
        }
    }
}
