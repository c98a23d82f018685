//! AdamW, fused and in place: one pass over each weight, its gradient and its two moments.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, Device, InplaceOp1, Layout};
use rayon::prelude::*;
use safetensors::{Dtype, View};

use crate::atomic;
use crate::errors::bad_file;
use crate::ops::Floats;
use crate::weights::Weights;

mod flat;

use flat::Flat;

/// Numbers a thread takes at once; fixed, so that the norm does not depend on the number of threads.
const CHUNK: usize = 1 << 15;

/// Numbers of a weight that are passed over together while nothing but decay has moved them; divides [`CHUNK`].
const BLOCK: usize = 1 << 9;

/// What does not change from step to step.
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
    /// Longest gradient, over all weights together; longer ones are shortened to it.
    pub max_norm: f32,
}

impl AdamWConfig {
    /// What a gradient of a length is multiplied by.
    fn shorten(&self, norm: f64) -> Result<f32> {
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
    /// Where it steps, for weights on another device than the CPU; the moments above are not used then.
    flat: Option<Flat>,
}

#[derive(Debug)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
    /// The blocks that ever had a gradient; of others both moments are zero. Most words of an embedding's table never have.
    moved: Vec<bool>,
}

impl Moments {
    fn zeros(count: usize) -> Moments {
        Moments { first: vec![0.0; count], second: vec![0.0; count], moved: vec![false; count.div_ceil(BLOCK)] }
    }

    /// Finds the blocks that have moved.
    fn look(&mut self) {
        let blocks = self.first.par_chunks(BLOCK).zip(self.second.par_chunks(BLOCK));
        self.moved = blocks.map(|(first, second)| !(is_zero(first) && is_zero(second))).collect();
    }
}

fn is_zero(numbers: &[f32]) -> bool {
    numbers.iter().fold(0, |bits, x| bits | x.to_bits() << 1) == 0
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

    /// Takes one step; gives the gradient's length before it was shortened. A weight without a gradient stays.
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
        let shorten = self.settings.shorten(norm)?;
        self.steps += 1;
        for (name, weight, gradient) in found {
            let moments = self.moments.get_mut(&name).context("a weight without moments")?;
            let update = Update {
                gradient: &gradient,
                moments: Mutex::new(moments),
                rule: Rule::new(&self.settings, &name, self.steps, learning_rate, shorten),
            };
            weight.inplace_op1(&update)?;
        }
        Ok(norm)
    }

    /// Writes both moments of every weight and the number of steps.
    pub fn write(&mut self, path: &Path) -> Result<()> {
        if let Some(flat) = &self.flat {
            flat.store(&mut self.moments)?;
        }
        let mut tensors = BTreeMap::new();
        for (name, moments) in &self.moments {
            tensors.insert(format!("first.{name}"), Numbers::of(&moments.first));
            tensors.insert(format!("second.{name}"), Numbers::of(&moments.second));
        }
        let tensors = tensors.iter().map(|(name, numbers)| (name.as_str(), numbers));
        atomic::write_tensors(path, tensors, ("steps", self.steps.to_string()))
    }

    /// Takes up what [`AdamW::write`] wrote for the same weights.
    pub fn read(&mut self, path: &Path, steps: u64) -> Result<()> {
        let file = candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|e| bad_file(path, format!("cannot be read as safetensors: {e}")))?;
        for (name, moments) in &mut self.moments {
            for (kind, numbers) in [("first", &mut moments.first), ("second", &mut moments.second)] {
                let name = format!("{kind}.{name}");
                let stored = file.get(&name).ok_or_else(|| bad_file(path, format!("`{name}` is missing")))?;
                let stored = stored.to_vec1::<f32>()?;
                let fits = stored.len() == numbers.len();
                ensure!(
                    fits,
                    bad_file(path, format!("`{name}`: expected {} numbers, got {}", numbers.len(), stored.len()))
                );
                *numbers = stored;
            }
            moments.look();
        }
        self.steps = steps;
        Ok(())
    }
}

/// Numbers as a safetensors file holds them, not copied.
struct Numbers<'a> {
    numbers: &'a [f32],
    shape: [usize; 1],
}

impl Numbers<'_> {
    fn of(numbers: &[f32]) -> Numbers<'_> {
        Numbers { numbers, shape: [numbers.len()] }
    }
}

impl View for &Numbers<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(bytemuck::cast_slice(self.numbers))
    }

    fn data_len(&self) -> usize {
        size_of_val(self.numbers)
    }
}

