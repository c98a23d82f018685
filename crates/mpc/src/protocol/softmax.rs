//! What turns scores into weights: 2Quad (MPCFormer; divided as SecFormer's Alg. 3 does), or softmax after CrypTen.
//!
//! Matrices of scores, one a head and text, hold a row for each query; all of them take part in each round together. 2Quad
//! takes a square and a product of each element, and two products a step of each row; softmax a comparison and a product of each
//! element for the maxima, `log2` of the columns times nine rounds, and a square of each element a squaring.

use model::{Block, Form, Value};

use super::arithmetic::{select, sub, sub_from_rows};
use super::compare::negative;
use super::divide::{Reciprocal, divide_rows};
use super::fixed::{FixedPoint, Tensor, over_power_of_two};
use super::ring::Ring;

/// `exp z = (1 + z / 2^8)^(2^8)`, CrypTen's default, for z from -512 to 0: below, it grows again.
pub(crate) const EXP_SQUARINGS: i32 = 8;
/// Newton's steps for the reciprocal of a sum between 1/512 and 1 of its unit.
pub(crate) const NEWTON_STEPS: usize = 13;

/// `(s + c)^2 / sum (s + c)^2` by rows, with a shift c and the exponent of a power of two near the sums for each matrix.
pub(crate) fn two_quad<R: Ring>(
    fixed: &mut FixedPoint<'_, R>,
    scores: Vec<Tensor<R>>,
    shifts: &[f32],
    etas: &[i32],
    reciprocal: Reciprocal,
) -> Result<Vec<Tensor<R>>, R::Error> {
    let mut shifted = Vec::with_capacity(scores.len());
    for (s, shift) in scores.into_iter().zip(shifts) {
        shifted.push(fixed.offset(&s, f64::from(*shift)));
    }
    let squares = fixed.squares(&shifted)?;
    divide_rows(fixed, squares, etas, reciprocal)
}

/// Softmax by rows: the maximum by a tree of comparisons, the exponential by so many squarings, and a division by sums, which
/// are at most the number of columns.
pub(crate) fn softmax<R: Ring>(
    fixed: &mut FixedPoint<'_, R>,
    scores: &[Tensor<R>],
    etas: &[i32],
    squarings: i32,
    reciprocal: Reciprocal,
) -> Result<Vec<Tensor<R>>, R::Error> {
    let maxima = row_maxima(fixed, scores)?;
    let mut x = Vec::with_capacity(scores.len());
    for (s, most) in scores.iter().zip(&maxima) {
        let data = sub_from_rows(fixed.ring, &s.data, &most.data, s.form.cols);
        x.push(Value { form: s.form, data });
    }
    let all = fixed.join(&x);
    let powers = exponential(fixed, all, squarings)?;
    let powers = fixed.split(&powers.data, x.iter().map(|x| Form { frac: powers.form.frac, ..x.form }));
    divide_rows(fixed, powers, etas, reciprocal)
}

/// `(1 + z / 2^k)^(2^k)`, which is near `exp z` from `-2^(k + 1)` to 0.
fn exponential<R: Ring>(fixed: &mut FixedPoint<'_, R>, z: Tensor<R>, squarings: i32) -> Result<Tensor<R>, R::Error> {
    let z = over_power_of_two(z, squarings);
    let z = fixed.at_scale(&z, fixed.frac)?;
    let mut power = fixed.offset(&z, 1.0);
    for _ in 0..squarings {
        power = fixed.squared(&power)?;
    }
    Ok(power)
}

/// The largest element of each row, halving the columns of all matrices together.
fn row_maxima<R: Ring>(fixed: &mut FixedPoint<'_, R>, x: &[Tensor<R>]) -> Result<Vec<Tensor<R>>, R::Error> {
    let mut rest: Vec<Tensor<R>> = x.iter().map(|x| fixed.copy(x)).collect();
    while rest.iter().any(|x| x.form.cols > 1) {
        // left and right halves; a last odd column waits
        let half = |x: &Tensor<R>| x.form.cols / 2;
        let forms: Vec<_> = rest.iter().map(|x| Form { cols: half(x), ..x.form }).collect();
        let left: Vec<_> = rest.iter().map(|x| columns(fixed, x, 0, half(x))).collect();
        let right: Vec<_> = rest.iter().map(|x| columns(fixed, x, half(x), half(x))).collect();
        let (left, right) = (fixed.join(&left).data, fixed.join(&right).data);
        let less = sub(fixed.ring, &left, &right);
        let bit = negative(fixed.ring, &less)?;
        let larger = select(fixed.ring, &bit, &right, &left)?;
        let larger = fixed.split(&larger, forms.into_iter());
        let mut next = Vec::with_capacity(rest.len());
        for (x, larger) in rest.into_iter().zip(larger) {
            if x.form.cols % 2 == 0 {
                next.push(larger);
                continue;
            }
            let odd = columns(fixed, &x, x.form.cols - 1, 1);
            next.push(if x.form.cols == 1 { odd } else { fixed.assemble(&[vec![larger, odd]]) });
        }
        rest = next;
    }
    Ok(rest)
}

