//! Division by the sum of a row.
//!
//! A sum is brought near one by a power of two first. The reciprocal is kept in units of that power, because at 512 tokens
//! `1 / sum` itself would have five significant units; the truncation of the quotients takes the power out again.
//!
//! Goldschmidt's iteration (SecFormer, Alg. 3) and Newton's (CrypTen) take two products a step on one number a row, a round
//! and 32 bytes as SecFormer counts them each; their first step is a subtraction, so that k steps are `2 (k - 1)` rounds. With
//! dealt truncation each product is a round more. Sums beyond the range of an iteration make it diverge, unnoticed.

use super::fixed::{FixedPoint, Tensor, over_power_of_two};
use super::ring::Ring;

/// How the reciprocal of a sum is found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reciprocal {
    /// Goldschmidt's iteration, for sums below `2^(eta + 1)`.
    Goldschmidt {
        /// Steps, the first included.
        steps: usize,
    },
    /// Newton's iteration, for sums up to `2^eta`.
    Newton {
        /// Steps, the first included.
        steps: usize,
    },
}

/// Rows divided by their sums, at the scale of values; `etas` are exponents, one a matrix. One demand for all truncations,
/// the iteration on all rows together, one demand for the products of rows and reciprocals.
pub(crate) fn divide_rows<R: Ring>(
    fixed: &mut FixedPoint<'_, R>,
    x: Vec<Tensor<R>>,
    etas: &[i32],
    reciprocal: Reciprocal,
) -> Result<Vec<Tensor<R>>, R::Error> {
    let mut sums = Vec::with_capacity(x.len());
    for (x, eta) in x.iter().zip(etas) {
        sums.push(over_power_of_two(fixed.row_sums(x), *eta));
    }
    let asked: Vec<_> = sums.iter().chain(&x).map(|value| (value, fixed.frac)).collect();
    let mut scaled = fixed.rescale(&asked)?;
    let x = scaled.split_off(sums.len());
    let q = fixed.join(&scaled);
    let reciprocals = match reciprocal {
        Reciprocal::Goldschmidt { steps } => goldschmidt(fixed, q, steps)?,
        Reciprocal::Newton { steps } => newton(fixed, &q, steps)?,
    };
    let reciprocals = fixed.split(&reciprocals.data, scaled.iter().map(|sum| sum.form));
    let pairs: Vec<_> = x.iter().zip(&reciprocals).collect();
    let quotients = fixed.scale_rows(&pairs)?.into_iter().zip(etas);
    let quotients: Vec<_> = quotients.map(|(quotient, eta)| over_power_of_two(quotient, *eta)).collect();
    fixed.all_at_scale(&quotients, fixed.frac)
}

/// `1 / q` for q below two: `m = 2 - q`, `r <- r m`, `q <- q m`.
fn goldschmidt<R: Ring>(fixed: &mut FixedPoint<'_, R>, mut q: Tensor<R>, steps: usize) -> Result<Tensor<R>, R::Error> {
    let mut m = fixed.number_minus(2.0, &q);
    let mut r = fixed.copy(&m);
    for _ in 1..steps {
        q = fixed.product(&q, &m)?;
        m = fixed.number_minus(2.0, &q);
        r = fixed.product(&r, &m)?;
    }
    Ok(r)
}

/// `1 / d` for d up to one: `y <- y (2 - d y)` from one on.
fn newton<R: Ring>(fixed: &mut FixedPoint<'_, R>, d: &Tensor<R>, steps: usize) -> Result<Tensor<R>, R::Error> {
    let mut y = fixed.number_minus(2.0, d);
    for _ in 1..steps {
        let dy = fixed.product(d, &y)?;
        let m = fixed.number_minus(2.0, &dy);
        y = fixed.product(&y, &m)?;
    }
    Ok(y)
}
