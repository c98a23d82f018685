//! Shapes that are measured, by the names of models that have them, and random texts for them.

use anyhow::{Context, Result};
use clap::ValueEnum;
use cli::coded;
use cli::exit::USAGE;
use model::{Config, Sample, Shape, Texts};
use ring64::{Key, Prg};
use serde_json::json;

use super::options::Job;

/// Positions of every shape: the longest text in tokens.
const POSITIONS: usize = 512;

/// A shape by the name of a model that has it; weights are random whatever the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Named {
    /// 12 layers of width 768, 30522 words.
    BertBase,
    /// 24 layers of width 1024, 30522 words.
    BertLarge,
    /// 6 layers of width 384, 30522 words.
    MinilmL6,
    /// 3 layers of width 384, 30522 words.
    MinilmL3,
    /// 12 layers of width 384, 30522 words.
    GteSmall,
    /// 2 layers of width 64, 1000 words: for trying.
    Tiny,
}

impl Named {
    /// As on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }

    /// Its layers.
    pub(super) fn layers(self) -> usize {
        self.sizes()[0]
    }

    /// Layers, width, heads, inner width and words.
    fn sizes(self) -> [usize; 5] {
        match self {
            Named::BertBase => [12, 768, 12, 3072, 30_522],
            Named::BertLarge => [24, 1024, 16, 4096, 30_522],
            Named::MinilmL6 => [6, 384, 12, 1536, 30_522],
            Named::MinilmL3 => [3, 384, 12, 1536, 30_522],
            Named::GteSmall => [12, 384, 12, 1536, 30_522],
            Named::Tiny => [2, 64, 4, 256, 1000],
        }
    }
}

/// A batch of random texts, and the network that reads them.
pub(super) struct Work {
    /// The configuration, with 2Quad.
    pub config: Config,
    /// The same as it stands in a bundle.
    pub config_json: String,
    /// Its shape.
    pub shape: Shape,
    /// Lengths of the batch.
    pub texts: Texts,
}

impl Work {
    /// The network and the lengths that the command line asks for.
    pub(super) fn of(job: &Job) -> Result<Work> {
        let [all, width, heads, inner, words] = job.model.sizes();
        let layers = job.layers.map_or(all, |layers| layers as usize);
        if layers > all {
            return Err(coded(USAGE, format!("{} has {all} layers; --layers {layers} is more", job.model.name())));
        }
        let config_json = json!({
            "model_type": "bert", "vocab_size": words, "hidden_size": width, "num_hidden_layers": layers,
            "num_attention_heads": heads, "intermediate_size": inner, "max_position_embeddings": POSITIONS,
            "attention_softmax": "2quad",
        });
        let config_json = config_json.to_string();
        let config = Config::from_json(&config_json).context("the configuration of a known shape")?;
        let shape = Shape::of(&config);
        let lengths = vec![job.tokens as usize; job.batch as usize];
        let texts = Texts::new(&lengths, &shape).map_err(|e| coded(USAGE, e.to_string()))?;
        Ok(Work { config, config_json, shape, texts })
    }

    /// A batch; another for each seed.
    pub(super) fn batch(&self, seed: u64) -> Vec<Sample> {
        let text = |(at, tokens): (usize, &usize)| random_text(&self.shape, *tokens, (seed << 8) + at as u64);
        self.texts.lengths().iter().enumerate().map(text).collect()
    }
}

/// A text of random words, its second half of the second segment; the same for the same seed.
pub(super) fn random_text(shape: &Shape, tokens: usize, seed: u64) -> Sample {
    let words = Prg::new(&Key::from_bytes([0; 32]), seed).words(tokens);
    let ids = words.into_iter().map(|word| (word % shape.words as u64) as u32).collect();
    Sample { ids, segments: (0..tokens).map(|at| u32::from(2 * at >= tokens)).collect() }
}
