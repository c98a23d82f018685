//! From scores to weights that sum to one: softmax, 2Quad or 2ReLU.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::gelu::exp;
use super::{Floats, Ragged, composed};

/// How scores become weights.
#[derive(Clone, Debug, PartialEq)]
pub enum AttentionFunction {
    /// `exp(x) / sum exp(x)`.
    Softmax,
    /// `(x + c)^2 / sum (x + c)^2` with a shift `c` for each head.
    TwoQuad(Vec<f32>),
    /// `relu(x) / (sum relu(x) + e)`.
    TwoRelu,
}

/// What 2ReLU adds to the sum, which may be 0.
pub(super) const EPSILON: f32 = model::TWO_RELU_EPSILON;

/// Weights for each row of the scores of a batch, see [`Ragged`].
pub fn attention_weights(scores: &Tensor, function: &AttentionFunction, ragged: &Ragged) -> Result<Tensor> {
    if let AttentionFunction::TwoQuad(shifts) = function
        && shifts.len() != ragged.heads()
    {
        bail!("2quad: {} shifts for {} heads", shifts.len(), ragged.heads());
    }
    match ragged.padded() {
        None => scores.contiguous()?.apply_op1(AttentionWeights { ragged: ragged.clone(), function: function.clone() }),
        Some(padded) => composed::attention_weights(scores, function, padded),
    }
}

struct AttentionWeights {
    ragged: Ragged,
    function: AttentionFunction,
}

impl AttentionWeights {
    /// Calls `row` for the scores of one text, row by row, with the head's number.
    fn each_row(&self, text: usize, mut row: impl FnMut(usize, std::ops::Range<usize>)) {
        let n = self.ragged.length(text);
        for head in 0..self.ragged.heads() {
            for i in 0..n {
                let start = (head * n + i) * n;
                row(head, start..start + n);
            }
        }
    }
}

impl CustomOp1 for AttentionWeights {
    fn name(&self) -> &'static str {
        "attention-weights"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut p = super::floats(x, layout)?.to_vec();
        if p.len() != self.ragged.scores() {
            bail!("expected {} scores, got {}", self.ragged.scores(), p.len());
        }
        self.ragged.split_squares(&mut p).into_par_iter().enumerate().for_each(|(text, p)| {
            self.each_row(text, |head, range| {
                let row = &mut p[range];
                match &self.function {
                    AttentionFunction::Softmax => {
                        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                        row.iter_mut().for_each(|x| *x = exp(*x - largest));
                    }
                    AttentionFunction::TwoQuad(shifts) => row.iter_mut().for_each(|x| *x = (*x + shifts[head]).powi(2)),
                    AttentionFunction::TwoRelu => row.iter_mut().for_each(|x| *x = x.max(0.0)),
                }
                let scale = 1.0 / self.function.total(row);
                row.iter_mut().for_each(|x| *x *= scale);
            });
        });
        Ok((CpuStorage::F32(p), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, p: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut to_x = vec![0.0f32; x.elem_count()];
        let (x_floats, p_floats, grad_floats) = (Floats::of(x)?, Floats::of(p)?, Floats::of(grad)?);
        x_floats.read(|x| {
            p_floats.read(|p| {
                grad_floats.read(|grad| {
                    let texts = self.ragged.split_squares(&mut to_x).into_par_iter().enumerate();
                    texts.for_each(|(text, to_x)| {
                        let all = self.ragged.squares(text);
                        self.backward_text(text, to_x, &x[all.clone()], &p[all.clone()], &grad[all]);
                    });
                    Ok(())
                })
            })
        })?;
        Ok(Some(Tensor::from_vec(to_x, x.shape(), x.device())?))
    }
}

impl AttentionWeights {
    fn backward_text(&self, text: usize, to_x: &mut [f32], x: &[f32], p: &[f32], grad: &[f32]) {
        self.each_row(text, |head, range| {
            let (to_x, x, p, grad) = (&mut to_x[range.clone()], &x[range.clone()], &p[range.clone()], &grad[range]);
            let mean: f32 = p.iter().zip(grad).map(|(p, g)| p * g).sum();
            match &self.function {
                AttentionFunction::Softmax => {
                    for i in 0..to_x.len() {
                        to_x[i] = p[i] * (grad[i] - mean);
                    }
                }
                AttentionFunction::TwoQuad(shifts) => {
                    let shift = shifts[head];
                    let sum: f32 = x.iter().map(|x| (x + shift).powi(2)).sum();
                    let scale = 2.0 / sum.max(f32::MIN_POSITIVE);
                    for i in 0..to_x.len() {
                        to_x[i] = scale * (x[i] + shift) * (grad[i] - mean);
                    }
                }
                AttentionFunction::TwoRelu => {
                    let sum: f32 = x.iter().map(|x| x.max(0.0)).sum::<f32>() + EPSILON;
                    for i in 0..to_x.len() {
                        to_x[i] = if x[i] > 0.0 { (grad[i] - mean) / sum } else { 0.0 };
                    }
                }
            }
        });
    }
}

impl AttentionFunction {
    /// What a row is divided by, never zero.
    fn total(&self, row: &[f32]) -> f32 {
        let sum = row.iter().sum::<f32>();
        match self {
            AttentionFunction::TwoRelu => sum + EPSILON,
            _ => sum.max(f32::MIN_POSITIVE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_differences::{check, numbers};
    use super::*;

    #[test]
    fn the_gradients_agree_with_finite_differences() {
        let ragged = Ragged::new(&[2, 4], 2);
        for function in
            [AttentionFunction::Softmax, AttentionFunction::TwoQuad(vec![5.0, 3.0]), AttentionFunction::TwoRelu]
        {
            // not so near 0 that a small step goes over the corner of a ramp
            let x = ((numbers(&[40], 1) * 9.0).unwrap().round().unwrap() / 10.0).unwrap() + 0.05;
            check(&[x.unwrap()], |v| attention_weights(&v[0], &function, &ragged));
        }
    }

    #[test]
    fn two_quad_is_its_formula() {
        let ragged = Ragged::new(&[2], 1);
        let x = Tensor::new(&[1.0f32, -2.0, 0.0, -5.0], &candle_core::Device::Cpu).unwrap();
        let p =
            attention_weights(&x, &AttentionFunction::TwoQuad(vec![5.0]), &ragged).unwrap().to_vec1::<f32>().unwrap();
        let want = [36.0 / 45.0, 9.0 / 45.0, 1.0, 0.0];
        assert!(p.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{p:?}");
    }

    #[test]
    fn softmax_rows_sum_to_one_for_large_scores_too() {
        let ragged = Ragged::new(&[3], 1);
        let x = (numbers(&[9], 3) * 80.0).unwrap();
        let p = attention_weights(&x, &AttentionFunction::Softmax, &ragged).unwrap().to_vec1::<f32>().unwrap();
        assert!(p.chunks(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5), "{p:?}");
    }

    #[test]
    fn a_shift_per_head_is_demanded() {
        let ragged = Ragged::new(&[2, 4], 2);
        assert!(attention_weights(&numbers(&[40], 1), &AttentionFunction::TwoQuad(vec![5.0]), &ragged).is_err());
        assert!(attention_weights(&numbers(&[39], 1), &AttentionFunction::Softmax, &ragged).is_err());
    }
}
