//! What a network may ask of the machine that evaluates it.
//!
//! Two kinds of value take turns. A [`Engine::Share`] is the result of an operation, at whatever scale the operation left
//! it; a [`Engine::Wire`] has been *opened* and may be read by the next operation. Opening costs one round, everything else
//! is local. A [`Engine::Phase`] is a wire that only a smooth function reads.
//!
//! Layers never speak of scales: an opening names its [`Site`], and the engine looks the scale up in the calibrated spec.

use std::fmt;

pub use ring64::Rhs;
use serde::{Deserialize, Serialize};

use crate::bert::{Head, two_quad};
use crate::certificate::Checks;

/// A weight of the folded network (see [`crate::fold()`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Weight {
    /// Token table over segment table, one row a word, then one row a segment.
    Embedding,
    /// One row a position; added, never multiplied.
    Position,
    /// Attention query of a layer, `1/sqrt(head size)` folded in.
    Query(usize),
    /// Attention key.
    Key(usize),
    /// Attention value.
    Value(usize),
    /// Attention output, centred.
    AttentionOutput(usize),
    /// The scale (gamma) of the LayerNorm of that number, as the residual carries it.
    Residual(usize),
    /// First feed-forward matrix.
    Up(usize),
    /// Second feed-forward matrix, centred.
    Down(usize),
    /// Pooler.
    Pooler,
    /// Classifier.
    Classifier,
}

impl Weight {
    /// The part of a network of so many layers that begins with the product by this weight: each layer is one part, after the
    /// embedding (0, which nothing announces) and before the head.
    pub fn begins_part(self, layers: usize) -> Option<usize> {
        match self {
            Weight::Query(layer) => Some(1 + layer),
            Weight::Pooler => Some(1 + layers),
            _ => None,
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weight::Embedding => write!(f, "embedding"),
            Weight::Position => write!(f, "position"),
            Weight::Query(l) => write!(f, "layer.{l}.query"),
            Weight::Key(l) => write!(f, "layer.{l}.key"),
            Weight::Value(l) => write!(f, "layer.{l}.value"),
            Weight::AttentionOutput(l) => write!(f, "layer.{l}.attention_output"),
            Weight::Residual(n) => write!(f, "norm.{n}.residual"),
            Weight::Up(l) => write!(f, "layer.{l}.up"),
            Weight::Down(l) => write!(f, "layer.{l}.down"),
            Weight::Pooler => write!(f, "pooler"),
            Weight::Classifier => write!(f, "classifier"),
        }
    }
}

/// Where a value is opened. `norm` counts LayerNorms: 0 after the embedding, `1 + 2 l` after the attention and `2 + 2 l`
/// after the feed-forward part of layer `l`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// One-hot rows of tokens and segments.
    OneHot,
    /// Centred input of a LayerNorm.
    NormInput {
        /// LayerNorm.
        norm: usize,
    },
    /// `sqrt(width / sum of squares)` of a row.
    InverseDeviation {
        /// LayerNorm.
        norm: usize,
    },
    /// Output of a LayerNorm before its scale and shift.
    Normal {
        /// LayerNorm.
        norm: usize,
    },
    /// Attention query.
    Query {
        /// Layer.
        layer: usize,
    },
    /// Attention key.
    Key {
        /// Layer.
        layer: usize,
    },
    /// Attention value.
    Value {
        /// Layer.
        layer: usize,
    },
    /// Attention scores, before the shift.
    Scores {
        /// Layer.
        layer: usize,
    },
    /// `(score + c)^2`.
    Squares {
        /// Layer.
        layer: usize,
        /// Head.
        head: usize,
        /// Tokens of the text.
        tokens: usize,
    },
    /// Squares times values, not yet normalised.
    Mixed {
        /// Layer.
        layer: usize,
        /// Head.
        head: usize,
        /// Tokens of the text.
        tokens: usize,
    },
    /// One over the sum of squares of a row.
    Reciprocal {
        /// Layer.
        layer: usize,
        /// Head.
        head: usize,
        /// Tokens of the text.
        tokens: usize,
    },
    /// Attention output of a head.
    Attention {
        /// Layer.
        layer: usize,
    },
    /// Output of GeLU.
    Activation {
        /// Layer.
        layer: usize,
    },
    /// Output of the pooler.
    Pooled,
    /// What is missing to the relation that a function promises (see [`Checks`]).
    Defect {
        /// Which.
        function: Function,
    },
}

