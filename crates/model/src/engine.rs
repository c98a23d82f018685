//! What a network may ask of the machine that evaluates it.
//!
//! Two kinds of value take turns. A [`Engine::Share`] is the result of an operation, at whatever scale the operation left
//! it; a [`Engine::Wire`] has been *opened* and may be read by the next operation. Opening costs one round, everything else
//! is local. A [`Engine::Phase`] is a wire that only a smooth function reads.
//!
//! Layers never speak of scales: an opening names its [`Site`], and the engine looks the scale up in the network's scales.

pub use ring64::Rhs;

use crate::operation::Operation;
use crate::table::{Comparison, Function, Site, Weight};

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

/// Public rotations of pairs of columns: column `c` of the first half of a row and column `c` of the second half are turned by
/// the angle of that row and pair (RoFormer, section 3.4.2, in the layout of Llama).
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    /// Of each row, the angles of its pairs in radians.
    pub angles: Vec<Vec<f64>>,
}

impl Rotation {
    /// Cosines and sines with so many fractional bits, row by row. By libm, which gives the same on every machine: parties that
    /// rounded differently would share nothing.
    pub fn words(&self, frac: i32) -> (Vec<u64>, Vec<u64>) {
        let word = |of: fn(f64) -> f64, angle: &f64| (of(*angle) * f64::powi(2.0, frac)).round() as i64 as u64;
        let words = |of| self.angles.iter().flatten().map(|angle| word(of, angle)).collect();
        (words(libm::cos), words(libm::sin))
    }
}

/// What a network declares of one LayerNorm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Norm {
    /// Its input, already centred.
    pub input: Site,
    /// Of the sum of squares of a row.
    pub inverse_root: Function,
    /// What that gives, opened.
    pub inverse_deviation: Site,
    /// Output, before scale and shift.
    pub normal: Site,
    /// What is missing to its promise.
    pub defect: Site,
}

/// One head on one text, and what a network declares of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Number of the text in the batch.
    pub text: usize,
    /// Tokens of the text.
    pub tokens: usize,
    /// `c` of 2Quad.
    pub shift: f32,
    /// Opened squares of shifted scores, or of 2ReLU the positive ones.
    pub squares: Site,
    /// One over the sum of a row of them.
    pub reciprocal: Function,
    /// What that gives, opened.
    pub reciprocal_out: Site,
    /// Squares times values, not yet normalised.
    pub mixed: Site,
    /// The head's output.
    pub attention: Site,
    /// The head's output where weights were normalised before.
    pub weighted: Site,
    /// What is missing to the reciprocal's promise.
    pub defect: Site,
}

/// Multiples from which the shift of a row of scores is made, in their order: of the score with the token before, with itself, with
/// the token after and with the first one, of the sum of the row over the rows that the text would be padded to, and of the logarithm
/// of the number of tokens. None of them needs to know which token is the last.
pub const FEATURES: usize = 6;

/// What a head of softmax does with padding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadPadding {
    /// By how much scores with padding are less than nothing.
    pub depth: f64,
    /// The shift of rows of padding, but for the feature of the number of tokens.
    pub row: f64,
}

/// One head of softmax attention on one text, and what a network declares of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxHead {
    /// Number of the text in the batch.
    pub text: usize,
    /// Rows of the text: its tokens, and what it is padded with.
    pub rows: usize,
    /// Rows that it is or would be padded to.
    pub padded_rows: usize,
    /// Where it is padded.
    pub padding: Option<HeadPadding>,
    /// Of each row of scores, which token attends.
    pub own: Vec<usize>,
    /// Where in what was predicted the first row of the text is, and the head's column.
    pub predicted: (usize, usize),
    /// What the shift of a row is made of, beside what was predicted.
    pub features: [f64; FEATURES],
    /// `exp(s / 2)` of shifted scores.
    pub exponential: Function,
    /// The shifted scores themselves, by the same harmonics.
    pub identity: Function,
    /// A smaller power of the exponential, where sums spread too far for one reciprocal.
    pub rough_exponential: Function,
    /// A power of its row sums that is about one over the sum of exponentials.
    pub rough: Function,
    /// One over the sum of a row, or over its product with the rough one.
    pub reciprocal: Function,
    /// Opened `exp(s / 2)`.
    pub exponential_out: Site,
    /// Its opened squares.
    pub squares: Site,
    /// The sum of a row of them.
    pub sum: Site,
    /// The opened rough reciprocal.
    pub rough_out: Site,
    /// Squares times values, not yet normalised.
    pub mixed: Site,
    /// These times the rough reciprocal.
    pub corrected: Site,
    /// The sum times the rough reciprocal.
    pub corrected_sum: Site,
    /// The opened reciprocal.
    pub reciprocal_out: Site,
    /// The head's output.
    pub attention: Site,
    /// What is missing to the reciprocal's promise.
    pub defect: Site,
    /// By how much the scores that the exponentials were made of differ from the scores.
    pub exponential_defect: Site,
}

