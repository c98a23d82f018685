//! Words cut to their bits: a little-endian bit stream, first word in the lowest bits.
//!
//! An opening sends K of 64 bits of each word. The length follows from the count and the bits, so the reader checks it:
//! the bytes come from a peer, and whatever is wrong with them is an error, never a panic.

use crate::low_bits;

/// Why bytes from a peer are not the packed words that were due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// Not the length that the count of words and their bits ask for.
    #[error("packed words: expected {expected} bytes, got {got}")]
    Length {
        /// The length that follows from the count and the bits.
        expected: usize,
        /// The length that came.
        got: usize,
    },
    /// Bits after the last word are not zero.
    #[error("packed words: bits of the last byte beyond the last word are not zero")]
    Trailing,
}

/// The bytes that `count` words of `bits` bits take.
///
/// # Panics
/// When `bits` is not within 1..=64.
pub fn packed_len(count: usize, bits: u32) -> usize {
    check_bits(bits);
    // count * bits may exceed a usize where the bytes do not.
    count / 8 * bits as usize + (count % 8 * bits as usize).div_ceil(8)
}

/// Appends bits `drop .. drop + bits` of each word to `out`, as a little-endian bit stream padded with zero bits to a byte.
///
/// # Panics
/// When `bits` is not within 1..=64 or `drop + bits > 64`.
pub fn pack(words: &[u64], drop: u32, bits: u32, out: &mut Vec<u8>) {
    check_bits(bits);
    assert!(drop + bits <= 64, "pack: bits {drop}..{} of a word of 64", drop + bits);
    let start = out.len();
    out.resize(start + packed_len(words.len(), bits), 0);
    pack_into(words, drop, bits, &mut out[start..]);
}

/// [`pack`] into bytes of the length that it takes.
pub(crate) fn pack_into(words: &[u64], drop: u32, bits: u32, out: &mut [u8]) {
    match bits {
        8 => pack_bytes::<1>(words, drop, out),
        16 => pack_bytes::<2>(words, drop, out),
        24 => pack_bytes::<3>(words, drop, out),
        32 => pack_bytes::<4>(words, drop, out),
        40 => pack_bytes::<5>(words, drop, out),
        48 => pack_bytes::<6>(words, drop, out),
        56 => pack_bytes::<7>(words, drop, out),
        64 => pack_bytes::<8>(words, drop, out),
        _ => pack_bits(words, drop, bits, out),
    }
}

/// Overwrites `out` with the words of `bits` bits that `bytes` hold.
///
/// # Errors
/// When `bytes` is not exactly [`packed_len`] long, or bits after the last word are not zero; `out` is then untouched.
///
/// # Panics
/// When `bits` is not within 1..=64.
pub fn unpack(bytes: &[u8], bits: u32, out: &mut [u64]) -> Result<(), PackError> {
    unpack_with(bytes, bits, out, |slot, w| *slot = w)
}

/// Adds the words of `bits` bits that `bytes` hold to `acc`, modulo 2^64: mask the sums afterwards where fewer bits count.
///
/// # Errors
/// When `bytes` is not exactly [`packed_len`] long, or bits after the last word are not zero; `acc` is then untouched.
///
/// # Panics
/// When `bits` is not within 1..=64.
pub fn unpack_add(bytes: &[u8], bits: u32, acc: &mut [u64]) -> Result<(), PackError> {
    unpack_with(bytes, bits, acc, |slot, w| *slot = slot.wrapping_add(w))
}

fn unpack_with(bytes: &[u8], bits: u32, out: &mut [u64], store: impl Fn(&mut u64, u64)) -> Result<(), PackError> {
    check_form(bytes, bits, out.len())?;
    match bits {
        8 => unpack_bytes::<1>(bytes, out, store),
        16 => unpack_bytes::<2>(bytes, out, store),
        24 => unpack_bytes::<3>(bytes, out, store),
        32 => unpack_bytes::<4>(bytes, out, store),
        40 => unpack_bytes::<5>(bytes, out, store),
        48 => unpack_bytes::<6>(bytes, out, store),
        56 => unpack_bytes::<7>(bytes, out, store),
        64 => unpack_bytes::<8>(bytes, out, store),
        _ => unpack_bits(bytes, bits, out, store),
    }
    Ok(())
}

pub(crate) fn check_bits(bits: u32) {
    assert!((1..=64).contains(&bits), "packed words of {bits} bits: 1 to 64 are possible");
}

pub(crate) fn check_form(bytes: &[u8], bits: u32, count: usize) -> Result<(), PackError> {
    let expected = packed_len(count, bits);
    if bytes.len() != expected {
        return Err(PackError::Length { expected, got: bytes.len() });
    }
    let used = (count % 8 * bits as usize % 8) as u32;
    match bytes.last() {
        Some(&got) if used != 0 && got >> used != 0 => Err(PackError::Trailing),
        _ => Ok(()),
    }
}

