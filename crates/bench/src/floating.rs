//! BERT in 32-bit floating point, as candle's users write it: what a private run is compared with.

use candle_core::{Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{LayerNorm, Linear, Module};
use model::{Config, Sample, Tensors, synthetic};

/// A classifier with softmax, over random weights.
pub(crate) struct Bert {
    words: Tensor,
    positions: Tensor,
    segments: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    pooler: Linear,
    classifier: Linear,
}

struct Layer {
    heads: usize,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

/// Tensors by name.
struct Weights<'a> {
    tensors: Tensors,
    config: &'a Config,
}

impl Weights<'_> {
    /// Takes a tensor out: each has one reader.
    fn take(&mut self, name: &str) -> Result<Tensor> {
        let found = self.tensors.remove(name);
        let found = found.ok_or_else(|| candle_core::Error::Msg(format!("no random weights called {name}")))?;
        let shape = found.shape().to_vec();
        Tensor::from_vec(found.into_iter().collect(), shape, &Device::Cpu)
    }

    fn dense(&mut self, name: &str) -> Result<Linear> {
        Ok(Linear::new(self.take(&format!("{name}.weight"))?, Some(self.take(&format!("{name}.bias"))?)))
    }

    fn norm(&mut self, name: &str) -> Result<LayerNorm> {
        let (scale, shift) = (format!("{name}.LayerNorm.weight"), format!("{name}.LayerNorm.bias"));
        Ok(LayerNorm::new(self.take(&scale)?, self.take(&shift)?, self.config.layer_norm_eps))
    }

    fn layer(&mut self, number: usize) -> Result<Layer> {
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        Ok(Layer {
            heads: self.config.num_attention_heads,
            query: self.dense(&name("attention.self.query"))?,
            key: self.dense(&name("attention.self.key"))?,
            value: self.dense(&name("attention.self.value"))?,
            output: self.dense(&name("attention.output.dense"))?,
            attention_norm: self.norm(&name("attention.output"))?,
            up: self.dense(&name("intermediate.dense"))?,
            down: self.dense(&name("output.dense"))?,
            norm: self.norm(&name("output"))?,
        })
    }
}

impl Bert {
    /// A classifier of that shape.
    pub(crate) fn random(config: &Config) -> Result<Bert> {
        let mut weights = Weights { tensors: synthetic(config, 1), config };
        let table = |weights: &mut Weights<'_>, name| weights.take(&format!("embeddings.{name}_embeddings.weight"));
        Ok(Bert {
            words: table(&mut weights, "word")?,
            positions: table(&mut weights, "position")?,
            segments: table(&mut weights, "token_type")?,
            norm: weights.norm("embeddings")?,
            layers: (0..config.num_hidden_layers).map(|number| weights.layer(number)).collect::<Result<_>>()?,
            pooler: weights.dense("pooler.dense")?,
            classifier: weights.dense("classifier")?,
        })
    }

    /// Logits of a batch of texts of one length, one row a text.
    pub(crate) fn logits(&self, batch: &[Sample]) -> Result<Tensor> {
        let (texts, tokens) = (batch.len(), batch.first().map_or(0, |text| text.ids.len()));
        let column = |of: fn(&Sample) -> &[u32]| {
            let values: Vec<u32> = batch.iter().flat_map(of).copied().collect();
            Tensor::from_vec(values, texts * tokens, &Device::Cpu)
        };
        let words = self.words.index_select(&column(|text| &text.ids)?, 0)?;
        let segments = self.segments.index_select(&column(|text| &text.segments)?, 0)?;
        let sum = (words + segments)?.reshape((texts, tokens, ()))?;
        let mut hidden = self.norm.forward(&sum.broadcast_add(&self.positions.narrow(0, 0, tokens)?)?)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden)?;
        }
        let first = hidden.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        self.classifier.forward(&self.pooler.forward(&first)?.tanh()?)
    }
}

impl Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (texts, tokens, width) = x.dims3()?;
        let size = width / self.heads;
        let split = |x: Tensor| x.reshape((texts, tokens, self.heads, size))?.transpose(1, 2)?.contiguous();
        let (query, key) = (split(self.query.forward(x)?)?, split(self.key.forward(x)?)?);
        let scores = (query.matmul(&key.t()?)? / (size as f64).sqrt())?;
        let mixed = softmax_last_dim(&scores)?.matmul(&split(self.value.forward(x)?)?)?;
        let mixed = mixed.transpose(1, 2)?.reshape((texts, tokens, width))?;
        let x = self.attention_norm.forward(&(self.output.forward(&mixed)? + x)?)?;
        let inner = self.up.forward(&x)?.gelu_erf()?;
        self.norm.forward(&(self.down.forward(&inner)? + x)?)
    }
}
