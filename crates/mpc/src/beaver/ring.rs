//! What functions of shares are written over: a handful of protocols, and whatever a party computes alone.

use model::{Operation, Series, SpecError, Weight};
use ring64::{Dims, Rhs};
use serde::{Deserialize, Serialize};

use crate::weights::Party;

/// A sum of sines and cosines with integer coefficients over a period of any number of units, evaluated by Pi_Sin (Alg. 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// Units of one period.
    pub period: u64,
    /// Multiples of the base frequency.
    pub multiples: Vec<u32>,
    /// Coefficients of the cosines, below 2^31.
    pub cosines: Vec<i64>,
    /// Coefficients of the sines, below 2^31.
    pub sines: Vec<i64>,
    /// Constant term, at the scale of the result.
    pub constant: i64,
    /// Fractional bits of the dealt sines and cosines.
    pub trig_frac: u32,
    /// Fractional bits of the result.
    pub out_frac: i32,
}

impl Wave {
    /// Bits of an angle.
    pub fn bits(&self) -> u32 {
        64 - (self.period - 1).leading_zeros()
    }

    /// A calibrated series as such a sum.
    pub fn of(series: &Series) -> Wave {
        Wave {
            period: 1 << series.modulus_bits,
            multiples: series.harmonics.clone(),
            cosines: series.cosines.clone(),
            sines: series.sines.clone(),
            constant: series.constant,
            trig_frac: series.trig_frac,
            out_frac: series.out_frac(),
        }
    }

    /// An angle of `2^40` steps a turn for each number of units: the kernels' turns are powers of two.
    pub(crate) fn angles(&self, units: &[u64]) -> Vec<u64> {
        let angle = |x: &u64| ((u128::from(*x) << 40) / u128::from(self.period)) as u64;
        units.iter().map(angle).collect()
    }
}

/// Protocols on shares. Each call of the first group is one round; [`Ring::local`] sends nothing.
pub(crate) trait Ring {
    /// A party's share of a list of words.
    type Share;
    /// What can go wrong.
    type Error: From<SpecError>;

    /// Products, element by element.
    fn multiply(&mut self, x: &Self::Share, y: &Self::Share) -> Result<Self::Share, Self::Error>;
    /// Squares.
    fn square(&mut self, x: &Self::Share) -> Result<Self::Share, Self::Error>;
    /// Rows of matrices that lie one behind the other, each times its number.
    fn scale_rows(
        &mut self,
        x: &Self::Share,
        r: &Self::Share,
        parts: &[(usize, usize)],
    ) -> Result<Self::Share, Self::Error>;
    /// Matrix products.
    fn matmul(
        &mut self,
        pairs: &[(&Self::Share, &Self::Share)],
        dims: &[Dims],
        rhs: Rhs,
    ) -> Result<Vec<Self::Share>, Self::Error>;
    /// `x W`.
    fn linear(&mut self, x: &Self::Share, weight: Weight, dims: Dims) -> Result<Self::Share, Self::Error>;
    /// `x g - mean(x g)` by rows.
    fn residual(
        &mut self,
        x: &Self::Share,
        weight: Weight,
        rows: usize,
        cols: usize,
    ) -> Result<Self::Share, Self::Error>;
    /// Bitwise conjunctions; operands and result are shared by exclusive or.
    fn and(&mut self, x: &Self::Share, y: &Self::Share) -> Result<Self::Share, Self::Error>;
    /// The lowest bits of words shared by exclusive or, shared by addition.
    fn bit(&mut self, x: &Self::Share) -> Result<Self::Share, Self::Error>;
    /// A series of sines.
    fn sine(&mut self, x: &Self::Share, wave: &Wave) -> Result<Self::Share, Self::Error>;
    /// Truncation with the dealer's help, of lists of so many elements that lie one behind the other.
    fn truncate(&mut self, x: &Self::Share, parts: &[(usize, u32)]) -> Result<Self::Share, Self::Error>;

    /// Words of a list.
    fn count(&self, x: &Self::Share) -> usize;
    /// What each party computes alone: `count` words from the inputs' words.
    fn local(
        &mut self,
        inputs: &[&Self::Share],
        count: usize,
        compute: impl FnOnce(Party, &[&[u64]]) -> Vec<u64>,
    ) -> Self::Share;
    /// This party's share of a weight's matrix, so many words of it from a row on, or of its bias.
    fn weight_rows(&mut self, weight: Weight, rows: &[usize], cols: usize) -> Result<Self::Share, Self::Error>;
    /// The share of a bias, where the weight has one.
    fn bias(&mut self, weight: Weight, cols: usize) -> Result<Option<Self::Share>, Self::Error>;

    /// What follows belongs to this part of the network.
    fn begin_part(&mut self, part: usize);
    /// What follows belongs to this operation; gives the one before.
    fn begin_operation(&mut self, operation: Operation) -> Operation;
}
