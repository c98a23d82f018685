//! What masked wires demand of the dealer.

use model::{Chunks, Table, Weight, WireOpening, sign_words};

use super::compare::words_of_bits;

/// One demand on the dealer. The dealer and both parties meet the same demands in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Masks of an opening.
    Wire {
        /// Elements.
        count: usize,
        /// Bits below the unit.
        shift: u32,
        /// Signed range in bits.
        bits: u32,
    },
    /// Masks of a phase.
    Phase {
        /// Elements.
        count: usize,
        /// Bits below the unit.
        shift: u32,
        /// Bits of the period.
        modulus_bits: u32,
    },
    /// Mask times a weight.
    Linear {
        /// Which.
        weight: Weight,
        /// Rows of the input.
        rows: usize,
        /// Columns of the input.
        inner: usize,
        /// Columns of the output.
        cols: usize,
        /// Whether its bias is multiplied with a gate.
        gated: bool,
    },
    /// Mask times a LayerNorm's scale.
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
    /// Product of two masks.
    Matmul {
        /// Rows of the left.
        m: usize,
        /// Inner dimension.
        k: usize,
        /// Columns of the right.
        n: usize,
        /// Whether the right factor is transposed.
        transposed: bool,
    },
    /// Squares of masks.
    Square {
        /// Elements.
        count: usize,
    },
    /// Row sums of squares of masks.
    SquareSum {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
    },
    /// Mask rows times masks.
    ScaleRows {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
    },
    /// Sines and cosines of a phase's mask.
    Series {
        /// Elements.
        count: usize,
        /// Harmonics.
        harmonics: usize,
        /// Whether they are dealt times the mask of a gate as well.
        gated: bool,
    },
    /// Tables of bits that masks of wires, or differences of them, are compared by.
    Compare {
        /// Elements.
        count: usize,
        /// How their bits are cut.
        chunks: Chunks,
    },
    /// Bits from which opened bits make a sign that is shared by exclusive or.
    Join {
        /// Elements.
        count: usize,
        /// How their bits are cut.
        chunks: Chunks,
    },
    /// Words of which opened bits make a sign.
    Signs {
        /// Elements.
        count: usize,
        /// Chunks that are open, one where the sign's own bit is.
        depth: usize,
    },
    /// The same words times a mask.
    Flip {
        /// Elements.
        count: usize,
        /// Chunks that are open, one where the sign's own bit is.
        depth: usize,
    },
}

impl Demand {
    /// Bytes that the dealer sends to P1 for it. P0 gets a key for all demands.
    pub fn dealt_bytes(&self) -> usize {
        match self {
            Demand::Wire { count, shift, .. } => (count * *shift as usize).div_ceil(8),
            Demand::Phase { .. } => 0,
            Demand::Linear { rows, cols, .. } => 8 * rows * cols,
            Demand::Residual { rows, cols, centred, .. } => 8 * rows * (cols + usize::from(*centred)),
            Demand::Matmul { m, n, .. } => 8 * m * n,
            Demand::Square { count } => 8 * count,
            Demand::SquareSum { rows, .. } => 8 * rows,
            Demand::ScaleRows { rows, cols } => 8 * rows * cols,
            Demand::Series { count, harmonics, gated } => (16 << u32::from(*gated)) * count * harmonics,
            Demand::Compare { count, chunks } => 8 * words_of_bits(*count, chunks.table_bits()),
            Demand::Join { count, chunks } => 8 * words_of_bits(*count, chunks.joined_bits()),
            Demand::Signs { count, depth } | Demand::Flip { count, depth } => 8 * count * sign_words(*depth),
        }
    }

    /// Bytes that each party sends to the other for it.
    pub fn opened_bytes(&self) -> usize {
        match self {
            Demand::Wire { count, shift, .. } => (count * (64 - *shift as usize)).div_ceil(8),
            Demand::Phase { count, modulus_bits, .. } => (count * *modulus_bits as usize).div_ceil(8),
            _ => 0,
        }
    }

    /// Probability that one of its openings wraps and the run restarts.
    pub fn restart_probability(&self) -> f64 {
        match self {
            Demand::Wire { count, shift, bits } => {
                WireOpening { rows: *count, cols: 1, shift: *shift, bits: *bits }.restart_probability()
            }
            _ => 0.0,
        }
    }

    /// Adds to the canonical encoding of a plan: its kind, and its integers; a weight is known by its streams.
    pub(crate) fn encode(&self, table: &Table, to: &mut Vec<u8>) {
        let stream = |weight: &Weight| table[*weight].stream;
        let (kind, numbers): (u8, [u64; 4]) = match *self {
            Demand::Wire { count, shift, bits } => (0, [count as u64, shift.into(), bits.into(), 0]),
            Demand::Phase { count, shift, modulus_bits } => (1, [count as u64, shift.into(), modulus_bits.into(), 0]),
            Demand::Linear { weight, rows, inner, cols, gated } => {
                (if gated { 10 } else { 2 }, [stream(&weight), rows as u64, inner as u64, cols as u64])
            }
            Demand::Residual { weight, rows, cols, centred } => {
                (3, [stream(&weight), rows as u64, cols as u64, centred.into()])
            }
            Demand::Matmul { m, k, n, transposed } => (4 + u8::from(transposed), [m as u64, k as u64, n as u64, 0]),
            Demand::Square { count } => (6, [count as u64, 0, 0, 0]),
            Demand::SquareSum { rows, cols } => (7, [rows as u64, cols as u64, 0, 0]),
            Demand::ScaleRows { rows, cols } => (8, [rows as u64, cols as u64, 0, 0]),
            Demand::Series { count, harmonics, gated } => {
                (if gated { 11 } else { 9 }, [count as u64, harmonics as u64, 0, 0])
            }
            Demand::Compare { count, chunks } => (12, [count as u64, chunks.cut.into(), packed(&chunks), 0]),
            Demand::Join { count, chunks } => (13, [count as u64, chunks.cut.into(), packed(&chunks), 0]),
            Demand::Signs { count, depth } => (14, [count as u64, depth as u64, 0, 0]),
            Demand::Flip { count, depth } => (15, [count as u64, depth as u64, 0, 0]),
        };
        to.push(kind);
        numbers.iter().for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
    }
}

