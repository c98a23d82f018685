//! Tensors out of safetensors files: 32-bit and half-precision floats, under the names of a bare BERT.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use model::{Config, Tensors};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::config::read_family;
use crate::error::Error;
use crate::family::Family;
use crate::files::{Shard, shards};
use crate::names::{is_encoders, layer_of, shapes};

/// How the file of a large model begins where git left it out.
const POINTER: &[u8] = b"version https://git-lfs";

/// Reads a folder's weights for the configuration that [`read_config`](crate::read_config) gave; its label names may have
/// been changed since. Of the classifier's head any shape is taken, of all other tensors that of the configuration.
pub fn read(folder: &Path, config: &Config) -> Result<Tensors, Error> {
    let mut reader = Reader::new(config, read_family(folder)?);
    for Shard { path, tensors } in shards(folder)? {
        let found = reader.file(&path)?;
        if let Some(name) = tensors.iter().find(|name| !found.contains(*name)) {
            let file = path.file_name().unwrap_or_default().display();
            let problem = format!("tensor `{name}` is said to be in `{file}`, which does not have it");
            return Err(Error::Index { path: folder.join("model.safetensors.index.json"), problem });
        }
    }
    reader.all()
}

/// Reads the weights of a BERT from one safetensors file, wherever it is.
pub fn read_file(path: &Path, config: &Config) -> Result<Tensors, Error> {
    let mut reader = Reader::new(config, Family::Bert);
    reader.file(path)?;
    reader.all()
}

struct Reader<'a> {
    config: &'a Config,
    family: Family,
    shapes: BTreeMap<String, Vec<usize>>,
    tensors: Tensors,
    /// The first tensor of the encoder that a BERT does not have.
    stray: Option<Stray>,
}

struct Stray {
    path: PathBuf,
    name: String,
    shape: Vec<usize>,
}

impl Reader<'_> {
    fn new(config: &Config, family: Family) -> Reader<'_> {
        Reader { config, family, shapes: shapes(config), tensors: Tensors::new(), stray: None }
    }

    /// Reads a file, and says which tensors it has under which names. Its bytes are gone afterwards.
    fn file(&mut self, path: &Path) -> Result<BTreeSet<String>, Error> {
        let bytes = std::fs::read(path).map_err(|problem| Error::Io { path: path.into(), problem })?;
        let wrong = |message: String| Error::Weights { path: path.into(), message };
        if bytes.starts_with(POINTER) {
            return Err(wrong("git-lfs left a pointer in its place, `git lfs pull` brings the file".into()));
        }
        let file = SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?;
        // in the order of their names, so that of several errors it is always the same that is told
        let names: BTreeSet<String> = file.names().into_iter().map(String::from).collect();
        for full in &names {
            let view = file.tensor(full).map_err(|e| wrong(e.to_string()))?;
            self.tensor(path, full, &view)?;
        }
        Ok(names)
    }

    /// What was read, if nothing of the encoder would be left out of it.
    fn all(self) -> Result<Tensors, Error> {
        let Some(Stray { path, name, shape }) = self.stray else { return Ok(self.tensors) };
        // a pooler may be missing
        let asked = |name: &str| is_encoders(name) && !name.starts_with("pooler.");
        let missing = self.shapes.keys().find(|name| asked(name) && !self.tensors.contains_key(*name));
        let expected = match missing {
            Some(missing) => format!("`{missing}`, which is missing"),
            None => "the tensors of an ordinary BERT".into(),
        };
        let (problem, got) = ("is not one of a BERT's", format!("one more, of shape {shape:?}"));
        Err(Error::Tensor { path, name, problem, expected, got })
    }

    fn tensor(&mut self, path: &Path, full: &str, view: &TensorView<'_>) -> Result<(), Error> {
        let Some(name) = self.family.canonical(full) else { return Ok(()) };
        let wrong = |problem, expected: String, got: String| {
            let (path, name) = (path.to_path_buf(), full.to_string());
            Error::Tensor { path, name, problem, expected, got }
        };
        let Some(shape) = self.shapes.get(&name) else {
            if let Some(layer) = layer_of(&name).filter(|l| *l >= self.config.num_hidden_layers) {
                let expected = format!("{} layers, as config.json says", self.config.num_hidden_layers);
                return Err(wrong("is of a layer too many", expected, format!("layer number {layer}")));
            }
            if is_encoders(&name) {
                let stray = || Stray { path: path.into(), name: full.into(), shape: view.shape().to_vec() };
                self.stray.get_or_insert_with(stray);
            }
            return Ok(());
        };
        let skipped = self.family.skipped_rows(&name);
        let (mut got, mut expected) = (view.shape().to_vec(), shape.clone());
        if !name.starts_with("classifier.") {
            expected[0] += skipped;
            if got != expected {
                let expected = format!("{expected:?}, as config.json says");
                return Err(wrong("has another shape", expected, format!("{got:?}")));
            }
        }
        let mut values = floats(view)
            .ok_or_else(|| wrong("has an unknown type", "F32, F16 or BF16".into(), view.dtype().to_string()))?;
        if skipped > 0 {
            got[0] -= skipped;
            values.drain(..skipped * got[1..].iter().product::<usize>());
        }
        let tensor = ArrayD::from_shape_vec(IxDyn(&got), values)
            .map_err(|e| wrong("has an impossible shape", "one that its data fill".into(), e.to_string()))?;
        if self.tensors.insert(name, tensor).is_some() {
            let problem = "is there twice, under another name too (with and without prefix, old and new)";
            return Err(wrong(problem, "one of them".into(), "both".into()));
        }
        Ok(())
    }
}

fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let half = |convert: fn([u8; 2]) -> f32| view.data().chunks_exact(2).map(|b| convert([b[0], b[1]])).collect();
    match view.dtype() {
        Dtype::F32 => Some(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
        Dtype::F16 => Some(half(|b| f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Some(half(|b| bf16::from_le_bytes(b).to_f32())),
        _ => None,
    }
}
