//! The two passes of an opening: mask, cut and pack on the way out; unpack, add and lift on the way in.

use crate::{Kernel, PackError, low_bits, pack, unpack_add};

impl Kernel {
    /// `words[i] = bits drop .. drop + bits of words[i] + share[i] + offset`, appended to `out` as [`crate::pack`] does.
    ///
    /// # Panics
    /// When the lengths differ, and on the bits that [`crate::pack`] refuses.
    pub fn open_send(self, share: &[u64], offset: u64, drop: u32, bits: u32, words: &mut [u64], out: &mut Vec<u8>) {
        assert_eq!(share.len(), words.len(), "open_send: lengths of share and mask");
        for (w, z) in words.iter_mut().zip(share) {
            *w = w.wrapping_add(*z).wrapping_add(offset);
        }
        pack(words, drop, bits, out);
        words.iter_mut().for_each(|w| *w = *w >> drop & low_bits(bits));
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
        unpack_add(bytes, bits, words)?;
        words.iter_mut().for_each(|w| *w &= low_bits(bits));
        let Some(range) = lift else { return Ok(true) };
        assert!((1..bits).contains(&range), "lifting {bits} bits to a range of {range}");
        let within = words.iter().all(|w| *w >= 1 << range);
        words.iter_mut().for_each(|w| *w = w.wrapping_sub(1 << (range - 1)));
        Ok(within)
    }
}
