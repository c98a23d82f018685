//! The shape and the functions of a BERT classifier, read from a Hugging Face `config.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::activation::{Activation, Pooler};
use crate::config_error::ConfigError;
use crate::{keys, labels};

/// The default shift `c` of 2Quad attention, `(x + c)^2 / sum (x + c)^2` (MPCFormer, SecFormer Alg. 3).
pub const DEFAULT_ATTENTION_SHIFT: f32 = 5.0;

/// The largest shift, to both sides: beyond it 2Quad is the same for every score.
pub(crate) const MOST_SHIFT: f32 = 100.0;

/// The largest `layer_norm_eps`.
pub(crate) const MOST_EPS: f64 = 1e-3;

/// Whether a shift is a number that 2Quad can use.
pub(crate) fn shift_is_sound(shift: f32) -> bool {
    shift.abs() <= MOST_SHIFT
}

/// The key of `config.json` that says whether a model was taught pairs of texts.
pub const TEXT_PAIR: &str = "text_pair";

/// What turns attention scores into weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionKind {
    /// `exp(x) / sum exp(x)`: an ordinary BERT.
    #[default]
    Softmax,
    /// `(x + c)^2 / sum (x + c)^2`.
    #[serde(rename = "2quad")]
    TwoQuad,
    /// `relu(x) / (sum relu(x) + e)` with [`TWO_RELU_EPSILON`].
    #[serde(rename = "2relu")]
    TwoRelu,
}

/// What 2ReLU adds to its sum, which is 0 where no score is above 0.
pub const TWO_RELU_EPSILON: f32 = 1e-4;

/// The shift `c`: one number for the model, or one per layer and head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttentionShift {
    /// The same shift everywhere.
    Uniform(f32),
    /// `[layer][head]`.
    PerHead(Vec<Vec<f32>>),
}

impl Default for AttentionShift {
    fn default() -> Self {
        AttentionShift::Uniform(DEFAULT_ATTENTION_SHIFT)
    }
}

/// What a model's logits mean, by its `problem_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProblemType {
    /// One class of several: softmax.
    #[serde(rename = "single_label_classification")]
    SingleLabel,
    /// Any of several labels: a sigmoid each.
    #[serde(rename = "multi_label_classification")]
    MultiLabel,
    /// A number: the logit itself.
    #[serde(rename = "regression")]
    Regression,
}

fn default_type_vocab() -> usize {
    2
}
fn default_eps() -> f64 {
    1e-12
}
fn default_dropout() -> f32 {
    0.1
}
fn default_initializer_range() -> f32 {
    0.02
}
fn default_model_type() -> String {
    "bert".into()
}
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}
fn default_act() -> String {
    "gelu".into()
}

