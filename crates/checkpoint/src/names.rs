//! The tensors of a BERT classifier by name, and the ones beside them that no network needs.

use std::collections::BTreeMap;

use model::{Config, RELATIVE_BUCKETS};

/// Numbers that some checkpoints carry and no network needs.
const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// What the encoder is made of; what stands elsewhere is of other tasks' heads.
const ENCODER: [&str; 3] = ["embeddings.", "encoder.", "pooler."];

/// Every tensor of a classifier, without the `bert.` prefix, with its shape.
pub fn shapes(config: &Config) -> BTreeMap<String, Vec<usize>> {
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let mut shapes = BTreeMap::new();
    let mut both = |name: String, weight: Vec<usize>| {
        shapes.insert(format!("{name}.bias"), vec![weight[0]]);
        shapes.insert(format!("{name}.weight"), weight);
    };
    both("embeddings.LayerNorm".into(), vec![width]);
    for layer in 0..config.num_hidden_layers {
        let mut both = |part: &str, weight| both(format!("encoder.layer.{layer}.{part}"), weight);
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            both(&format!("attention.{part}"), vec![width, width]);
        }
        both("attention.output.LayerNorm", vec![width]);
        both("intermediate.dense", vec![inner, width]);
        both("output.dense", vec![width, inner]);
        both("output.LayerNorm", vec![width]);
    }
    both("pooler.dense".into(), vec![width, width]);
    both("classifier".into(), vec![config.num_labels(), width]);
    if config.relative_positions {
        let shape = vec![RELATIVE_BUCKETS, config.num_attention_heads];
        shapes.insert("encoder.relative_attention_bias.weight".into(), shape);
    }
    let tables = [
        ("word", config.vocab_size),
        ("position", config.max_position_embeddings),
        ("token_type", config.type_vocab_size),
    ];
    for (table, rows) in tables {
        shapes.insert(format!("embeddings.{table}_embeddings.weight"), vec![rows, width]);
    }
    shapes
}

/// Whether a tensor is part of the encoder, so that a network without it would be another.
pub(crate) fn is_encoders(name: &str) -> bool {
    !BUFFERS.contains(&name) && ENCODER.iter().any(|part| name.starts_with(part))
}

/// The number of the layer that a tensor is of.
pub(crate) fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("encoder.layer.")?.split('.').next()?.parse().ok()
}

/// Whether a tensor is one of the numbers that no network needs, under any prefix.
pub(crate) fn is_buffer(name: &str) -> bool {
    BUFFERS.iter().any(|buffer| name.ends_with(buffer))
}
