//! ChaCha20, sixteen blocks at a time: register i holds word i of the sixteen states.

use std::arch::x86_64::*;

/// Blocks of one pass.
const BLOCKS: usize = 16;
/// Words of ours, of 64 bits, that a pass gives.
const PASS_WORDS: usize = BLOCKS * 8;

/// Overwrites whole passes of `words` with the key stream from block `counter` on, as little-endian words; returns how
/// many words that were. The scalar twin is `rand_chacha`.
pub(crate) fn fill_passes(key: &[u8; 32], stream: u64, counter: u64, words: &mut [u64]) -> usize {
    super::require();
    let passes = words.as_chunks_mut::<PASS_WORDS>().0;
    let count = passes.len();
    // SAFETY: the CPU was checked above.
    unsafe { fill(key, stream, counter, passes) };
    count * PASS_WORDS
}

/// Every pass from block `counter` on.
#[target_feature(enable = "avx512f")]
fn fill(key: &[u8; 32], stream: u64, mut counter: u64, passes: &mut [[u64; PASS_WORDS]]) {
    let word = |bytes: [u8; 4]| u32::from_le_bytes(bytes) as i32;
    let mut start = [_mm512_setzero_si512(); 16];
    for (to, bytes) in start.iter_mut().zip(b"expand 32-byte k".as_chunks().0.iter().chain(key.as_chunks().0)) {
        *to = _mm512_set1_epi32(word(*bytes));
    }
    start[14] = _mm512_set1_epi32(stream as i32);
    start[15] = _mm512_set1_epi32((stream >> 32) as i32);
    for pass in passes {
        let counters: [u64; BLOCKS] = std::array::from_fn(|i| counter.wrapping_add(i as u64));
        start[12] = load(counters.map(|c| c as u32));
        start[13] = load(counters.map(|c| (c >> 32) as u32));
        counter = counter.wrapping_add(BLOCKS as u64);

        let mut x = start;
        for _ in 0..10 {
            for i in 0..4 {
                quarter_round(&mut x, [i, 4 + i, 8 + i, 12 + i]);
            }
            for i in 0..4 {
                quarter_round(&mut x, [i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4]);
            }
        }
        for (x, start) in x.iter_mut().zip(start) {
            *x = _mm512_add_epi32(*x, start);
        }
        for (to, block) in pass.as_chunks_mut::<8>().0.iter_mut().zip(transpose(x)) {
            // SAFETY: `to` is 8 words, the width of a register, and the store asks for no alignment.
            unsafe { _mm512_storeu_epi64(to.as_mut_ptr().cast(), block) };
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: [u32; 16]) -> __m512i {
    // SAFETY: `words` is 16 words of 32 bits, the width of a register, and the load asks for no alignment.
    unsafe { _mm512_loadu_epi32(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn quarter_round(x: &mut [__m512i; 16], [a, b, c, d]: [usize; 4]) {
    x[a] = _mm512_add_epi32(x[a], x[b]);
    x[d] = _mm512_rol_epi32::<16>(_mm512_xor_si512(x[d], x[a]));
    x[c] = _mm512_add_epi32(x[c], x[d]);
    x[b] = _mm512_rol_epi32::<12>(_mm512_xor_si512(x[b], x[c]));
    x[a] = _mm512_add_epi32(x[a], x[b]);
    x[d] = _mm512_rol_epi32::<8>(_mm512_xor_si512(x[d], x[a]));
    x[c] = _mm512_add_epi32(x[c], x[d]);
    x[b] = _mm512_rol_epi32::<7>(_mm512_xor_si512(x[b], x[c]));
}

/// Register i of the result is column i of the 16 x 16 words: block i.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(x: [__m512i; 16]) -> [__m512i; 16] {
    // Within each quarter of 128 bits: rows 4g .. 4g + 4 become columns, so that y[4g + j], quarter q, holds words
    // 4g .. 4g + 4 of block 4q + j.
    let mut y = x;
    for g in 0..4 {
        let [a, b, c, d] = [x[4 * g], x[4 * g + 1], x[4 * g + 2], x[4 * g + 3]];
        let (ab, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (cd, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        y[4 * g] = _mm512_unpacklo_epi64(ab, cd);
        y[4 * g + 1] = _mm512_unpackhi_epi64(ab, cd);
        y[4 * g + 2] = _mm512_unpacklo_epi64(ab_high, cd_high);
        y[4 * g + 3] = _mm512_unpackhi_epi64(ab_high, cd_high);
    }
    // Among the quarters: the same transposition with whole quarters as elements.
    let mut z = y;
    for j in 0..4 {
        let [a, b, c, d] = [y[j], y[4 + j], y[8 + j], y[12 + j]];
        // Quarters 0 and 1, then 2 and 3, of two registers.
        let (ab, ab_high) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xEE>(a, b));
        let (cd, cd_high) = (_mm512_shuffle_i32x4::<0x44>(c, d), _mm512_shuffle_i32x4::<0xEE>(c, d));
        z[j] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        z[4 + j] = _mm512_shuffle_i32x4::<0xDD>(ab, cd);
        z[8 + j] = _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high);
        z[12 + j] = _mm512_shuffle_i32x4::<0xDD>(ab_high, cd_high);
    }
    z
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn sixteen_blocks_at_once_are_the_stream_of_rand_chacha() {
        if !super::super::is_available() {
            return println!("skipped: no AVX-512 here");
        }
        let key = std::array::from_fn(|i| i as u8 * 7 + 1);
        for stream in [0, 1, 0x0123_4567_89AB_CDEF] {
            // Also where the low half of the counter overflows within a pass.
            for counter in [0, 5, u64::from(u32::MAX) - 6, 1 << 40] {
                let mut wide = vec![0; 3 * PASS_WORDS + 9];
                assert_eq!(fill_passes(&key, stream, counter, &mut wide), 3 * PASS_WORDS);
                let mut rng = ChaCha20Rng::from_seed(key);
                rng.set_stream(stream);
                rng.set_word_pos(u128::from(counter) * 16);
                let expected: Vec<u64> = (0..3 * PASS_WORDS).map(|_| rng.next_u64()).collect();
                assert!(wide[..3 * PASS_WORDS] == expected, "stream {stream}, block {counter}");
                assert_eq!(wide[3 * PASS_WORDS..], [0; 9]);
            }
        }
    }
}
