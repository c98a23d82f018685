//! Kinds of models: what is read as a BERT, and what is refused by name.

use model::{Config, ConfigError};

/// `pad_token_id` of a RoBERTa whose configuration does not say it.
const USUAL_PADDING: u64 = 1;

/// What makes a checkpoint one of a BERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// It is one.
    Bert,
    /// RoBERTa: the same encoder under another prefix. Its positions count from `skipped`, because the first rows of its
    /// table are kept for padding; its pooler stands in the head.
    Roberta {
        /// Rows of the position table that no token has: one more than the padding's token id.
        skipped: usize,
    },
}

impl Family {
    /// By `model_type`, or why not.
    pub(crate) fn named(name: &str, padding: Option<u64>) -> Result<Family, String> {
        match name {
            "bert" => Ok(Family::Bert),
            "roberta" | "xlm-roberta" | "camembert" => {
                let skipped = usize::try_from(padding.unwrap_or(USUAL_PADDING)).unwrap_or(usize::MAX).saturating_add(1);
                Ok(Family::Roberta { skipped })
            }
            _ => Err(refusal(name)),
        }
    }

    /// Turns a configuration of the family into that of the BERT that computes the same.
    pub(crate) fn make_bert(self, config: &mut Config) -> Result<(), ConfigError> {
        let Family::Roberta { skipped } = self else { return Ok(()) };
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
        let name = match self {
            Family::Bert => name,
            // an encoder's own pooler is not what its classifier was trained with
            Family::Roberta { .. } => match name {
                "classifier.dense.weight" => "pooler.dense.weight",
                "classifier.dense.bias" => "pooler.dense.bias",
                "classifier.out_proj.weight" => "classifier.weight",
                "classifier.out_proj.bias" => "classifier.bias",
                name if name.starts_with("pooler.") || name.starts_with("classifier.") => return None,
                name => name,
            },
        };
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
            Family::Roberta { .. } => "roberta.",
        }
    }

    /// First rows of a tensor that are left out.
    pub(crate) fn skipped_rows(self, canonical: &str) -> usize {
        match self {
            Family::Roberta { skipped } if canonical == "embeddings.position_embeddings.weight" => skipped,
            _ => 0,
        }
    }
}

fn refusal(name: &str) -> String {
    let why = match name {
        "distilbert" => {
            "a DistilBERT's head takes a ReLU, which needs a comparison: none is run on shares here, and it has no pooler"
        }
        "albert" => "an ALBERT's layers share their weights and its embedding is narrower than its layers",
        "electra" => "an ELECTRA's head takes a GeLU in place of the pooler's tanh",
        "deberta" | "deberta-v2" => "a DeBERTa's attention adds relative positions, which are not run on shares here",
        "mpnet" => "an MPNet's attention adds relative positions, which are not run on shares here",
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
        "{why}; use a `bert` (bert-base-uncased or a MiniLM, for instance), a `roberta`, an `xlm-roberta` or a `camembert`"
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
        ];
        for (family, full, name) in cases {
            assert_eq!(family.canonical(full).as_deref(), name, "{full}");
        }
    }

    #[test]
    fn other_kinds_are_refused_with_a_reason_and_another_model() {
        for name in ["distilbert", "albert", "electra", "deberta-v2", "modernbert", "mpnet", "t5", "gpt2", "new", "?"] {
            let reason = Family::named(name, None).unwrap_err();
            assert!(reason.contains("; use a `bert`"), "{name}: {reason}");
            assert_eq!(reason.starts_with("no model"), name == "?", "{name}: {reason}");
        }
    }
}
