//! AdamW, fused and in place: one pass over each weight, its gradient and its two moments.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use candle_core::backprop::GradStore;
use rayon::prelude::*;

use crate::ops::Floats;
use crate::weights::Weights;

mod file;
mod flat;
mod update;

use flat::Flat;
use update::{BLOCK, Rule, Update, decays, is_zero, square};

/// The hyper-parameters of AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Share of a weight taken off per unit of learning rate; none off biases and LayerNorm.
    pub weight_decay: f32,
    /// Largest norm of the gradient over all weights together; a larger one is clipped to it.
    pub max_norm: f32,
}

impl AdamWConfig {
    /// The factor that clips a gradient of this norm to `max_norm`.
    fn clip(&self, norm: f64) -> Result<f32> {
        ensure!(norm.is_finite(), "the gradient is not finite: lower the learning rate");
        Ok((f64::from(self.max_norm) / (norm + 1e-6)).min(1.0) as f32)
    }
}

impl Default for AdamWConfig {
    fn default() -> AdamWConfig {
        AdamWConfig { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, max_norm: 1.0 }
    }
}

/// The optimiser's memory: two moments for each weight, and the number of steps taken.
#[derive(Debug)]
pub struct AdamW {
    settings: AdamWConfig,
    steps: u64,
    moments: BTreeMap<String, Moments>,
    /// Weights and moments on another device than the CPU; the moments above are then only filled for a checkpoint.
    flat: Option<Flat>,
}

#[derive(Debug)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
    /// The blocks that ever had a gradient; in all others both moments are zero. Most rows of an embedding table never have
    /// one.
    moved: Vec<bool>,
}

impl Moments {
    fn zeros(count: usize) -> Moments {
        Moments { first: vec![0.0; count], second: vec![0.0; count], moved: vec![false; count.div_ceil(BLOCK)] }
    }

    /// Finds the blocks that have moved.
    fn find_moved(&mut self) {
        let blocks = self.first.par_chunks(BLOCK).zip(self.second.par_chunks(BLOCK));
        self.moved = blocks.map(|(first, second)| !(is_zero(first) && is_zero(second))).collect();
    }
}

impl AdamW {
    /// An optimiser that has taken no step, for the variables among `weights`.
    pub fn new(settings: AdamWConfig, weights: &Weights) -> AdamW {
        let variables: Vec<_> = weights.iter().filter(|(_, tensor)| tensor.is_variable()).collect();
        let flat = variables.iter().any(|(_, tensor)| !tensor.device().is_cpu()).then(Flat::default);
        let moments = variables
            .into_iter()
            .map(|(name, tensor)| (name.to_string(), Moments::zeros(tensor.elem_count())))
            .collect();
        AdamW { settings, steps: 0, moments, flat }
    }

    /// Takes one step and returns the gradient's norm before clipping. A weight without a gradient stays as it is.
    pub fn step(&mut self, weights: &Weights, gradients: &GradStore, learning_rate: f64) -> Result<f64> {
        if let Some(flat) = &mut self.flat {
            let at = (self.steps + 1, learning_rate);
            let norm = flat.step(&self.settings, &mut self.moments, weights, gradients, at)?;
            self.steps += 1;
            return Ok(norm);
        }
        let mut found = Vec::new();
        for name in self.moments.keys() {
            let weight = weights.tensor(name)?;
            if let Some(gradient) = gradients.get(weight) {
                found.push((name.clone(), weight, Floats::of(gradient)?));
            }
        }
        let squares: Vec<f64> = found
            .iter()
            .map(|(_, _, gradient)| gradient.read(|g| Ok(square(g))))
            .collect::<candle_core::Result<_>>()?;
        let norm = squares.iter().sum::<f64>().sqrt();
        let clip = self.settings.clip(norm)?;
        self.steps += 1;
        for (name, weight, gradient) in found {
            let moments = self.moments.get_mut(&name).context("a weight without moments")?;
            let update = Update {
                gradient: &gradient,
                moments: Mutex::new(moments),
                rule: Rule::new(&self.settings, &name, self.steps, learning_rate, clip),
            };
            weight.inplace_op1(&update)?;
        }
        Ok(norm)
    }
}

#[cfg(test)]
mod tests;