/// What an engine makes of opened scores.
#[derive(Debug)]
pub enum Attending<W> {
    /// Nothing: the network goes on with them.
    Scores(Vec<W>),
    /// Normalised weights, opened.
    Weights(Vec<W>),
}

/// Opened sums `D`, opened reciprocals `r` of them, and the gate of their rows.
pub type Reciprocal<'w, W> = (&'w W, &'w W, Option<&'w W>);

/// Signs as a share, and their products with opened values.
pub type Flipped<E> = (<E as Engine>::Share, Vec<<E as Engine>::Share>);

/// The openings of one round, in the order in which they were asked for.
pub type Opened<E> = (Vec<<E as Engine>::Wire>, Vec<<E as Engine>::Phase>);

/// A machine that evaluates a network. Matrices are row-major; a batch of texts is the rows of one matrix in the linear
/// parts and a block per text and head inside attention, so that ragged texts share every round.
///
/// A *gate* is a wire of one column: one in the rows of tokens, zero in those of padding. What is padding is as private as
/// what is in the text.
pub trait Engine {
    /// An opened value.
    type Wire;
    /// A value opened for one smooth function.
    type Phase;
    /// A result that was not opened yet.
    type Share;
    /// Signs, which nobody knows, of opened values: one for zero and above, minus one below.
    type Signs;
    /// What can go wrong; `Infallible` where nothing can.
    type Error;

