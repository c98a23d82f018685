//! Bits in words, the lowest first, one after the other.

/// Words that hold `count` times so many bits.
pub(in crate::masked) fn words_of_bits(count: usize, bits: usize) -> usize {
    (count * bits).div_ceil(64)
}

/// The bit at a place.
pub(super) fn bit(words: &[u64], at: usize) -> u64 {
    words[at / 64] >> (at % 64) & 1
}

/// Up to 64 bits from a place on.
pub(super) fn bits(words: &[u64], at: usize, count: usize) -> u64 {
    let (word, from) = (at / 64, at % 64);
    let low = words[word] >> from;
    let high = if from + count > 64 { words[word + 1] << (64 - from) } else { 0 };
    (low | high) & ring64::low_bits(count as u32)
}

/// Flips up to 64 bits from a place on.
pub(super) fn flip(words: &mut [u64], at: usize, count: usize, by: u64) {
    let (word, from) = (at / 64, at % 64);
    words[word] ^= by << from;
    if from + count > 64 {
        words[word + 1] ^= by >> (64 - from);
    }
}

/// Flips the bits from one place to before another.
pub(super) fn flip_between(words: &mut [u64], from: usize, to: usize) {
    let mut at = from;
    while at < to {
        let count = (64 - at % 64).min(to - at);
        words[at / 64] ^= ring64::low_bits(count as u32) << (at % 64);
        at += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_found_where_they_were_flipped() {
        for (at, count, by) in [(0, 64, u64::MAX), (3, 61, 5), (60, 10, 0x3ff), (127, 1, 1), (70, 58, 1 << 57)] {
            let mut words = [0; 3];
            flip(&mut words, at, count, by);
            assert_eq!(bits(&words, at, count), by);
            let set = Vec::from_iter((0..192).filter(|at| bit(&words, *at) == 1));
            let expected = Vec::from_iter((0..count).filter(|i| by >> i & 1 == 1).map(|i| at + i));
            assert_eq!(set, expected);
        }
        for (from, to) in [(0, 0), (0, 192), (5, 6), (63, 65), (64, 128), (1, 130)] {
            let mut words = [0; 3];
            flip_between(&mut words, from, to);
            assert!((0..192).all(|at| bit(&words, at) == u64::from((from..to).contains(&at))));
        }
    }
}
