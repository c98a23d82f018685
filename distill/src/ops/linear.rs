//! `x W^T + b`.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{Floats, composed};

/// Rows whose sums are formed together; fixed, so that the sums do not depend on the number of threads.
pub(super) const ROWS: usize = 64;

/// A dense layer on the rows of `x`, with a weight of `[out, in]` as in PyTorch.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    match x.device().is_cpu() {
        true => x.apply_op3(weight, bias, Linear),
        false => composed::linear(x, weight, bias),
    }
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, inner) = x_layout.shape().dims2()?;
        let (outer, expected) = weight_layout.shape().dims2()?;
        let bias = super::floats(bias, bias_layout)?;
        if inner != expected || bias.len() != outer {
            bail!("linear: x {rows}x{inner}, weight {outer}x{expected}, bias {}", bias.len());
        }
        let transposed = weight_layout.transpose(0, 1)?;
        let mut product = x.matmul(weight, (1, rows, outer, inner), x_layout, &transposed)?;
        if let CpuStorage::F32(numbers) = &mut product {
            numbers.par_chunks_mut(outer * ROWS).for_each(|rows| {
                for row in rows.chunks_exact_mut(outer) {
                    row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                }
            });
        }
        Ok((product, (rows, outer).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let to_x = if x.track_op() { Some(grad.matmul(weight)?) } else { None };
        let to_weight = if weight.track_op() { Some(grad.t()?.matmul(x)?) } else { None };
        let to_bias = if bias.track_op() { Some(column_sums(grad)?) } else { None };
        Ok((to_x, to_weight, to_bias))
    }
}

/// The sum of every column.
fn column_sums(matrix: &Tensor) -> Result<Tensor> {
    let width = matrix.dim(1)?;
    let sums = Floats::of(matrix)?.read(|numbers| {
        let partial: Vec<Vec<f32>> = numbers
            .par_chunks(width * ROWS)
            .map(|rows| {
                let mut sums = vec![0.0; width];
                for row in rows.chunks_exact(width) {
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
                sums
            })
            .collect();
        Ok(add_up(partial, width))
    })?;
    Tensor::from_vec(sums, width, matrix.device())
}

/// Adds vectors in their order.
pub(super) fn add_up(vectors: Vec<Vec<f32>>, width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    for vector in vectors {
        sums.iter_mut().zip(&vector).for_each(|(sum, x)| *sum += x);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::finite_differences::{check, numbers};
    use super::*;

    #[test]
    fn the_gradients_agree_with_finite_differences() {
        let (x, w, b) = (numbers(&[5, 4], 1), numbers(&[3, 4], 2), numbers(&[3], 3));
        check(&[x, w, b], |v| linear(&v[0], &v[1], &v[2]));
    }

    #[test]
    fn wrong_shapes_are_refused() {
        assert!(linear(&numbers(&[5, 4], 1), &numbers(&[3, 5], 2), &numbers(&[3], 3)).is_err());
        assert!(linear(&numbers(&[5, 4], 1), &numbers(&[3, 4], 2), &numbers(&[4], 3)).is_err());
    }
}
