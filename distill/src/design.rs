//! Which functions a student has, and where it is trained.

use anyhow::{Context, Result};
use candle_core::Device as Place;
use clap::{Args, ValueEnum};
use cli::coded;
use cli::exit::USAGE;
use model::{AttentionKind, AttentionShift, Config};
use serde::Serialize;

use crate::parallel::Launch;

/// What turns attention scores into weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Softmax {
    /// exp(x) / sum exp(x): private runs need `convert --calibrate`.
    Softmax,
    /// (x + c)^2 / sum (x + c)^2, of MPCFormer and SecFormer.
    #[value(name = "2quad")]
    #[serde(rename = "2quad")]
    TwoQuad,
    /// relu(x) / (sum relu(x) + e): no private run evaluates it yet.
    #[value(name = "2relu")]
    #[serde(rename = "2relu")]
    TwoRelu,
}

/// What stands in the feed-forward parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gelu {
    /// The GeLU of what the student starts from.
    Gelu,
    /// 0.125 x^2 + 0.25 x + 0.5, of MPCFormer: no private run evaluates it yet.
    Quad,
    /// max(x, 0): no private run evaluates it yet.
    Relu,
}

/// Whether LayerNorm divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerNorm {
    /// (x - mean) / deviation * gamma + beta.
    Full,
    /// (x - mean) * gamma + beta, in as many layers as the score on the development set allows, from the last to the first
    /// (the privacy-computing-friendly transformer): no private run evaluates it yet.
    Linear,
}

/// The shift c of 2Quad.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shift {
    /// For each head the one under which 2Quad is nearest to the teacher's softmax.
    Fit,
    /// One number for all heads.
    #[serde(untagged)]
    All(f32),
}

fn shift(text: &str) -> Result<Shift, String> {
    match (text, text.parse::<f32>()) {
        ("fit", _) => Ok(Shift::Fit),
        (_, Ok(c)) if c > 0.0 && c <= 100.0 => Ok(Shift::All(c)),
        _ => Err("expected `fit` or a number from above 0 to 100".into()),
    }
}

/// A student's functions.
#[derive(Clone, Debug, Args, Serialize)]
pub struct Design {
    /// The student's attention.
    #[arg(long, value_enum, default_value_t = Softmax::TwoQuad)]
    pub softmax: Softmax,
    /// The student's activation.
    #[arg(long, value_enum, default_value_t = Gelu::Gelu)]
    pub gelu: Gelu,
    /// The student's normalisation.
    #[arg(long, value_enum, default_value_t = LayerNorm::Full)]
    pub layer_norm: LayerNorm,
    /// The shift c of 2Quad: a number, or `fit` for one a head, near the teacher's softmax [default: that of --student, or 5].
    #[arg(long, value_name = "C", value_parser = shift)]
    pub attention_shift: Option<Shift>,
}

impl Default for Design {
    fn default() -> Design {
        Design { softmax: Softmax::TwoQuad, gelu: Gelu::Gelu, layer_norm: LayerNorm::Full, attention_shift: None }
    }
}

impl Design {
    /// Gives a student's configuration these functions; shifts to be fitted stay as they are.
    pub fn apply(&self, config: &mut Config) {
        config.attention_softmax = match self.softmax {
            Softmax::Softmax => AttentionKind::Softmax,
            Softmax::TwoQuad => AttentionKind::TwoQuad,
            Softmax::TwoRelu => AttentionKind::TwoRelu,
        };
        match self.gelu {
            Gelu::Gelu => {}
            Gelu::Quad => config.hidden_act = "quad".into(),
            Gelu::Relu => config.hidden_act = "relu".into(),
        }
        if let Some(Shift::All(c)) = self.attention_shift {
            config.attention_shift = AttentionShift::Uniform(c);
        }
    }
}

/// Where it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor; the same options give the same bits.
    Cpu,
    /// The first NVIDIA GPU (LOCAL_RANK chooses another); sums there are formed in no fixed order.
    Cuda,
}

impl Device {
    /// The device; an error where this program or machine has none.
    pub fn open(self, seed: u64, launch: &Launch) -> Result<Place> {
        match self {
            Device::Cpu => Ok(Place::Cpu),
            Device::Cuda => {
                let place = Place::new_cuda(launch.local_rank).map_err(|error| {
                    let cure = "build with `--features cuda` where an NVIDIA driver is, or use --device cpu";
                    coded(USAGE, format!("--device cuda: {error}; {cure}"))
                })?;
                // Every process needs dropout masks of its own.
                place.set_seed(seed.wrapping_add(launch.rank as u64)).context("--device cuda")?;
                Ok(place)
            }
        }
    }
}
