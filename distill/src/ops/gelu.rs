//! GeLU: `x / 2 (1 + erf(x / sqrt 2))`, or `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`; and its replacements.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use model::Activation;
use rayon::prelude::*;

use super::{Floats, composed};

/// Numbers a thread takes at once.
const CHUNK: usize = 1 << 13;

/// The activation of every number.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let on_cpu = x.device().is_cpu();
    match activation {
        Activation::Gelu if on_cpu => x.contiguous()?.apply_op1(Gelu(normal)),
        Activation::GeluTanh if on_cpu => x.contiguous()?.apply_op1(Gelu(logistic)),
        Activation::Gelu => composed::gelu(x),
        Activation::GeluTanh => x.gelu(),
        Activation::Quad => (x * x.affine(0.125, 0.25)?)? + 0.5,
        Activation::Relu => x.relu(),
    }
}

/// Multiplies every number by a factor; the function gives the factor and its slope.
struct Gelu<F>(F);

impl<F: Fn(f32) -> (f32, f32) + Sync> CustomOp1 for Gelu<F> {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = super::floats(x, layout)?.to_vec();
        forward(&mut y, &self.0);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut to_x = vec![0.0f32; x.elem_count()];
        let (x_floats, grad_floats) = (Floats::of(x)?, Floats::of(grad)?);
        x_floats.read(|x| {
            grad_floats.read(|grad| {
                backward(&mut to_x, x, grad, &self.0);
                Ok(())
            })
        })?;
        Ok(Some(Tensor::from_vec(to_x, x.shape(), x.device())?))
    }
}

fn forward(y: &mut [f32], share: impl Fn(f32) -> (f32, f32) + Sync) {
    y.par_chunks_mut(CHUNK).for_each(|chunk| {
        for x in chunk {
            *x *= share(*x).0;
        }
    });
}

fn backward(to_x: &mut [f32], x: &[f32], grad: &[f32], share: impl Fn(f32) -> (f32, f32) + Sync) {
    let chunks = to_x.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(grad.par_chunks(CHUNK));
    chunks.for_each(|((to_x, x), grad)| {
        for ((to_x, &x), &grad) in to_x.iter_mut().zip(x).zip(grad) {
            let (below, slope) = share(x);
            *to_x = grad * (below + x * slope);
        }
    });
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

/// `(1 + tanh u) / 2 = 1 / (1 + e^(-2 u))` for `u = sqrt(2 / pi) (x + 0.044715 x^3)`, and its slope at `x`.
#[inline(always)]
fn logistic(x: f32) -> (f32, f32) {
    // beyond 10 both are 0 or 1 to the last place
    let near = x.clamp(-10.0, 10.0);
    let square = near * near;
    // 2 sqrt(2 / pi), and 3 x 0.044715
    const TWICE: f32 = 1.595_769;
    let twice_u = TWICE * near * (1.0 + 0.044_715 * square);
    let bell = exp(-twice_u.abs());
    let small = bell / (1.0 + bell);
    let below = if x < 0.0 { small } else { 1.0 - small };
    (below, small * (1.0 - small) * TWICE * (1.0 + 0.134_145 * square))
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
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Quad, Activation::Relu] {
            check(&[(numbers(&[64], 5) * 3.0).unwrap()], |v| activate(&v[0], activation));
        }
    }

    #[test]
    fn values_agree_with_candles() {
        let x = Tensor::arange(-12.0f32, 12.0, &Device::Cpu).unwrap();
        let x = x.broadcast_add(&Tensor::arange(0.0f32, 1.0, &Device::Cpu).unwrap()).unwrap();
        let fine = (Tensor::arange(-4000f32, 4000.0, &Device::Cpu).unwrap() / 500.0).unwrap();
        for x in [x, fine] {
            let pairs = [(Activation::Gelu, x.gelu_erf()), (Activation::GeluTanh, x.gelu())];
            for (activation, candles) in pairs {
                let gap = (activate(&x, activation).unwrap() - candles.unwrap()).unwrap().abs().unwrap();
                let largest = gap.max(0).unwrap().to_scalar::<f32>().unwrap();
                assert!(largest < 2e-6, "{activation:?}: {largest}");
            }
        }
    }

    #[test]
    fn values_and_slopes_of_huge_numbers_are_those_of_a_ramp() {
        for share in [normal, logistic] {
            for x in [20.0f32, 1e4, 1e18, 1e30] {
                assert_eq!(share(x), (1.0, 0.0));
                assert_eq!(share(-x).0 * x, 0.0);
                assert_eq!(share(-x).1 * x, 0.0);
            }
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
