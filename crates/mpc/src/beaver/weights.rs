//! A party's shares of a network's weights, to be opened under fresh masks with every product.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Part, Quantised, Table, Weight, weight_mask};
use ring64::{Key, add_assign};

use crate::error::MpcError;
use crate::party::Party;

/// Additive shares of all weights: `[W]_0 = F + G(k0)`, `[W]_1 = G(k1)`.
pub struct Shares {
    /// Whose.
    pub party: Party,
    table: Arc<Table>,
    pub(super) matrices: BTreeMap<Weight, Vec<u64>>,
    pub(super) biases: BTreeMap<Weight, Vec<u64>>,
}

impl Shares {
    /// Expands a bundle's masked words with this party's seed.
    pub fn expand(party: Party, table: &Arc<Table>, masked: Quantised, seed: &Key) -> Shares {
        let (mut matrices, mut biases) = (BTreeMap::new(), BTreeMap::new());
        let share = |weight: Weight, part, masked: &[u64]| {
            let mut share = weight_mask(seed, table[weight].stream, part, masked.len());
            if party == Party::Zero {
                add_assign(&mut share, masked);
            }
            share
        };
        for (weight, words) in masked {
            if let Some(bias) = &words.bias {
                biases.insert(weight, share(weight, Part::Bias, bias));
            }
            matrices.insert(weight, share(weight, Part::Matrix, &words.weight));
        }
        Shares { party, table: table.clone(), matrices, biases }
    }

    /// Words chosen by hand, for tests that couple two runs.
    pub fn from_parts(party: Party, table: &Arc<Table>, shares: Quantised) -> Shares {
        let (mut matrices, mut biases) = (BTreeMap::new(), BTreeMap::new());
        for (weight, words) in shares {
            biases.extend(words.bias.map(|bias| (weight, bias)));
            matrices.insert(weight, words.weight);
        }
        Shares { party, table: table.clone(), matrices, biases }
    }

    /// A matrix of so many words.
    pub(crate) fn matrix(&self, weight: Weight, words: usize) -> Result<&[u64], MpcError> {
        match self.matrices.get(&weight) {
            Some(share) if share.len() == words => Ok(share),
            other => Err(unfit(self.table[weight].name.clone(), other.map(Vec::as_slice), words)),
        }
    }

    /// Some rows of a matrix.
    pub(crate) fn rows(&self, weight: Weight, rows: &[usize], cols: usize) -> Result<Vec<u64>, MpcError> {
        let share = self.matrices.get(&weight).map_or(&[][..], Vec::as_slice);
        let mut found = Vec::with_capacity(rows.len() * cols);
        for row in rows {
            let part = share.get(row * cols..(row + 1) * cols);
            found.extend_from_slice(
                part.ok_or_else(|| unfit(self.table[weight].name.clone(), Some(share), (row + 1) * cols))?,
            );
        }
        Ok(found)
    }

    /// A bias, for weights that have one.
    pub(crate) fn bias(&self, weight: Weight, cols: usize) -> Result<Option<&[u64]>, MpcError> {
        match self.biases.get(&weight) {
            Some(bias) if bias.len() != cols => {
                Err(unfit(format!("{} bias", self.table[weight].name), Some(bias), cols))
            }
            bias => Ok(bias.map(Vec::as_slice)),
        }
    }
}

fn unfit(weight: String, found: Option<&[u64]>, expected: usize) -> MpcError {
    MpcError::Weight { weight, got: found.map_or(0, <[u64]>::len), expected }
}
