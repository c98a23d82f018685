//! A network's weights as each role holds them.

use std::fmt;

use model::{Part, Quantised, Weight, Words, weight_mask};
use ring64::{Key, add_assign};

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

/// Masked words F, the same at both parties, and this party's share of W.
pub struct PartyWeights {
    /// Whose.
    pub party: Party,
    pub(crate) masked: Quantised,
    pub(crate) share: Quantised,
}

impl PartyWeights {
    /// Expands a bundle: `[W]_0 = F + G(k0)`, `[W]_1 = G(k1)`.
    pub fn expand(party: Party, masked: Quantised, seed: &Key) -> PartyWeights {
        let share = expand(&masked.iter().map(|(w, m)| (*w, shape(m))).collect::<Vec<_>>(), &[seed]);
        let mut weights = PartyWeights { party, masked, share };
        if party == Party::Zero {
            for (weight, share) in &mut weights.share {
                let masked = &weights.masked[weight];
                add_assign(&mut share.weight, &masked.weight);
                if let (Some(share), Some(masked)) = (&mut share.bias, &masked.bias) {
                    add_assign(share, masked);
                }
            }
        }
        weights
    }

    /// Words chosen by hand, for tests that couple two runs.
    pub fn from_parts(party: Party, masked: Quantised, share: Quantised) -> PartyWeights {
        PartyWeights { party, masked, share }
    }

    pub(crate) fn masked(&self, weight: Weight, expected: usize) -> Result<&Words, MpcError> {
        checked(&self.masked, weight, expected)
    }

    pub(crate) fn share(&self, weight: Weight, expected: usize) -> Result<&Words, MpcError> {
        checked(&self.share, weight, expected)
    }
}

/// The dealer's `B = G(k0) + G(k1)` of the matrices that products read. Never F, never W.
pub struct DealerWeights {
    masks: Quantised,
}

impl DealerWeights {
    /// Expands both seeds for weights of these shapes (rows, columns).
    pub fn expand(shapes: &[(Weight, usize, usize)], seeds: &[Key; 2]) -> DealerWeights {
        let products = shapes.iter().filter(|(w, ..)| *w != Weight::Position);
        let shapes: Vec<_> = products.map(|(w, rows, cols)| (*w, (*rows, *cols, false))).collect();
        DealerWeights { masks: expand(&shapes, &[&seeds[0], &seeds[1]]) }
    }

    /// Words chosen by hand, for tests that couple two runs.
    pub fn from_parts(masks: Quantised) -> DealerWeights {
        DealerWeights { masks }
    }

    pub(crate) fn mask(&self, weight: Weight, expected: usize) -> Result<&Words, MpcError> {
        checked(&self.masks, weight, expected)
    }
}

fn shape(words: &Words) -> (usize, usize, bool) {
    (words.rows, words.cols, words.bias.is_some())
}

fn expand(shapes: &[(Weight, (usize, usize, bool))], seeds: &[&Key]) -> Quantised {
    let sum = |weight, part, words| {
        let mut sum = weight_mask(seeds[0], weight, part, words);
        seeds[1..].iter().for_each(|seed| add_assign(&mut sum, &weight_mask(seed, weight, part, words)));
        sum
    };
    let one = |(weight, (rows, cols, bias)): &(Weight, (usize, usize, bool))| {
        let matrix = sum(*weight, Part::Matrix, rows * cols);
        let bias = bias.then(|| sum(*weight, Part::Bias, *cols));
        (*weight, Words { rows: *rows, cols: *cols, weight: matrix, bias })
    };
    shapes.iter().map(one).collect()
}

fn checked(all: &Quantised, weight: Weight, expected: usize) -> Result<&Words, MpcError> {
    let found = all.get(&weight);
    match found {
        Some(words) if words.weight.len() == expected => Ok(words),
        other => {
            let got = other.map_or(0, |w| w.weight.len());
            Err(MpcError::Weight { weight: weight.to_string(), got, expected })
        }
    }
}
