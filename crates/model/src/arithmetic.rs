//! Integers modulo 2^64 with shapes and scales already resolved: what an engine on scaled integers is written over.

use std::fmt;

use ring64::{Dims, Rhs};

use crate::engine::Block;
use crate::opening::Curve;
use crate::operation::Operation;
use crate::spec_error::SpecError;
use crate::table::{Site, Weight};

/// Shape and scale of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Fractional bits.
    pub frac: i32,
}

impl Form {
    /// Elements.
    pub fn count(&self) -> usize {
        self.rows * self.cols
    }
}

/// A value of an arithmetic with its form.
#[derive(Clone)]
pub struct Value<T> {
    /// Shape and scale.
    pub form: Form,
    /// What the arithmetic keeps.
    pub data: T,
}

impl<T> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value {{ form: {:?}, data: secret }}", self.form)
    }
}

/// A value to open: the share loses its `shift` lowest bits, the `64 - shift` others are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireOpening {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Bits of the share below the wire's unit.
    pub shift: u32,
    /// Signed range of the wire in bits.
    pub bits: u32,
}

impl WireOpening {
    /// Elements.
    pub fn count(&self) -> usize {
        self.rows * self.cols
    }
    /// `K`: bits exchanged for each element.
    pub fn kept(&self) -> u32 {
        64 - self.shift
    }
    /// Probability that one of its words falls below its range, so that the run restarts.
    pub fn restart_probability(&self) -> f64 {
        -f64::exp_m1(self.count() as f64 * f64::ln_1p(-f64::powi(2.0, self.bits as i32 - self.kept() as i32)))
    }
}

/// A class of columns of a phase: `modulus_bits` are exchanged for each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseSegment {
    /// Columns.
    pub cols: usize,
    /// The period of the function is `2^modulus_bits` units.
    pub modulus_bits: u32,
}

/// A value to open for a periodic function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseOpening {
    /// Rows.
    pub rows: usize,
    /// Bits of the share below the phase's unit.
    pub shift: u32,
    /// Classes of columns.
    pub segments: Vec<PhaseSegment>,
}

impl PhaseOpening {
    /// Columns of all segments.
    pub fn cols(&self) -> usize {
        self.segments.iter().map(|s| s.cols).sum()
    }
}

/// Phases of so many rows at which a series is evaluated, and the gate that its rows are multiplied with, if there is one.
#[derive(Debug)]
pub struct Evaluation<'a, P, W> {
    /// The phases.
    pub phase: &'a P,
    /// Their rows.
    pub rows: usize,
    /// The series.
    pub curve: &'a Curve,
    /// Other series of the same multiples: what is dealt for one serves all. Never beside a gate.
    pub also: Vec<&'a Curve>,
    /// One number a row.
    pub gate: Option<&'a W>,
}

impl<'a, P, W> Evaluation<'a, P, W> {
    /// All series that are evaluated.
    pub fn curves(&self) -> impl Iterator<Item = &'a Curve> + use<'a, '_, P, W> {
        std::iter::once(self.curve).chain(self.also.iter().copied())
    }
}

/// What is taken from the rows of scores where texts are padded, as integers; each is multiplied with gates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaddedShift {
    /// From a row, times its own gate.
    pub row: u64,
    /// From all rows, times the gate of each row in turn: a function of the number of tokens, by its steps.
    pub steps: Vec<u64>,
    /// From a score with padding.
    pub depth: u64,
}

/// What is taken from the rows of scores, as integers: see [`crate::Engine::relative`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowShift {
    /// Of each row, the column of the token that attends.
    pub own: Vec<usize>,
    /// Columns of the scores.
    pub cols: usize,
    /// By how many bits scores are shifted up before anything is taken from them.
    pub scores_up: u32,
    /// The part that was predicted: its first row, its column, how many columns it has, and by how many bits it is shifted up.
    pub predicted: (usize, usize, usize, u32),
    /// Multiples of the scores with the token before, itself, the token after and the first one.
    pub near: [u64; 4],
    /// Multiple of the sum of the row.
    pub sum: u64,
    /// A constant.
    pub constant: u64,
    /// Where texts are padded.
    pub padding: Option<PaddedShift>,
    /// What all is multiplied with then.
    pub times: u64,
}