fn square(numbers: &[f32]) -> f64 {
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
fn decays(name: &str) -> bool {
    !name.ends_with(".bias") && !name.contains("LayerNorm")
}

/// The numbers of one weight's update.
#[derive(Clone, Copy)]
struct Rule {
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
    shorten: f32,
}

impl Rule {
    fn new(settings: &AdamWConfig, name: &str, step: u64, learning_rate: f64, shorten: f32) -> Rule {
        let bias = |beta: f32| 1.0 - f64::from(beta).powi(step.min(i32::MAX as u64) as i32);
        let decay = if decays(name) { f64::from(settings.weight_decay) } else { 0.0 };
        Rule {
            beta1: settings.beta1,
            beta2: settings.beta2,
            eps: settings.eps,
            keep: (1.0 - learning_rate * decay) as f32,
            rate: (learning_rate / bias(settings.beta1)) as f32,
            unbias: (1.0 / bias(settings.beta2)) as f32,
            shorten,
        }
    }

    /// A block that has never moved has moments of zero, so that decay is all there is to do, to the same bits.
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
    fn apply(self, weight: &mut f32, gradient: f32, first: &mut f32, second: &mut f32) {
        let gradient = gradient * self.shorten;
        *first = self.beta1 * *first + (1.0 - self.beta1) * gradient;
        *second = self.beta2 * *second + (1.0 - self.beta2) * gradient * gradient;
        *weight = *weight * self.keep - self.rate * *first / ((*second * self.unbias).sqrt() + self.eps);
    }
}

struct Update<'a> {
    gradient: &'a Floats,
    moments: Mutex<&'a mut Moments>,
    rule: Rule,
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

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::*;

    /// Two weights: one that decays and one that does not.
    fn weights() -> Weights {
        let tensor = |numbers: &[f32]| Tensor::new(numbers, &Device::Cpu).unwrap();
        let named = [("a.weight", tensor(&[0.5, -1.0, 2.0])), ("a.bias", tensor(&[0.1, 0.2]))];
        Weights::of(named).trainable(|_| false).unwrap()
    }

    /// The gradient of the sum of weights times `factors`, which is `factors`.
    fn gradients(weights: &Weights, factors: &BTreeMap<&str, Vec<f32>>) -> GradStore {
        let term = |name: &str| {
            let factors = Tensor::new(factors[name].as_slice(), &Device::Cpu).unwrap();
            (weights.tensor(name).unwrap() * factors).unwrap().sum_all().unwrap()
        };
        (term("a.weight") + term("a.bias")).unwrap().backward().unwrap()
    }

    fn factors(step: usize) -> BTreeMap<&'static str, Vec<f32>> {
        let scale = [0.3, 4.0, 0.01, 1.5, 0.2][step % 5];
        BTreeMap::from([("a.weight", vec![scale, -0.5 * scale, 0.2]), ("a.bias", vec![-scale, 0.7 * scale])])
    }

    fn values(weights: &Weights) -> Vec<f32> {
        weights.iter().flat_map(|(_, tensor)| tensor.to_vec1::<f32>().unwrap()).collect()
    }

    #[test]
    fn steps_agree_with_a_scalar_reference() {
        let settings = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
        let weights = weights();
        let mut optimiser = AdamW::new(settings, &weights);
        let mut want: BTreeMap<&str, Vec<(f64, f64, f64)>> = BTreeMap::from([
            ("a.weight", vec![(0.5, 0.0, 0.0), (-1.0, 0.0, 0.0), (2.0, 0.0, 0.0)]),
            ("a.bias", vec![(0.1, 0.0, 0.0), (0.2, 0.0, 0.0)]),
        ]);
        for step in 0..7 {
            let (rate, factors) = (1e-2 / (step + 1) as f64, factors(step));
            let norm = optimiser.step(&weights, &gradients(&weights, &factors), rate).unwrap();
            let squares = factors.values().flatten().map(|&g| f64::from(g) * f64::from(g));
            assert!((norm - squares.sum::<f64>().sqrt()).abs() < 1e-5);
            let shorten = (1.0 / norm).min(1.0);
            let t = step as i32 + 1;
            for (name, numbers) in &mut want {
                let decay = if *name == "a.weight" { 0.1 } else { 0.0 };
                for ((w, m, v), g) in numbers.iter_mut().zip(&factors[name]) {
                    let g = f64::from(*g) * shorten;
                    *m = 0.9 * *m + 0.1 * g;
                    *v = 0.999 * *v + 0.001 * g * g;
                    let (m, v) = (*m / (1.0 - 0.9f64.powi(t)), *v / (1.0 - 0.999f64.powi(t)));
                    *w -= rate * (decay * *w + m / (v.sqrt() + 1e-8));
                }
            }
        }
        for (got, (want, _, _)) in values(&weights).iter().zip(want.values().flatten()) {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{got} against {want}");
        }
    }

    #[test]
    fn steps_in_one_tensor_are_the_same() {
        let settings = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
        let (one, two) = (weights(), weights());
        let mut optimiser = AdamW::new(settings, &one);
        let mut flat = AdamW { flat: Some(Flat::default()), ..AdamW::new(settings, &two) };
        for step in 0..7 {
            let a = optimiser.step(&one, &gradients(&one, &factors(step)), 1e-2).unwrap();
            let b = flat.step(&two, &gradients(&two, &factors(step)), 1e-2).unwrap();
            assert!((a - b).abs() < 1e-5);
        }
        assert!(values(&one).iter().zip(values(&two)).all(|(a, b)| (a - b).abs() < 1e-6));
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        optimiser.write(&a).unwrap();
        flat.write(&b).unwrap();
        let moments = |path| candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        let (a, b) = (moments(a), moments(b));
        for (name, first) in &a {
            let pairs = first.to_vec1::<f32>().unwrap().into_iter().zip(b[name].to_vec1::<f32>().unwrap());
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{name}: {a} against {b}"));
        }
    }

    #[test]
    fn a_weight_that_never_moved_decays_to_the_same_bits() {
        let settings = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
        let count = 3 * BLOCK + 7;
        let table = Tensor::arange(0f32, count as f32, &Device::Cpu).unwrap();
        let weights = Weights::of([("a.weight", (table / 100.0).unwrap())]).trainable(|_| false).unwrap();
        let mut optimiser = AdamW::new(settings, &weights);
        let mut want = values(&weights);
        let (mut first, mut second) = (vec![0.0; count], vec![0.0; count]);
        // Blocks begin to move one after the other, and stand still for a step afterwards.
        for step in 0..6u64 {
            let mut gradient = vec![0.0f32; count];
            if step != 4 {
                gradient[step as usize * BLOCK % count] = 0.5;
            }
            let factors = Tensor::new(gradient.as_slice(), &Device::Cpu).unwrap();
            let loss = (weights.tensor("a.weight").unwrap() * factors).unwrap().sum_all().unwrap();
            optimiser.step(&weights, &loss.backward().unwrap(), 1e-2).unwrap();
            let rule = Rule::new(&settings, "a.weight", step + 1, 1e-2, 1.0);
            for (((w, g), m), v) in want.iter_mut().zip(&gradient).zip(&mut first).zip(&mut second) {
                rule.apply(w, *g, m, v);
            }
            assert_eq!(values(&weights), want, "step {step}");
        }
        assert_eq!(optimiser.moments["a.weight"].moved, [true; 4]);
        let mut still = AdamW::new(settings, &weights);
        still.moments.get_mut("a.weight").unwrap().look();
        assert_eq!(still.moments["a.weight"].moved, [false; 4]);
    }

    #[test]
    fn its_memory_survives_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optimizer.safetensors");
        let (one, two) = (weights(), weights());
        let mut optimiser = AdamW::new(AdamWConfig::default(), &one);
        for step in 0..3 {
            optimiser.step(&one, &gradients(&one, &factors(step)), 1e-2).unwrap();
        }
        optimiser.write(&path).unwrap();
        two.assign(&one).unwrap();
        let mut restored = AdamW::new(AdamWConfig::default(), &two);
        restored.read(&path, 3).unwrap();
        optimiser.step(&one, &gradients(&one, &factors(3)), 1e-2).unwrap();
        restored.step(&two, &gradients(&two, &factors(3)), 1e-2).unwrap();
        assert_eq!(values(&one), values(&two));
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_an_error_and_changes_nothing() {
        let weights = weights();
        let before = values(&weights);
        let mut bad = factors(0);
        bad.insert("a.bias", vec![f32::NAN, 0.0]);
        let mut optimiser = AdamW::new(AdamWConfig::default(), &weights);
        assert!(optimiser.step(&weights, &gradients(&weights, &bad), 1e-2).is_err());
        assert_eq!(values(&weights), before);
    }
}
