//! A network's weights as each role holds them.

use std::collections::BTreeMap;
use std::fmt;

use model::{Part, Quantised, Weight, Words, weight_mask};
use ring64::{Dims, Kernel, Key, Packed, add_assign};

use crate::error::MpcError;

/// A computing party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// P0: adds public constants of openings, gets a key from the dealer.
    Zero,
    /// P1: adds public terms of products, gets a key and corrections from the dealer.
    One,
}

impl Party {
    /// 0 or 1.
    pub fn index(self) -> usize {
        match self {
            Party::Zero => 0,
            Party::One => 1,
        }
    }

    /// The other one.
    pub fn other(self) -> Party {
        match self {
            Party::Zero => Party::One,
            Party::One => Party::Zero,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "party{}", self.index())
    }
}

/// Masked words F, the same at both parties, and this party's share of W. What is multiplied by a matrix is packed for the
/// kernel, once.
pub struct PartyWeights {
    /// Whose.
    pub party: Party,
    masked: BTreeMap<Weight, Matrix>,
    share: BTreeMap<Weight, Matrix>,
    /// Shares of biases.
    biases: BTreeMap<Weight, Vec<u64>>,
}

impl PartyWeights {
    /// Expands a bundle: `[W]_0 = F + G(k0)`, `[W]_1 = G(k1)`. One weight after the other, so that little is held beside.
    pub fn expand(party: Party, masked: Quantised, seed: &Key, kernel: Kernel) -> PartyWeights {
        let parts = masked.into_iter().map(|(weight, masked)| {
            let mut share = sum_of_masks(weight, (masked.rows, masked.cols, masked.bias.is_some()), &[seed]);
            if party == Party::Zero {
                add_assign(&mut share.weight, &masked.weight);
                if let (Some(share), Some(masked)) = (&mut share.bias, &masked.bias) {
                    add_assign(share, masked);
                }
            }
            (weight, masked, share)
        });
        PartyWeights::collect(party, parts, kernel)
    }

    /// Words chosen by hand, for tests that couple two runs.
    pub fn from_parts(party: Party, masked: Quantised, mut share: Quantised) -> PartyWeights {
        let parts = masked.into_iter().filter_map(|(weight, masked)| Some((weight, masked, share.remove(&weight)?)));
        PartyWeights::collect(party, parts, Kernel::detect())
    }

    fn collect(party: Party, parts: impl Iterator<Item = (Weight, Words, Words)>, kernel: Kernel) -> PartyWeights {
        let mut weights =
            PartyWeights { party, masked: BTreeMap::new(), share: BTreeMap::new(), biases: BTreeMap::new() };
        for (weight, masked, share) in parts {
            if let Some(bias) = share.bias {
                weights.biases.insert(weight, bias);
            }
            let (rows, cols) = (share.rows, share.cols);
            weights.share.insert(weight, Matrix::new(weight, kernel, rows, cols, share.weight));
            // positions are only ever added
            if weight != Weight::Position {
                weights.masked.insert(weight, Matrix::new(weight, kernel, masked.rows, masked.cols, masked.weight));
            }
        }
        weights
    }

    /// F, to multiply by.
    pub(crate) fn masked(&self, weight: Weight, dims: Dims) -> Result<&Packed, MpcError> {
        packed(&self.masked, weight, dims)
    }

    /// This party's share, to multiply by.
    pub(crate) fn share(&self, weight: Weight, dims: Dims) -> Result<&Packed, MpcError> {
        packed(&self.share, weight, dims)
    }

    /// F as rows.
    pub(crate) fn masked_rows(&self, weight: Weight, words: usize) -> Result<&[u64], MpcError> {
        rows(&self.masked, weight, words)
    }

    /// At least so many words of this party's share, as rows.
    pub(crate) fn share_rows(&self, weight: Weight, words: usize) -> Result<&[u64], MpcError> {
        rows(&self.share, weight, words)
    }

