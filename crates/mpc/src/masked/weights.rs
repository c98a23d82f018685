//! A network's weights as each role of masked wires holds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Parameter, Part, Quantised, Read, Table, Weight, Words, weight_mask};
use ring64::{Dims, Kernel, Key, Packed, add_assign};

use crate::error::MpcError;
use crate::party::Party;

/// Masked words F, the same at both parties, and this party's share of W. What is multiplied by a matrix is packed for the
/// kernel, once.
pub struct PartyWeights {
    /// Whose.
    pub party: Party,
    table: Arc<Table>,
    masked: BTreeMap<Weight, Matrix>,
    share: BTreeMap<Weight, Matrix>,
    /// Shares of biases.
    biases: BTreeMap<Weight, Vec<u64>>,
    /// Masked biases, to multiply with gates.
    masked_biases: BTreeMap<Weight, Vec<u64>>,
}

impl PartyWeights {
    /// Expands a bundle: `[W]_0 = F + G(k0)`, `[W]_1 = G(k1)`. One weight after the other, so that little is held beside.
    pub fn expand(party: Party, table: &Arc<Table>, masked: Quantised, seed: &Key, kernel: Kernel) -> PartyWeights {
        let parts = masked.into_iter().map(|(weight, masked)| {
            let bias = masked.bias.is_some();
            let mut share = sum_of_masks(&table[weight], (masked.rows, masked.cols, bias), &[seed]);
            if party == Party::Zero {
                add_assign(&mut share.weight, &masked.weight);
                if let (Some(share), Some(masked)) = (&mut share.bias, &masked.bias) {
                    add_assign(share, masked);
                }
            }
            (weight, masked, share)
        });
        PartyWeights::collect(party, table, parts, kernel)
    }

    /// Words chosen by hand, for tests that couple two runs.
    pub fn from_parts(party: Party, table: &Arc<Table>, masked: Quantised, mut share: Quantised) -> PartyWeights {
        let parts = masked.into_iter().filter_map(|(weight, masked)| Some((weight, masked, share.remove(&weight)?)));
        PartyWeights::collect(party, table, parts, Kernel::detect())
    }

    fn collect(
        party: Party,
        table: &Arc<Table>,
        parts: impl Iterator<Item = (Weight, Words, Words)>,
        kernel: Kernel,
    ) -> PartyWeights {
        let [masked, share] = [(); 2].map(|()| BTreeMap::new());
        let [biases, masked_biases] = [(); 2].map(|()| BTreeMap::new());
        let mut weights = PartyWeights { party, table: table.clone(), masked, share, biases, masked_biases };
        for (weight, masked, share) in parts {
            weights.biases.extend(share.bias.map(|bias| (weight, bias)));
            weights.masked_biases.extend(masked.bias.map(|bias| (weight, bias)));
            let (rows, cols, read) = (share.rows, share.cols, table[weight].read);
            weights.share.insert(weight, Matrix::new(read, kernel, rows, cols, share.weight));
            // what is only ever added is not multiplied
            if read != Read::Added {
                weights.masked.insert(weight, Matrix::new(read, kernel, masked.rows, masked.cols, masked.weight));
            }
        }
        weights
    }

    /// F, to multiply by.
    pub(crate) fn masked(&self, weight: Weight, dims: Dims) -> Result<&Packed, MpcError> {
        packed((&self.table, &self.masked), weight, dims)
    }

    /// This party's share, to multiply by.
    pub(crate) fn share(&self, weight: Weight, dims: Dims) -> Result<&Packed, MpcError> {
        packed((&self.table, &self.share), weight, dims)
    }

    /// F as rows.
    pub(crate) fn masked_rows(&self, weight: Weight, words: usize) -> Result<&[u64], MpcError> {
        rows((&self.table, &self.masked), weight, words)
    }

    /// At least so many words of this party's share, as rows.
    pub(crate) fn share_rows(&self, weight: Weight, words: usize) -> Result<&[u64], MpcError> {
        rows((&self.table, &self.share), weight, words)
    }

    /// This party's share of a bias, for weights that have one.
    pub(crate) fn bias(&self, weight: Weight, columns: usize) -> Result<Option<&[u64]>, MpcError> {
        bias((&self.table, &self.biases), weight, columns)
    }

    /// The same masked, to multiply with the mask of a gate.
    pub(crate) fn masked_bias(&self, weight: Weight, columns: usize) -> Result<Option<&[u64]>, MpcError> {
        bias((&self.table, &self.masked_biases), weight, columns)
    }
}

