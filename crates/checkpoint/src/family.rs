//! Kinds of models: what is read as a BERT, and what is refused by name.

use std::borrow::Cow;

use model::{Config, ConfigError, RELATIVE_BUCKETS};
use serde_json::{Map, Value};

use crate::distilbert;

const POSITIONS: &str = "embeddings.position_embeddings.weight";
/// `pad_token_id` of a RoBERTa whose configuration does not say it.
const USUAL_PADDING: u64 = 1;

/// What makes a checkpoint one of a BERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// It is one.
    Bert,
    /// DistilBERT: the same encoder with other names and without segments, and a ReLU in its head.
    DistilBert,
    /// RoBERTa: the same encoder under another prefix. Its positions count from `skipped`, because the first rows of its
    /// table are kept for padding; its pooler stands in the head.
    Roberta {
        /// Rows of the position table that no token has: one more than the padding's token id.
        skipped: usize,
    },
    /// MPNet: RoBERTa's positions and head, no segments, and relative positions: a bias of the scores that all layers share.
    Mpnet,
}

/// First rows of an MPNet's position table that no token has.
const SKIPPED_BY_MPNET: usize = 2;
/// What stands before and after the part of a tensor's name that MPNet has otherwise.
const OF_MPNET: [(&str, &str); 5] = [
    ("attention.attn.q.", "attention.self.query."),
    ("attention.attn.k.", "attention.self.key."),
    ("attention.attn.v.", "attention.self.value."),
    ("attention.attn.o.", "attention.output.dense."),
    ("attention.LayerNorm.", "attention.output.LayerNorm."),
];
/// The table of segments, of which an MPNet has none.
const SEGMENTS: &str = "embeddings.token_type_embeddings.weight";

impl Family {
    /// By `model_type`, or why not.
    pub(crate) fn named(name: &str, padding: Option<u64>) -> Result<Family, String> {
        match name {
            "bert" => Ok(Family::Bert),
            "distilbert" => Ok(Family::DistilBert),
            "roberta" | "xlm-roberta" | "camembert" => {
                let skipped = usize::try_from(padding.unwrap_or(USUAL_PADDING)).unwrap_or(usize::MAX).saturating_add(1);
                Ok(Family::Roberta { skipped })
            }
            "mpnet" => Ok(Family::Mpnet),
            _ => Err(refusal(name)),
        }
    }

    /// A configuration of the family with the keys of a BERT's.
    pub(crate) fn renamed(self, text: &str) -> Result<Cow<'_, str>, serde_json::Error> {
        if self != Family::DistilBert {
            return Ok(text.into());
        }
        let mut keys: Map<String, Value> = serde_json::from_str(text)?;
        distilbert::rename_keys(&mut keys);
        Ok(serde_json::to_string(&keys)?.into())
    }

    /// Turns a configuration of the family into that of the BERT that computes the same.
    pub(crate) fn make_bert(self, config: &mut Config) -> Result<(), ConfigError> {
        let skipped = match self {
            Family::Bert => return Ok(()),
            Family::DistilBert => 0,
            Family::Roberta { skipped } => skipped,
            Family::Mpnet => SKIPPED_BY_MPNET,
        };
        if self == Family::Mpnet {
            let buckets = config.extra.remove("relative_attention_num_buckets");
            if let Some(got) = buckets.filter(|got| got.as_u64() != Some(RELATIVE_BUCKETS as u64)) {
                let (key, expected) = ("relative_attention_num_buckets", RELATIVE_BUCKETS.to_string());
                return Err(ConfigError::Unsupported { key, got: got.to_string(), expected });
            }
            config.relative_positions = true;
            // a row of zeros
            config.type_vocab_size = 1;
        }
        let rows = config.max_position_embeddings;
        config.max_position_embeddings =
            rows.checked_sub(skipped).filter(|rows| *rows > 0).ok_or_else(|| ConfigError::Unsupported {
                key: "max_position_embeddings",
                got: rows.to_string(),
                expected: format!("more than {skipped}, the rows that are kept for padding (`pad_token_id` and below)"),
            })?;
        config.model_type = "bert".into();
        // names a class of another model type
        config.extra.remove("architectures");
        Ok(())
    }

    /// The name of a tensor of the encoder or of the head in a bare BERT; nothing for those that the network does not have.
    pub(crate) fn canonical(self, name: &str) -> Option<String> {
        let renamed;
        let name = match self {
            Family::Bert => name,
            Family::DistilBert => {
                renamed = distilbert::canonical(name);
                &renamed
            }
            // an encoder's own pooler is not what its classifier was trained with
            Family::Roberta { .. } | Family::Mpnet => match name {
                "classifier.dense.weight" => "pooler.dense.weight",
                "classifier.dense.bias" => "pooler.dense.bias",
                "classifier.out_proj.weight" => "classifier.weight",
                "classifier.out_proj.bias" => "classifier.bias",
                name if name.starts_with("pooler.") || name.starts_with("classifier.") => return None,
                name => name,
            },
        };
        let name = &if self == Family::Mpnet { berts(name)? } else { name.to_string() };
        Some(match (name.strip_suffix("LayerNorm.gamma"), name.strip_suffix("LayerNorm.beta")) {
            (Some(start), _) => format!("{start}LayerNorm.weight"),
            (_, Some(start)) => format!("{start}LayerNorm.bias"),
            _ => name.to_string(),
        })
    }

    /// What the encoder is called within a classifier.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Family::Bert => "bert.",
            Family::DistilBert => "distilbert.",
            Family::Roberta { .. } => "roberta.",
            Family::Mpnet => "mpnet.",
        }
    }

    /// What a tensor of a bare BERT's encoder is called in the family's files, without a prefix.
    pub(crate) fn original(self, canonical: &str) -> String {
        match self {
            Family::DistilBert => distilbert::original(canonical),
            Family::Mpnet => {
                let renamed = OF_MPNET.iter().find(|(_, bert)| canonical.contains(bert));
                renamed.map_or_else(|| canonical.to_string(), |(own, bert)| canonical.replace(bert, own))
            }
            Family::Bert | Family::Roberta { .. } => canonical.to_string(),
        }
    }

    /// Whether the family has no such tensor, which then is zero.
    pub(crate) fn lacks(self, canonical: &str) -> bool {
        matches!(self, Family::DistilBert | Family::Mpnet) && canonical == SEGMENTS
    }

    /// First rows of a tensor that are left out.
    pub(crate) fn skipped_rows(self, canonical: &str) -> usize {
        match self {
            Family::Roberta { skipped } if canonical == POSITIONS => skipped,
            Family::Mpnet if canonical == POSITIONS => SKIPPED_BY_MPNET,
            _ => 0,
        }
    }
}