fn pack_bytes<const N: usize>(words: &[u64], drop: u32, out: &mut [u8]) {
    for (&w, slot) in words.iter().zip(out.as_chunks_mut::<N>().0) {
        slot.copy_from_slice(&(w >> drop).to_le_bytes()[..N]);
    }
}

fn unpack_bytes<const N: usize>(bytes: &[u8], out: &mut [u64], store: impl Fn(&mut u64, u64)) {
    for (slot, chunk) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        let mut le = [0; 8];
        le[..N].copy_from_slice(chunk);
        store(slot, u64::from_le_bytes(le));
    }
}

/// Bits gather in a `u128` and leave it eight bytes at a time.
fn pack_bits(words: &[u64], drop: u32, bits: u32, out: &mut [u8]) {
    let (mask, mut pool, mut held, mut at) = (low_bits(bits), 0u128, 0, 0);
    for &w in words {
        pool |= u128::from(w >> drop & mask) << held;
        held += bits;
        if held >= 64 {
            out[at..at + 8].copy_from_slice(&(pool as u64).to_le_bytes());
            pool >>= 64;
            held -= 64;
            at += 8;
        }
    }
    let rest = &mut out[at..];
    rest.copy_from_slice(&(pool as u64).to_le_bytes()[..rest.len()]);
}

fn unpack_bits(bytes: &[u8], bits: u32, out: &mut [u64], store: impl Fn(&mut u64, u64)) {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut tail = [0; 8];
    tail[..rest.len()].copy_from_slice(rest);
    let mut chunks = chunks.iter().chain([&tail]).map(|&c| u64::from_le_bytes(c));
    let (mask, mut pool, mut held) = (low_bits(bits), 0u128, 0);
    for slot in out {
        if held < bits {
            pool |= u128::from(chunks.next().unwrap_or(0)) << held;
            held += 64;
        }
        store(slot, pool as u64 & mask);
        pool >>= bits;
        held -= bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Prg};

    #[test]
    fn packing_keeps_exactly_the_bits_asked_for() {
        let seed = 0x9A;
        println!("seed {seed}");
        let words = Prg::new(&Key::from_bytes([seed; 32]), 0).words(131);
        for bits in 1..=64 {
            for drop in [0, 1, (64 - bits) / 2, 64 - bits] {
                if drop + bits > 64 {
                    continue;
                }
                for count in [0, 1, 2, 7, 8, 9, 64, 131] {
                    let mut bytes = vec![0xEE; 3];
                    pack(&words[..count], drop, bits, &mut bytes);
                    assert_eq!(bytes[..3], [0xEE; 3], "what was there stays");
                    let bytes = &bytes[3..];
                    assert_eq!(bytes.len(), packed_len(count, bits));

                    let expected: Vec<u64> = words[..count].iter().map(|w| w >> drop & low_bits(bits)).collect();
                    let mut out = vec![1; count];
                    unpack(bytes, bits, &mut out).expect("own packing");
                    assert_eq!(out, expected, "{count} words, {bits} bits from {drop}");

                    let mut acc = words[..count].to_vec();
                    unpack_add(bytes, bits, &mut acc).expect("own packing");
                    let sums: Vec<u64> = words.iter().zip(&expected).map(|(a, b)| a.wrapping_add(*b)).collect();
                    assert_eq!(acc, sums);
                }
            }
        }
    }

    #[test]
    fn the_first_word_lies_in_the_lowest_bits() {
        let mut bytes = Vec::new();
        pack(&[1, 2, 3], 0, 3, &mut bytes);
        assert_eq!(bytes, [0b11_010_001, 0]);
        let mut bytes = Vec::new();
        pack(&[0x0102_0304_0506_0708], 16, 48, &mut bytes);
        assert_eq!(bytes, [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn a_wrong_length_is_an_error_and_changes_nothing() {
        let mut out = [5; 3];
        for got in [0, 17, 19] {
            let error = PackError::Length { expected: 18, got };
            assert_eq!(unpack(&vec![0; got], 48, &mut out), Err(error));
            assert_eq!(unpack_add(&vec![0; got], 48, &mut out), Err(error));
        }
        assert_eq!(out, [5; 3]);
    }

    #[test]
    fn bits_beyond_the_last_word_are_refused() {
        let mut out = [0; 3];
        assert_eq!(unpack(&[0xFF, 0x01], 3, &mut out), Ok(()));
        assert_eq!(unpack(&[0xFF, 0x03], 3, &mut out), Err(PackError::Trailing));
        assert_eq!(unpack(&[0, 0x80], 3, &mut out), Err(PackError::Trailing));
    }

    #[test]
    fn lengths_of_huge_counts_do_not_overflow() {
        assert_eq!(packed_len(usize::MAX / 8, 64), usize::MAX / 8 * 8);
        assert_eq!(packed_len(3, 17), 7);
    }
}
