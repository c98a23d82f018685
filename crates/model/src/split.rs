//! How a fixed weight is shared once and for all: `F = W - G(k0) - G(k1)`.
//!
//! Both parties hold the same masked words F; party `i` holds the seed `ki`. `[W]_0 = F + G(k0)`, `[W]_1 = G(k1)`. The dealer
//! holds both seeds and never F. F with one seed is pseudorandom, so neither party learns W; two fresh seeds at every
//! conversion. See "Fixed weights" in docs/masked-wires.md.

use ring64::{Key, Prg};

use crate::engine::Weight;

/// The two parts of a weight that are masked apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The matrix.
    Matrix,
    /// The bias.
    Bias,
}

/// `G(k)` for one part of a weight. Each has a stream of its own.
pub fn weight_mask(seed: &Key, weight: Weight, part: Part, words: usize) -> Vec<u64> {
    Prg::new(seed, stream(weight, part)).words(words)
}

/// Injective: part, kind of weight and layer each have bits of their own.
fn stream(weight: Weight, part: Part) -> u64 {
    let (kind, number) = match weight {
        Weight::Embedding => (0, 0),
        Weight::Position => (1, 0),
        Weight::Query(l) => (2, l),
        Weight::Key(l) => (3, l),
        Weight::Value(l) => (4, l),
        Weight::AttentionOutput(l) => (5, l),
        Weight::Residual(n) => (6, n),
        Weight::Up(l) => (7, l),
        Weight::Down(l) => (8, l),
        Weight::Pooler => (9, 0),
        Weight::Classifier => (10, 0),
    };
    let part = match part {
        Part::Matrix => 0,
        Part::Bias => 1,
    };
    (number as u64) << 16 | kind << 8 | part
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_parts_of_a_network_share_a_stream() {
        let mut weights = vec![Weight::Embedding, Weight::Position, Weight::Pooler, Weight::Classifier];
        for l in 0..50 {
            weights.extend([Weight::Query(l), Weight::Key(l), Weight::Value(l), Weight::AttentionOutput(l)]);
            weights.extend([Weight::Residual(l), Weight::Up(l), Weight::Down(l)]);
        }
        let parts = weights.iter().flat_map(|w| [Part::Matrix, Part::Bias].map(|p| stream(*w, p)));
        assert_eq!(parts.collect::<BTreeSet<_>>().len(), 2 * weights.len());
    }
}
