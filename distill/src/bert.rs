//! BERT for classification in candle, which also returns the intermediate values that a student learns from.

use anyhow::Result;
use candle_core::{Device, Tensor};
use model::{Activation, AttentionKind, Config, Pooler};

use crate::ops::{
    AttentionFunction, DropoutKey, Ragged, activate, attention_weights, dropout, layer_norm, linear, linear_norm, mix,
    scores,
};
use crate::weights::Weights;

/// A batch of texts, one below the other.
#[derive(Clone, Debug)]
pub struct PackedBatch {
    ids: Tensor,
    type_ids: Tensor,
    positions: Tensor,
    first_rows: Tensor,
    ragged: Ragged,
}

/// A classifier that shares the memory of the weights it was built from: training those trains it.
#[derive(Clone, Debug)]
pub struct Bert {
    config: Config,
    words: Tensor,
    positions: Tensor,
    segments: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    pooler: Dense,
    classifier: Dense,
}

/// The intermediate values of a forward pass.
#[derive(Clone, Debug)]
pub struct ForwardTrace {
    /// The embedding's output, then each layer's: `[tokens, hidden]`.
    pub hidden: Vec<Tensor>,
    /// Each layer's attention scores before softmax or 2Quad, laid out as [`Ragged`] says.
    pub scores: Vec<Tensor>,
    /// Each layer's attention weights after it, before dropout, laid out alike.
    pub weights: Vec<Tensor>,
    /// Each layer's inputs to GeLU.
    pub gelu_inputs: Vec<Tensor>,
    /// The inputs to all LayerNorms, in order.
    pub norm_inputs: Vec<Tensor>,
    /// How the scores are laid out.
    pub ragged: Ragged,
}

impl PackedBatch {
    /// Packs texts of (token numbers, segment numbers) for a model on a device.
    pub fn new<'a>(
        texts: impl Iterator<Item = (&'a [u32], &'a [u32])>,
        heads: usize,
        device: &Device,
    ) -> Result<PackedBatch> {
        let (mut ids, mut type_ids, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        let (mut lengths, mut first_rows) = (Vec::new(), Vec::new());
        for (tokens, segments) in texts {
            first_rows.push(ids.len() as u32);
            lengths.push(tokens.len());
            positions.extend(0..tokens.len() as u32);
            ids.extend_from_slice(tokens);
            type_ids.extend_from_slice(segments);
        }
        let vector = |numbers: Vec<u32>| Tensor::new(numbers, device);
        Ok(PackedBatch {
            ids: vector(ids)?,
            type_ids: vector(type_ids)?,
            positions: vector(positions)?,
            first_rows: vector(first_rows)?,
            ragged: Ragged::on(&lengths, heads, device)?,
        })
    }

    /// Where each text begins.
    pub fn ragged(&self) -> &Ragged {
        &self.ragged
    }
}

impl Bert {
    /// Builds the classifier over `weights`.
    pub fn new(config: &Config, weights: &Weights) -> Result<Bert> {
        let table = |name| anyhow::Ok(weights.tensor(&format!("bert.embeddings.{name}_embeddings.weight"))?.clone());
        Ok(Bert {
            words: table("word")?,
            positions: table("position")?,
            segments: table("token_type")?,
            norm: Norm::new(config, weights, "bert.embeddings")?,
            layers: (0..config.num_hidden_layers)
                .map(|layer| Layer::new(config, weights, layer))
                .collect::<Result<_>>()?,
            pooler: Dense::new(weights, "bert.pooler.dense")?,
            classifier: Dense::new(weights, "classifier")?,
            config: config.clone(),
        })
    }

    /// The configuration it was built with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The device of its weights.
    pub fn device(&self) -> &Device {
        self.words.device()
    }

    /// Runs the encoder; with a key, with dropout.
    pub fn encode(&self, batch: &PackedBatch, key: Option<DropoutKey>) -> Result<ForwardTrace> {
        let words = self.words.index_select(&batch.ids, 0)?;
        let positions = self.positions.index_select(&batch.positions, 0)?;
        let segments = self.segments.index_select(&batch.type_ids, 0)?;
        let sum = ((words + positions)? + segments)?;
        let out = drop_some(&self.norm.forward(&sum)?, self.config.hidden_dropout_prob, key, 0)?;
        let mut trace = ForwardTrace {
            hidden: vec![out.clone()],
            scores: Vec::new(),
            weights: Vec::new(),
            gelu_inputs: Vec::new(),
            norm_inputs: vec![sum],
            ragged: batch.ragged.clone(),
        };
        let mut hidden = out;
        for (number, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(&hidden, &batch.ragged, key, 1 + 3 * number as u64, &mut trace)?;
            trace.hidden.push(hidden.clone());
        }
        Ok(trace)
    }

