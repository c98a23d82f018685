//! The update rule of AdamW, and its pass over one weight on the CPU.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp1, Layout};
use rayon::prelude::*;

use super::{AdamWConfig, Moments};
use crate::ops::Floats;

/// Numbers a thread takes at once; fixed, so that the norm does not depend on the number of threads.
const CHUNK: usize = 1 << 15;

/// Numbers in a block, which takes only decay until it has a gradient; divides [`CHUNK`].
pub(super) const BLOCK: usize = 1 << 9;

pub(super) fn is_zero(numbers: &[f32]) -> bool {
    numbers.iter().fold(0, |bits, x| bits | x.to_bits() << 1) == 0
}

/// The sum of squares.
pub(super) fn square(numbers: &[f32]) -> f64 {
    let partial: Vec<f64> = numbers
        .par_chunks(CHUNK)
        .map(|chunk| {
            let mut lanes = [0.0f32; 16];
            let (blocks, rest) = chunk.as_chunks::<16>();
            for block in blocks {
                lanes.iter_mut().zip(block).for_each(|(lane, x)| *lane += x * x);
            }
            lanes.iter().map(|&x| f64::from(x)).sum::<f64>() + rest.iter().map(|&x| f64::from(x * x)).sum::<f64>()
        })
        .collect();
    partial.iter().sum()
}

/// Whether a weight decays: all but biases and LayerNorm's.
pub(super) fn decays(name: &str) -> bool {
    !name.ends_with(".bias") && !name.contains("LayerNorm")
}

/// The numbers of one weight's update.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    beta1: f32,
    beta2: f32,
    eps: f32,
    /// What a weight is multiplied by.
    keep: f32,
    /// The learning rate over the first moment's bias.
    rate: f32,
    /// One over the second moment's bias.
    unbias: f32,
    /// What the gradient is multiplied by.
    clip: f32,
}

impl Rule {
    pub(super) fn new(settings: &AdamWConfig, name: &str, step: u64, learning_rate: f64, clip: f32) -> Rule {
        let bias = |beta: f32| 1.0 - f64::from(beta).powi(step.min(i32::MAX as u64) as i32);
        let decay = if decays(name) { f64::from(settings.weight_decay) } else { 0.0 };
        Rule {
            beta1: settings.beta1,
            beta2: settings.beta2,
            eps: settings.eps,
            keep: (1.0 - learning_rate * decay) as f32,
            rate: (learning_rate / bias(settings.beta1)) as f32,
            unbias: (1.0 / bias(settings.beta2)) as f32,
            clip,
        }
    }

    /// Updates a block. One that never had a gradient has moments of zero, so that decay alone gives the same bits.
    fn apply_to_block(self, moved: bool, weight: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        if moved {
            for (((w, g), m), v) in weight.iter_mut().zip(gradient).zip(first).zip(second) {
                self.apply(w, *g, m, v);
            }
        } else if self.keep != 1.0 {
            weight.iter_mut().for_each(|w| *w *= self.keep);
        }
    }

    #[inline(always)]
    pub(super) fn apply(self, weight: &mut f32, gradient: f32, first: &mut f32, second: &mut f32) {
        let gradient = gradient * self.clip;
        *first = self.beta1 * *first + (1.0 - self.beta1) * gradient;
        *second = self.beta2 * *second + (1.0 - self.beta2) * gradient * gradient;
        *weight = *weight * self.keep - self.rate * *first / ((*second * self.unbias).sqrt() + self.eps);
    }
}

/// The update of one weight, in place.
pub(super) struct Update<'a> {
    pub(super) gradient: &'a Floats,
    pub(super) moments: Mutex<&'a mut Moments>,
    pub(super) rule: Rule,
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(weight), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("expected a contiguous weight of f32");
        };
        let weight = &mut weight[start..end];
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let Moments { first, second, moved } = &mut **moments;
        self.gradient.read(|gradient| {
            if gradient.len() != weight.len() || first.len() != weight.len() {
                candle_core::bail!("{} weights, {} gradients", weight.len(), gradient.len());
            }
            let chunks = weight.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
            let chunks = chunks.zip(first.par_chunks_mut(CHUNK)).zip(second.par_chunks_mut(CHUNK));
            chunks.zip(moved.par_chunks_mut(CHUNK / BLOCK)).for_each(
                |((((weight, gradient), first), second), moved)| {
                    let blocks = weight.chunks_mut(BLOCK).zip(gradient.chunks(BLOCK)).zip(moved);
                    let blocks = blocks.zip(first.chunks_mut(BLOCK)).zip(second.chunks_mut(BLOCK));
                    for ((((weight, gradient), moved), first), second) in blocks {
                        *moved |= !is_zero(gradient);
                        self.rule.apply_to_block(*moved, weight, gradient, first, second);
                    }
                },
            );
            Ok(())
        })
    }
}