/// In words.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Site::OneHot => write!(f, "the input's one-hot rows"),
            Site::NormInput { norm } => write!(f, "{}: input", norm_name(*norm)),
            Site::InverseDeviation { norm } => write!(f, "{}: one over the deviation", norm_name(*norm)),
            Site::Normal { norm } => write!(f, "{}: output", norm_name(*norm)),
            Site::Query { layer } => write!(f, "layer {layer}: query"),
            Site::Key { layer } => write!(f, "layer {layer}: key"),
            Site::Value { layer } => write!(f, "layer {layer}: value"),
            Site::Scores { layer } => write!(f, "layer {layer}: attention scores"),
            Site::Squares { layer, head, .. } => write!(f, "layer {layer} head {head}: squares of attention scores"),
            Site::Mixed { layer, head, .. } => write!(f, "layer {layer} head {head}: squares times values"),
            Site::Reciprocal { layer, head, .. } => write!(f, "layer {layer} head {head}: one over the attention sum"),
            Site::Attention { layer } => write!(f, "layer {layer}: attention output"),
            Site::Activation { layer } => write!(f, "layer {layer}: GeLU's output"),
            Site::Pooled => write!(f, "the pooler's output"),
            Site::Defect { function } => write!(f, "defect of {function:?}"),
        }
    }
}

/// The LayerNorm of that number in words.
pub fn norm_name(norm: usize) -> String {
    match norm.checked_sub(1) {
        None => "embedding LayerNorm".into(),
        Some(n) => format!("layer {} {} LayerNorm", n / 2, if n % 2 == 0 { "attention" } else { "output" }),
    }
}

/// A smooth function of one variable, evaluated without a message on a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// `sqrt(width / v)` of a LayerNorm's sum of squares.
    InverseRoot {
        /// LayerNorm.
        norm: usize,
    },
    /// `1 / d` of the sum of an attention row, in units of the token count.
    Reciprocal {
        /// Layer.
        layer: usize,
        /// Head.
        head: usize,
        /// Tokens of the text.
        tokens: usize,
    },
    /// `GeLU(x) - x / 2`, with the GeLU of the shape.
    Gelu {
        /// Layer.
        layer: usize,
    },
    /// Hyperbolic tangent of the pooler.
    Tanh,
}

/// A rectangle of a wire: rows `[row, row + rows)`, columns `[col, col + cols)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// First row.
    pub row: usize,
    /// Number of rows.
    pub rows: usize,
    /// First column.
    pub col: usize,
    /// Number of columns.
    pub cols: usize,
}

/// The openings of one round, in the order in which they were asked for.
pub type Opened<E> = (Vec<<E as Engine>::Wire>, Vec<<E as Engine>::Phase>);

/// A machine that evaluates a network. Matrices are row-major; a batch of texts is the rows of one matrix in the linear
/// parts and a block per text and head inside attention, so that ragged texts share every round.
pub trait Engine {
    /// An opened value.
    type Wire;
    /// A value opened for one smooth function.
    type Phase;
    /// A result that was not opened yet.
    type Share;
    /// What can go wrong; `Infallible` for engines without a network.
    type Error;

