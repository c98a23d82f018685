//! The public shape of a model, and of a batch of texts.

use serde::{Deserialize, Serialize};

use crate::activation::{Activation, Pooler};
use crate::config::{AttentionKind, Config, is_false};
use crate::engine::{Block, FEATURES};

/// All that is public about the model's size, and the shifts of 2Quad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Encoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward part.
    pub inner: usize,
    /// Words.
    pub words: usize,
    /// Segments.
    pub segments: usize,
    /// Positions.
    pub positions: usize,
    /// Classes.
    pub labels: usize,
    /// Added to the variance in LayerNorm.
    pub eps: f64,
    /// `c` of 2Quad, `[layer][head]`.
    pub shifts: Vec<Vec<f32>>,
    /// What turns scores into weights; 2Quad is not written, so that specs made before there was another keep their digest.
    #[serde(default = "two_quad", skip_serializing_if = "is_two_quad")]
    pub attention: AttentionKind,
    /// Whether scores have a bias by the distance of their tokens; with softmax only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub relative_positions: bool,
    /// Of softmax, what the shift of a row of scores is made of, `[layer][head]`; empty until it was fitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_shifts: Vec<Vec<[f64; FEATURES]>>,
    /// Of softmax, where padding comes to lie, `[layer][head]`; empty until it was chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paddings: Vec<Vec<SoftmaxPadding>>,
    /// Which GeLU; the exact one is not written, so that specs made before there was another keep their digest.
    #[serde(default, skip_serializing_if = "Activation::is_exact")]
    pub activation: Activation,
    /// Layers whose LayerNorms only subtract the mean; written where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linear_norms: Vec<usize>,
    /// What the pooler takes; written where it is no tanh.
    #[serde(default, skip_serializing_if = "Pooler::is_usual")]
    pub pooler: Pooler,
}

/// Where a head of softmax puts padding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftmaxPadding {
    /// By how much scores with padding are less than nothing.
    pub depth: f64,
    /// By class of lengths, what is taken from the scores of rows of padding.
    pub rows: Vec<f64>,
}

fn two_quad() -> AttentionKind {
    AttentionKind::TwoQuad
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_two_quad(kind: &AttentionKind) -> bool {
    *kind == AttentionKind::TwoQuad
}

impl Shape {
    /// The shape that a configuration describes.
    pub fn of(config: &Config) -> Shape {
        let heads = config.num_attention_heads;
        let shifts = |layer| (0..heads).map(|h| config.shift(layer, h)).collect();
        Shape {
            layers: config.num_hidden_layers,
            width: config.hidden_size,
            heads,
            inner: config.intermediate_size,
            words: config.vocab_size,
            segments: config.type_vocab_size,
            positions: config.max_position_embeddings,
            labels: config.num_labels(),
            eps: config.layer_norm_eps,
            shifts: (0..config.num_hidden_layers).map(shifts).collect(),
            attention: config.attention_softmax,
            relative_positions: config.relative_positions,
            row_shifts: Vec::new(),
            paddings: Vec::new(),
            activation: config.activation(),
            linear_norms: config.linear_layer_norms.clone(),
            pooler: config.pooler,
        }
    }

    /// Whether it is that of this configuration; what was fitted is in no configuration.
    pub fn is_of(&self, config: &Config) -> bool {
        Shape::of(config) == self.clone().unfitted()
    }

    /// The same without what was fitted to texts.
    #[must_use]
    pub fn unfitted(self) -> Shape {
        Shape { row_shifts: Vec::new(), paddings: Vec::new(), ..self }
    }

    /// Width of a head.
    pub fn head_size(&self) -> usize {
        self.width / self.heads
    }

    /// LayerNorms: one after the embedding, two a layer.
    pub fn norms(&self) -> usize {
        1 + 2 * self.layers
    }

    /// Whether the LayerNorm of that number only subtracts the mean.
    pub fn is_linear(&self, norm: usize) -> bool {
        norm.checked_sub(1).is_some_and(|n| self.linear_norms.contains(&(n / 2)))
    }

    /// Rows to which a text of so many tokens is padded: a power of two from [`SHORTEST_PADDED`] on, or all positions.
    pub fn padded_length(&self, tokens: usize) -> usize {
        tokens.max(SHORTEST_PADDED).next_power_of_two().min(self.positions)
    }

    /// The power of two whose units the attention sums of a class are read in.
    pub fn class_exponent(&self, class: usize) -> i32 {
        if class == SHORTEST_CLASS { token_class(self.padded_length(1)) as i32 } else { class as i32 }
    }

    /// Columns of a one-hot row.
    pub fn one_hot(&self) -> usize {
        self.words + self.segments
    }
}

/// The public lengths of a batch, in tokens. Rows of all texts stand below one another.
///
/// The lengths are those of the texts, or those of their classes ([`Shape::padded_length`]), to which rows of padding fill them:
/// then how many rows are tokens is as private as the tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    lengths: Vec<usize>,
    padded: bool,
}