fn bias<'w>(
    (table, all): (&Table, &'w BTreeMap<Weight, Vec<u64>>),
    weight: Weight,
    columns: usize,
) -> Result<Option<&'w [u64]>, MpcError> {
    match all.get(&weight) {
        Some(bias) if bias.len() != columns => {
            let weight = format!("{} bias", table[weight].name);
            Err(MpcError::Weight { weight, got: bias.len(), expected: columns })
        }
        bias => Ok(bias.map(Vec::as_slice)),
    }
}

/// The dealer's `B = G(k0) + G(k1)` of the matrices that products read, and of their biases. Never F, never W.
pub struct DealerWeights {
    table: Arc<Table>,
    masks: BTreeMap<Weight, Matrix>,
    biases: BTreeMap<Weight, Vec<u64>>,
}

impl DealerWeights {
    /// Expands both seeds for the weights that the parties hold.
    pub fn expand(
        table: &Arc<Table>,
        held: impl Iterator<Item = Weight>,
        seeds: &[Key; 2],
        kernel: Kernel,
    ) -> DealerWeights {
        let read = held.map(|weight| (weight, &table[weight])).filter(|(_, parameter)| parameter.read != Read::Added);
        let sums = read.map(|(weight, parameter)| {
            let Parameter { rows, cols, bias, .. } = *parameter;
            (weight, sum_of_masks(parameter, (rows, cols, bias), &[&seeds[0], &seeds[1]]))
        });
        DealerWeights::collect(table, sums, kernel)
    }

    /// Words chosen by hand, for tests that couple two runs.
    pub fn from_parts(table: &Arc<Table>, masks: Quantised) -> DealerWeights {
        DealerWeights::collect(table, masks.into_iter(), Kernel::detect())
    }

    fn collect(table: &Arc<Table>, all: impl Iterator<Item = (Weight, Words)>, kernel: Kernel) -> DealerWeights {
        let mut weights = DealerWeights { table: table.clone(), masks: BTreeMap::new(), biases: BTreeMap::new() };
        for (weight, Words { rows, cols, weight: words, bias }) in all {
            weights.masks.insert(weight, Matrix::new(table[weight].read, kernel, rows, cols, words));
            weights.biases.extend(bias.map(|bias| (weight, bias)));
        }
        weights
    }

    pub(crate) fn mask(&self, weight: Weight, dims: Dims) -> Result<&Packed, MpcError> {
        packed((&self.table, &self.masks), weight, dims)
    }

    pub(crate) fn mask_rows(&self, weight: Weight, words: usize) -> Result<&[u64], MpcError> {
        rows((&self.table, &self.masks), weight, words)
    }

    /// The mask of a bias, for weights that have one.
    pub(crate) fn mask_of_bias(&self, weight: Weight, columns: usize) -> Result<Option<&[u64]>, MpcError> {
        bias((&self.table, &self.biases), weight, columns)
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
    fn new(read: Read, kernel: Kernel, rows: usize, cols: usize, words: Vec<u64>) -> Matrix {
        match read {
            Read::Added | Read::Columns { .. } => Matrix::Rows(words),
            Read::Product | Read::Lookup => Matrix::Packed(Packed::new(kernel, rows, cols, words)),
        }
    }

    fn words(&self) -> usize {
        match self {
            Matrix::Packed(packed) => packed.rows() * packed.columns(),
            Matrix::Rows(words) => words.len(),
        }
    }
}

fn sum_of_masks(parameter: &Parameter, (rows, cols, bias): (usize, usize, bool), seeds: &[&Key]) -> Words {
    let sum = |part, words| {
        let mut sum = weight_mask(seeds[0], parameter.stream, part, words);
        seeds[1..].iter().for_each(|seed| add_assign(&mut sum, &weight_mask(seed, parameter.stream, part, words)));
        sum
    };
    Words { rows, cols, weight: sum(Part::Matrix, rows * cols), bias: bias.then(|| sum(Part::Bias, cols)) }
}

type Held<'w> = (&'w Table, &'w BTreeMap<Weight, Matrix>);

fn packed<'w>((table, all): Held<'w>, weight: Weight, dims: Dims) -> Result<&'w Packed, MpcError> {
    match all.get(&weight) {
        Some(Matrix::Packed(packed)) if (packed.rows(), packed.columns()) == (dims.k, dims.n) => Ok(packed),
        other => Err(unfit(table, weight, other, dims.k * dims.n)),
    }
}

fn rows<'w>((table, all): Held<'w>, weight: Weight, expected: usize) -> Result<&'w [u64], MpcError> {
    match all.get(&weight) {
        Some(Matrix::Rows(words)) if words.len() >= expected => Ok(words),
        other => Err(unfit(table, weight, other, expected)),
    }
}

fn unfit(table: &Table, weight: Weight, found: Option<&Matrix>, expected: usize) -> MpcError {
    MpcError::Weight { weight: table[weight].name.clone(), got: found.map_or(0, Matrix::words), expected }
}
