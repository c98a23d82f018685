//! The client's input: a 32-byte seed to P0, the packed rest to P1.
//!
//! A value has `kept = 64 - extra` bits here; the parties shift it up by `extra`, so that opening it under the dealer's mask
//! drops zeros only and is exact. The client holds no mask and never meets the dealer; a restart needs nothing from it.

use ring64::{Key, PackError, Prg, low_bits, mask_assign, pack, packed_len, shift_left_assign, unpack};

const STREAM: u64 = 0;

/// P1's half of `values` (words modulo 2^64); P0's half is the seed.
pub fn share_input(seed: &Key, values: &[u64], extra: u32) -> Vec<u8> {
    let kept = 64 - extra;
    let mut rest = Prg::new(seed, STREAM).words_below_bits(values.len(), kept);
    for (r, v) in rest.iter_mut().zip(values) {
        *r = v.wrapping_sub(*r);
    }
    mask_assign(&mut rest, low_bits(kept));
    let mut packed = Vec::with_capacity(packed_len(values.len(), kept));
    pack(&rest, 0, kept, &mut packed);
    packed
}

/// P0's share of the input, from its seed.
pub fn expand_input(seed: &Key, count: usize, extra: u32) -> Vec<u64> {
    let mut share = Prg::new(seed, STREAM).words_below_bits(count, 64 - extra);
    shift_left_assign(&mut share, extra);
    share
}

/// P1's share of the input, from what the client sent.
pub fn unpack_input(packed: &[u8], count: usize, extra: u32) -> Result<Vec<u64>, PackError> {
    let mut share = vec![0; count];
    unpack(packed, 64 - extra, &mut share)?;
    shift_left_assign(&mut share, extra);
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTRA: u32 = 16;

    #[test]
    fn both_shares_make_the_values() {
        let values: Vec<u64> = (0..100u64).map(|v| v.wrapping_sub(50)).collect();
        let seed = Key::from_bytes([1; 32]);
        let (zero, rest) = (expand_input(&seed, 100, EXTRA), share_input(&seed, &values, EXTRA));
        let one = unpack_input(&rest, 100, EXTRA).unwrap();
        let sums = zero.iter().zip(&one).map(|(a, b)| a.wrapping_add(*b));
        assert!(sums.zip(&values).all(|(sum, v)| sum == v << EXTRA));
        assert!(unpack_input(&rest[1..], 100, EXTRA).is_err());
    }

    /// What P1 gets is uniform, whatever the text: each bit is set half of the time, and other seeds give other words.
    #[test]
    fn what_p1_gets_is_masked_in_every_word_and_bit() {
        const COUNT: usize = 4096;
        let rest = |seed: u8| {
            let packed = share_input(&Key::from_bytes([seed; 32]), &vec![1; COUNT], EXTRA);
            let mut words = vec![0; COUNT];
            unpack(&packed, 64 - EXTRA, &mut words).unwrap();
            words
        };
        let words = rest(1);
        assert!(words.iter().zip(rest(2)).all(|(one, other)| *one != other));
        for bit in 0..64 - EXTRA {
            let set = words.iter().filter(|word| *word >> bit & 1 == 1).count();
            // eight standard deviations
            assert!(set.abs_diff(COUNT / 2) < 8 * 32, "bit {bit} is set {set} times in {COUNT}");
        }
    }
}
