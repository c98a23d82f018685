//! Fixed point: a real number x as the word round(x * 2^frac), negative numbers in two's complement.
//!
//! For the edges of the program only (text in, logits out, weights at convert time): between them there is no float.

/// The largest magnitude of an encoded number, exclusive: two bits of head room, so that a sum of two is still a number.
const LIMIT: f64 = (1u64 << 62) as f64;

/// `x` with `frac` fractional bits, rounded to nearest (ties to even). `None` for a NaN, an infinity, and where
/// |x| * 2^frac reaches 2^62.
///
/// # Panics
/// When `frac` is not within -1000..=1000.
pub fn encode(x: f64, frac: i32) -> Option<u64> {
    let scaled = (x * power_of_two(frac)).round_ties_even();
    // A NaN fails this comparison as well.
    (scaled.abs() < LIMIT).then_some(scaled as i64 as u64)
}

/// The number that a word with `frac` fractional bits stands for, to double precision.
///
/// # Panics
/// When `frac` is not within -1000..=1000.
pub fn decode(w: u64, frac: i32) -> f64 {
    w as i64 as f64 * power_of_two(-frac)
}

/// [`decode`] of each word.
pub fn decode_slice(ws: &[u64], frac: i32) -> Vec<f64> {
    ws.iter().map(|&w| decode(w, frac)).collect()
}

/// `w / 2^d` of the signed word, rounded to nearest (ties upwards); never overflows.
///
/// # Panics
/// When `d >= 64`.
pub fn shift_round(w: u64, d: u32) -> u64 {
    assert!(d < 64, "shift_round: shift of {d} bits, a word has 64");
    if d == 0 {
        return w;
    }
    // The last bit shifted out is the half: adding it afterwards cannot overflow, adding 2^(d-1) before could.
    ((w as i64 >> d) as u64).wrapping_add(w >> (d - 1) & 1)
}

/// 2^e, exactly and without libm.
fn power_of_two(e: i32) -> f64 {
    assert!((-1000..=1000).contains(&e), "fixed point: {e} fractional bits");
    f64::from_bits(((1023 + e) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_rounds_to_nearest_and_decoding_undoes_it() {
        assert_eq!(encode(1.5, 12), Some(6144));
        assert_eq!(encode(-1.5, 12), Some(6144u64.wrapping_neg()));
        assert_eq!(encode(0.4, 0), Some(0));
        assert_eq!(encode(0.6, 0), Some(1));
        assert_eq!(encode(-0.6, 0), Some(u64::MAX));
        assert_eq!(encode(1024.0, -4), Some(64));
        assert_eq!(decode(64, -4), 1024.0);
        for x in [-3.25, 0.0, 1e-3, 12345.678] {
            let w = encode(x, 30).expect("fits");
            assert!((decode(w, 30) - x).abs() <= 0.5 / f64::from(1 << 30));
        }
        assert_eq!(decode_slice(&[32, 64u64.wrapping_neg()], 5), [1.0, -2.0]);
    }

    #[test]
    fn what_does_not_fit_is_none() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 4.0, -4.0, 1e300] {
            assert_eq!(encode(x, 60), None, "{x}");
        }
        assert!(encode(3.999, 60).is_some());
    }

    #[test]
    fn shifting_rounds_the_signed_word_to_nearest() {
        let signed = |x: i64, d| shift_round(x as u64, d) as i64;
        assert_eq!(signed(7, 2), 2);
        assert_eq!(signed(5, 2), 1);
        assert_eq!(signed(6, 2), 2, "ties go up");
        assert_eq!(signed(-6, 2), -1, "ties go up");
        assert_eq!(signed(-7, 2), -2);
        assert_eq!(signed(-9, 0), -9);
        assert_eq!(signed(i64::MAX, 1), 1 << 62);
        assert_eq!(signed(i64::MIN, 63), -1);
        assert_eq!(signed(i64::MAX, 63), 1);
    }
}
