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

/// Largest norm of coefficients that a fit may have, in units of the largest value.
const RIDGE: f64 = 1e-9;

impl Problem<'_> {
    /// The best fit with that many harmonics.
    pub fn fit(&self, count: usize) -> Fit {
        let harmonics: Vec<u32> = match self.terms {
            Terms::All => (1..=count as u32).collect(),
            Terms::EvenOdd | Terms::OddOdd => (0..count as u32).map(|k| 2 * k + 1).collect(),
        };
        let (constant, cosines, sines) =
            (self.terms != Terms::OddOdd, self.terms != Terms::OddOdd, self.terms != Terms::EvenOdd);
        let columns = usize::from(constant) + count * (usize::from(cosines) + usize::from(sines));
        let grid = self.grid(columns * 6 + 200);
        let rows = grid.len();
        let mut a = DMatrix::<f64>::zeros(rows + columns, columns);
        let mut b = DVector::<f64>::zeros(rows + columns);
        for (i, x) in grid.iter().enumerate() {
            let y = (self.function)(*x);
            let w = if self.relative { 1.0 / y.abs() } else { 1.0 };
            b[i] = y * w;
            for (j, v) in self.row(*x, &harmonics).into_iter().enumerate() {
                a[(i, j)] = v * w;
            }
        }
        let ridge = RIDGE * a.column(0).norm().max(1.0);
        for j in 0..columns {
            a[(rows + j, j)] = ridge;
        }
        let qr = a.qr();
        qr.q_tr_mul(&mut b);
        let x = qr.r().solve_upper_triangular(&b.rows(0, columns)).unwrap_or_else(|| DVector::zeros(columns));
        let mut x = x.iter().copied();
        let constant = if constant { x.next().unwrap_or(0.0) } else { 0.0 };
        let mut take =
            |there: bool| -> Vec<f64> { if there { x.by_ref().take(count).collect() } else { vec![0.0; count] } };
        let (cosines, sines) = (take(cosines), take(sines));
        let norm = (constant * constant + cosines.iter().chain(&sines).map(|c| c * c).sum::<f64>()).sqrt();
        let mut fit = Fit { constant, harmonics, cosines, sines, error: 0.0, norm };
        let check = self.grid(columns * 23 + 1511);
        fit.error = check.iter().map(|x| self.error_at(&fit, *x)).fold(0.0, f64::max);
        fit
    }

    /// The smallest fit whose error is within `tolerance`, or the best of those tried.
    pub fn smallest(&self, counts: &[usize], tolerance: f64) -> Fit {
        let mut best: Option<Fit> = None;
        for count in counts {
            let fit = self.fit(*count);
            if fit.error <= tolerance {
                return fit;
            }
            if best.as_ref().is_none_or(|b| fit.error < b.error) {
                best = Some(fit);
            }
        }
        best.unwrap_or_else(|| self.fit(1))
    }

    fn error_at(&self, fit: &Fit, x: f64) -> f64 {
        let y = (self.function)(x);
        let error = (fit.at(x, self.period) - y).abs();
        if self.relative { error / y.abs() } else { error }
    }

    fn row(&self, x: f64, harmonics: &[u32]) -> Vec<f64> {
        let angle = |k: &u32| f64::from(*k) * x * std::f64::consts::TAU / self.period;
        let mut row = Vec::new();
        if self.terms != Terms::OddOdd {
            row.push(1.0);
            row.extend(harmonics.iter().map(|k| angle(k).cos()));
        }
        if self.terms != Terms::EvenOdd {
            row.extend(harmonics.iter().map(|k| angle(k).sin()));
        }
        row
    }

    /// Half of the points evenly spaced, half geometrically where the domain is positive.
    fn grid(&self, points: usize) -> Vec<f64> {
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

impl Fit {
    /// The value of the series.
    pub fn at(&self, x: f64, period: f64) -> f64 {
        let base = x * std::f64::consts::TAU / period;
        let term = |i: usize| {
            let (sin, cos) = (f64::from(self.harmonics[i]) * base).sin_cos();
            self.cosines[i] * cos + self.sines[i] * sin
        };
        self.constant + (0..self.harmonics.len()).map(term).sum::<f64>()
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
