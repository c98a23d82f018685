//! Group arithmetic on words that are shared by addition modulo 2^64: linear, hence each party's own and exact. A public word
//! is added by P0 alone. Only [`select`] sends: one product, one round of 32 bytes an element both ways.

use super::ring::Ring;
use crate::party::Party;

/// The public word that this party adds: all of it at P0, nothing at P1.
fn public_at(party: Party, a: u64) -> u64 {
    if party == Party::Zero { a } else { 0 }
}

/// `x + y`.
pub(crate) fn add<R: Ring>(ring: &mut R, x: &R::Share, y: &R::Share) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x, y], count, |_, words| words[0].iter().zip(words[1]).map(|(x, y)| x.wrapping_add(*y)).collect())
}

/// `x - y`.
pub(crate) fn sub<R: Ring>(ring: &mut R, x: &R::Share, y: &R::Share) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x, y], count, |_, words| words[0].iter().zip(words[1]).map(|(x, y)| x.wrapping_sub(*y)).collect())
}

/// `x + a` for a public word.
pub(crate) fn add_public<R: Ring>(ring: &mut R, x: &R::Share, a: u64) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x], count, |party, x| {
        let a = public_at(party, a);
        x[0].iter().map(|x| x.wrapping_add(a)).collect()
    })
}

/// `x - a` for a public word.
pub(crate) fn sub_public<R: Ring>(ring: &mut R, x: &R::Share, a: u64) -> R::Share {
    add_public(ring, x, a.wrapping_neg())
}

/// `a - x` for a public word.
pub(crate) fn public_minus<R: Ring>(ring: &mut R, a: u64, x: &R::Share) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x], count, |party, x| {
        let a = public_at(party, a);
        x[0].iter().map(|x| a.wrapping_sub(*x)).collect()
    })
}

/// `b x` for a public word.
pub(crate) fn scale_public<R: Ring>(ring: &mut R, b: u64, x: &R::Share) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x], count, |_, x| x[0].iter().map(|x| x.wrapping_mul(b)).collect())
}

/// `a + b x` for public words, in one pass.
pub(crate) fn affine_public<R: Ring>(ring: &mut R, a: u64, b: u64, x: &R::Share) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x], count, |party, x| {
        let a = public_at(party, a);
        x[0].iter().map(|x| x.wrapping_mul(b).wrapping_add(a)).collect()
    })
}

/// `2^i x + 2^j row` for each row of x: the sum of two scales. A row as long as x is added once.
pub(crate) fn add_shifted<R: Ring>(ring: &mut R, (x, i): (&R::Share, u32), (row, j): (&R::Share, u32)) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x, row], count, |_, words| {
        let sum = |(x, y): (&u64, &u64)| (x << i).wrapping_add(y << j);
        let cols = words[1].len().max(1);
        words[0].chunks(cols).flat_map(|row| row.iter().zip(words[1]).map(sum)).collect()
    })
}

/// Each row of so many columns, less its number.
pub(crate) fn sub_from_rows<R: Ring>(ring: &mut R, x: &R::Share, numbers: &R::Share, cols: usize) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x, numbers], count, |_, words| {
        let rows = words[0].chunks(cols).zip(words[1]);
        rows.flat_map(|(row, number)| row.iter().map(|x| x.wrapping_sub(*number))).collect()
    })
}

/// The sum of each row, of so many rows and columns.
pub(crate) fn row_sums<R: Ring>(ring: &mut R, x: &R::Share, rows: usize, cols: usize) -> R::Share {
    let sum = |row: &[u64]| row.iter().fold(0u64, |sum, x| sum.wrapping_add(*x));
    ring.local(&[x], rows, |_, x| x[0].chunks(cols).map(sum).collect())
}

/// `one` where the bit, shared without fractional bits, is 1, and `zero` where it is 0: `zero + bit (one - zero)`.
pub(crate) fn select<R: Ring>(
    ring: &mut R,
    bit: &R::Share,
    one: &R::Share,
    zero: &R::Share,
) -> Result<R::Share, R::Error> {
    let gain = sub(ring, one, zero);
    let gained = ring.multiply(bit, &gain)?;
    Ok(add(ring, zero, &gained))
}
