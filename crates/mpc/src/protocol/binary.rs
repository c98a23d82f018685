//! Words that are shared by exclusive or: what of binary arithmetic needs no message. Conjunction and the way back to shares
//! by addition do: [`Ring::and`] and [`Ring::bit`].

use super::ring::Ring;
use crate::party::Party;

/// Arithmetic to binary: a party's share of a sum, as a word of its own that the other party shares by a zero.
pub(crate) fn word_of<R: Ring>(ring: &mut R, party: Party, x: &R::Share) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x], count, |own, x| if own == party { x[0].to_vec() } else { vec![0; x[0].len()] })
}

/// `x ^ y`.
pub(crate) fn xor<R: Ring>(ring: &mut R, x: &R::Share, y: &R::Share) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x, y], count, |_, words| words[0].iter().zip(words[1]).map(|(x, y)| x ^ y).collect())
}

/// `x << by`.
pub(crate) fn shift_left<R: Ring>(ring: &mut R, x: &R::Share, by: u32) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x], count, |_, x| x[0].iter().map(|x| x << by).collect())
}

/// One bit of each word, as the lowest.
pub(crate) fn bit_at<R: Ring>(ring: &mut R, x: &R::Share, at: u32) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x], count, |_, x| x[0].iter().map(|x| x >> at & 1).collect())
}
