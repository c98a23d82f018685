//! How a comparison is made on masked wires: on which bits, in how many rounds, cut into which chunks.

use serde::{Deserialize, Serialize};

/// Most chunks that bits are cut into.
pub const MOST_CHUNKS: usize = 6;

/// Bits that may be compared, from the lowest that is looked at.
const BITS: std::ops::RangeInclusive<u32> = 2..=32;

/// Whether rounds or dealt bytes are spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// One round once the value is open.
    Fast,
    /// Two rounds, and a fifth of the dealt bytes.
    Lean,
}

/// How a value is compared with zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Signed range in bits of what is compared: a value beyond it is compared modulo `2^bits`, which nothing shows. A wire's own
    /// range for a wire, a bit more for the difference of two.
    pub bits: u32,
    /// Lowest bits that are not looked at: values from `-2^cut` to -1 may pass for positive, and the `2^cut` largest of the range for
    /// negative, so that the range needs room for them.
    pub cut: u32,
    /// In how many rounds.
    pub pace: Pace,
}

/// Twice the range of the widest values that are opened as a rule.
impl Default for Compared {
    fn default() -> Compared {
        Compared { bits: 24, cut: 0, pace: Pace::Fast }
    }
}

impl Compared {
    /// On all bits of a range that holds `largest` at so many fractional bits `head_room` times over: what an observer of the
    /// network in floating point saw is not the largest that will ever be.
    pub fn calibrated(largest: f32, frac: i32, head_room: f64, pace: Pace) -> Compared {
        let units = f64::from(largest).abs().max(f64::MIN_POSITIVE) * head_room * f64::powi(2.0, frac);
        let bits = units.log2().floor() as i32 + 2;
        Compared { bits: bits.clamp(*BITS.start() as i32, 64) as u32, cut: 0, pace }
    }

    /// Whether it can be made.
    pub fn is_possible(self) -> bool {
        self.cut < 64 && self.bits <= 63 && self.bits.checked_sub(self.cut).is_some_and(|bits| BITS.contains(&bits))
    }

    /// The chunks for which the fewest bytes are dealt for a sign and its product with one value.
    ///
    /// # Panics
    ///
    /// Where it cannot be made.
    pub fn chunks(self) -> Chunks {
        assert!(self.is_possible(), "{self:?}");
        let dealt = |chunks: &Chunks| {
            let (depth, joined) = match self.pace {
                Pace::Fast => (chunks.depth(), 0),
                Pace::Lean => (1, chunks.joined_bits()),
            };
            chunks.table_bits() + joined + 2 * 64 * sign_words(depth)
        };
        let all = (2..=MOST_CHUNKS.min((self.bits - self.cut) as usize)).map(|count| Chunks::of(self, count));
        all.min_by_key(dealt).unwrap_or_else(|| Chunks::of(self, 2))
    }
}

/// Words of which a sign is a sum with public coefficients, where it was opened in so many chunks; of one that was opened itself
/// it is the one of its mask.
pub fn sign_words(depth: usize) -> usize {
    (1..depth).fold(1, |words, _| 2 * words + 2)
}

/// The bits of a value in contiguous chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// Lowest bits that are in none.
    pub cut: u32,
    widths: [u32; MOST_CHUNKS],
    count: usize,
}

impl Chunks {
    /// So many chunks with the smallest tables: bit by bit the smallest grows.
    fn of(Compared { bits, cut, .. }: Compared, count: usize) -> Chunks {
        let mut chunks = Chunks { cut, widths: [1; MOST_CHUNKS], count };
        for _ in count as u32..bits - cut {
            let smallest = (0..count).min_by_key(|at| chunks.bits_of(*at)).unwrap_or(0);
            chunks.widths[smallest] += 1;
        }
        chunks
    }

    /// Widths in bits from the top, whose first bit is the sign, down.
    pub fn widths(&self) -> &[u32] {
        &self.widths[..self.count]
    }

    /// How many.
    pub fn depth(&self) -> usize {
        self.count
    }

    /// Entries of the tables of one chunk: two tables, whose halves are each other's complement at the top; one at the bottom.
    fn bits_of(&self, at: usize) -> usize {
        let entries = 1 << self.widths[at];
        if at == 0 || at + 1 == self.count { entries } else { 2 * entries }
    }

    /// Entries of all tables of one value, a bit each.
    pub fn table_bits(&self) -> usize {
        (0..self.count).map(|at| self.bits_of(at)).sum()
    }

    /// Bits that are read of the tables and opened beside the first one, which is the sign where nothing is borrowed.
    pub fn others(&self) -> usize {
        2 * (self.count - 1)
    }

    /// Dealt bits from which the sign follows when the others are open.
    pub fn joined_bits(&self) -> usize {
        (1 << self.count) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_those_with_the_fewest_dealt_bytes() {
        let widths = |bits, pace| Compared { bits, cut: 0, pace }.chunks().widths().to_vec();
        assert_eq!(widths(17, Pace::Fast), [9, 8]);
        assert_eq!(widths(20, Pace::Fast), [7, 6, 7]);
        assert_eq!(widths(24, Pace::Fast), [9, 7, 8]);
        assert_eq!(widths(20, Pace::Lean), [5, 4, 4, 3, 4]);
        for bits in 2..=32 {
            for pace in [Pace::Fast, Pace::Lean] {
                for cut in [0, 5] {
                    let chunks = Compared { bits: bits + cut, cut, pace }.chunks();
                    assert_eq!(chunks.widths().iter().sum::<u32>(), bits);
                }
            }
        }
    }

    #[test]
    fn a_calibrated_range_holds_what_was_seen_with_head_room() {
        for (largest, head_room) in [(1.0, 1.0), (15.9, 2.0), (16.0, 4.0), (0.3, 1.5), (340.0, 2.0)] {
            let bits = Compared::calibrated(largest, 12, head_room, Pace::Lean).bits;
            let units = f64::from(largest) * head_room * 4096.0;
            assert!(units < f64::powi(2.0, bits as i32 - 1) && units >= f64::powi(2.0, bits as i32 - 2), "{bits}");
        }
    }

    #[test]
    fn what_leaves_no_bits_or_too_many_is_not_possible() {
        let possible = |bits, cut| Compared { bits, cut, pace: Pace::Fast }.is_possible();
        assert!(possible(2, 0) && possible(32, 0) && possible(63, 40));
        assert!(!possible(1, 0) && !possible(33, 0) && !possible(20, 19) && !possible(20, 30) && !possible(64, 40));
    }
}
