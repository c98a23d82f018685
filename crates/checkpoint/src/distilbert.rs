//! A DistilBERT as the BERT that computes the same: other keys, other names, no segments, and a ReLU where a BERT's pooler has a tanh.

use serde_json::{Map, Value};

/// Keys of a configuration, and what a BERT calls them.
const KEYS: [(&str, &str); 7] = [
    ("dim", "hidden_size"),
    ("hidden_dim", "intermediate_size"),
    ("n_heads", "num_attention_heads"),
    ("n_layers", "num_hidden_layers"),
    ("activation", "hidden_act"),
    ("dropout", "hidden_dropout_prob"),
    ("attention_dropout", "attention_probs_dropout_prob"),
];

/// Segments that stand for none: tokenizers number the second text of a pair, and the model does not look.
const SEGMENTS: usize = 2;

/// Parts of a layer, and what a BERT calls them.
const PARTS: [(&str, &str); 8] = [
    ("attention.q_lin", "attention.self.query"),
    ("attention.k_lin", "attention.self.key"),
    ("attention.v_lin", "attention.self.value"),
    ("attention.out_lin", "attention.output.dense"),
    ("sa_layer_norm", "attention.output.LayerNorm"),
    ("ffn.lin1", "intermediate.dense"),
    ("ffn.lin2", "output.dense"),
    ("output_layer_norm", "output.LayerNorm"),
];

/// Gives the keys of a configuration a BERT's names. One that a BERT knows already stays.
pub(crate) fn rename_keys(keys: &mut Map<String, Value>) {
    for (own, of_bert) in KEYS {
        if let Some(value) = keys.remove(own) {
            keys.entry(of_bert).or_insert(value);
        }
    }
    keys.insert("type_vocab_size".into(), SEGMENTS.into());
    keys.insert("pooler_act".into(), "relu".into());
}

/// The name of a tensor in a bare BERT.
pub(crate) fn canonical(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("pre_classifier.") {
        return format!("pooler.dense.{rest}");
    }
    renamed(name, "transformer.layer.", "encoder.layer.", |(own, of_bert)| (own, of_bert))
}

/// The name that a tensor of a bare BERT's encoder has in a DistilBERT.
pub(crate) fn original(canonical: &str) -> String {
    renamed(canonical, "encoder.layer.", "transformer.layer.", |(own, of_bert)| (of_bert, own))
}

type Names = (&'static str, &'static str);

fn renamed(name: &str, from: &str, to: &str, names: impl Fn(Names) -> Names) -> String {
    let parts = name.strip_prefix(from).and_then(|rest| rest.split_once('.'));
    let found = parts.and_then(|(layer, part)| {
        let mut names = PARTS.into_iter().map(names);
        let (other, end) = names.find_map(|(one, other)| Some((other, part.strip_prefix(one)?.strip_prefix('.')?)))?;
        Some(format!("{to}{layer}.{other}.{end}"))
    });
    found.unwrap_or_else(|| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_name_in_both() {
        for (own, of_bert) in PARTS {
            let names = [format!("transformer.layer.3.{own}.bias"), format!("encoder.layer.3.{of_bert}.bias")];
            assert_eq!(canonical(&names[0]), names[1]);
            assert_eq!(original(&names[1]), names[0]);
        }
        assert_eq!(canonical("pre_classifier.weight"), "pooler.dense.weight");
        for same in ["embeddings.LayerNorm.weight", "classifier.bias", "transformer.layer.0.extra.bias"] {
            assert_eq!(canonical(same), same);
        }
    }
}
