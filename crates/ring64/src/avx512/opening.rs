//! Openings eight words at a time: their bits are moved by one shift and two permutations of the bytes of a register.
//!
//! Word k of a group begins at bit k K of the group's K bytes. Shifted left by k K mod 8 it begins at a byte, so that the
//! group is the words' bytes put where they belong; neighbours may share a byte, the even words among themselves do not,
//! nor do the odd ones.

use std::arch::x86_64::*;

use crate::{low_bits, opening};

/// Words of a group, and of a register.
const GROUP: usize = 8;

/// Whether the permutations exist here, and whether a shifted word stays within its lane and words two apart share no byte.
fn is_for(bits: u32) -> bool {
    let here = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi");
    here && (8..=64).contains(&bits) && (bits <= 57 || bits.is_multiple_of(8))
}

/// Where the bits of a group's words lie.
struct Layout {
    /// Word k is shifted by these, to the left on the way out.
    shifts: [i64; GROUP],
    /// For each packed byte, the byte of the even and of the odd shifted word that lies there, where one does.
    packed: [([u8; 64], u64); 2],
    /// For each byte of a shifted word, the packed byte.
    words: [u8; 64],
}

impl Layout {
    fn new(bits: u32) -> Self {
        let mut layout = Self { shifts: [0; GROUP], packed: [([0; 64], 0); 2], words: [0; 64] };
        for k in 0..GROUP {
            let (first, shift) = (k * bits as usize / 8, k * bits as usize % 8);
            layout.shifts[k] = shift as i64;
            let (from, filled) = &mut layout.packed[k % 2];
            for byte in 0..(shift + bits as usize).div_ceil(8) {
                from[first + byte] = (8 * k + byte) as u8;
                *filled |= 1 << (first + byte);
            }
            for byte in 0..8 {
                layout.words[8 * k + byte] = (first + byte) as u8;
            }
        }
        layout
    }
}

/// See [`crate::Kernel::open_send`]; the twin is `opening::send_piece`.
pub(crate) fn send_piece(share: &[u64], offset: u64, (drop, bits): (u32, u32), words: &mut [u64], out: &mut [u8]) {
    super::require();
    if !is_for(bits) {
        return opening::send_piece(share, offset, (drop, bits), words, out);
    }
    assert!(share.len() == words.len() && out.len() == crate::packed_len(words.len(), bits), "opening: lengths");
    // SAFETY: `require` and `is_for` have asked the CPU.
    unsafe { send(share, offset, (drop, bits), words, out) }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vbmi")]
fn send(share: &[u64], offset: u64, (drop, bits): (u32, u32), words: &mut [u64], out: &mut [u8]) {
    let layout = Layout::new(bits);
    let [even, odd] = layout.packed.map(|(from, filled)| (bytes_of(&from), filled));
    let (shifts, cut) = (words_of(&layout.shifts), _mm512_set1_epi64(low_bits(bits) as i64));
    let (offset, drop) = (_mm512_set1_epi64(offset as i64), _mm_cvtsi32_si128(drop as i32));
    for start in (0..words.len()).step_by(GROUP) {
        let mask = first_words(words.len() - start);
        let at = start / GROUP * bits as usize;
        // SAFETY: words and shares from `start` on are read and written where the mask is set, which is within their length;
        // of the bytes from `at` on, 64 are written where there are as many left, else as many as there are.
        unsafe {
            let word: *mut i64 = words.as_mut_ptr().add(start).cast();
            let share = _mm512_maskz_loadu_epi64(mask, share.as_ptr().add(start).cast());
            let masked = _mm512_add_epi64(_mm512_maskz_loadu_epi64(mask, word), _mm512_add_epi64(share, offset));
            let kept = _mm512_maskz_and_epi64(mask, _mm512_srl_epi64(masked, drop), cut);
            _mm512_mask_storeu_epi64(word, mask, kept);
            let shifted = _mm512_sllv_epi64(kept, shifts);
            let packed = _mm512_or_si512(
                _mm512_maskz_permutexvar_epi8(even.1, even.0, shifted),
                _mm512_maskz_permutexvar_epi8(odd.1, odd.0, shifted),
            );
            let left = out.len() - at;
            let to: *mut i8 = out.as_mut_ptr().add(at).cast();
            if left >= 64 {
                // What lies beyond this group is zero here and the next group's to write.
                _mm512_storeu_epi8(to, packed);
            } else {
                _mm512_mask_storeu_epi8(to, first_bytes(left), packed);
            }
        }
    }
}

/// See [`crate::Kernel::open_receive`]; the twin is `opening::receive_piece`.
pub(crate) fn receive_piece(bytes: &[u8], bits: u32, lift: Option<u32>, words: &mut [u64]) -> bool {
    super::require();
    if !is_for(bits) {
        return opening::receive_piece(bytes, bits, lift, words);
    }
    assert_eq!(bytes.len(), crate::packed_len(words.len(), bits), "opening: lengths");
    // SAFETY: `require` and `is_for` have asked the CPU.
    unsafe { receive(bytes, bits, lift, words) }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vbmi")]
fn receive(bytes: &[u8], bits: u32, lift: Option<u32>, words: &mut [u64]) -> bool {
    let layout = Layout::new(bits);
    let (from, shifts) = (bytes_of(&layout.words), words_of(&layout.shifts));
    let cut = _mm512_set1_epi64(low_bits(bits) as i64);
    // Without a range nothing is subtracted and every word is large enough.
    let (least, half) = lift.map_or((0, 0), |range| (1u64 << range, 1u64 << (range - 1)));
    let (least, half) = (_mm512_set1_epi64(least as i64), _mm512_set1_epi64(half as i64));
    let mut below = 0;
    for start in (0..words.len()).step_by(GROUP) {
        let mask = first_words(words.len() - start);
        let at = start / GROUP * bits as usize;
        // SAFETY: words from `start` on are read and written where the mask is set, which is within their length; of the bytes
        // from `at` on, 64 are read where there are as many left, else as many as there are.
        unsafe {
            let left = bytes.len() - at;
            let packed: *const i8 = bytes.as_ptr().add(at).cast();
            let packed =
                if left >= 64 { _mm512_loadu_epi8(packed) } else { _mm512_maskz_loadu_epi8(first_bytes(left), packed) };
            let theirs = _mm512_srlv_epi64(_mm512_permutexvar_epi8(from, packed), shifts);
            let word: *mut i64 = words.as_mut_ptr().add(start).cast();
            // Above the word lie bits of the next ones: they are cut off after the sum.
            let sum = _mm512_and_si512(_mm512_add_epi64(_mm512_maskz_loadu_epi64(mask, word), theirs), cut);
            below |= _mm512_mask_cmplt_epu64_mask(mask, sum, least);
            _mm512_mask_storeu_epi64(word, mask, _mm512_sub_epi64(sum, half));
        }
    }
    below == 0
}

/// The lanes that the first `count` words fill.
#[inline]
fn first_words(count: usize) -> __mmask8 {
    if count >= GROUP { 0xFF } else { (1 << count) - 1 }
}

/// The same of fewer than 64 bytes.
#[inline]
fn first_bytes(count: usize) -> __mmask64 {
    (1 << count) - 1
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn bytes_of(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are the width of a register, and the load asks for no alignment.
    unsafe { _mm512_loadu_epi8(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn words_of(words: &[i64; GROUP]) -> __m512i {
    // SAFETY: eight words are the width of a register, and the load asks for no alignment.
    unsafe { _mm512_loadu_epi64(words.as_ptr()) }
}