/// `config.json` of a BERT encoder or classifier. Unknown keys are kept in `extra` and written back unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Must be `bert`.
    #[serde(default = "default_model_type")]
    pub model_type: String,
    /// Words in the token table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// One of [`Activation::NAMES`]; `gelu` is the exact one.
    #[serde(default = "default_act")]
    pub hidden_act: String,
    /// Longest sequence in tokens.
    pub max_position_embeddings: usize,
    /// Segments.
    #[serde(default = "default_type_vocab")]
    pub type_vocab_size: usize,
    /// Added to the variance in LayerNorm.
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
    /// Dropout after embeddings, attention output and feed-forward output (training only).
    #[serde(default = "default_dropout")]
    pub hidden_dropout_prob: f32,
    /// Dropout on attention weights (training only).
    #[serde(default = "default_dropout")]
    pub attention_probs_dropout_prob: f32,
    /// Standard deviation of freshly drawn weights.
    #[serde(default = "default_initializer_range")]
    pub initializer_range: f32,
    /// What turns scores into weights; absent in ordinary models.
    #[serde(default)]
    pub attention_softmax: AttentionKind,
    /// The shift of 2Quad.
    #[serde(default)]
    pub attention_shift: AttentionShift,
    /// Whether scores have a bias by the distance of their tokens ([`crate::RELATIVE_BUCKETS`]): an MPNet, read as a BERT.
    #[serde(default, skip_serializing_if = "is_false")]
    pub relative_positions: bool,
    /// Layers whose LayerNorms only subtract the mean (the privacy-computing-friendly transformer).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linear_layer_norms: Vec<usize>,
    /// What the pooler takes; absent where it is a BERT's tanh.
    #[serde(default, rename = "pooler_act", skip_serializing_if = "Pooler::is_usual")]
    pub pooler: Pooler,
    /// Label names, by class number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub id2label: BTreeMap<usize, String>,
    /// Class numbers, by label name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub label2id: BTreeMap<String, usize>,
    /// What the logits mean; absent in many models, see [`Config::problem`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<ProblemType>,
    /// All other keys.
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl Config {
    /// Parses and checks `config.json`.
    pub fn from_json(text: &str) -> Result<Config, ConfigError> {
        let (config, _) = Config::parse(text)?;
        config.check()?;
        Ok(config)
    }

    /// Parses `config.json` without checking it, and says what is taken otherwise than it stands. A byte order mark is skipped.
    pub fn parse(text: &str) -> Result<(Config, Vec<String>), ConfigError> {
        // the last of several equal keys counts, as in Python
        let mut keys: Map<String, Value> = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))?;
        keys::check_types(&keys)?;
        let (told, mut notes) = (keys.get("label2id").is_some_and(|value| !value.is_null()), Vec::new());
        let names = labels::take(&mut keys, &mut notes)?;
        let mut config: Config = serde_json::from_value(Value::Object(keys))?;
        config.name_labels(names);
        if !told {
            config.label2id.clear();
        }
        Ok((config, notes))
    }

    /// Gives the classes these names, by number.
    pub fn name_labels(&mut self, names: BTreeMap<usize, String>) {
        self.label2id = names.iter().map(|(number, name)| (name.clone(), *number)).collect();
        self.id2label = names;
    }

    /// Checks every value that the rest of the code relies on.
    pub fn check(&self) -> Result<(), ConfigError> {
        fn ensure(ok: bool, key: &'static str, got: impl ToString, expected: &str) -> Result<(), ConfigError> {
            if ok {
                Ok(())
            } else {
                Err(ConfigError::Unsupported { key, got: got.to_string(), expected: expected.into() })
            }
        }
        ensure(self.model_type == "bert", "model_type", &self.model_type, "bert")?;
        ensure((1..=1 << 20).contains(&self.vocab_size), "vocab_size", self.vocab_size, "1 to 1048576")?;
        ensure((1..=8192).contains(&self.hidden_size), "hidden_size", self.hidden_size, "1 to 8192")?;
        ensure((1..=24).contains(&self.num_hidden_layers), "num_hidden_layers", self.num_hidden_layers, "1 to 24")?;
        let heads = self.num_attention_heads;
        let divides = heads > 0 && self.hidden_size.is_multiple_of(heads);
        ensure(divides, "num_attention_heads", heads, &format!("a divisor of hidden_size {}", self.hidden_size))?;
        let (inner, positions) = (self.intermediate_size, self.max_position_embeddings);
        ensure((1..=32768).contains(&inner), "intermediate_size", inner, "1 to 32768")?;
        ensure((1..=512).contains(&positions), "max_position_embeddings", positions, "1 to 512")?;
        ensure((1..=16).contains(&self.type_vocab_size), "type_vocab_size", self.type_vocab_size, "1 to 16")?;
        let known = Activation::named(&self.hidden_act).is_some();
        ensure(known, "hidden_act", &self.hidden_act, &Activation::NAMES.join(", "))?;
        let eps = self.layer_norm_eps;
        ensure((0.0..=MOST_EPS).contains(&eps), "layer_norm_eps", eps, "0 to 1e-3")?;
        for (id, name) in &self.id2label {
            ensure(*id < self.id2label.len(), "id2label", format!("{id}: {name}"), "class numbers 0, 1, 2, ...")?;
        }
        if let Some(layer) = self.linear_layer_norms.iter().find(|layer| **layer >= self.num_hidden_layers) {
            let want = format!("layers below {}", self.num_hidden_layers);
            ensure(false, "linear_layer_norms", layer, &want)?;
        }
        let with_bias = !self.relative_positions || self.attention_softmax == AttentionKind::Softmax;
        let kind = serde_json::to_string(&self.attention_softmax)?;
        ensure(with_bias, "attention_softmax", kind, "softmax, for relative positions are run with no other")?;
        if let AttentionShift::PerHead(rows) = &self.attention_shift {
            let fits = rows.len() == self.num_hidden_layers && rows.iter().all(|r| r.len() == heads);
            let want = format!("one number, or {} rows of {heads}", self.num_hidden_layers);
            ensure(fits, "attention_shift", format!("{} rows", rows.len()), &want)?;
        }
        let mut shifts = (0..self.num_hidden_layers).flat_map(|l| (0..heads).map(move |h| self.shift(l, h)));
        if let Some(shift) = shifts.find(|c| !shift_is_sound(*c)) {
            ensure(false, "attention_shift", shift, &format!("-{MOST_SHIFT} to {MOST_SHIFT}"))?;
        }
        Ok(())
    }

    /// Which GeLU; the exact one for a name that [`Config::check`] refuses.
    pub fn activation(&self) -> Activation {
        Activation::named(&self.hidden_act).unwrap_or_default()
    }

    /// Width of one attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Number of classes; two where `config.json` names none, as in transformers.
    pub fn num_labels(&self) -> usize {
        if self.id2label.is_empty() { 2 } else { self.id2label.len() }
    }

    /// Names of the classes, by number; `LABEL_0`, `LABEL_1`, ... where it names none, as in transformers.
    pub fn labels(&self) -> Vec<String> {
        let name = |number| self.id2label.get(&number).cloned().unwrap_or_else(|| labels::unnamed(number));
        (0..self.num_labels()).map(name).collect()
    }

    /// What the logits mean: as it says, or by their number, as in transformers.
    pub fn problem(&self) -> ProblemType {
        let by_number = if self.num_labels() == 1 { ProblemType::Regression } else { ProblemType::SingleLabel };
        self.problem_type.unwrap_or(by_number)
    }

    /// Whether it was taught pairs of texts; unknown where `config.json` does not say.
    pub fn text_pair(&self) -> Option<bool> {
        self.extra.get(TEXT_PAIR)?.as_bool()
    }

    /// The shift `c` of one head.
    pub fn shift(&self, layer: usize, head: usize) -> f32 {
        match &self.attention_shift {
            AttentionShift::Uniform(c) => *c,
            AttentionShift::PerHead(rows) => rows[layer][head],
        }
    }
}
