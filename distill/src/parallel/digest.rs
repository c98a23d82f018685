//! What tells one process's models and texts from another's.

use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Result;
use datasets::Label;

use crate::samples::Samples;
use crate::weights::Weights;

/// A digest of every weight; the same for the same release only.
pub fn of_weights(weights: &Weights) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for (name, tensor) in weights.iter() {
        name.hash(&mut hasher);
        let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
        hasher.write(bytemuck::cast_slice(&numbers));
    }
    Ok(hasher.finish())
}

/// A digest of every text's tokens, segments and answer.
pub fn of_texts(samples: &Samples) -> u64 {
    let mut hasher = DefaultHasher::new();
    (0..samples.len()).for_each(|index| samples.text(index).hash(&mut hasher));
    for label in samples.labels() {
        match label {
            Label::Class(class) => class.hash(&mut hasher),
            Label::Set(set) => set.hash(&mut hasher),
            Label::Number(number) => number.to_bits().hash(&mut hasher),
        }
    }
    hasher.finish()
}
