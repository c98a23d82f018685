//! What one call of the network needs online.

use std::fmt;

use crate::error::MpcError;

/// A kind of call that takes a correlation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The masks of an opening, shifted to the share's scale: wires, then phases by segments.
    Opening,
    /// `[b] - [aW]`; with a gate of mask `c`, `-[c b] - [aW]`.
    Linear,
    /// `[mean(a g)] - [a g]`, by elements; without the mean where it stays.
    Residual,
    /// Of each product, `-[a]`, `-[b]` and `[ab]`.
    Matmul,
    /// Of each matrix, `-2 [a]` and `[a^2]`.
    Square,
    /// `-2 [a]` and the row sums of `[a^2]`.
    SquareSum,
    /// Of each product, `-[a]`, `-[b]` and `[ab]`.
    ScaleRows,
    /// Of each segment, rows of cosines and sines in turn, harmonic by harmonic. Where there is a gate of mask `c`, `-[c]`
    /// before the segments, and after each segment's the same rows times `c`.
    Series,
    /// `-[a]`.
    Shared,
    /// Of each matrix, the tables of its elements, a bit an entry.
    Compare,
    /// Of each matrix, the bits from which opened ones make a sign.
    Join,
    /// Of each matrix, element by element the words of which opened bits make a sign; then for each factor of mask `a` the
    /// same words times `a`.
    Flip,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Opening => "an opening",
            Call::Linear => "a linear layer",
            Call::Residual => "a residual",
            Call::Matmul => "a matrix product",
            Call::Square => "a square",
            Call::SquareSum => "a sum of squares",
            Call::ScaleRows => "a scaling of rows",
            Call::Series => "a series",
            Call::Shared => "an opened value as a share",
            Call::Compare => "a comparison",
            Call::Join => "a sign's bits",
            Call::Flip => "a product with signs",
        })
    }
}

/// What one call of the network needs, in pieces. Not `Clone`: it is used once.
pub(crate) struct Correlation {
    pub(crate) call: Call,
    pub(crate) pieces: Vec<Vec<u64>>,
}

/// Where a party's preparation leaves correlations, in plan order.
pub(crate) trait Sink {
    /// Leaves one.
    fn put(&mut self, correlation: Correlation) -> Result<(), MpcError>;
    /// Told before the first correlation of each part of the network; parts of all runs are counted through.
    fn begin_part(&mut self, part: usize) -> Result<(), MpcError>;
}
