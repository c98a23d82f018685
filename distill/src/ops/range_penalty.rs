//! How far values leave the range that a private run is made for.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::linear::ROWS;
use super::norm::mean_and_variance;
use super::{Floats, Ragged, composed};

/// Numbers a thread takes at once; fixed, so that the sum does not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// The mean square of the distance to `low..high`: zero for what is inside.
pub fn range_penalty(x: &Tensor, low: f32, high: f32) -> Result<Tensor> {
    match x.device().is_cpu() {
        true => x.contiguous()?.apply_op1(RangePenalty { low, high }),
        false => composed::range_penalty(x, low, high, x.elem_count()),
    }
}

/// The same of attention scores, which may be padded.
pub fn score_range_penalty(scores: &Tensor, low: f32, high: f32, ragged: &Ragged) -> Result<Tensor> {
    match ragged.padded() {
        None => range_penalty(scores, low, high),
        // a place without a token holds 0, which must count as inside
        Some(_) => composed::range_penalty(scores, low.min(0.0), high.max(0.0), ragged.scores()),
    }
}

/// The nearest numbers within `low..high`; not for gradients.
pub fn clamp(x: &Tensor, low: f32, high: f32) -> Result<Tensor> {
    match x.device().is_cpu() {
        true => x.clamp(low, high),
        false => composed::clamp(x, low, high),
    }
}

/// The natural logarithm of each row's variance.
pub fn log_variances(x: &Tensor) -> Result<Vec<f32>> {
    let width = x.dim(1)?;
    Floats::of(x)?.read(|x| Ok(x.par_chunks(width).map(|row| log_variance(row).1).collect()))
}

/// The mean square of how far beyond `slack` each row's logarithmic variance is from a centre; without one, from their mean.
pub fn spread(x: &Tensor, centre: Option<f32>, slack: f32) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return composed::spread(x, centre, slack);
    }
    let centre = match centre {
        Some(centre) => centre,
        None => {
            let logs = log_variances(x)?;
            logs.iter().sum::<f32>() / logs.len().max(1) as f32
        }
    };
    x.contiguous()?.apply_op1(Spread { centre, slack })
}

/// Signed: how far above `high`, or below `low`.
#[inline(always)]
pub(super) fn beyond(x: f32, low: f32, high: f32) -> f32 {
    (x - high).max(0.0) + (x - low).min(0.0)
}

struct RangePenalty {
    low: f32,
    high: f32,
}

impl RangePenalty {
    #[inline(always)]
    fn beyond(&self, x: f32) -> f32 {
        beyond(x, self.low, self.high)
    }
}

impl CustomOp1 for RangePenalty {
    fn name(&self) -> &'static str {
        "range-penalty"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = super::floats(x, layout)?;
        let square = |chunk: &[f32]| -> f32 {
            let mut lanes = [0.0f32; 16];
            let (blocks, rest) = chunk.as_chunks::<16>();
            for block in blocks {
                lanes.iter_mut().zip(block).for_each(|(lane, &x)| *lane += self.beyond(x).powi(2));
            }
            lanes.iter().sum::<f32>() + rest.iter().map(|&x| self.beyond(x).powi(2)).sum::<f32>()
        };
        let partial: Vec<f32> = x.par_chunks(CHUNK).map(square).collect();
        Ok((CpuStorage::F32(vec![partial.iter().sum::<f32>() / x.len().max(1) as f32]), ().into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let factor = 2.0 * grad.to_scalar::<f32>()? / x.elem_count().max(1) as f32;
        let to_x = Floats::of(x)?.read(|x| {
            let mut to_x = x.to_vec();
            to_x.par_chunks_mut(CHUNK).for_each(|chunk| {
                chunk.iter_mut().for_each(|x| *x = factor * self.beyond(*x));
            });
            Ok(to_x)
        })?;
        Ok(Some(Tensor::from_vec(to_x, x.shape(), x.device())?))
    }
}

struct Spread {
    centre: f32,
    slack: f32,
}

impl Spread {
    /// Signed: how much more than `slack` a row is away from the centre.
    fn beyond(&self, log_variance: f32) -> f32 {
        beyond(log_variance - self.centre, -self.slack, self.slack)
    }
}

/// The mean of a row and the logarithm of its variance.
fn log_variance(row: &[f32]) -> (f32, f32) {
    let (mean, variance) = mean_and_variance(row);
    (mean, variance.max(1e-12).ln())
}

impl CustomOp1 for Spread {
    fn name(&self) -> &'static str {
        "spread"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        if width == 0 {
            bail!("spread: rows without numbers");
        }
        let x = super::floats(x, layout)?;
        let squares: Vec<f32> = x.par_chunks(width).map(|row| self.beyond(log_variance(row).1).powi(2)).collect();
        Ok((CpuStorage::F32(vec![squares.iter().sum::<f32>() / rows.max(1) as f32]), ().into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (rows, width) = x.dims2()?;
        let factor = 4.0 * grad.to_scalar::<f32>()? / (rows.max(1) * width) as f32;
        let to_x = Floats::of(x)?.read(|x| {
            let mut to_x = x.to_vec();
            to_x.par_chunks_mut(width * ROWS).for_each(|rows| {
                for row in rows.chunks_exact_mut(width) {
                    let (mean, log) = log_variance(row);
                    let scale = factor * self.beyond(log) / log.exp();
                    row.iter_mut().for_each(|x| *x = scale * (*x - mean));
                }
            });
            Ok(to_x)
        })?;
        Ok(Some(Tensor::from_vec(to_x, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_differences::{check, numbers};
    use super::*;

    #[test]
    fn the_gradients_agree_with_finite_differences() {
        check(&[(numbers(&[30], 1) * 4.0).unwrap()], |v| range_penalty(&v[0], -1.0, 2.0));
        check(&[(numbers(&[4, 6], 2) * 3.0).unwrap()], |v| {
            v[0].contiguous()?.apply_op1(Spread { centre: -1.5, slack: 0.5 })
        });
    }

    #[test]
    fn what_is_inside_costs_nothing() {
        let x = numbers(&[30], 1);
        assert_eq!(range_penalty(&x, -1.0, 1.0).unwrap().to_scalar::<f32>().unwrap(), 0.0);
        let x = numbers(&[4, 6], 1);
        assert_eq!(spread(&x, None, 9.0).unwrap().to_scalar::<f32>().unwrap(), 0.0);
        assert_eq!(log_variances(&x).unwrap().len(), 4);
    }
}
