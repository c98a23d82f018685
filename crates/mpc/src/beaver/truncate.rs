//! Truncation: a share of `z` becomes one of `z / 2^drop`, off by less than one unit.
//!
//! *Local*, as published (SecureML, section 4.1): P0 shifts its word, P1 the negative of its word. Where `z0 + z1` wraps otherwise than
//! `z` says, which happens with a probability of about `|z| 2^-63`, the result is off by `2^(64 - drop)`: garbage, unnoticed.
//!
//! *Dealt*: the parties open `c = z + 2^62 + r` for a uniform `r`, of which `r >> drop` and the top bit are shared. With
//! `|z| < 2^62` the sum wraps if and only if the top bit of r is set and that of c is not, so
//! `z >> drop = (c >> drop) - (r >> drop) + top(r) (1 - top(c)) 2^(64 - drop) - 2^(62 - drop)`, plus the carry of the low bits:
//! rounding is random with mean zero error beyond floor's half unit. c is uniform whatever z is.

use crate::weights::Party;

/// Values that the dealt truncation takes are below this in magnitude.
pub(super) const OFFSET: u64 = 1 << 62;

/// Each party's own shift.
pub(super) fn shift(party: Party, words: &[u64], drop: u32) -> Vec<u64> {
    let shifted = |w: u64| ((w as i64) >> drop) as u64;
    match party {
        Party::Zero => words.iter().map(|w| shifted(*w)).collect(),
        Party::One => words.iter().map(|w| shifted(w.wrapping_neg()).wrapping_neg()).collect(),
    }
}

/// `r >> drop`, list by list.
pub(super) fn high_part(r: &[u64], parts: &[(usize, u32)]) -> Vec<u64> {
    let drops = parts.iter().flat_map(|(count, drop)| std::iter::repeat_n(*drop, *count));
    r.iter().zip(drops).map(|(r, drop)| r >> drop).collect()
}

/// The top bit of each word.
pub(super) fn top_bit(r: &[u64]) -> Vec<u64> {
    r.iter().map(|r| r >> 63).collect()
}

/// This party's share of the result, from the opened words and its shares of [`high_part`] and [`top_bit`].
pub(super) fn finish(party: Party, opened: &[u64], high: &[u64], top: &[u64], parts: &[(usize, u32)]) -> Vec<u64> {
    let drops = parts.iter().flat_map(|(count, drop)| std::iter::repeat_n(*drop, *count));
    let mut result = Vec::with_capacity(opened.len());
    for (((c, high), top), drop) in opened.iter().zip(high).zip(top).zip(drops) {
        // a shift by 64 is one by nothing: no bit wraps where none is dropped
        let wrap = 1u64.checked_shl(64 - drop).unwrap_or(0).wrapping_mul(1 - (c >> 63)).wrapping_mul(*top);
        let public = match party {
            Party::Zero => (c >> drop).wrapping_sub(OFFSET >> drop),
            Party::One => 0,
        };
        result.push(public.wrapping_sub(*high).wrapping_add(wrap));
    }
    result
}