    /// The logits from the last layer's output.
    pub fn classify(&self, hidden: &Tensor, batch: &PackedBatch, key: Option<DropoutKey>) -> Result<Tensor> {
        let first = hidden.index_select(&batch.first_rows, 0)?;
        let pooled = self.pooler.forward(&first)?;
        let pooled = match self.config.pooler {
            Pooler::Tanh => pooled.tanh()?,
            Pooler::Relu => pooled.relu()?,
        };
        self.classifier.forward(&drop_some(&pooled, self.config.hidden_dropout_prob, key, u64::MAX)?)
    }

    /// The logits of a batch, `[texts, classes]`.
    pub fn logits(&self, batch: &PackedBatch, key: Option<DropoutKey>) -> Result<Tensor> {
        let trace = self.encode(batch, key)?;
        self.classify(&trace.hidden[self.layers.len()], batch, key)
    }
}

#[derive(Clone, Debug)]
struct Dense {
    weight: Tensor,
    bias: Tensor,
}

impl Dense {
    fn new(weights: &Weights, name: &str) -> Result<Dense> {
        Ok(Dense {
            weight: weights.tensor(&format!("{name}.weight"))?.clone(),
            bias: weights.tensor(&format!("{name}.bias"))?.clone(),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, &self.weight, &self.bias)?)
    }
}

#[derive(Clone, Debug)]
struct Norm {
    gamma: Tensor,
    beta: Tensor,
    eps: f64,
    divides: bool,
}

impl Norm {
    fn new(config: &Config, weights: &Weights, name: &str) -> Result<Norm> {
        Ok(Norm {
            gamma: weights.tensor(&format!("{name}.LayerNorm.weight"))?.clone(),
            beta: weights.tensor(&format!("{name}.LayerNorm.bias"))?.clone(),
            eps: config.layer_norm_eps,
            divides: true,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self.divides {
            true => layer_norm(x, &self.gamma, &self.beta, self.eps)?,
            false => linear_norm(x, &self.gamma, &self.beta)?,
        })
    }
}

#[derive(Clone, Debug)]
struct Layer {
    query: Dense,
    key: Dense,
    value: Dense,
    output: Dense,
    attention_norm: Norm,
    up: Dense,
    down: Dense,
    norm: Norm,
    function: AttentionFunction,
    activation: Activation,
    attention_dropout: f32,
    hidden_dropout: f32,
}

impl Layer {
    fn new(config: &Config, weights: &Weights, layer: usize) -> Result<Layer> {
        let name = format!("bert.encoder.layer.{layer}");
        let dense = |part: &str| Dense::new(weights, &format!("{name}.{part}"));
        let divides = !config.linear_layer_norms.contains(&layer);
        let norm = |part: &str| anyhow::Ok(Norm { divides, ..Norm::new(config, weights, &format!("{name}.{part}"))? });
        let shifts = || (0..config.num_attention_heads).map(|head| config.shift(layer, head)).collect();
        Ok(Layer {
            query: dense("attention.self.query")?,
            key: dense("attention.self.key")?,
            value: dense("attention.self.value")?,
            output: dense("attention.output.dense")?,
            attention_norm: norm("attention.output")?,
            up: dense("intermediate.dense")?,
            down: dense("output.dense")?,
            norm: norm("output")?,
            function: match config.attention_softmax {
                AttentionKind::Softmax => AttentionFunction::Softmax,
                AttentionKind::TwoQuad => AttentionFunction::TwoQuad(shifts()),
                AttentionKind::TwoRelu => AttentionFunction::TwoRelu,
            },
            activation: config.activation(),
            attention_dropout: config.attention_probs_dropout_prob,
            hidden_dropout: config.hidden_dropout_prob,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        ragged: &Ragged,
        key: Option<DropoutKey>,
        site: u64,
        trace: &mut ForwardTrace,
    ) -> Result<Tensor> {
        let score = scores(&self.query.forward(x)?, &self.key.forward(x)?, ragged)?;
        trace.scores.push(score.clone());
        let weights = attention_weights(&score, &self.function, ragged)?;
        trace.weights.push(weights.clone());
        let weights = drop_some(&weights, self.attention_dropout, key, site)?;
        let mixed = self.output.forward(&mix(&weights, &self.value.forward(x)?, ragged)?)?;
        let sum = (drop_some(&mixed, self.hidden_dropout, key, site + 1)? + x)?;
        let x = self.attention_norm.forward(&sum)?;
        trace.norm_inputs.push(sum);
        let inner = self.up.forward(&x)?;
        trace.gelu_inputs.push(inner.clone());
        let out = self.down.forward(&activate(&inner, self.activation)?)?;
        let sum = (drop_some(&out, self.hidden_dropout, key, site + 2)? + x)?;
        let out = self.norm.forward(&sum)?;
        trace.norm_inputs.push(sum);
        Ok(out)
    }
}

fn drop_some(x: &Tensor, p: f32, key: Option<DropoutKey>, site: u64) -> Result<Tensor> {
    Ok(match key {
        Some(key) => dropout(x, p, key, site)?,
        None => x.clone(),
    })
}
