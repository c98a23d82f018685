//! How a sign follows from bits that are open under masks.
//!
//! A bit `B` that is open as `p = B + m` (mod 2) is known up to `m`. From the lowest chunk up, `B' = G + E B`; with `P` what the opened bits alone
//! say of `B` and `M` what the masks change of it, `P' = p_G + p_E P` and `M' = m_G + p_E M + e P + e M`, with `e` the mask of `E`. The top is the same with
//! `A` and `X`. So `M` is a sum of terms, each a public bit times a dealt one. As a sign, `(-1)^M'` is `(-1)^{m_G}` times: where `p_E` is 0, 1 if
//! `e` is 0 and `(-1)^{P + M}` if it is 1; where `p_E` is 1, `(-1)^M` if `e` is 0 and `(-1)^P` if it is 1. That is linear in `2 n + 2` dealt
//! words where `(-1)^M` is in `n`.

/// Most words of a sign, which are those of [`model::MOST_CHUNKS`].
const MOST: usize = 94;

/// Public or dealt factors of the words of one sign, of which so many are used.
pub(super) struct Words {
    words: [u64; MOST],
    count: usize,
}

impl Default for Words {
    fn default() -> Words {
        Words { words: [0; MOST], count: 0 }
    }
}

impl Words {
    /// Begins with one word.
    fn begin(&mut self, word: u64) {
        (self.words[0], self.count) = (word, 1);
    }

    pub(super) fn as_slice(&self) -> &[u64] {
        &self.words[..self.count]
    }

    /// The sum of an element's dealt words times these.
    pub(super) fn sum(&self, dealt: &[u64], element: usize) -> u64 {
        let dealt = &dealt[element * self.count..(element + 1) * self.count];
        let products = dealt.iter().zip(self.as_slice()).map(|(word, factor)| word.wrapping_mul(*factor));
        products.fold(0, u64::wrapping_add)
    }

    /// The words of a sign that is made of these in so many more chunks: what is alone, what stands with one, what with the other, what is alone.
    fn step(&mut self, ends: [u64; 2], with: [u64; 2]) {
        let n = self.count;
        self.words.copy_within(..n, 1 + n);
        self.words.copy_within(..n, 1);
        self.words[1..=n].iter_mut().for_each(|word| *word = word.wrapping_mul(with[0]));
        self.words[n + 1..=2 * n].iter_mut().for_each(|word| *word = word.wrapping_mul(with[1]));
        (self.words[0], self.words[2 * n + 1]) = (ends[0], ends[1]);
        self.count = 2 * n + 2;
    }
}

/// `(-1)^bit`.
fn sign(bit: u64) -> u64 {
    1u64.wrapping_sub(bit << 1)
}

/// Bits of chunk `level` from the top, whether it borrows and whether it passes a borrow on; `others` are as in
/// [`model::SignBits`].
fn pair(first: u64, others: &impl Fn(usize) -> u64, level: usize) -> (u64, u64) {
    if level == 0 { (first, others(0)) } else { (others(2 * level - 1), others(2 * level)) }
}

/// What the dealer deals of a sign whose bits have these masks.
pub(super) fn dealt(words: &mut Words, depth: usize, first: u64, others: impl Fn(usize) -> u64) {
    if depth == 1 {
        return words.begin(sign(first));
    }
    words.begin(sign(others(2 * depth - 3)));
    for level in (0..depth - 1).rev() {
        let (borrows, passes) = pair(first, &others, level);
        let (equal, other) = (sign(borrows).wrapping_mul(1 - passes), sign(borrows).wrapping_mul(passes));
        words.step([equal, other], [other, equal]);
    }
}

/// What each dealt word is multiplied with where the opened bits are these.
pub(super) fn public(words: &mut Words, depth: usize, first: u64, others: impl Fn(usize) -> u64) {
    if depth == 1 {
        return words.begin(sign(first));
    }
    words.begin(1);
    let mut known = others(2 * depth - 3);
    for level in (0..depth - 1).rev() {
        let (borrows, passes) = pair(first, &others, level);
        let turned = sign(known);
        words.step([1 - passes, passes.wrapping_mul(turned)], [(1 - passes).wrapping_mul(turned), passes]);
        known = borrows ^ passes & known;
    }
    let sign = sign(known);
    words.words[..words.count].iter_mut().for_each(|word| *word = word.wrapping_mul(sign));
}

/// What the dealer deals of a sign's bit, of which all bits but the first are open under these masks.
pub(super) fn dealt_bits(depth: usize, others: impl Fn(usize) -> u64) -> u64 {
    let (mut bits, mut count) = (others(2 * depth - 3), 1);
    for level in (0..depth - 1).rev() {
        let (borrows, passes) = pair(0, &others, level);
        let passed = passes.wrapping_neg() & bits;
        bits = passed ^ borrows | bits << count | passes << (2 * count);
        count = 2 * count + 1;
    }
    bits
}

/// Which of the dealt bits are added where the opened ones are these, and the bit that is added beside them.
pub(super) fn public_bits(depth: usize, others: impl Fn(usize) -> u64) -> (u64, u64) {
    let (mut bits, mut count, mut known) = (1, 1, others(2 * depth - 3));
    for level in (0..depth - 1).rev() {
        let (borrows, passes) = pair(0, &others, level);
        bits = bits | (passes.wrapping_neg() & bits) << count | known << (2 * count);
        known = borrows ^ passes & known;
        count = 2 * count + 1;
    }
    (bits, known)
}

#[cfg(test)]
mod tests {
    use model::{MOST_CHUNKS, sign_words};

    use super::*;

    /// `first + X (G + E (G + ..))`.
    fn negative(depth: usize, first: u64, others: u64) -> u64 {
        let bit = |at: usize| others >> at & 1;
        let (mut borrow, mut level) = (bit(2 * depth - 3), depth - 2);
        while level > 0 {
            borrow = bit(2 * level - 1) ^ bit(2 * level) & borrow;
            level -= 1;
        }
        first ^ bit(0) & borrow
    }

    #[test]
    fn signs_follow_from_bits_under_all_masks() {
        for depth in 2..=4 {
            let all = 1u64 << (2 * depth - 2);
            for masks in 0..all {
                for opened in 0..all {
                    let (bits, mask) = (negative(depth, 0, opened ^ masks), |at: usize| masks >> at & 1);
                    let open = |at: usize| opened >> at & 1;
                    for first in 0..4 {
                        let (mut words, mut factors) = (Words::default(), Words::default());
                        dealt(&mut words, depth, first & 1, mask);
                        public(&mut factors, depth, first >> 1, open);
                        assert_eq!(words.as_slice().len(), sign_words(depth));
                        let sum = factors.sum(words.as_slice(), 0);
                        assert_eq!(sum, sign(bits ^ (first & 1) ^ (first >> 1)), "{depth}: {masks:b} {opened:b}");
                    }
                    let (dealt, (public, known)) = (dealt_bits(depth, mask), public_bits(depth, open));
                    assert!((dealt | public) >> ((1 << depth) - 1) == 0);
                    assert_eq!(u64::from((dealt & public).count_ones() & 1) ^ known, bits);
                }
            }
        }
        assert_eq!(sign_words(MOST_CHUNKS), MOST);
    }
}
