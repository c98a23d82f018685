//! LayerNorm over the last dimension.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::{ROWS, add_up};
use super::{Floats, composed};

/// `(x - mean) / sqrt(variance + eps) * gamma + beta`, row by row.
pub fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
    match x.device().is_cpu() {
        true => x.contiguous()?.apply_op3(gamma, beta, LayerNorm { eps: eps as f32 }),
        false => composed::layer_norm(x, gamma, beta, eps),
    }
}

/// `(x - mean) * gamma + beta`: LayerNorm without the division, of the privacy-computing-friendly transformer.
pub fn linear_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor) -> Result<Tensor> {
    composed::linear_norm(x, gamma, beta)
}

struct LayerNorm {
    eps: f32,
}

impl LayerNorm {
    /// The mean of a row and one over its standard deviation.
    fn moments(&self, row: &[f32]) -> (f32, f32) {
        let (mean, variance) = mean_and_variance(row);
        (mean, 1.0 / (variance + self.eps).sqrt())
    }
}

/// The mean of a row and its variance.
pub(super) fn mean_and_variance(row: &[f32]) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum(row, |x| x) / n;
    (mean, sum(row, |x| (x - mean) * (x - mean)) / n)
}

/// The sum of `f` of every number, in sixteen lanes.
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (blocks, rest) = row.as_chunks::<16>();
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(lane, &x)| *lane += f(x));
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>()
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gamma, beta) = (super::floats(gamma, gamma_layout)?, super::floats(beta, beta_layout)?);
        let width = gamma.len();
        let mut y = super::floats(x, x_layout)?.to_vec();
        y.par_chunks_mut(width * ROWS).for_each(|rows| {
            for row in rows.chunks_exact_mut(width) {
                let (mean, scale) = self.moments(row);
                for ((x, g), b) in row.iter_mut().zip(gamma).zip(beta) {
                    *x = (*x - mean) * scale * g + b;
                }
            }
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let width = gamma.elem_count();
        let (x_floats, gamma_floats, grad_floats) = (Floats::of(x)?, Floats::of(gamma)?, Floats::of(grad)?);
        let mut to_x = vec![0.0f32; x.elem_count()];
        // One vector per group of rows: the gradients of gamma, then those of beta.
        let partial: Vec<Vec<f32>> = x_floats.read(|x| {
            gamma_floats.read(|gamma| {
                grad_floats.read(|grad| {
                    let groups = to_x.par_chunks_mut(width * ROWS);
                    let groups = groups.zip(x.par_chunks(width * ROWS)).zip(grad.par_chunks(width * ROWS));
                    Ok(groups.map(|((to_x, x), grad)| self.backward_rows(to_x, x, gamma, grad)).collect())
                })
            })
        })?;
        let mut sums = add_up(partial, 2 * width);
        let to_beta = sums.split_off(width);
        Ok((
            Some(Tensor::from_vec(to_x, x.shape(), x.device())?),
            Some(Tensor::from_vec(sums, gamma.shape(), x.device())?),
            Some(Tensor::from_vec(to_beta, beta.shape(), x.device())?),
        ))
    }
}

impl LayerNorm {
    fn backward_rows(&self, to_x: &mut [f32], x: &[f32], gamma: &[f32], grad: &[f32]) -> Vec<f32> {
        let width = gamma.len();
        let mut sums = vec![0.0f32; 2 * width];
        let (to_gamma, to_beta) = sums.split_at_mut(width);
        let mut normed = vec![0.0f32; width];
        let mut scaled = vec![0.0f32; width];
        let rows = to_x.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(grad.chunks_exact(width));
        for ((to_x, x), grad) in rows {
            let (mean, scale) = self.moments(x);
            for i in 0..width {
                normed[i] = (x[i] - mean) * scale;
                scaled[i] = grad[i] * gamma[i];
                to_gamma[i] += grad[i] * normed[i];
                to_beta[i] += grad[i];
            }
            let n = width as f32;
            let mean_scaled = sum(&scaled, |s| s) / n;
            for i in 0..width {
                to_x[i] = scaled[i] * normed[i];
            }
            let mean_product = sum(to_x, |p| p) / n;
            for i in 0..width {
                to_x[i] = scale * (scaled[i] - mean_scaled - normed[i] * mean_product);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_differences::{check, numbers};
    use super::*;

    #[test]
    fn the_gradients_agree_with_finite_differences() {
        let (x, gamma, beta) = (numbers(&[3, 20], 1), numbers(&[20], 2), numbers(&[20], 3));
        check(&[x.clone(), gamma.clone(), beta.clone()], |v| layer_norm(&v[0], &v[1], &v[2], 1e-12));
        check(&[x, gamma, beta], |v| linear_norm(&v[0], &v[1], &v[2]));
    }

    #[test]
    fn rows_come_out_centred_and_of_unit_variance() {
        let (one, zero) = (numbers(&[40], 0).ones_like().unwrap(), numbers(&[40], 0).zeros_like().unwrap());
        let y = layer_norm(&(numbers(&[2, 40], 4) * 7.0).unwrap(), &one, &zero, 0.0).unwrap();
        for row in y.to_vec2::<f32>().unwrap() {
            assert!(row.iter().sum::<f32>().abs() < 1e-4);
            assert!((row.iter().map(|x| x * x).sum::<f32>() / 40.0 - 1.0).abs() < 1e-4);
        }
    }
}
