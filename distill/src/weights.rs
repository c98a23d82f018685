//! A model's weights under their Hugging Face names, always with the `bert.` prefix.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, DType, Device, InplaceOp1, Layout, Storage, Tensor, Var};
use model::{Config, Tensors};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::atomic;
use crate::errors::bad_file;
use crate::ops::Floats;

/// The weight of the classifier's head.
pub const HEAD_WEIGHT: &str = "classifier.weight";

/// The pooler's weights.
const POOLER: [&str; 2] = ["bert.pooler.dense.bias", "bert.pooler.dense.weight"];

/// Named tensors of f32, complete for a model of some shape.
#[derive(Clone, Debug)]
pub struct Weights(BTreeMap<String, Tensor>);

/// Weights read from a file, and the names that had to be drawn because the file lacks them.
#[derive(Debug)]
pub struct LoadedWeights {
    /// The weights.
    pub weights: Weights,
    /// What was not in the file: the pooler's or the head's names, or nothing.
    pub drawn: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Every weight of a classifier, by name, with its shape.
pub fn shapes(config: &Config) -> BTreeMap<String, Vec<usize>> {
    ::checkpoint::shapes(config).into_iter().map(|(name, shape)| (prefixed(name), shape)).collect()
}

impl Weights {
    /// Reads the weights of a model's folder. A pooler or a head that is not there, or not whole, is drawn from `seed`; anything
    /// else that is missing or of another shape is an error.
    pub fn read(folder: &Path, config: &Config, seed: u64) -> Result<LoadedWeights> {
        let ::checkpoint::Read { tensors, notes } = ::checkpoint::read(folder, config)?;
        Ok(LoadedWeights { notes, ..complete(tensors, folder, config, seed)? })
    }

    /// Reads a file that a run wrote: nothing may be missing.
    pub fn read_file(path: &Path, config: &Config) -> Result<Weights> {
        let read = complete(::checkpoint::read_file(path, config)?, path, config, 0)?;
        match read.drawn.first() {
            Some(name) => bail!(bad_file(path, format!("`{name}` is missing or of another shape"))),
            None => Ok(read.weights),
        }
    }

    /// Draws every weight: normal with the configuration's standard deviation, biases 0, LayerNorm's factors 1.
    pub fn draw(config: &Config, seed: u64) -> Result<Weights> {
        let draw = |(name, shape): (String, Vec<usize>)| {
            let tensor = fresh(&name, &shape, config, seed)?;
            Ok((name, tensor))
        };
        shapes(config).into_iter().map(draw).collect::<Result<_>>().map(Weights)
    }

    /// Any named tensors.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(named: [(&str, Tensor); N]) -> Weights {
        Weights(named.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect())
    }

    /// One weight.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        match self.0.get(name) {
            Some(tensor) => Ok(tensor),
            None => bail!("the weights lack `{name}`"),
        }
    }

    /// All weights in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// A copy whose tensors are variables, but for those that `frozen` names.
    pub fn trainable(&self, frozen: impl Fn(&str) -> bool) -> Result<Weights> {
        let copy = |(name, tensor): (&String, &Tensor)| {
            let tensor = if frozen(name) {
                tensor.copy()?.detach()
            } else {
                Var::from_tensor(&tensor.copy()?.detach())?.into_inner()
            };
            Ok((name.clone(), tensor))
        };
        self.0.iter().map(copy).collect::<Result<_>>().map(Weights)
    }

    /// The same numbers in the same memory, without gradients.
    pub fn detached(&self) -> Weights {
        Weights(self.0.iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect())
    }

    /// The weights of a model that has only the given layers of this one.
    pub fn keep_layers(&self, layers: &[usize]) -> Weights {
        let mut kept = BTreeMap::new();
        for (name, tensor) in &self.0 {
            match layer_of(name) {
                None => {
                    kept.insert(name.clone(), tensor.clone());
                }
                Some((layer, rest)) => {
                    for (new, _) in layers.iter().enumerate().filter(|(_, old)| **old == layer) {
                        kept.insert(format!("bert.encoder.layer.{new}.{rest}"), tensor.clone());
                    }
                }
            }
        }
        Weights(kept)
    }

    /// The same weights with the pooler and the head of another model.
    pub fn with_top_of(&self, other: &Weights) -> Result<Weights> {
        let top = |name: &str| name.starts_with("bert.pooler.") || name.starts_with("classifier.");
        let mut tensors = self.0.clone();
        for (name, tensor) in tensors.iter_mut().filter(|(name, _)| top(name)) {
            *tensor = other.tensor(name)?.clone();
        }
        Ok(Weights(tensors))
    }

    /// The same weights with a head drawn for the outputs of `config`.
    pub fn with_new_head(&self, config: &Config, seed: u64) -> Result<Weights> {
        let mut tensors = self.0.clone();
        for (name, shape) in shapes(config).into_iter().filter(|(name, _)| name.starts_with("classifier.")) {
            let head = fresh(&name, &shape, config, seed)?;
            tensors.insert(name, head);
        }
        Ok(Weights(tensors))
    }

    /// Whether the embedding's tables and its LayerNorm are those of another model, number by number.
    pub fn has_embeddings_of(&self, other: &Weights) -> Result<bool> {
        for (name, tensor) in self.0.iter().filter(|(name, _)| name.starts_with("bert.embeddings.")) {
            let theirs = other.tensor(name)?;
            let differ = || anyhow::Ok(tensor.ne(theirs)?.max_all()?.to_scalar::<u8>()? != 0);
            if tensor.dims() != theirs.dims() || differ()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Their device.
    pub fn device(&self) -> Result<&Device> {
        Ok(self.tensor(HEAD_WEIGHT)?.device())
    }

    /// The same weights on a device.
    pub fn on(&self, device: &Device) -> Result<Weights> {
        let moved = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.to_device(device)?));
        self.0.iter().map(moved).collect::<Result<_>>().map(Weights)
    }

    /// The same weights with one of them multiplied by a number.
    pub fn scaled(&self, name: &str, factor: f64) -> Result<Weights> {
        let mut tensors = self.0.clone();
        tensors.insert(name.into(), self.tensor(name)?.affine(factor, 0.0)?);
        Ok(Weights(tensors))
    }

    /// Overwrites the numbers with those of `other`, in place.
    pub fn assign(&self, other: &Weights) -> Result<()> {
        for (name, tensor) in &self.0 {
            let source = other.tensor(name)?;
            ensure!(source.dims() == tensor.dims(), "`{name}`: expected {:?}, got {:?}", tensor.dims(), source.dims());
            assign(tensor, &source.to_device(tensor.device())?.copy()?)?;
        }
        Ok(())
    }

    /// Writes a safetensors file, in f32 or, with `half`, in f16.
    pub fn write(&self, path: &Path, half: bool) -> Result<()> {
        let dtype = if half { DType::F16 } else { DType::F32 };
        let tensors: Vec<(&str, Tensor)> =
            self.iter().map(|(name, tensor)| Ok((name, tensor.detach().to_dtype(dtype)?))).collect::<Result<_>>()?;
        atomic::write_tensors(path, tensors, ("format", "pt".into()))
    }
}

