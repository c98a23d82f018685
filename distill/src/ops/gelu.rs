//! GeLU, the exact one: `x / 2 (1 + erf(x / sqrt 2))`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::Floats;

/// Numbers a thread takes at once.
const CHUNK: usize = 1 << 13;

/// GeLU of every number.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Gelu)
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = super::floats(x, layout)?.to_vec();
        y.par_chunks_mut(CHUNK).for_each(|chunk| {
            for x in chunk {
                *x *= normal(*x).0;
            }
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut to_x = vec![0.0f32; x.elem_count()];
        let (x_floats, grad_floats) = (Floats::of(x)?, Floats::of(grad)?);
        x_floats.read(|x| {
            grad_floats.read(|grad| {
                let chunks = to_x.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(grad.par_chunks(CHUNK));
                chunks.for_each(|((to_x, x), grad)| {
                    for ((to_x, &x), &grad) in to_x.iter_mut().zip(x).zip(grad) {
                        let (below, density) = normal(x);
                        *to_x = grad * (below + x * density);
                    }
                });
                Ok(())
            })
        })?;
        Ok(Some(Tensor::from_vec(to_x, x.shape(), x.device())?))
    }
}

/// The normal distribution at `x`: the probability of less, and the density.
///
/// Abramowitz and Stegun 7.1.26, wrong by at most 1.5e-7; both values share one exponential, and no branch keeps the
/// loop from running in vectors.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let u = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * u);
    let series = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let bell = exp(-u * u);
    let tail = 0.5 * series * bell;
    let below = if x < 0.0 { tail } else { 1.0 - tail };
    (below, bell * 0.398_942_3)
}

/// `e^x` for `x` up to 88, to two units in the last place; 0 below -87.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let whole = (x.max(-87.0) * std::f32::consts::LOG2_E + ROUND) - ROUND;
    // ln 2 in two parts, so that the rest is exact.
    let rest = (x.max(-87.0) - whole * 0.693_359_4) + whole * 2.121_944_4e-4;
    let series = 1.987_569_1e-4;
    let series = series * rest + 1.398_199_9e-3;
    let series = series * rest + 8.333_452e-3;
    let series = series * rest + 4.166_579_6e-2;
    let series = series * rest + 1.666_666_5e-1;
    let series = series * rest + 0.5;
    let value = series * rest * rest + rest + 1.0;
    let scale = f32::from_bits(((whole as i32 + 127) as u32) << 23);
    if x < -87.0 { 0.0 } else { value * scale }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::finite_differences::{check, numbers};
    use super::*;

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        check(&[(numbers(&[64], 5) * 3.0).unwrap()], |v| gelu(&v[0]));
    }

    #[test]
    fn values_agree_with_candles_error_function() {
        let x = Tensor::arange(-12.0f32, 12.0, &Device::Cpu).unwrap();
        let x = x.broadcast_add(&Tensor::arange(0.0f32, 1.0, &Device::Cpu).unwrap()).unwrap();
        let fine = (Tensor::arange(-4000f32, 4000.0, &Device::Cpu).unwrap() / 500.0).unwrap();
        for x in [x, fine] {
            let gap = (gelu(&x).unwrap() - x.gelu_erf().unwrap()).unwrap().abs().unwrap();
            let largest = gap.max(0).unwrap().to_scalar::<f32>().unwrap();
            assert!(largest < 2e-6, "{largest}");
        }
    }

    #[test]
    fn the_exponential_is_right_to_a_few_units_in_the_last_place() {
        for step in -8700..=880 {
            let x = step as f32 / 100.0;
            let (got, want) = (exp(x) as f64, (x as f64).exp());
            assert!((got - want).abs() <= 5e-7 * want, "{x}: {got} {want}");
        }
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }
}
