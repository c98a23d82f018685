//! Comparison: arithmetic to binary, a carry tree, binary to arithmetic.
//!
//! `x = x0 + x1`: each party's word is a number that it knows, shared by exclusive or with a zero of the other party. Their sum's
//! top bit is the exclusive or of both top bits and the carry into them, which a Kogge-Stone tree over words of 64 bits finds in
//! six levels of two conjunctions after a first one (CrypTen's circuit). The last level's second conjunction is read by nobody;
//! it is computed because the published count, 432 bytes a comparison, contains it.
//!
//! Eight rounds: 1 + 6 conjunctions, 1 to share the bit by addition. Opened words: `2 + 6 * 4 + 1` of 16 bytes both ways make 432;
//! the last one is a single bit on our wire.

use super::binary::{bit_at, shift_left, word_of, xor};
use super::layout::{concat, copy, slice};
use super::ring::Ring;
use crate::party::Party;

/// Shares of 1 where `x < 0` and of 0 elsewhere, without fractional bits.
pub(crate) fn negative<R: Ring>(ring: &mut R, x: &R::Share) -> Result<R::Share, R::Error> {
    let count = ring.count(x);
    let (zero, one) = (word_of(ring, Party::Zero, x), word_of(ring, Party::One, x));
    // generate: both bits set; propagate: one of them, whose share is each party's own word
    let mut generate = ring.and(&zero, &one)?;
    let mut propagate = copy(ring, x);
    for level in 0..6 {
        let left = concat(ring, &[&propagate, &propagate]);
        let right = concat(ring, &[&generate, &propagate]);
        let right = shift_left(ring, &right, 1 << level);
        let both = ring.and(&left, &right)?;
        let more = slice(ring, &both, 0..count);
        generate = xor(ring, &generate, &more);
        propagate = slice(ring, &both, count..2 * count);
    }
    // the carry out of bit 62 is the one into the top
    let (own, carry) = (bit_at(ring, x, 63), bit_at(ring, &generate, 62));
    let sign = xor(ring, &own, &carry);
    ring.bit(&sign)
}

#[cfg(test)]
mod tests {
    use super::super::world::{Protocol, fixed, published, run, run_shared};
    use super::*;

    struct Negative;

    impl Protocol for Negative {
        fn run<R: Ring>(&self, ring: &mut R, inputs: &[R::Share]) -> Result<Vec<R::Share>, R::Error> {
            Ok(vec![negative(ring, &inputs[0])?])
        }
    }

    #[test]
    fn a_comparison_is_right_on_both_sides_of_zero_and_at_the_ends_of_the_ring() {
        let mut words: Vec<u64> = vec![0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, (1 << 63) + 1, 1 << 62, 3 << 62];
        words.extend(fixed(&[1.7, -1.7, 10.0, -10.0, 1e-5, -1e-5, 32767.0, -32768.0]));
        words.extend(ring64::Prg::new(&super::super::world::key(5), 1).words(500));
        let expected: Vec<u64> = words.iter().map(|w| u64::from((*w as i64) < 0)).collect();
        for seed in 0..20 {
            assert_eq!(run(&Negative, std::slice::from_ref(&words), seed).outputs[0], expected);
        }
    }

    #[test]
    fn every_carry_chain_is_followed_to_its_end() {
        // shares whose sum carries from bit i to bit j
        let (mut zero, mut one, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        for from in 0..64 {
            for to in from..64 {
                let run = (u64::MAX >> (63 - (to - from))) << from;
                zero.push(run);
                one.push(1u64 << from);
                expected.push(u64::from((run.wrapping_add(1 << from) as i64) < 0));
            }
        }
        assert_eq!(run_shared(&Negative, &[[zero, one]], 3).outputs, [expected]);
    }

    #[test]
    fn a_comparison_takes_eight_rounds_and_the_published_432_bytes() {
        let seen = run(&Negative, &[fixed(&[1.0; 8])], 1);
        assert_eq!((seen.demands.len(), published(&seen.demands)), (8, 8 * 432));
        // on our wire the last word is one bit
        assert_eq!(seen.opened.sent().iter().map(|f| f.payload.len()).sum::<usize>(), 8 * 208 + 1);
    }
}
