//! Least squares for wide domains: the normal equations of a Fourier series, made of moments.
//!
//! Products of sines and cosines are sines and cosines of sums and differences, so the matrix of the normal equations has `4 h + 2`
//! different entries for `h` harmonics, each a sum over the grid. It squares the condition of the problem, which only a penalty
//! of a millionth or more leaves to double precision; refinement by residuals takes out what is lost. A fit over a wide domain needs
//! such a penalty anyway, for its noise, and by QR it would take twenty times as long.

use nalgebra::{DMatrix, DVector};

use crate::fit::{Angles, Fit, Problem, Terms};

/// The penalty on coefficients, relative to a column of the problem.
const RIDGE: f64 = 1e-6;
/// Corrections by residuals.
const REFINEMENTS: usize = 3;

impl Problem<'_> {
    /// The fit with so many harmonics under a penalty that suits a wide domain; nothing where the equations cannot be solved.
    ///
    /// # Panics
    ///
    /// Of terms other than [`Terms::All`].
    pub(crate) fn wide(&self, count: usize) -> Option<Fit> {
        assert_eq!(self.terms, Terms::All, "a wide domain is fitted with all terms");
        let columns = 2 * count + 1;
        let grid = self.grid(columns * 6 + 200);
        let points: Vec<Point> = grid.iter().map(|x| self.point(*x)).collect();
        let (cosines, sines) = moments(&points, 2 * count);
        let mut normal = normal_matrix(&cosines, &sines, count);
        let penalty = RIDGE * RIDGE * cosines[0].max(1.0);
        (0..columns).for_each(|j| normal[(j, j)] += penalty);
        let solver = normal.cholesky()?;
        let harmonics: Vec<u32> = (1..=count as u32).collect();
        let mut solution = DVector::<f64>::zeros(columns);
        for _ in 0..=REFINEMENTS {
            let mut rest = &solution * -penalty;
            for point in &points {
                let residual = point.weight * (point.value - at(&solution, point.angle, &harmonics));
                rest[0] += residual;
                for (k, (cos, sin)) in Angles::new(point.angle, &harmonics).enumerate() {
                    rest[1 + k] += residual * cos;
                    rest[1 + count + k] += residual * sin;
                }
            }
            solution += solver.solve(&rest);
        }
        Some(self.with_coefficients(&harmonics, solution.as_slice()))
    }

    fn point(&self, x: f64) -> Point {
        let value = (self.function)(x);
        let weight = if self.relative { 1.0 / (value * value) } else { 1.0 };
        Point { angle: x * std::f64::consts::TAU / self.period, value, weight }
    }
}

/// A point of the grid: its angle within the period, the function there, and the square of its weight.
struct Point {
    angle: f64,
    value: f64,
    weight: f64,
}

/// Weighted sums of cosines and of sines of multiples from 0 to `most` of each point's angle.
fn moments(points: &[Point], most: usize) -> (Vec<f64>, Vec<f64>) {
    let multiples: Vec<u32> = (0..=most as u32).collect();
    let (mut cosines, mut sines) = (vec![0.0; most + 1], vec![0.0; most + 1]);
    for point in points {
        let sums = cosines.iter_mut().zip(&mut sines);
        for ((of_cosines, of_sines), (cos, sin)) in sums.zip(Angles::new(point.angle, &multiples)) {
            *of_cosines += point.weight * cos;
            *of_sines += point.weight * sin;
        }
    }
    (cosines, sines)
}

/// Products of the constant, `count` cosines and `count` sines with one another.
fn normal_matrix(cosines: &[f64], sines: &[f64], count: usize) -> DMatrix<f64> {
    let mut normal = DMatrix::<f64>::zeros(2 * count + 1, 2 * count + 1);
    normal[(0, 0)] = cosines[0];
    for j in 1..=count {
        for (row, moment) in [(j, cosines[j]), (count + j, sines[j])] {
            (normal[(row, 0)], normal[(0, row)]) = (moment, moment);
        }
        for k in 1..=count {
            let (sum, difference) = (j + k, j.abs_diff(k));
            normal[(j, k)] = (cosines[difference] + cosines[sum]) / 2.0;
            normal[(count + j, count + k)] = (cosines[difference] - cosines[sum]) / 2.0;
            // cos j sin k
            let sine = if k >= j { sines[difference] } else { -sines[difference] };
            let mixed = (sines[sum] + sine) / 2.0;
            (normal[(j, count + k)], normal[(count + k, j)]) = (mixed, mixed);
        }
    }
    normal
}

fn at(coefficients: &DVector<f64>, angle: f64, harmonics: &[u32]) -> f64 {
    let count = harmonics.len();
    let terms = Angles::new(angle, harmonics).enumerate();
    terms.fold(coefficients[0], |sum, (k, (cos, sin))| {
        sum + coefficients[1 + k] * cos + coefficients[1 + count + k] * sin
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As good as the fit by QR under the same penalty, over domains as heads of short padded texts have them.
    #[test]
    fn moments_give_the_fit_of_least_squares() {
        let function = |v: f64| 1.0 / v;
        for (hi, period, count, error) in [(58.0, 64.0, 48, 4e-3), (230.0, 256.0, 128, 2e-3), (460.0, 512.0, 256, 2e-3)]
        {
            let problem = Problem { function: &function, domain: (1.0, hi), period, terms: Terms::All, relative: true };
            let fit = problem.wide(count).unwrap();
            assert!(fit.error < error, "{hi}: {}", fit.error);
            let by_qr = problem.fit(count, 22, 22);
            assert!(fit.error < 40.0 * by_qr.error && fit.norm < 1.5 * by_qr.norm.max(1.0), "{hi}: {}", by_qr.error);
        }
    }
}
