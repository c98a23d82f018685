//! Tensors out of safetensors files: 32-bit and half-precision floats, under the names of a bare BERT.

use std::path::Path;

use half::{bf16, f16};
use model::{Config, Tensors};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::config::Said;
use crate::error::Error;
use crate::family::Family;
use crate::head::HEAD;
use crate::header::{Header, headers};
use crate::plan::Plan;

/// A folder's weights.
#[derive(Debug)]
pub struct Read {
    /// By their names in a bare BERT.
    pub tensors: Tensors,
    /// What its user should know: tensors that were not read, configurations that were taken otherwise than they stand.
    pub notes: Vec<String>,
}

/// Reads a folder's weights for the configuration that [`read_config`](crate::read_config) gave; its label names may have
/// been changed since, not their number.
pub fn read(folder: &Path, config: &Config) -> Result<Read, Error> {
    let said = Said::read(folder)?;
    let plan = Plan::new(config, said.family, &headers(folder)?)?;
    let mut notes = said.notes;
    notes.extend(plan.notes.iter().map(|note| format!("{}: {note}", folder.display())));
    Ok(Read { tensors: tensors(plan)?, notes })
}

/// Reads the weights of a BERT from one safetensors file, wherever it is.
pub fn read_file(path: &Path, config: &Config) -> Result<Tensors, Error> {
    tensors(Plan::new(config, Family::Bert, &[Header::of_file(path)?])?)
}

/// The numbers, one file after the other: its bytes are gone afterwards.
fn tensors(plan: Plan) -> Result<Tensors, Error> {
    let mut tensors = Tensors::new();
    for (path, wanted) in plan.files {
        let bytes = std::fs::read(&path).map_err(|problem| Error::Io { path: path.clone(), problem })?;
        let wrong = |message: String| Error::Weights { path: path.clone(), message };
        let file = SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?;
        for (full, name) in wanted {
            let view = file.tensor(&full).map_err(|e| wrong(e.to_string()))?;
            let tensor = tensor(&path, &full, &view, plan.family.skipped_rows(&name))?;
            tensors.insert(name, tensor);
        }
    }
    for (name, shape) in plan.zeros {
        tensors.insert(name, ArrayD::zeros(IxDyn(&shape)));
    }
    if plan.lacks_bias
        && let Some(rows) = tensors.get(HEAD[0]).map(|weight| weight.shape()[0])
    {
        tensors.insert(HEAD[1].into(), ArrayD::zeros(IxDyn(&[rows])));
    }
    Ok(tensors)
}

fn tensor(path: &Path, full: &str, view: &TensorView<'_>, skipped: usize) -> Result<ArrayD<f32>, Error> {
    let wrong = |problem, expected: &str, got: String| {
        let (path, name, expected) = (path.to_path_buf(), full.to_string(), expected.to_string());
        Error::Tensor { path, name, problem, expected, got }
    };
    let values = floats(view);
    let mut values =
        values.ok_or_else(|| wrong("has an unknown type", "F32, F16 or BF16", view.dtype().to_string()))?;
    let mut shape = view.shape().to_vec();
    if skipped > 0 {
        shape[0] -= skipped;
        values.drain(..skipped * shape[1..].iter().product::<usize>());
    }
    if let Some((place, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        let got = format!(
            "{value} at place {place}; take another copy or revision of the model, its training may have failed"
        );
        return Err(wrong("holds a number that is not finite", "finite numbers", got));
    }
    ArrayD::from_shape_vec(IxDyn(&shape), values)
        .map_err(|e| wrong("has an impossible shape", "one that its data fill", e.to_string()))
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