/// Overwrites a tensor's numbers with those of another on the same device.
pub(crate) fn assign(tensor: &Tensor, source: &Tensor) -> candle_core::Result<()> {
    tensor.inplace_op1(&Assign(source.contiguous()?))
}

struct Assign(Tensor);

impl InplaceOp1 for Assign {
    fn name(&self) -> &'static str {
        "assign"
    }

    fn cuda_fwd(&self, to: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        let (from, from_layout) = self.0.storage_and_layout();
        match (&*from, layout.contiguous_offsets()) {
            (Storage::Cuda(from), Some((start, _))) => from.copy_strided_src(to, start, from_layout),
            _ => candle_core::bail!("expected contiguous numbers on the GPU"),
        }
    }

    fn cpu_fwd(&self, to: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        Floats::of(&self.0)?.read(|from| {
            match to {
                CpuStorage::F32(to) if to.len() == from.len() => to.copy_from_slice(from),
                _ => candle_core::bail!("expected {} numbers of f32", from.len()),
            }
            Ok(())
        })
    }
}

/// A layer's number and the rest of the name of one of its weights.
fn layer_of(name: &str) -> Option<(usize, &str)> {
    let (number, rest) = name.strip_prefix("bert.encoder.layer.")?.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// The name as `BertForSequenceClassification` has it.
fn prefixed(name: String) -> String {
    if name.starts_with("classifier.") { name } else { format!("bert.{name}") }
}

/// All weights of a model, and the names of those that are not among `found`.
fn complete(found: Tensors, path: &Path, config: &Config, seed: u64) -> Result<LoadedWeights> {
    let mut found: BTreeMap<String, _> = found.into_iter().map(|(name, tensor)| (prefixed(name), tensor)).collect();
    // an incomplete pooler counts as missing
    if POOLER.iter().any(|name| !found.contains_key(*name)) {
        POOLER.iter().for_each(|name| drop(found.remove(*name)));
    }
    let (mut tensors, mut drawn) = (BTreeMap::new(), Vec::new());
    for (name, shape) in shapes(config) {
        let optional = name.starts_with("bert.pooler.") || name.starts_with("classifier.");
        let tensor = match found.remove(&name) {
            Some(tensor) if tensor.shape() == shape => {
                Tensor::from_vec(tensor.into_raw_vec_and_offset().0, shape, &Device::Cpu)?
            }
            None if !optional => bail!(bad_file(path, format!("`{name}` of shape {shape:?} is missing"))),
            _ => {
                drawn.push(name.clone());
                fresh(&name, &shape, config, seed)?
            }
        };
        tensors.insert(name, tensor);
    }
    Ok(LoadedWeights { weights: Weights(tensors), drawn, notes: Vec::new() })
}

fn fresh(name: &str, shape: &[usize], config: &Config, seed: u64) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    let numbers = if name.ends_with("LayerNorm.weight") {
        vec![1.0; count]
    } else if name.ends_with(".bias") {
        vec![0.0; count]
    } else {
        normal(name, count, config.initializer_range, seed)
    };
    Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
}

/// Normal numbers that depend on the seed and the weight's name (Box and Muller).
fn normal(name: &str, count: usize, deviation: f32, seed: u64) -> Vec<f32> {
    // FNV-1a tells the names apart.
    let hash =
        name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(hash);
    let mut unit = || (f64::from(random.next_u32()) + 0.5) / 2f64.powi(32);
    let mut draw = || (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
    (0..count).map(|_| draw() as f32 * deviation).collect()
}