/// So many columns of a matrix from one on.
fn columns<R: Ring>(fixed: &mut FixedPoint<'_, R>, x: &Tensor<R>, col: usize, cols: usize) -> Tensor<R> {
    fixed.block(x, Block { row: 0, rows: x.form.rows, col, cols })
}

#[cfg(test)]
mod tests {
    use model::secformer::DIVISION_STEPS;
    use model::{BertFunction, Calibrated, token_class};

    use super::super::world::{OnMatrix, apply, calibrated};
    use super::*;

    /// Weights of one matrix, with the exponent of the power of two near the sums of its rows.
    enum Weights {
        TwoQuad { shift: f32, eta: i32 },
        Softmax { eta: i32 },
    }

    impl OnMatrix for Weights {
        fn apply<R: Ring>(&self, fixed: &mut FixedPoint<'_, R>, x: Tensor<R>) -> Result<Tensor<R>, R::Error> {
            let mut all = match self {
                Weights::TwoQuad { shift, eta } => {
                    let by = Reciprocal::Goldschmidt { steps: DIVISION_STEPS };
                    two_quad(fixed, vec![x], &[*shift], &[*eta], by)?
                }
                Weights::Softmax { eta } => {
                    let by = Reciprocal::Newton { steps: NEWTON_STEPS };
                    softmax(fixed, &[x], &[*eta], EXP_SQUARINGS, by)?
                }
            };
            Ok(all.remove(0))
        }
    }

    /// Scores of three rows: spread from -4 to 4, one high, all low.
    fn scores(tokens: usize) -> Vec<f64> {
        let spread = (0..tokens).map(|i| 8.0 * (i as f64 + 0.5) / tokens as f64 - 4.0);
        let high = (0..tokens).map(|i| if i == tokens / 3 { 5.0 } else { -1.0 });
        let low = (0..tokens).map(|_| -3.0);
        spread.chain(high).chain(low).collect()
    }

    fn exact(row: &[f64], weight: impl Fn(f64) -> f64) -> Vec<f64> {
        let all: Vec<f64> = row.iter().map(|s| weight(*s)).collect();
        let sum: f64 = all.iter().sum();
        all.iter().map(|w| w / sum).collect()
    }

    /// The largest error of the weights.
    fn worst(weights: &Weights, tokens: usize, weight: impl Fn(f64) -> f64 + Copy) -> f64 {
        let x = scores(tokens);
        let (y, demands) = apply(weights, tokens, &x, 5);
        let expected: Vec<f64> = x.chunks(tokens).flat_map(|row| exact(row, weight)).collect();
        let off = y.iter().zip(&expected).map(|(y, e)| (y - e).abs()).fold(0.0, f64::max);
        println!("{tokens} tokens: {off:.5} off, {} rounds", demands.len());
        off
    }

    #[test]
    fn two_quad_weights_converge_at_every_length() {
        for tokens in [1, 8, 128, 512] {
            let sum = BertFunction::Reciprocal { layer: 0, head: 0, class: token_class(tokens) };
            let Calibrated { network, scales } = calibrated();
            let weights = Weights::TwoQuad { shift: 5.0, eta: scales.half_period(network.function(sum)) };
            let off = worst(&weights, tokens, |s| (s + 5.0) * (s + 5.0));
            // in units of an even weight: 1/512 is 128 units of 2^-16, half of one is 0.4 % of it
            let off = off * tokens as f64;
            assert!(off < 0.03, "{tokens}: {off}");
        }
    }

    #[test]
    fn softmax_weights_are_right_at_every_length() {
        for tokens in [1, 2, 7, 8, 128, 512] {
            let weights = Weights::Softmax { eta: token_class(tokens) as i32 };
            let off = worst(&weights, tokens, f64::exp);
            // 8 squarings make e^z too small by z^2 / 2^9 of it, and a high score's row holds many such
            assert!(off < 0.02, "{tokens}: {off}");
        }
    }
}
