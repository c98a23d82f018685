//! `model.safetensors`: 32-bit and half-precision floats, with the names of a bare BERT or of a classifier.

use std::path::Path;

use half::{bf16, f16};
use model::{Config, Tensors};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::ConvertError;

/// What the network is made of; heads of other tasks are not.
const PARTS: [&str; 4] = ["embeddings.", "encoder.layer.", "pooler.", "classifier."];
/// Numbers that some checkpoints carry and no network needs.
const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// Reads the tensors of the network, without the `bert.` prefix.
pub(crate) fn read_weights(path: &Path, config: &Config) -> Result<Tensors, ConvertError> {
    let bytes = std::fs::read(path).map_err(|source| ConvertError::Io { path: path.into(), source })?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| ConvertError::Weights { path: path.into(), message: e.to_string() })?;
    let mut tensors = Tensors::new();
    for (full, view) in file.iter() {
        let name = full.strip_prefix("bert.").unwrap_or(full);
        if BUFFERS.contains(&name) || !PARTS.iter().any(|part| name.starts_with(part)) {
            continue;
        }
        let wrong = |problem, expected: String, got: String| {
            let (path, name) = (path.to_path_buf(), full.to_string());
            ConvertError::Tensor { path, name, problem, expected, got }
        };
        if let Some(layer) = layer_of(name).filter(|l| *l >= config.num_hidden_layers) {
            let expected = format!("{} layers, as config.json says", config.num_hidden_layers);
            return Err(wrong("is of a layer too many", expected, format!("layer number {layer}")));
        }
        let values = floats(&view)
            .ok_or_else(|| wrong("has an unknown type", "F32, F16 or BF16".into(), format!("{:?}", view.dtype())))?;
        let tensor = ArrayD::from_shape_vec(IxDyn(view.shape()), values)
            .map_err(|e| wrong("has an impossible shape", "one that its data fill".into(), e.to_string()))?;
        if tensors.insert(name.to_string(), tensor).is_some() {
            return Err(wrong("is there twice, with and without `bert.`", "one of them".into(), "both".into()));
        }
    }
    Ok(tensors)
}

fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("encoder.layer.")?.split('.').next()?.parse().ok()
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
