//! Where each text of a batch begins.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{D, Device, Result, Tensor};

use super::composed::Padded;

/// The texts of a batch in one matrix of tokens: text `b` is the rows `starts[b]..starts[b + 1]`.
///
/// Attention scores of such a batch are one flat vector: for each text, for each head, a square of `n x n`. On other devices
/// than the CPU, whose products want equal sizes, they are padded to the longest text.
#[derive(Clone, Debug)]
pub struct Ragged(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    starts: Vec<usize>,
    square_starts: Vec<usize>,
    heads: usize,
    padded: Option<Padded>,
}

impl Ragged {
    /// A batch of texts of the given lengths in tokens, attended to by `heads` heads, on the CPU.
    pub fn new(lengths: &[usize], heads: usize) -> Ragged {
        Ragged::build(lengths, heads, None)
    }

    /// The same for operations on a device.
    pub fn on(lengths: &[usize], heads: usize, device: &Device) -> Result<Ragged> {
        Ok(match device.is_cpu() {
            true => Ragged::new(lengths, heads),
            false => Ragged::build(lengths, heads, Some(Padded::new(lengths, heads, device)?)),
        })
    }

    pub(super) fn build(lengths: &[usize], heads: usize, padded: Option<Padded>) -> Ragged {
        let mut starts = vec![0];
        let mut square_starts = vec![0];
        for (text, &n) in lengths.iter().enumerate() {
            starts.push(starts[text] + n);
            square_starts.push(square_starts[text] + heads * n * n);
        }
        Ragged(Arc::new(Inner { starts, square_starts, heads, padded }))
    }

    /// How the scores are padded, where they are.
    pub(super) fn padded(&self) -> Option<&Padded> {
        self.0.padded.as_ref()
    }

    /// Number of texts.
    pub fn texts(&self) -> usize {
        self.0.starts.len() - 1
    }

    /// Number of tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.0.starts[self.texts()]
    }

    /// Number of scores of all texts and heads.
    pub fn scores(&self) -> usize {
        self.0.square_starts[self.texts()]
    }

    /// Number of heads.
    pub fn heads(&self) -> usize {
        self.0.heads
    }

    /// Number of tokens of one text.
    pub fn length(&self, text: usize) -> usize {
        self.rows(text).len()
    }

    /// The rows of one text.
    pub fn rows(&self, text: usize) -> Range<usize> {
        self.0.starts[text]..self.0.starts[text + 1]
    }

    /// The scores of one text, all heads.
    pub fn squares(&self, text: usize) -> Range<usize> {
        self.0.square_starts[text]..self.0.square_starts[text + 1]
    }

    /// Scores, or their weights, without what pads them.
    pub fn flat_scores(&self, scores: &Tensor) -> Result<Vec<f32>> {
        let numbers = scores.flatten_all()?.to_vec1::<f32>()?;
        if self.padded().is_none() {
            return Ok(numbers);
        }
        let longest = scores.dim(D::Minus1)?;
        let mut flat = Vec::with_capacity(self.scores());
        for text in 0..self.texts() {
            for head in 0..self.heads() {
                for row in 0..self.length(text) {
                    let start = ((text * self.heads() + head) * longest + row) * longest;
                    flat.extend_from_slice(&numbers[start..start + self.length(text)]);
                }
            }
        }
        Ok(flat)
    }

    /// Cuts a `[tokens, width]` matrix into its texts.
    pub(crate) fn split_rows<'a>(&self, matrix: &'a mut [f32], width: usize) -> Vec<&'a mut [f32]> {
        cut(matrix, (0..self.texts()).map(|text| self.length(text) * width))
    }

    /// Cuts a vector of scores into its texts.
    pub(crate) fn split_squares<'a>(&self, scores: &'a mut [f32]) -> Vec<&'a mut [f32]> {
        cut(scores, (0..self.texts()).map(|text| self.squares(text).len()))
    }
}

fn cut(mut rest: &mut [f32], sizes: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, tail) = rest.split_at_mut(size);
        pieces.push(piece);
        rest = tail;
    }
    pieces
}
