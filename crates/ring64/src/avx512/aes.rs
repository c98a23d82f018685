//! AES-256 in counter mode, 32 blocks in flight: eight registers of four blocks.

use std::arch::x86_64::*;

/// Registers of one pass.
const REGISTERS: usize = 8;
/// Words of a register.
const LANES: usize = 8;
/// Words that a pass gives.
const PASS_WORDS: usize = REGISTERS * LANES;
/// Round keys of AES-256.
const ROUND_KEYS: usize = 15;

/// Overwrites whole passes of `words` with the key stream from block `counter` on, as little-endian words; returns how
/// many words that were: none where the CPU has no AES for wide registers. The twin is the crate `aes`.
pub(crate) fn fill_passes(key: &[u8; 32], stream: u64, counter: u64, words: &mut [u64]) -> usize {
    super::require();
    let here = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("aes");
    if !here || !is_x86_feature_detected!("avx512bw") {
        return 0;
    }
    let passes = words.as_chunks_mut::<PASS_WORDS>().0;
    let count = passes.len();
    if count > 0 {
        // SAFETY: the CPU was asked above.
        unsafe { fill(key, stream, counter, passes) };
    }
    count * PASS_WORDS
}

/// Every pass from block `counter` on.
#[target_feature(enable = "avx512f,avx512bw,aes,vaes")]
fn fill(key: &[u8; 32], stream: u64, counter: u64, passes: &mut [[u64; PASS_WORDS]]) {
    let keys = expand(key).map(|key| _mm512_broadcast_i32x4(key));
    // Counter blocks are numbers of 128 bits, the highest byte first.
    let swap = _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    let block = |i: u64| counter.wrapping_add(i) as i64;
    let high = stream as i64;
    let mut blocks = _mm512_set_epi64(high, block(3), high, block(2), high, block(1), high, block(0));
    let four = _mm512_set_epi64(0, 4, 0, 4, 0, 4, 0, 4);
    for pass in passes {
        let mut x = [_mm512_setzero_si512(); REGISTERS];
        for x in &mut x {
            *x = _mm512_xor_si512(_mm512_shuffle_epi8(blocks, swap), keys[0]);
            blocks = _mm512_add_epi64(blocks, four);
        }
        for key in &keys[1..ROUND_KEYS - 1] {
            for x in &mut x {
                *x = _mm512_aesenc_epi128(*x, *key);
            }
        }
        for (to, x) in pass.as_chunks_mut::<LANES>().0.iter_mut().zip(x) {
            let x = _mm512_aesenclast_epi128(x, keys[ROUND_KEYS - 1]);
            // SAFETY: `to` is 8 words, the width of a register, and the store asks for no alignment.
            unsafe { _mm512_storeu_epi64(to.as_mut_ptr().cast(), x) };
        }
    }
}

/// The key schedule of FIPS 197.
#[target_feature(enable = "aes")]
fn expand(key: &[u8; 32]) -> [__m128i; ROUND_KEYS] {
    let half = |bytes: &[u8; 16]| {
        let half = u128::from_le_bytes(*bytes);
        _mm_set_epi64x((half >> 64) as i64, half as i64)
    };
    let [low, high] = key.as_chunks::<16>().0 else { unreachable!("32 bytes are twice 16") };
    let mut keys = [_mm_setzero_si128(); ROUND_KEYS];
    (keys[0], keys[1]) = (half(low), half(high));
    // Even keys take the rotated last word and the round's constant, odd ones the last word as it is.
    macro_rules! even {
        ($at:expr, $constant:literal) => {
            let from = _mm_shuffle_epi32::<0xFF>(_mm_aeskeygenassist_si128::<$constant>(keys[$at - 1]));
            keys[$at] = _mm_xor_si128(sums(keys[$at - 2]), from);
        };
    }
    macro_rules! both {
        ($at:expr, $constant:literal) => {
            even!($at, $constant);
            let from = _mm_shuffle_epi32::<0xAA>(_mm_aeskeygenassist_si128::<0>(keys[$at]));
            keys[$at + 1] = _mm_xor_si128(sums(keys[$at - 1]), from);
        };
    }
    both!(2, 1);
    both!(4, 2);
    both!(6, 4);
    both!(8, 8);
    both!(10, 16);
    both!(12, 32);
    even!(14, 64);
    keys
}

/// Word i of the result is the sum of the words up to i, without carries.
#[inline]
#[target_feature(enable = "sse2")]
fn sums(key: __m128i) -> __m128i {
    let key = _mm_xor_si128(key, _mm_slli_si128::<4>(key));
    _mm_xor_si128(key, _mm_slli_si128::<8>(key))
}

#[cfg(test)]
mod tests {
    use aes::Aes256Enc;
    use aes::cipher::{BlockCipherEncrypt, KeyInit};

    use super::*;

    #[test]
    fn many_blocks_at_once_are_those_of_the_crate_aes() {
        if !super::super::is_available() {
            return println!("skipped: no AVX-512 here");
        }
        let key: [u8; 32] = std::array::from_fn(|i| i as u8 * 7 + 1);
        let cipher = Aes256Enc::new(&key.into());
        for stream in [0, 1, 0x0123_4567_89AB_CDEF] {
            // Also where the counter overflows its low half.
            for counter in [0, 5, u64::from(u32::MAX) - 6, 1 << 40] {
                for passes in [0, 1, 3] {
                    let mut wide = vec![0; passes * PASS_WORDS + 9];
                    let done = fill_passes(&key, stream, counter, &mut wide);
                    if done == 0 && passes > 0 {
                        return println!("skipped: no wide AES here");
                    }
                    assert_eq!(done, passes * PASS_WORDS);
                    for (i, words) in wide[..done].as_chunks::<2>().0.iter().enumerate() {
                        let block = u128::from(stream) << 64 | u128::from(counter + i as u64);
                        let mut block = block.to_be_bytes().into();
                        cipher.encrypt_block(&mut block);
                        let expected = u128::from_le_bytes(block.into());
                        assert_eq!(
                            *words,
                            [expected as u64, (expected >> 64) as u64],
                            "stream {stream}, {counter} + {i}"
                        );
                    }
                    assert_eq!(wide[done..], [0; 9]);
                }
            }
        }
    }
}
