//! A data set as numbers, ready to be packed into batches.

use anyhow::Result;
use candle_core::{Device, Tensor};
use datasets::{Encoding, Example, Tokenizer};

use crate::bert::Packed;

/// Encoded texts with their classes.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    texts: Vec<Encoding>,
    labels: Vec<usize>,
    lengths: Vec<usize>,
}

impl Samples {
    /// Encodes examples; at most `limit` of them, the first ones.
    pub fn encode(examples: &[Example], tokenizer: &Tokenizer, limit: Option<usize>) -> Result<Samples> {
        let mut samples = Samples::default();
        for example in examples.iter().take(limit.unwrap_or(usize::MAX)) {
            let text = tokenizer.encode(&example.text, example.text_pair.as_deref())?;
            samples.lengths.push(text.ids.len());
            samples.texts.push(text);
            samples.labels.push(example.label);
        }
        Ok(samples)
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The texts' lengths in tokens.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The texts' classes.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The tokens of one text and their segments.
    pub fn text(&self, index: usize) -> (&[u32], &[u32]) {
        (&self.texts[index].ids, &self.texts[index].type_ids)
    }

    /// Number of texts that were too long.
    pub fn truncated(&self) -> usize {
        self.texts.iter().filter(|text| text.truncated).count()
    }

    /// Packs the chosen texts for a model with `heads` heads.
    pub fn pack(&self, chosen: &[usize], heads: usize) -> Result<Packed> {
        Packed::new(chosen.iter().map(|&i| self.text(i)), heads)
    }

    /// The classes of the chosen texts.
    pub fn classes(&self, chosen: &[usize]) -> Result<Tensor> {
        let classes: Vec<u32> = chosen.iter().map(|&i| self.labels[i] as u32).collect();
        Ok(Tensor::from_vec(classes, chosen.len(), &Device::Cpu)?)
    }

    /// All texts in groups of nearly equal length and at most `size`, for evaluation.
    pub fn groups(&self, size: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&i| self.lengths[i]);
        order.chunks(size.max(1)).map(<[usize]>::to_vec).collect()
    }
}
