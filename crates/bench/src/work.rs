//! A batch of random texts, and the network of random weights that reads it.

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::USAGE;
use model::{Config, Sample, Shape, Texts};
use ring64::{Key, Prg};
use serde_json::json;

use crate::design::Design;
use crate::options::Job;

/// Positions of every shape: the longest text in tokens.
const POSITIONS: usize = 512;

/// A batch of random texts, and the network that reads them.
pub(crate) struct Work {
    /// The configuration.
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
    pub(crate) fn of(job: &Job, design: Design) -> Result<Work> {
        let [all, width, heads, inner, words] = job.model.sizes();
        let layers = job.layers.map_or(all, |layers| layers as usize);
        if layers > all {
            return Err(coded(USAGE, format!("{} has {all} layers; --layers {layers} is more", job.model.name())));
        }
        let mut config_json = json!({
            "model_type": "bert", "vocab_size": words, "hidden_size": width, "num_hidden_layers": layers,
            "num_attention_heads": heads, "intermediate_size": inner, "max_position_embeddings": POSITIONS,
            "attention_softmax": "2quad",
        });
        design.tell(&mut config_json, layers);
        let config_json = config_json.to_string();
        let config = Config::from_json(&config_json).context("the configuration of a known shape")?;
        let shape = Shape::of(&config);
        let lengths = vec![job.tokens as usize; job.batch as usize];
        let texts = Texts::new(&lengths, &shape).map_err(|e| coded(USAGE, e.to_string()))?;
        Ok(Work { config, config_json, shape, texts })
    }

    /// A batch; another for each seed.
    pub(crate) fn batch(&self, seed: u64) -> Vec<Sample> {
        let text = |(at, tokens): (usize, &usize)| random_text(&self.shape, *tokens, (seed << 8) + at as u64);
        self.texts.lengths().iter().enumerate().map(text).collect()
    }
}

/// A text of random words, its second half of the second segment; the same for the same seed.
pub(crate) fn random_text(shape: &Shape, tokens: usize, seed: u64) -> Sample {
    let words = Prg::new(&Key::from_bytes([0; 32]), seed).words(tokens);
    let ids = words.into_iter().map(|word| (word % shape.words as u64) as u32).collect();
    Sample { ids, segments: (0..tokens).map(|at| u32::from(2 * at >= tokens)).collect() }
}