/// The name in a BERT of a tensor of an MPNet; nothing for one that has a BERT's own name, which no MPNet has.
fn berts(name: &str) -> Option<String> {
    let renamed = OF_MPNET.iter().find(|(own, _)| name.contains(own));
    match renamed {
        Some((own, bert)) => Some(name.replace(own, bert)),
        None if name == SEGMENTS || OF_MPNET.iter().any(|(_, bert)| name.contains(bert)) => None,
        None => Some(name.to_string()),
    }
}

fn refusal(name: &str) -> String {
    let why = match name {
        "albert" => "an ALBERT's layers share their weights and its embedding is narrower than its layers",
        "electra" => "an ELECTRA's head takes a GeLU in place of the pooler's tanh",
        "deberta" | "deberta-v2" => "a DeBERTa's attention multiplies queries and keys with relative positions",
        "modernbert" => "a ModernBERT has rotary positions, gated layers and LayerNorms before its layers",
        "nomic_bert" | "new" => "it has rotary positions and gated layers",
        "roberta-prelayernorm" | "xlm-roberta-xl" => "its LayerNorms stand before its layers, not after",
        "mobilebert" => "a MobileBERT has bottlenecks, and no LayerNorms",
        "squeezebert" | "convbert" | "funnel" | "fnet" | "longformer" | "big_bird" | "reformer" | "nystromformer" => {
            "its attention is not a BERT's"
        }
        "xlnet" | "t5" | "mt5" | "umt5" | "bart" | "mbart" | "gpt2" | "gpt_neo" | "gpt_neox" | "opt" | "llama"
        | "mistral" | "qwen2" | "qwen3" | "gemma" | "gemma2" | "gemma3_text" | "phi3" => {
            "it is not an encoder in BERT's order of layers"
        }
        _ => "no model of that kind is known here",
    };
    format!(
        "{why}; use a `bert` (bert-base-uncased or a MiniLM, for instance), a `distilbert`, a `roberta`, an `xlm-roberta`, a \
         `camembert` or an `mpnet`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_age() {
        let roberta = Family::named("xlm-roberta", None).unwrap();
        assert_eq!(roberta, Family::Roberta { skipped: 2 });
        let cases = [
            (Family::Bert, "pooler.dense.bias", Some("pooler.dense.bias")),
            (Family::Bert, "embeddings.LayerNorm.gamma", Some("embeddings.LayerNorm.weight")),
            (Family::Bert, "embeddings.LayerNorm.beta", Some("embeddings.LayerNorm.bias")),
            (roberta, "encoder.layer.0.output.dense.bias", Some("encoder.layer.0.output.dense.bias")),
            (roberta, "classifier.dense.weight", Some("pooler.dense.weight")),
            (roberta, "classifier.out_proj.bias", Some("classifier.bias")),
            (roberta, "pooler.dense.weight", None),
            (Family::DistilBert, "transformer.layer.0.ffn.lin2.bias", Some("encoder.layer.0.output.dense.bias")),
            (Family::Mpnet, "encoder.layer.3.attention.attn.q.bias", Some("encoder.layer.3.attention.self.query.bias")),
            (
                Family::Mpnet,
                "encoder.layer.3.attention.attn.o.weight",
                Some("encoder.layer.3.attention.output.dense.weight"),
            ),
            (
                Family::Mpnet,
                "encoder.layer.3.attention.LayerNorm.bias",
                Some("encoder.layer.3.attention.output.LayerNorm.bias"),
            ),
            (Family::Mpnet, "encoder.layer.3.output.LayerNorm.bias", Some("encoder.layer.3.output.LayerNorm.bias")),
            (Family::Mpnet, "encoder.relative_attention_bias.weight", Some("encoder.relative_attention_bias.weight")),
            (Family::Mpnet, "encoder.layer.3.attention.self.query.bias", None),
            (Family::Mpnet, "classifier.out_proj.weight", Some("classifier.weight")),
            (Family::Mpnet, "pooler.dense.weight", None),
        ];
        for (family, full, name) in cases {
            assert_eq!(family.canonical(full).as_deref(), name, "{full}");
        }
    }

    #[test]
    fn other_kinds_are_refused_with_a_reason_and_another_model() {
        for name in ["albert", "electra", "deberta-v2", "modernbert", "t5", "gpt2", "new", "?"] {
            let reason = Family::named(name, None).unwrap_err();
            assert!(reason.contains("; use a `bert`"), "{name}: {reason}");
            assert_eq!(reason.starts_with("no model"), name == "?", "{name}: {reason}");
        }
    }
}
