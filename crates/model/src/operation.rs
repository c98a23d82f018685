//! What a step of a network belongs to, for people who compare costs.

use serde::{Deserialize, Serialize};

/// What a step of the network belongs to, as SecFormer's Table 3 has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// The activation, without the products around it.
    Gelu,
    /// From scores to normalised weights, or to what takes their place.
    Softmax,
    /// All LayerNorms, without the residual's scale.
    LayerNorm,
    /// All else: products, the input, the pooler's tangent.
    #[default]
    Others,
}

impl Operation {
    /// In the order of their numbers.
    pub const ALL: [Operation; 4] = [Operation::Gelu, Operation::Softmax, Operation::LayerNorm, Operation::Others];

    /// As tables write it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Gelu => "GeLU",
            Operation::Softmax => "Softmax",
            Operation::LayerNorm => "LayerNorm",
            Operation::Others => "Others",
        }
    }

    /// Its place in [`Operation::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}
