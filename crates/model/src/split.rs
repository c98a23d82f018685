//! How a fixed weight is shared once and for all: `F = W - G(k0) - G(k1)`.
//!
//! Both parties hold the same masked words F; party `i` holds the seed `ki`. `[W]_0 = F + G(k0)`, `[W]_1 = G(k1)`. The dealer
//! holds both seeds and never F. F with one seed is pseudorandom, so neither party learns W; two fresh seeds at every
//! conversion. See "Fixed weights" in docs/masked-wires.md.

use ring64::{Key, Prg};

/// The two parts of a weight that are masked apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The matrix.
    Matrix,
    /// The bias.
    Bias,
}

/// `G(k)` for one part of the weight with these streams ([`crate::Parameter::stream`]). Each part has a stream of its own.
pub fn weight_mask(seed: &Key, stream: u64, part: Part, words: usize) -> Vec<u64> {
    Prg::new(seed, of_part(stream, part)).words(words)
}

fn of_part(stream: u64, part: Part) -> u64 {
    stream
        | match part {
            Part::Matrix => 0,
            Part::Bias => 1,
        }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::bert::{Bert, InputKind};
    use crate::config::Config;
    use crate::network::Network;
    use crate::shape::Shape;

    #[test]
    fn no_two_parts_of_a_network_share_a_stream() {
        let config = r#"{"vocab_size":9,"hidden_size":4,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
            "max_position_embeddings":5}"#;
        // with softmax and relative positions, which have the most parameters
        let one = Shape { relative_positions: true, ..Shape::of(&Config::from_json(config).unwrap()) };
        let shape = Shape { layers: 50, shifts: vec![one.shifts[0].clone(); 50], ..one };
        let bert = Bert::new(shape, InputKind::OneHot);
        let streams = bert.table().parameters().map(|(_, parameter)| parameter.stream);
        let parts: Vec<_> = streams.flat_map(|s| [Part::Matrix, Part::Bias].map(|p| of_part(s, p))).collect();
        assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len());
        assert_eq!(parts.len(), 2 * (4 + 10 * 50));
    }
}