    /// `x W + b`, or `x W` for weights without a bias.
    fn linear(&mut self, x: &Self::Wire, weight: Weight) -> Result<Self::Share, Self::Error>;
    /// Adds row `rows[i]` of a weight to row `i`.
    fn add_rows(&mut self, x: Self::Share, weight: Weight, rows: &[usize]) -> Result<Self::Share, Self::Error>;
    /// `x * g` minus its mean over each row.
    fn residual(&mut self, x: &Self::Wire, weight: Weight) -> Result<Self::Share, Self::Error>;
    /// Products of pairs.
    fn matmul(&mut self, pairs: &[(Self::Wire, Self::Wire)], rhs: Rhs) -> Result<Vec<Self::Share>, Self::Error>;
    /// Elementwise squares.
    fn square(&mut self, x: &[Self::Wire]) -> Result<Vec<Self::Share>, Self::Error>;
    /// Sum of squares of each row, one column.
    fn square_sum(&mut self, x: &Self::Wire) -> Result<Self::Share, Self::Error>;
    /// Each row of the left times the number in the same row of the right (one column).
    fn scale_rows(&mut self, pairs: &[(&Self::Wire, &Self::Wire)]) -> Result<Vec<Self::Share>, Self::Error>;
    /// The function that the phase was opened for.
    fn evaluate(&mut self, x: &[(Self::Phase, Function)]) -> Result<Vec<Self::Share>, Self::Error>;
    /// Sum.
    fn add(&mut self, a: Self::Share, b: Self::Share) -> Result<Self::Share, Self::Error>;
    /// Half.
    fn half(&mut self, x: Self::Share) -> Self::Share;
    /// Sum of each row, one column.
    fn row_sums(&mut self, x: &Self::Share) -> Self::Share;
    /// Adds a public number.
    fn offset(&mut self, x: Self::Wire, by: f32) -> Self::Wire;
    /// Copies a block.
    fn block(&mut self, x: &Self::Wire, block: Block) -> Self::Wire;
    /// Attention of opened scores on values, of each head and text, opened. 2Quad, normalised after the mixing so that the
    /// square matrices are opened twice and not three times; an engine of published functions has its own.
    fn attention(
        &mut self,
        scores: Vec<Self::Wire>,
        values: Vec<Self::Wire>,
        heads: &[Head],
        checks: &mut Checks<Self>,
    ) -> Result<Vec<Self::Wire>, Self::Error>
    where
        Self: Sized,
    {
        two_quad(self, scores, values, heads, checks)
    }
    /// What is missing to `sum(normal^2) / width + epsilon r^2 = 1` in each row that a LayerNorm made with `r`; nothing from an
    /// engine that does not check itself.
    fn norm_defect(
        &mut self,
        _normal: &Self::Wire,
        _inverse: &Self::Wire,
        _norm: usize,
    ) -> Result<Option<Self::Share>, Self::Error> {
        Ok(None)
    }
    /// Sum of each row of an opened value, one column; nothing from an engine that does not check itself.
    fn opened_row_sums(&mut self, _x: &Self::Wire) -> Option<Self::Wire> {
        None
    }
    /// `D r - 1` of each row, of pairs of opened sums and opened reciprocals.
    fn reciprocal_defects(&mut self, _pairs: &[(&Self::Wire, &Self::Wire)]) -> Result<Vec<Self::Share>, Self::Error> {
        Ok(Vec::new())
    }
    /// Sum of the squares of all elements of a column.
    fn square_total(&mut self, _x: &Self::Wire) -> Result<Option<Self::Share>, Self::Error> {
        Ok(None)
    }
    /// Whether the last layer computes the first row of each text only, the one that the classifier reads.
    fn skips_unread_rows(&self) -> bool {
        true
    }
    /// Puts blocks together: `grid[i]` are side by side, the rows of blocks below one another.
    fn assemble(&mut self, grid: &[Vec<Self::Wire>]) -> Self::Wire;
    /// Opens all that is listed in ONE round.
    fn open(
        &mut self,
        wires: &[(&Self::Share, Site)],
        phases: &[(&Self::Share, Function)],
    ) -> Result<Opened<Self>, Self::Error>
    where
        Self: Sized;
}