/// The widths of chunks as one number, a byte each; none is zero.
fn packed(chunks: &Chunks) -> u64 {
    chunks.widths().iter().fold(0, |all, width| all << 8 | u64::from(*width))
}

#[cfg(test)]
mod tests {
    use model::{Compared, Operation, Pace, Parameter, Read};

    use super::*;

    /// A table with two weights, whose streams are 0 and 256.
    fn table() -> (Table, [Weight; 2]) {
        let mut table = Table::default();
        let input = table.site("input", Operation::Others);
        let weights = [0, 256].map(|stream| {
            let name = format!("weight {stream}");
            table.parameter(Parameter { name, rows: 1, cols: 1, bias: false, read: Read::Product, input, stream })
        });
        (table, weights)
    }

    /// Two demands that differ in one integer, in one flag or in the weight have two encodings, and so have two kinds.
    #[test]
    fn every_part_of_a_demand_is_encoded() {
        let (table, [weight, other]) = table();
        let chunks = |bits, cut| Compared { bits, cut, pace: Pace::Fast }.chunks();
        let demands = [
            Demand::Wire { count: 1, shift: 2, bits: 3 },
            Demand::Wire { count: 9, shift: 2, bits: 3 },
            Demand::Wire { count: 1, shift: 9, bits: 3 },
            Demand::Wire { count: 1, shift: 2, bits: 9 },
            Demand::Phase { count: 1, shift: 2, modulus_bits: 3 },
            Demand::Phase { count: 9, shift: 2, modulus_bits: 3 },
            Demand::Phase { count: 1, shift: 9, modulus_bits: 3 },
            Demand::Phase { count: 1, shift: 2, modulus_bits: 9 },
            Demand::Linear { weight, rows: 1, inner: 2, cols: 3, gated: false },
            Demand::Linear { weight, rows: 1, inner: 2, cols: 3, gated: true },
            Demand::Linear { weight: other, rows: 1, inner: 2, cols: 3, gated: false },
            Demand::Linear { weight, rows: 9, inner: 2, cols: 3, gated: false },
            Demand::Linear { weight, rows: 1, inner: 9, cols: 3, gated: false },
            Demand::Linear { weight, rows: 1, inner: 2, cols: 9, gated: false },
            Demand::Residual { weight, rows: 1, cols: 2, centred: false },
            Demand::Residual { weight: other, rows: 1, cols: 2, centred: false },
            Demand::Residual { weight, rows: 9, cols: 2, centred: false },
            Demand::Residual { weight, rows: 1, cols: 9, centred: false },
            Demand::Residual { weight, rows: 1, cols: 2, centred: true },
            Demand::Matmul { m: 1, k: 2, n: 3, transposed: false },
            Demand::Matmul { m: 9, k: 2, n: 3, transposed: false },
            Demand::Matmul { m: 1, k: 9, n: 3, transposed: false },
            Demand::Matmul { m: 1, k: 2, n: 9, transposed: false },
            Demand::Matmul { m: 1, k: 2, n: 3, transposed: true },
            Demand::Square { count: 1 },
            Demand::Square { count: 9 },
            Demand::SquareSum { rows: 1, cols: 2 },
            Demand::SquareSum { rows: 9, cols: 2 },
            Demand::SquareSum { rows: 1, cols: 9 },
            Demand::ScaleRows { rows: 1, cols: 2 },
            Demand::ScaleRows { rows: 9, cols: 2 },
            Demand::ScaleRows { rows: 1, cols: 9 },
            Demand::Series { count: 1, harmonics: 2, gated: false },
            Demand::Series { count: 1, harmonics: 2, gated: true },
            Demand::Series { count: 9, harmonics: 2, gated: false },
            Demand::Series { count: 1, harmonics: 9, gated: false },
            Demand::Compare { count: 1, chunks: chunks(20, 0) },
            Demand::Compare { count: 9, chunks: chunks(20, 0) },
            Demand::Compare { count: 1, chunks: chunks(21, 0) },
            Demand::Compare { count: 1, chunks: chunks(21, 1) },
            Demand::Join { count: 1, chunks: chunks(20, 0) },
            Demand::Join { count: 9, chunks: chunks(20, 0) },
            Demand::Join { count: 1, chunks: chunks(21, 0) },
            Demand::Signs { count: 1, depth: 3 },
            Demand::Signs { count: 9, depth: 3 },
            Demand::Signs { count: 1, depth: 2 },
            Demand::Flip { count: 1, depth: 3 },
            Demand::Flip { count: 9, depth: 3 },
            Demand::Flip { count: 1, depth: 2 },
        ];
        let encoded = |demand: &Demand| {
            let mut bytes = Vec::new();
            demand.encode(&table, &mut bytes);
            bytes
        };
        let different: std::collections::BTreeSet<_> = demands.iter().map(encoded).collect();
        assert_eq!(different.len(), demands.len());
        assert!(different.iter().all(|bytes| bytes.len() == 33));
    }
}
