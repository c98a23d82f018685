//! The tables of a comparison, a bit an entry.
//!
//! With chunks `v` of the public word and `w` of its mask, `v - w` at the top says whether the value is negative, unless a borrow
//! from below changes it. At a place `u`: `A[u]` where `u - w` is in the upper half, `X[u]` where a borrow changes that (`u` is `w`, or half a
//! turn from it). A half of the places is enough: half a turn further `A` is the complement and `X` the same. Of a chunk
//! below, `G[u]` where `w > u`, so that it borrows; `E[u]` where `w = u`, so that it passes a borrow on; of the lowest only `G`.

use model::Chunks;

use super::bits::{bit, flip_between, words_of_bits};

/// Where each chunk's bits begin, its width, and where its tables do in those of an element.
fn layout(chunks: &Chunks) -> impl Iterator<Item = (u32, u32, usize)> {
    let (mut from, mut at) = (chunks.cut + chunks.widths().iter().sum::<u32>(), 0);
    let last = chunks.depth() - 1;
    chunks.widths().iter().enumerate().map(move |(number, width)| {
        let (begin, entries) = (at, 1 << width);
        from -= width;
        at += if number == 0 || number == last { entries } else { 2 * entries };
        (from, *width, begin)
    })
}

fn chunk(word: u64, from: u32, width: u32) -> usize {
    (word >> from & ring64::low_bits(width)) as usize
}

/// Tables of masks, one element after the other.
pub(super) fn tables(masks: &[u64], chunks: &Chunks) -> Vec<u64> {
    let (each, last) = (chunks.table_bits(), chunks.depth() - 1);
    let mut words = vec![0; words_of_bits(masks.len(), each)];
    for (element, mask) in masks.iter().enumerate() {
        for (number, (from, width, begin)) in layout(chunks).enumerate() {
            let (at, w) = (element * each + begin, chunk(*mask, from, width));
            if number == 0 {
                // from w on the upper half begins half a turn later; before it, it ends
                let half = 1 << (width - 1);
                let place = w & (half - 1);
                let (lower, upper) = if w < half { (at, at + place) } else { (at + place, at + half) };
                flip_between(&mut words, lower, upper);
                flip_between(&mut words, at + half + place, at + half + place + 1);
                continue;
            }
            flip_between(&mut words, at, at + w);
            if number < last {
                let equal = at + (1 << width) + w;
                flip_between(&mut words, equal, equal + 1);
            }
        }
    }
    words
}

/// A party's bits of each element, one a word: the first, and rows of the others. Only one party adds what follows from the public
/// word alone.
pub(super) fn read(tables: &[u64], opened: &[u64], chunks: &Chunks, adds: bool) -> (Vec<u64>, Vec<u64>) {
    let (count, each, last) = (opened.len(), chunks.table_bits(), chunks.depth() - 1);
    let (mut first, mut others) = (Vec::with_capacity(count), vec![0; count * chunks.others()]);
    for (element, word) in opened.iter().enumerate() {
        let mut row = 0;
        let mut put = |bit| {
            others[row * count + element] = bit;
            row += 1;
        };
        for (number, (from, width, begin)) in layout(chunks).enumerate() {
            let (at, u) = (element * each + begin, chunk(*word, from, width));
            if number == 0 {
                let half = 1 << (width - 1);
                let (place, turned) = (u & (half - 1), (u >= half) & adds);
                first.push(bit(tables, at + place) ^ u64::from(turned));
                put(bit(tables, at + half + place));
                continue;
            }
            put(bit(tables, at + u));
            if number < last {
                put(bit(tables, at + (1 << width) + u));
            }
        }
    }
    (first, others)
}

#[cfg(test)]
mod tests {
    use model::{Compared, Pace};

    use super::*;

    /// `A + X (G + E (G + ..))`, from the bits of an element.
    fn negative(first: u64, others: &[u64]) -> u64 {
        let (last, above) = others.split_last().unwrap();
        let borrow = above[1..].chunks(2).rev().fold(*last, |borrow, pair| pair[0] ^ pair[1] & borrow);
        first ^ others[0] & borrow
    }

    #[test]
    fn every_word_under_every_mask_is_compared_right() {
        for (bits, cut, pace) in [(6, 0, Pace::Fast), (7, 0, Pace::Lean), (8, 2, Pace::Lean), (2, 0, Pace::Fast)] {
            let chunks = Compared { bits, cut, pace }.chunks();
            let all = 1u64 << bits;
            for mask in 0..all {
                // bits above the range belong to wires and are not looked at
                let masks = vec![mask | 5 << bits; all as usize];
                let opened: Vec<u64> = (0..all).map(|x| x.wrapping_add(masks[0])).collect();
                let (first, others) = read(&tables(&masks, &chunks), &opened, &chunks, true);
                for x in 0..all as usize {
                    let row = Vec::from_iter((0..chunks.others()).map(|row| others[row * all as usize + x]));
                    let (got, expected) = (negative(first[x], &row), x as u64 >> (bits - 1));
                    // what is not looked at may borrow: values from -2^cut to -1 and the largest pass for those above them
                    let near = x as u64 >> cut == ring64::low_bits(bits - cut) >> (1 - expected);
                    assert!(got == expected || near && cut > 0, "{bits} bits, mask {mask}, value {x}");
                }
            }
        }
    }
}