/// What of the lengths of texts is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// The class that a text is padded to.
    Padded,
    /// How many tokens it has.
    Exact,
}

/// Rows to which the shortest texts are padded.
pub const SHORTEST_PADDED: usize = 16;

/// Texts in the largest batch. Lengths come from a client, and memory is proportional to what they add up to.
pub const MOST_TEXTS: usize = 256;

/// Tokens of all texts in the largest batch.
pub const MOST_ROWS: usize = 16_384;

/// Why lengths do not make a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextsError {
    /// No text at all.
    #[error("a batch needs at least one text")]
    Empty,
    /// A text without tokens, or longer than the model's positions.
    #[error("a text has {got} tokens; this model takes 1 to {most}")]
    Length {
        /// Its tokens.
        got: usize,
        /// The model's positions.
        most: usize,
    },
    /// No class of lengths ends with so many tokens.
    #[error("a padded text has {got} rows; this model pads to {least}, {} to {most}", 2 * least)]
    Class {
        /// Its rows.
        got: usize,
        /// Rows of the smallest class.
        least: usize,
        /// Rows of the largest.
        most: usize,
    },
    /// A spec that was chosen before texts could be padded, or for a model that no class of padded texts fits.
    #[error(
        "this bundle has no scales for padded texts: it was made by an older convert, or its scores have relative positions (an MPNet's), or its heads' attention sums spread too far (convert's report says which); add --exact-lengths, which makes the number of tokens public"
    )]
    Unpadded,
    /// A text too short to be padded.
    #[error(
        "a text has {got} tokens; this model pads texts of {fewest} or more: add --exact-lengths, which makes the number of tokens public"
    )]
    Short {
        /// Its tokens.
        got: usize,
        /// Tokens of the shortest text that is padded.
        fewest: usize,
    },
    /// More texts than a batch holds.
    #[error("a batch of {got} texts; at most {most} go together")]
    Many {
        /// Texts.
        got: usize,
        /// [`MOST_TEXTS`].
        most: usize,
    },
    /// More tokens than a batch holds.
    #[error("a batch of {got} tokens; at most {most} go together")]
    Rows {
        /// Tokens of all texts.
        got: usize,
        /// [`MOST_ROWS`].
        most: usize,
    },
}

impl Texts {
    /// A batch of texts of these lengths: at most [`MOST_TEXTS`], with at most [`MOST_ROWS`] tokens together.
    pub fn new(lengths: &[usize], shape: &Shape) -> Result<Texts, TextsError> {
        if lengths.is_empty() {
            return Err(TextsError::Empty);
        }
        if lengths.len() > MOST_TEXTS {
            return Err(TextsError::Many { got: lengths.len(), most: MOST_TEXTS });
        }
        if let Some(got) = lengths.iter().find(|n| **n == 0 || **n > shape.positions) {
            return Err(TextsError::Length { got: *got, most: shape.positions });
        }
        let rows = lengths.iter().fold(0usize, |sum, n| sum.saturating_add(*n));
        match rows > MOST_ROWS {
            true => Err(TextsError::Rows { got: rows, most: MOST_ROWS }),
            false => Ok(Texts { lengths: lengths.to_vec(), padded: false }),
        }
    }