impl RowShift {
    /// Scores less their shift; constants are taken by one of those who share them. The gates of a padded text are a share of theirs.
    pub fn apply(&self, scores: &mut [u64], predicted: &[u64], gates: Option<&[u64]>, takes_constants: bool) {
        let (first, column, columns, up) = self.predicted;
        let constant = |word: u64| if takes_constants { word } else { 0 };
        let total = |words: &[u64]| words.iter().fold(0u64, |sum, word| sum.wrapping_add(*word));
        // no gates stand for a text without padding
        let padding = self.padding.as_ref().zip(gates);
        let steps = |(by, gates): (&PaddedShift, &[u64])| {
            by.steps.iter().zip(gates).fold(0u64, |sum, (step, gate)| sum.wrapping_add(step.wrapping_mul(*gate)))
        };
        let of_text = padding.map_or(0, steps);
        for (at, row) in scores.chunks_mut(self.cols).enumerate() {
            let own = self.own[at];
            let mut shift = (predicted[(first + at) * columns + column] << up)
                .wrapping_add(total(row).wrapping_mul(self.sum))
                .wrapping_add(constant(self.constant))
                .wrapping_add(of_text);
            for (column, times) in near(own).into_iter().zip(self.near) {
                let score = column.and_then(|column| row.get(column)).copied().unwrap_or(0);
                shift = shift.wrapping_add(score.wrapping_mul(times));
            }
            row.iter_mut().for_each(|s| *s <<= self.scores_up);
            if let Some((by, gates)) = padding {
                shift = shift.wrapping_add(gates[own].wrapping_mul(by.row)).wrapping_add(constant(by.depth));
                row.iter_mut().zip(gates).for_each(|(s, gate)| *s = s.wrapping_add(gate.wrapping_mul(by.depth)));
            }
            row.iter_mut().for_each(|s| *s = s.wrapping_sub(shift).wrapping_mul(self.times));
        }
    }
}

/// The tokens whose scores the shift of a row is made of, by the one that attends: the one before, itself, the one after, the first.
/// Where there is none the score is nothing, as that of padding.
pub(crate) fn near(own: usize) -> [Option<usize>; 4] {
    [own.checked_sub(1), Some(own), Some(own + 1), Some(0)]
}

/// Where the network opens something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its name in errors and plans.
    pub name: &'a str,
    /// Which operation its wires belong to; where there are none, that of its phases.
    pub wires: Operation,
    /// Which operation its phases belong to, and what is evaluated at them; where there are none, that of its wires.
    pub phases: Operation,
}

/// Integers modulo 2^64, with shapes and scales already resolved. What one call opens takes one round.
pub trait Arithmetic {
    /// An opened matrix.
    type Wire;
    /// An opened phase.
    type Phase;
    /// A matrix of shares.
    type Share;
    /// What can go wrong.
    type Error: From<SpecError>;

