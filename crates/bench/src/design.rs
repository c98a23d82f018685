//! Which functions the measured network has in place of 2Quad, GeLU and whole LayerNorms.

use clap::ValueEnum;
use model::{Config, Tensors};
use serde_json::{Value, json};

/// The functions of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Design {
    /// 2Quad, GeLU, LayerNorm: SecFormer's.
    #[default]
    Secformer,
    /// The same with a quadratic for GeLU: MPCFormer's.
    Quad,
    /// With ReLU for GeLU.
    Relu,
    /// With 2ReLU for 2Quad.
    #[value(name = "2relu")]
    TwoRelu,
    /// With LayerNorms that only subtract the mean.
    Linear,
    /// With 2ReLU, ReLU and such LayerNorms: the privacy-computing-friendly transformer.
    Friendly,
}

/// Where LayerNorms do not divide, values grow from layer to layer; trained ones have learnt not to.
const DAMPED: f32 = 0.5;

impl Design {
    /// As on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }

    /// Tells a configuration of so many layers.
    pub(crate) fn tell(self, config: &mut Value, layers: usize) {
        let all = Vec::from_iter(0..layers);
        let keys = match self {
            Design::Secformer => return,
            Design::Quad => json!({ "hidden_act": "quad" }),
            Design::Relu => json!({ "hidden_act": "relu" }),
            Design::TwoRelu => json!({ "attention_softmax": "2relu" }),
            Design::Linear => json!({ "linear_layer_norms": all, "attention_shift": 12.0 }),
            Design::Friendly => {
                json!({ "attention_softmax": "2relu", "hidden_act": "relu", "linear_layer_norms": all })
            }
        };
        if let (Some(config), Value::Object(keys)) = (config.as_object_mut(), keys) {
            config.extend(keys);
        }
    }
}

/// Random weights as trained ones would be where LayerNorms do not divide.
pub(crate) fn damp(tensors: &mut Tensors, config: &Config) {
    for layer in &config.linear_layer_norms {
        let of_layer = format!("encoder.layer.{layer}.");
        let factors = |name: &String| name.starts_with(&of_layer) && name.ends_with("LayerNorm.weight");
        let damped = tensors.iter_mut().filter(|(name, _)| factors(name));
        damped.for_each(|(_, tensor)| tensor.mapv_inplace(|v| v * DAMPED));
    }
}
