//! What the engine may demand of the dealer. Every demand is one round: its masked operands are opened together.

use model::{Table, Weight};
use ring64::packed_len;

use crate::protocol::ring::Wave;

/// Payload bytes of a frame of an opening, but of its last one.
pub(super) const FRAME: usize = 1 << 20;

/// One demand, which is one round between the parties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Products, element by element.
    Multiply {
        /// Elements.
        count: usize,
    },
    /// Squares.
    Square {
        /// Elements.
        count: usize,
    },
    /// Matrices of so many rows and columns, each row times a number.
    ScaleRows {
        /// Rows and columns.
        parts: Vec<(usize, usize)>,
    },
    /// Matrix products.
    Matmul {
        /// Rows of the left, inner dimension, columns of the right.
        products: Vec<[usize; 3]>,
        /// Whether right factors are transposed.
        transposed: bool,
    },
    /// A matrix times a weight, which is opened like any other operand, each time anew.
    Linear {
        /// Which.
        weight: Weight,
        /// Rows of the input, inner dimension, columns of the output.
        dims: [usize; 3],
    },
    /// `x g - mean(x g)` of a LayerNorm's scale.
    Residual {
        /// Which.
        weight: Weight,
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// Whether the mean is taken out of each row.
        centred: bool,
    },
    /// Bitwise conjunctions of words that are shared by exclusive or.
    And {
        /// Words.
        count: usize,
    },
    /// Bits shared by exclusive or, to be shared by addition.
    Bit {
        /// Bits.
        count: usize,
    },
    /// A series of sines.
    Sine {
        /// Elements.
        count: usize,
        /// Which.
        wave: Wave,
    },
    /// Truncations by so many bits, of so many elements each.
    Truncate {
        /// Elements and bits.
        parts: Vec<(usize, u32)>,
    },
}

impl Demand {
    /// Values that are opened, and the bits of each that a party sends.
    fn opened(&self) -> (usize, u32) {
        match self {
            Demand::Multiply { count } | Demand::And { count } => (2 * count, 64),
            Demand::Square { count } => (*count, 64),
            Demand::ScaleRows { parts } => (parts.iter().map(|(rows, cols)| rows * cols + rows).sum(), 64),
            Demand::Matmul { products, .. } => (products.iter().map(|[m, k, n]| m * k + k * n).sum(), 64),
            Demand::Linear { dims: [m, k, n], .. } => (m * k + k * n, 64),
            Demand::Residual { rows, cols, .. } => (rows * cols + 2 * cols, 64),
            Demand::Bit { count } => (*count, 1),
            Demand::Sine { count, wave } => (*count, wave.bits()),
            Demand::Truncate { parts } => (parts.iter().map(|(count, _)| count).sum(), 64),
        }
    }

    /// Bytes that each party sends to the other.
    pub fn opened_bytes(&self) -> usize {
        let (count, bits) = self.opened();
        packed_len(count, bits)
    }

    /// Bytes both ways as SecFormer counts them: sixteen a word, whatever is known of its bits; a number that scales a row
    /// is opened again for each element of the row; what the dealer sends is not counted.
    pub fn published_bytes(&self) -> usize {
        let words = match self {
            Demand::ScaleRows { parts } => parts.iter().map(|(rows, cols)| 2 * rows * cols).sum(),
            _ => self.opened().0,
        };
        16 * words
    }

    /// Words that the dealer sends to P1.
    pub fn dealt_words(&self) -> usize {
        match self {
            Demand::Multiply { count } | Demand::Square { count } | Demand::And { count } | Demand::Bit { count } => {
                *count
            }
            Demand::ScaleRows { parts } => parts.iter().map(|(rows, cols)| rows * cols).sum(),
            Demand::Matmul { products, .. } => products.iter().map(|[m, _, n]| m * n).sum(),
            Demand::Linear { dims: [m, _, n], .. } => m * n,
            Demand::Residual { rows, cols, centred, .. } => rows * (cols + usize::from(*centred)),
            Demand::Sine { count, wave } => 2 * wave.multiples.len() * count,
            Demand::Truncate { parts } => 2 * parts.iter().map(|(count, _)| count).sum::<usize>(),
        }
    }

    /// Adds to the canonical encoding of a plan: its kind, how many integers follow, and these; a weight is known by its streams.
    pub(crate) fn encode(&self, table: &Table, to: &mut Vec<u8>) {
        let stream = |weight: &Weight| table[*weight].stream;
        let (kind, numbers): (u8, Vec<u64>) = match self {
            Demand::Multiply { count } => (0, vec![*count as u64]),
            Demand::Square { count } => (1, vec![*count as u64]),
            Demand::ScaleRows { parts } => {
                (2, parts.iter().flat_map(|(rows, cols)| [*rows as u64, *cols as u64]).collect())
            }
            Demand::Matmul { products, transposed } => {
                (3 + u8::from(*transposed), products.iter().flatten().map(|n| *n as u64).collect())
            }
            Demand::Linear { weight, dims: [m, k, n] } => (5, vec![stream(weight), *m as u64, *k as u64, *n as u64]),
            Demand::Residual { weight, rows, cols, centred } => {
                (6, vec![stream(weight), *rows as u64, *cols as u64, (*centred).into()])
            }
            Demand::And { count } => (7, vec![*count as u64]),
            Demand::Bit { count } => (8, vec![*count as u64]),
            Demand::Sine { count, wave } => (9, wave.integers(*count)),
            Demand::Truncate { parts } => {
                (10, parts.iter().flat_map(|(count, by)| [*count as u64, (*by).into()]).collect())
            }
        };
        to.push(kind);
        to.extend_from_slice(&(numbers.len() as u64).to_le_bytes());
        numbers.iter().for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
    }
}