    /// What follows is another run of the attempt than what was before; it begins in part 0.
    fn begin_run(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
    /// What follows belongs to this part and operation ([`crate::Engine::begin`]).
    fn begin(&mut self, _part: usize, _operation: Operation) -> Result<(), Self::Error> {
        Ok(())
    }
    /// `x W + b`, or `x W + g b` with a gate `g` of one number a row, for weights that have a bias.
    fn linear(
        &mut self,
        x: &Self::Wire,
        weight: Weight,
        dims: Dims,
        gate: Option<&Self::Wire>,
    ) -> Result<Self::Share, Self::Error>;
    /// Adds row `rows[i]` of a weight with `cols` columns to row `i`.
    fn add_rows(
        &mut self,
        x: Self::Share,
        weight: Weight,
        rows: &[usize],
        cols: usize,
    ) -> Result<Self::Share, Self::Error>;
    /// `x * g` by columns, less its mean in each row where `centred`.
    fn residual(
        &mut self,
        x: &Self::Wire,
        weight: Weight,
        dims: (usize, usize),
        centred: bool,
    ) -> Result<Self::Share, Self::Error>;
    /// Products.
    fn matmul(
        &mut self,
        pairs: &[(&Self::Wire, &Self::Wire)],
        dims: &[Dims],
        rhs: Rhs,
    ) -> Result<Vec<Self::Share>, Self::Error>;
    /// Squares of matrices with so many elements.
    fn square(&mut self, x: &[(&Self::Wire, usize)]) -> Result<Vec<Self::Share>, Self::Error>;
    /// Sums of squares of rows.
    fn square_sum(&mut self, x: &Self::Wire, rows: usize, cols: usize) -> Result<Self::Share, Self::Error>;
    /// Rows times numbers; `dims` are rows and columns.
    fn scale_rows(
        &mut self,
        pairs: &[(&Self::Wire, &Self::Wire)],
        dims: &[(usize, usize)],
    ) -> Result<Vec<Self::Share>, Self::Error>;
    /// Series, by segments of columns; of each phase that of its curve, then those that are evaluated beside it.
    fn evaluate(&mut self, x: &[Evaluation<'_, Self::Phase, Self::Wire>]) -> Result<Vec<Self::Share>, Self::Error>;
    /// `a 2^i + b 2^j`; both shifts are below 64.
    fn add(&mut self, a: (Self::Share, u32), b: (Self::Share, u32)) -> Self::Share;
    /// Sum of each row.
    fn row_sums(&mut self, x: &Self::Share, rows: usize, cols: usize) -> Self::Share;
    /// Sum of each row of an opened matrix.
    fn opened_row_sums(&mut self, x: &Self::Wire, rows: usize, cols: usize) -> Self::Wire;
    /// Each half of a row times `cos`, plus the other half, negated on the left, times `sin`: public integers, half a row each.
    fn rotate(&mut self, x: Self::Share, cols: usize, cos: &[u64], sin: &[u64]) -> Self::Share;
    /// Rows of scores less a shift that is linear in them, in what was predicted, and in the gates of a padded text.
    fn relative(
        &mut self,
        scores: Self::Share,
        predicted: &Self::Share,
        gates: Option<&Self::Share>,
        by: &RowShift,
    ) -> Self::Share;
    /// `(x + plus) times`, both public integers.
    fn affine(&mut self, x: Self::Share, plus: u64, times: u64) -> Self::Share;
    /// Adds a public integer.
    fn offset(&mut self, x: Self::Wire, by: u64) -> Self::Wire;
    /// Adds a public integer times a gate to each row: number `j` of the gate to column `j`.
    fn gated_offset(&mut self, x: Self::Wire, by: u64, gate: &Self::Wire) -> Self::Wire;
    /// An opened matrix as a share.
    fn shared(&mut self, x: &Self::Wire) -> Result<Self::Share, Self::Error>;
    /// Copies a block out of a matrix with `cols` columns.
    fn block(&mut self, x: &Self::Wire, cols: usize, block: Block) -> Self::Wire;
    /// Puts blocks together; each comes with its rows and columns.
    fn assemble(&mut self, grid: &[Vec<(&Self::Wire, usize, usize)>]) -> Self::Wire;
    /// Told of each opened wire, where an arithmetic can look at it.
    fn opened(&mut self, _site: Site, _form: Form, _wire: &Self::Wire) {}
    /// Opens all that is listed in one round.
    #[allow(clippy::type_complexity)]
    fn open(
        &mut self,
        place: &Place<'_>,
        wires: &[(&Self::Share, WireOpening)],
        phases: &[(&Self::Share, PhaseOpening)],
    ) -> Result<(Vec<Self::Wire>, Vec<Self::Phase>), Self::Error>;
}
