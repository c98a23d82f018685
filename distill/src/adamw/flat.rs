//! AdamW's step on a GPU: all weights in one tensor, so that a step takes a few launches and not a dozen a weight.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::{AdamWConfig, Moments, decays};
use crate::weights::{Weights, assign};

/// Weights and moments, one behind the other in the order of `names`; empty before the first step.
#[derive(Debug, Default)]
pub(super) struct Flat {
    names: Vec<String>,
    state: Option<State>,
}

#[derive(Debug)]
struct State {
    weights: Tensor,
    first: Tensor,
    second: Tensor,
    /// 1 where a weight decays, else 0.
    decayed: Tensor,
}

impl Flat {
    /// Takes step number `at.0` at the learning rate `at.1` and returns the gradient's norm.
    pub(super) fn step(
        &mut self,
        settings: &AdamWConfig,
        moments: &mut BTreeMap<String, Moments>,
        weights: &Weights,
        gradients: &GradStore,
        at: (u64, f64),
    ) -> Result<f64> {
        let (mut names, mut found) = (Vec::new(), Vec::new());
        for name in moments.keys() {
            if let Some(gradient) = gradients.get(weights.tensor(name)?) {
                names.push(name.clone());
                found.push(gradient.flatten_all()?);
            }
        }
        if self.state.is_none() {
            self.state = Some(State::load(&names, moments, weights)?);
            self.names = names;
        } else {
            ensure!(self.names == names, "other weights have gradients than in the step before");
        }
        let state = self.state.as_mut().context("no weights to train")?;
        let gradient = Tensor::cat(&found, 0)?;
        let norm = f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
        let gradient = gradient.affine(f64::from(settings.clip(norm)?), 0.0)?;
        state.update(settings, &gradient, at)?;
        let mut start = 0;
        for name in &self.names {
            let weight = weights.tensor(name)?;
            let count = weight.elem_count();
            assign(weight, &state.weights.narrow(0, start, count)?)?;
            start += count;
        }
        Ok(norm)
    }

    /// Copies the moments to where a checkpoint is written from.
    pub(super) fn store(&self, moments: &mut BTreeMap<String, Moments>) -> Result<()> {
        let Some(state) = &self.state else { return Ok(()) };
        let (first, second) = (state.first.to_vec1::<f32>()?, state.second.to_vec1::<f32>()?);
        let mut start = 0;
        for name in &self.names {
            let moments = moments.get_mut(name).context("a weight without moments")?;
            let end = start + moments.first.len();
            moments.first.copy_from_slice(&first[start..end]);
            moments.second.copy_from_slice(&second[start..end]);
            start = end;
        }
        Ok(())
    }
}

impl State {
    fn load(names: &[String], moments: &BTreeMap<String, Moments>, weights: &Weights) -> Result<State> {
        let (mut tensors, mut first, mut second, mut decayed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for name in names {
            tensors.push(weights.tensor(name)?.detach().flatten_all()?);
            let moments = &moments[name];
            first.extend_from_slice(&moments.first);
            second.extend_from_slice(&moments.second);
            decayed.resize(first.len(), f32::from(u8::from(decays(name))));
        }
        let weights = Tensor::cat(&tensors, 0)?;
        let device = weights.device().clone();
        let there = |numbers: Vec<f32>| Tensor::new(numbers, &device);
        Ok(State { first: there(first)?, second: there(second)?, decayed: there(decayed)?, weights })
    }

    fn update(&mut self, settings: &AdamWConfig, gradient: &Tensor, (step, rate): (u64, f64)) -> Result<()> {
        let (beta1, beta2) = (f64::from(settings.beta1), f64::from(settings.beta2));
        let bias = |beta: f64| 1.0 - beta.powi(step.min(i32::MAX as u64) as i32);
        let mean = |old: &Tensor, new: &Tensor, beta: f64| old.affine(beta, 0.0)?.add(&new.affine(1.0 - beta, 0.0)?);
        self.first = mean(&self.first, gradient, beta1)?;
        self.second = mean(&self.second, &gradient.sqr()?, beta2)?;
        let below = self.second.affine(bias(beta2).recip(), 0.0)?.sqrt()?.affine(1.0, f64::from(settings.eps))?;
        let move_by = (&self.first / below)?.affine(rate / bias(beta1), 0.0)?;
        let mut weights = (&self.weights - move_by)?;
        if settings.weight_decay > 0.0 {
            let decay = rate * f64::from(settings.weight_decay);
            weights = (weights - (&self.weights * &self.decayed)?.affine(decay, 0.0)?)?;
        }
        self.weights = weights;
        Ok(())
    }
}
