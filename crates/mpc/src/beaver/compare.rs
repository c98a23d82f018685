//! Comparison: arithmetic to binary, a carry tree, binary to arithmetic.
//!
//! `x = x0 + x1`: each party's word is a number that it knows, shared by exclusive or with a zero of the other party. Their sum's
//! top bit is the exclusive or of both top bits and the carry into them, which a Kogge-Stone tree over words of 64 bits finds in
//! six levels of two conjunctions after a first one (CrypTen's circuit). The last level's second conjunction is read by nobody;
//! it is computed because the published count, 432 bytes a comparison, contains it.
//!
//! Eight rounds: 1 + 6 conjunctions, 1 to share the bit by addition. Opened words: `2 + 6 * 4 + 1` of 16 bytes both ways make 432;
//! the last one is a single bit on our wire.

use super::ring::Ring;
use crate::weights::Party;

/// Shares of 1 where `x < 0` and of 0 elsewhere, without fractional bits.
pub(super) fn negative<R: Ring>(ring: &mut R, x: &R::Share, count: usize) -> Result<R::Share, R::Error> {
    let of =
        |party: Party| move |own: Party, x: &[&[u64]]| if own == party { x[0].to_vec() } else { vec![0; x[0].len()] };
    let zero = ring.local(&[x], count, of(Party::Zero));
    let one = ring.local(&[x], count, of(Party::One));
    // generate: both bits set; propagate: one of them, whose share is each party's own word
    let mut generate = ring.and(&zero, &one)?;
    let mut propagate = ring.local(&[x], count, |_, x| x[0].to_vec());
    for level in 0..6 {
        let by = 1u32 << level;
        let left = ring.local(&[&propagate], 2 * count, |_, p| [p[0], p[0]].concat());
        let right = ring.local(&[&generate, &propagate], 2 * count, |_, words| {
            words[0].iter().chain(words[1]).map(|w| w << by).collect()
        });
        let both = ring.and(&left, &right)?;
        generate = ring.local(&[&generate, &both], count, |_, words| {
            words[0].iter().zip(words[1]).map(|(g, more)| g ^ more).collect()
        });
        propagate = ring.local(&[&both], count, |_, both| both[0][both[0].len() / 2..].to_vec());
    }
    // the carry out of bit 62 is the one into the top
    let sign = ring.local(&[x, &generate], count, |_, words| {
        words[0].iter().zip(words[1]).map(|(own, carry)| (own >> 63) ^ (carry >> 62 & 1)).collect()
    });
    ring.bit(&sign)
}