    /// A batch of texts that are padded to these classes of lengths.
    pub fn padded(classes: &[usize], shape: &Shape) -> Result<Texts, TextsError> {
        let texts = Texts::new(classes, shape)?;
        let (least, most) = (shape.padded_length(1), shape.positions);
        match classes.iter().find(|class| shape.padded_length(**class) != **class) {
            Some(got) => Err(TextsError::Class { got: *got, least, most }),
            None => Ok(Texts { padded: true, ..texts }),
        }
    }

    /// Whether rows may be padding.
    pub fn is_padded(&self) -> bool {
        self.padded
    }

    /// Number of texts.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The class of a text of so many rows, which decides on its scales.
    pub fn class(&self, rows: usize, shape: &Shape) -> usize {
        if self.padded && rows == shape.padded_length(1) { SHORTEST_CLASS } else { token_class(rows) }
    }

    /// Rows of each text: its tokens, and what it is padded with.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Rows of the whole batch.
    pub fn rows(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Position of each row in its text.
    pub fn positions(&self) -> Vec<usize> {
        self.lengths.iter().flat_map(|n| 0..*n).collect()
    }

    /// Rows of each text (columns are left empty), or its first row only.
    pub fn blocks(&self, first_only: bool) -> impl Iterator<Item = Block> + '_ {
        let mut row = 0;
        self.lengths.iter().map(move |n| {
            let block = Block { row, rows: if first_only { 1 } else { *n }, col: 0, cols: 0 };
            row += n;
            block
        })
    }
}

/// Token counts fall into classes by powers of two: class `c` holds `2^(c-1) < n <= 2^c`. Scales are functions of the class.
pub fn token_class(tokens: usize) -> usize {
    tokens.next_power_of_two().trailing_zeros() as usize
}

/// Classes for 1 to 512 tokens.
pub const TOKEN_CLASSES: usize = 10;

/// The class of texts that are padded to [`Shape::padded_length`] of one token. Their attention sums are those of all shorter
/// texts; those of longer classes are of at least half of their rows, padded or not.
pub const SHORTEST_CLASS: usize = TOKEN_CLASSES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_classes_are_powers_of_two() {
        let classes: Vec<_> = [1, 2, 3, 4, 5, 16, 17, 128, 129, 511, 512].iter().map(|n| token_class(*n)).collect();
        assert_eq!(classes, [0, 1, 2, 2, 3, 4, 5, 7, 8, 9, 9]);
    }

    #[test]
    fn ragged_texts_stand_below_one_another() {
        let config = r#"{"vocab_size":9,"hidden_size":4,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
            "max_position_embeddings":5}"#;
        let shape = Shape::of(&Config::from_json(config).unwrap());
        let texts = Texts::new(&[2, 3], &shape).unwrap();
        assert_eq!(texts.positions(), [0, 1, 0, 1, 2]);
        let rows: Vec<_> = texts.blocks(true).map(|b| (b.row, b.rows)).collect();
        assert_eq!(rows, [(0, 1), (2, 1)]);
        assert_eq!(Texts::new(&[6], &shape), Err(TextsError::Length { got: 6, most: 5 }));
        assert_eq!(Texts::new(&[0], &shape), Err(TextsError::Length { got: 0, most: 5 }));
    }

    #[test]
    fn a_batch_is_bounded_in_texts_and_in_tokens() {
        let config = r#"{"vocab_size":9,"hidden_size":4,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
            "max_position_embeddings":512}"#;
        let shape = Shape::of(&Config::from_json(config).unwrap());
        assert_eq!(Texts::new(&[64; 256], &shape).unwrap().rows(), MOST_ROWS);
        assert_eq!(Texts::new(&[1; 257], &shape), Err(TextsError::Many { got: 257, most: 256 }));
        let mut lengths = [64; 256];
        lengths[9] += 1;
        assert_eq!(Texts::new(&lengths, &shape), Err(TextsError::Rows { got: 16_385, most: 16_384 }));
        assert_eq!(Texts::new(&[usize::MAX; 3], &shape), Err(TextsError::Length { got: usize::MAX, most: 512 }));
    }
}