    /// What follows belongs to this part of the network and to this operation, until this is called again; openings and smooth
    /// functions belong to what the table declares of them. Parts are numbered from 0, in order.
    fn begin(&mut self, _part: usize, _operation: Operation) -> Result<(), Self::Error> {
        Ok(())
    }
    /// `x W + b`, or `x W` for weights without a bias.
    fn linear(&mut self, x: &Self::Wire, weight: Weight) -> Result<Self::Share, Self::Error>;
    /// `x W + g b`: the bias only in the rows that the gate `g` lets through.
    fn gated_linear(&mut self, x: &Self::Wire, weight: Weight, gate: &Self::Wire) -> Result<Self::Share, Self::Error>;
    /// Adds row `rows[i]` of a weight to row `i`.
    fn add_rows(&mut self, x: Self::Share, weight: Weight, rows: &[usize]) -> Result<Self::Share, Self::Error>;
    /// Adds element `entries[i]` of a weight of one column to element `i`, row by row.
    fn add_entries(&mut self, x: Self::Share, weight: Weight, entries: &[usize]) -> Result<Self::Share, Self::Error>;
    /// `x * g` by columns, minus its mean over each row where the weight is declared centred.
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
    /// Several functions of each phase, the first of which it was opened for, in order.
    #[allow(clippy::type_complexity)]
    fn evaluate_all(&mut self, x: &[(Self::Phase, Vec<Function>)]) -> Result<Vec<Self::Share>, Self::Error>;
    /// The same in the rows that a gate lets through, exactly zero in all others whatever was opened there.
    fn gated_evaluate(&mut self, x: &[(Self::Phase, Function, &Self::Wire)]) -> Result<Vec<Self::Share>, Self::Error>;
    /// Elementwise products.
    fn mul(&mut self, pairs: &[(&Self::Wire, &Self::Wire)]) -> Result<Vec<Self::Share>, Self::Error>;
    /// Signs of opened values, by comparisons that the table declares: one round for all, or two where one of them is lean. A value
    /// beyond a comparison's range has any sign.
    fn signs(&mut self, x: &[(&Self::Wire, Comparison)]) -> Result<Vec<Self::Signs>, Self::Error>;
    /// Of each, the signs as a share, and their products, element by element, with opened values of the same shape.
    fn flip(&mut self, x: &[(&Self::Signs, Vec<&Self::Wire>)]) -> Result<Vec<Flipped<Self>>, Self::Error>
    where
        Self: Sized;
    /// An opened value as a share.
    fn shared(&mut self, x: &Self::Wire) -> Result<Self::Share, Self::Error>;
    /// `x - y` of values opened at one scale.
    fn difference(&mut self, x: &Self::Wire, y: &Self::Wire) -> Self::Wire;
    /// `(x + plus) times`, both public whole numbers.
    fn affine(&mut self, x: Self::Share, plus: i32, times: i32) -> Self::Share;
    /// Pairs of columns rotated by public angles: see [`Rotation`].
    fn rotate(&mut self, x: Self::Share, by: &Rotation) -> Self::Share;
    /// Scores of a head less the shift of each row: what was predicted of it, and [`SoftmaxHead::features`] of the row. Scores with
    /// padding, which the gates of the text say, come to lie far below all others.
    fn relative(
        &mut self,
        scores: Self::Share,
        predicted: &Self::Share,
        gates: Option<&Self::Share>,
        head: &SoftmaxHead,
    ) -> Result<Self::Share, Self::Error>;
    /// Whether the reciprocals of a head are made in two steps, by the function of its first.
    fn takes_two_steps(&self, _rough: Function) -> bool {
        false
    }
    /// Sum of each row of what the identity made of phases, less that of what they were opened from; nothing from an engine that
    /// does not check itself.
    fn identity_defect(
        &mut self,
        _identity: &Self::Share,
        _relative: &Self::Share,
    ) -> Result<Option<Self::Share>, Self::Error> {
        Ok(None)
    }
    /// Sum.
    fn add(&mut self, a: Self::Share, b: Self::Share) -> Result<Self::Share, Self::Error>;
    /// Half.
    fn half(&mut self, x: Self::Share) -> Self::Share;
    /// Sum of each row, one column.
    fn row_sums(&mut self, x: &Self::Share) -> Self::Share;
    /// Of 2ReLU, the row sums of opened weights, and what is added to them, which is a unit of their scale at
    /// least.
    fn raised_sums(&mut self, weights: &Self::Wire, epsilon: f32) -> Self::Wire;
    /// These less each threshold below which they are multiplied with a larger power; nothing from an engine that takes sums of any
    /// size.
    fn less_thresholds(&mut self, _sums: &Self::Wire, _reciprocal: Function) -> Vec<Self::Wire> {
        Vec::new()
    }
    /// Adds a public number.
    fn offset(&mut self, x: Self::Wire, by: f32) -> Self::Wire;
    /// Adds a public number to the columns that a gate, one row a column, lets through.
    fn gated_offset(&mut self, x: Self::Wire, by: f32, gate: &Self::Wire) -> Self::Wire;
    /// The gate that columns of integers add up to. Whatever the scale of the site where they were opened, a unit of them is one.
    fn gate(&mut self, columns: Self::Wire) -> Self::Wire;
    /// Copies a block.
    fn block(&mut self, x: &Self::Wire, block: Block) -> Self::Wire;
    /// Whether weights are normalised before they mix, so that scores are opened for [`Engine::attention_weights`].
    fn mixes_weights(&self) -> bool {
        false
    }
    /// Normalised attention weights of opened scores, opened, from an engine of published functions, which normalise before they
    /// mix; from others the scores come back, for 2Quad ([`crate::attend`]).
    fn attention_weights(
        &mut self,
        scores: Vec<Self::Wire>,
        _heads: &[Head],
    ) -> Result<Attending<Self::Wire>, Self::Error> {
        Ok(Attending::Scores(scores))
    }
    /// What is missing to `sum(normal^2) / width + epsilon r^2 = 1` in each row that a LayerNorm made with `r`, or to `= g` where
    /// a gate was; nothing from an engine that does not check itself.
    fn norm_defect(
        &mut self,
        _normal: &Self::Wire,
        _inverse: &Self::Wire,
        _of: &Norm,
        _gate: Option<&Self::Wire>,
    ) -> Result<Option<Self::Share>, Self::Error> {
        Ok(None)
    }
    /// Sum of each row of an opened value, one column; nothing from an engine that does not check itself.
    fn opened_row_sums(&mut self, _x: &Self::Wire) -> Option<Self::Wire> {
        None
    }
    /// `D r - 1` of each row, of pairs of opened sums and opened reciprocals; `D r - g` of those that were gated.
    fn reciprocal_defects(&mut self, _pairs: &[Reciprocal<'_, Self::Wire>]) -> Result<Vec<Self::Share>, Self::Error> {
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
