//! The two passes of an opening: mask, cut and pack on the way out; unpack, add and lift on the way in.
//!
//! Eight words of K bits are K bytes, so pieces of a multiple of eight words begin at a byte: threads share them, and a
//! kernel takes eight words at a time.

use rayon::prelude::*;

use crate::pack::{check_bits, check_form, pack_into};
use crate::{Kernel, PackError, low_bits, packed_len, unpack_add};

/// Words that go through a buffer on the stack, which the first-level cache holds.
const STACK_WORDS: usize = 512;
/// Openings of more words than this run on all threads, in pieces of this size: a multiple of eight.
const PIECE_WORDS: usize = 1 << 14;

impl Kernel {
    /// `words[i] = bits drop .. drop + bits of words[i] + share[i] + offset`, appended to `out` as [`crate::pack`] does.
    ///
    /// # Panics
    /// When the lengths differ, and on the bits that [`crate::pack`] refuses.
    pub fn open_send(self, share: &[u64], offset: u64, drop: u32, bits: u32, words: &mut [u64], out: &mut Vec<u8>) {
        assert_eq!(share.len(), words.len(), "open_send: lengths of share and mask");
        check_bits(bits);
        assert!(drop + bits <= 64, "open_send: bits {drop}..{} of a word of 64", drop + bits);
        let len = packed_len(words.len(), bits);
        if parallel(words.len()) {
            let start = out.len();
            out.resize(start + len, 0);
            return (share.par_chunks(PIECE_WORDS), words.par_chunks_mut(PIECE_WORDS))
                .into_par_iter()
                .zip(out[start..].par_chunks_mut(packed_len(PIECE_WORDS, bits)))
                .for_each(|((share, words), out)| self.send_piece(share, offset, (drop, bits), words, out));
        }
        // By way of the stack, so that `out` is written once and not cleared before.
        out.reserve(len);
        let mut buffer = [0; 8 * STACK_WORDS];
        for (share, words) in share.chunks(STACK_WORDS).zip(words.chunks_mut(STACK_WORDS)) {
            let buffer = &mut buffer[..packed_len(words.len(), bits)];
            self.send_piece(share, offset, (drop, bits), words, buffer);
            out.extend_from_slice(buffer);
        }
    }

    /// `words[i] = words[i] + theirs[i] mod 2^bits`, with `theirs` unpacked from `bytes`. With a signed range of l bits
    /// to lift to, half the range is subtracted; the answer is whether all sums were at least `2^l`, which a sum that
    /// wrapped is not.
    ///
    /// # Errors
    /// As [`crate::unpack`]; `words` are then untouched.
    ///
    /// # Panics
    /// On the bits that [`crate::unpack`] refuses, and when `lift` is not within `1..bits`.
    pub fn open_receive(
        self,
        bytes: &[u8],
        bits: u32,
        lift: Option<u32>,
        words: &mut [u64],
    ) -> Result<bool, PackError> {
        check_form(bytes, bits, words.len())?;
        if let Some(range) = lift {
            assert!((1..bits).contains(&range), "lifting {bits} bits to a range of {range}");
        }
        if !parallel(words.len()) {
            return Ok(self.receive_piece(bytes, bits, lift, words));
        }
        let pieces = bytes.par_chunks(packed_len(PIECE_WORDS, bits)).zip(words.par_chunks_mut(PIECE_WORDS));
        let within = pieces.map(|(bytes, words)| self.receive_piece(bytes, bits, lift, words));
        // All pieces are to be lifted, whatever the others say.
        Ok(within.reduce(|| true, |a, b| a & b))
    }
}

fn parallel(words: usize) -> bool {
    words > PIECE_WORDS && rayon::current_num_threads() > 1
}

/// Into `out`, which has the length of the packed words.
pub(crate) fn send_piece(share: &[u64], offset: u64, (drop, bits): (u32, u32), words: &mut [u64], out: &mut [u8]) {
    let mask = low_bits(bits);
    for (w, z) in words.iter_mut().zip(share) {
        *w = w.wrapping_add(*z).wrapping_add(offset) >> drop & mask;
    }
    pack_into(words, 0, bits, out);
}

/// From bytes whose form was checked.
pub(crate) fn receive_piece(bytes: &[u8], bits: u32, lift: Option<u32>, words: &mut [u64]) -> bool {
    unpack_add(bytes, bits, words).expect("the form was checked");
    let mask = low_bits(bits);
    // Without a range nothing is subtracted and every word is large enough.
    let (least, half) = lift.map_or((0, 0), |range| (1 << range, 1 << (range - 1)));
    let mut lowest = u64::MAX;
    for w in words {
        *w &= mask;
        lowest = lowest.min(*w);
        *w = w.wrapping_sub(half);
    }
    lowest >= least
}