    /// This party's share of a bias, for weights that have one.
    pub(crate) fn bias(&self, weight: Weight, columns: usize) -> Result<Option<&[u64]>, MpcError> {
        match self.biases.get(&weight) {
            Some(bias) if bias.len() != columns => {
                Err(MpcError::Weight { weight: format!("{weight} bias"), got: bias.len(), expected: columns })
            }
            bias => Ok(bias.map(Vec::as_slice)),
        }
    }
}

/// The dealer's `B = G(k0) + G(k1)` of the matrices that products read. Never F, never W.
pub struct DealerWeights {
    masks: BTreeMap<Weight, Matrix>,
}

impl DealerWeights {
    /// Expands both seeds for weights of these shapes (rows, columns).
    pub fn expand(shapes: &[(Weight, usize, usize)], seeds: &[Key; 2], kernel: Kernel) -> DealerWeights {
        let sums = shapes.iter().filter(|(weight, ..)| *weight != Weight::Position).map(|(weight, rows, cols)| {
            let sum = sum_of_masks(*weight, (*rows, *cols, false), &[&seeds[0], &seeds[1]]);
            (*weight, Matrix::new(*weight, kernel, *rows, *cols, sum.weight))
        });
        DealerWeights { masks: sums.collect() }
    }

    /// Words chosen by hand, for tests that couple two runs.
    pub fn from_parts(masks: Quantised) -> DealerWeights {
        let kernel = Kernel::detect();
        let matrix = |(weight, m): (Weight, Words)| (weight, Matrix::new(weight, kernel, m.rows, m.cols, m.weight));
        DealerWeights { masks: masks.into_iter().map(matrix).collect() }
    }

    pub(crate) fn mask(&self, weight: Weight, dims: Dims) -> Result<&Packed, MpcError> {
        packed(&self.masks, weight, dims)
    }

    pub(crate) fn mask_rows(&self, weight: Weight, words: usize) -> Result<&[u64], MpcError> {
        rows(&self.masks, weight, words)
    }
}

/// A weight as it is read.
enum Matrix {
    /// By matrix products.
    Packed(Packed),
    /// By rows.
    Rows(Vec<u64>),
}

impl Matrix {
    fn new(weight: Weight, kernel: Kernel, rows: usize, cols: usize, words: Vec<u64>) -> Matrix {
        match weight {
            Weight::Position | Weight::Residual(_) => Matrix::Rows(words),
            _ => Matrix::Packed(Packed::new(kernel, rows, cols, words)),
        }
    }

    fn words(&self) -> usize {
        match self {
            Matrix::Packed(packed) => packed.rows() * packed.columns(),
            Matrix::Rows(words) => words.len(),
        }
    }
}

fn sum_of_masks(weight: Weight, (rows, cols, bias): (usize, usize, bool), seeds: &[&Key]) -> Words {
    let sum = |part, words| {
        let mut sum = weight_mask(seeds[0], weight, part, words);
        seeds[1..].iter().for_each(|seed| add_assign(&mut sum, &weight_mask(seed, weight, part, words)));
        sum
    };
    Words { rows, cols, weight: sum(Part::Matrix, rows * cols), bias: bias.then(|| sum(Part::Bias, cols)) }
}

fn packed(all: &BTreeMap<Weight, Matrix>, weight: Weight, dims: Dims) -> Result<&Packed, MpcError> {
    match all.get(&weight) {
        Some(Matrix::Packed(packed)) if (packed.rows(), packed.columns()) == (dims.k, dims.n) => Ok(packed),
        other => Err(unfit(weight, other, dims.k * dims.n)),
    }
}

fn rows(all: &BTreeMap<Weight, Matrix>, weight: Weight, expected: usize) -> Result<&[u64], MpcError> {
    match all.get(&weight) {
        Some(Matrix::Rows(words)) if words.len() >= expected => Ok(words),
        other => Err(unfit(weight, other, expected)),
    }
}

fn unfit(weight: Weight, found: Option<&Matrix>, expected: usize) -> MpcError {
    MpcError::Weight { weight: weight.to_string(), got: found.map_or(0, Matrix::words), expected }
}
