//! What a network is evaluated over: a ring that holds shares of its weights, and is told which part it is in.

use model::{Operation, Weight};
use ring64::Dims;

use crate::protocol::ring::Ring;

/// A ring with a network's weights. Each call of the first group is one round.
pub(super) trait NetworkRing: Ring {
    /// `x W`.
    fn linear(&mut self, x: &Self::Share, weight: Weight, dims: Dims) -> Result<Self::Share, Self::Error>;
    /// `x g` by columns, less its mean in each row where `centred`; rows and columns.
    fn residual(
        &mut self,
        x: &Self::Share,
        weight: Weight,
        dims: (usize, usize),
        centred: bool,
    ) -> Result<Self::Share, Self::Error>;

    /// This party's share of a weight's matrix, so many words of it from a row on, or of its bias.
    fn weight_rows(&mut self, weight: Weight, rows: &[usize], cols: usize) -> Result<Self::Share, Self::Error>;
    /// The share of a bias, where the weight has one.
    fn bias(&mut self, weight: Weight, cols: usize) -> Result<Option<Self::Share>, Self::Error>;

    /// What follows belongs to this part of the network and to this operation.
    fn begin(&mut self, part: usize, operation: Operation);
    /// What follows belongs to this operation.
    fn begin_operation(&mut self, operation: Operation);
}
