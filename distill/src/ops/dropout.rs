//! Dropout whose masks can be drawn again.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::{Floats, composed};

/// Numbers masked from one stream of the generator.
const CHUNK: usize = 1 << 13;

/// What the masks of one training step are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The step within the run.
    pub step: u64,
}

impl DropoutKey {
    /// A generator for something else that is random in the step.
    pub fn generator(self, name: &[u8; 7]) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.bytes(0, name))
    }

    fn bytes(self, site: u64, name: &[u8; 7]) -> [u8; 32] {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&self.step.to_le_bytes());
        seed[16..24].copy_from_slice(&site.to_le_bytes());
        seed[24..31].copy_from_slice(name);
        seed
    }
}

/// Sets a share `p` of the numbers to zero and scales the others, so that the mean stays. `site` tells the places of a
/// network apart. The mask is drawn from (seed, step, site) in the forward pass and again in the backward pass.
pub fn dropout(x: &Tensor, p: f32, key: DropoutKey, site: u64) -> Result<Tensor> {
    if p <= 0.0 {
        return Ok(x.clone());
    }
    if !x.device().is_cpu() {
        return composed::dropout(x, p, key, site);
    }
    let seed = key.bytes(site, b"dropout");
    // A number stays if 16 random bits reach the threshold.
    let threshold = (p * 65536.0).round().clamp(0.0, 65535.0) as u16;
    x.contiguous()?.apply_op1(Dropout { seed, threshold })
}

struct Dropout {
    seed: [u8; 32],
    threshold: u16,
}

impl Dropout {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let scale = 65536.0 / (65536.0 - f32::from(self.threshold));
        let mut y = x.to_vec();
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(stream, chunk)| {
            let mut random = ChaCha8Rng::from_seed(self.seed);
            random.set_stream(stream as u64);
            let mut bytes = [0u8; 512];
            for block in chunk.chunks_mut(256) {
                random.fill_bytes(&mut bytes);
                for (x, pair) in block.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    let kept = u16::from_le_bytes(*pair) >= self.threshold;
                    *x *= if kept { scale } else { 0.0 };
                }
            }
        });
        y
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.apply(super::floats(x, layout)?)), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let to_x = Floats::of(grad)?.read(|grad| Ok(self.apply(grad)))?;
        Ok(Some(Tensor::from_vec(to_x, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_differences::{check, numbers};
    use super::*;

    const KEY: DropoutKey = DropoutKey { seed: 3, step: 5 };

    #[test]
    fn the_backward_pass_draws_the_same_mask() {
        check(&[numbers(&[40], 1)], |v| dropout(&v[0], 0.3, KEY, 2));
    }

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        let ones = Tensor::ones(100_000, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let kept = dropout(&ones, 0.1, KEY, 0).unwrap().to_vec1::<f32>().unwrap();
        let dropped = kept.iter().filter(|&&x| x == 0.0).count();
        assert!((9_500..10_500).contains(&dropped), "{dropped}");
        assert!((kept.iter().sum::<f32>() / 1e5 - 1.0).abs() < 0.01);
    }

    #[test]
    fn step_seed_and_site_each_change_the_mask() {
        let ones = Tensor::ones(1000, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let mask = |key, site| dropout(&ones, 0.1, key, site).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(mask(KEY, 1), mask(KEY, 1));
        assert_ne!(mask(KEY, 1), mask(KEY, 2));
        assert_ne!(mask(KEY, 1), mask(DropoutKey { step: 6, ..KEY }, 1));
        assert_ne!(mask(KEY, 1), mask(DropoutKey { seed: 4, ..KEY }, 1));
    }
}
