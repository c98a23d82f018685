//! Cosines and sines from integers alone, the same bits on every machine.
//!
//! A wire x^ = x + a lets the parties rotate the dealt cos(k w a), sin(k w a) by the public angle k w x^. These rotations
//! multiply uniform shares, so a last bit that libm, FMA or another vector width would change is garbage in the result.
//! Here is no float and no table: the angle is folded to an eighth of a turn, and two polynomials with coefficients worked
//! out at compile time give both functions by multiplications and shifts. No table also means that the time does not
//! depend on the angle, which is a secret of the dealer's when the dealer calls it.

use crate::Kernel;

/// The fractional bits of the cosines and sines: 1 is `1 << TRIG_FRAC`.
pub const TRIG_FRAC: u32 = 30;

/// A full turn divided into 2^bits steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// 64 - bits: shifting an angle left by this makes the turn 2^64 and takes it modulo a turn.
    shift: u32,
    kernel: Kernel,
}

impl Turn {
    /// A turn of 2^bits steps, on the fastest kernel of this CPU.
    ///
    /// # Panics
    /// When `bits` is not within 1..=40.
    pub fn new(bits: u32) -> Self {
        assert!((1..=40).contains(&bits), "a turn of {bits} bits: 1 to 40 are possible");
        Self { shift: 64 - bits, kernel: Kernel::detect() }
    }

    /// The same numbers by the instructions of `kernel`.
    #[must_use]
    pub fn with_kernel(self, kernel: Kernel) -> Self {
        Self { kernel, ..self }
    }

    pub(crate) fn shift(&self) -> u32 {
        self.shift
    }

    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The cosine and sine of 2 pi * angle / 2^bits with [`TRIG_FRAC`] fractional bits, less than one unit off, exact at
    /// the quarters of a turn. The angle counts modulo the turn.
    #[inline]
    pub fn cos_sin(&self, angle: u64) -> (i64, i64) {
        eighths(angle << self.shift)
    }
}

/// [`Turn::cos_sin`] of many angles, times `factor`: a multiple shifted as the turn is. Kernels compile this same body for
/// their registers: there is one arithmetic, so there is nothing to disagree.
#[inline(always)]
pub(crate) fn cos_sin_piece(angles: &[u64], factor: u64, cos: &mut [i64], sin: &mut [i64]) {
    for ((&angle, cos), sin) in angles.iter().zip(cos).zip(sin) {
        (*cos, *sin) = eighths(angle.wrapping_mul(factor));
    }
}

/// (cos, sin) of 2 pi * theta / 2^64.
#[inline(always)]
fn eighths(theta: u64) -> (i64, i64) {
    // theta = quarter * 2^62 + r with r within an eighth of a turn on either side of zero; u = r as a fraction of that
    // eighth with 31 fractional bits, v = u^2 likewise.
    let quarter = theta.wrapping_add(1 << 61) >> 62;
    let r = theta.wrapping_sub(quarter << 62) as i64;
    let u = (r + (1 << 29)) >> 30;
    let v = (u * u + (1 << 30)) >> 31;

    // Horner's rule from the highest power down; every product stays below 2^63.
    let step = |coefficient: i64, inner: i64| coefficient - ((v * inner) >> 31);
    let c = step(COS[1], step(COS[2], step(COS[3], step(COS[4], COS[5]))));
    let s = step(SIN[1], step(SIN[2], step(SIN[3], step(SIN[4], SIN[5]))));
    // 1 - v c: c with 33 fractional bits makes 64 of the product.
    let c = (step(COS[0], c) + (1 << 3)) >> 4;
    let cos = (1 << TRIG_FRAC) - ((v * c + (1 << 33)) >> 34);
    // u s: s with 32 fractional bits makes 63 of the product. SIN[1] leaves room for 34 bits only.
    let s = (SIN[0] - ((v * (s >> 3)) >> 28) + (1 << 4)) >> 5;
    let sin = (u * s + (1 << 32)) >> 33;

    // Turn back by the quarters: swap on odd ones, then set the signs.
    let odd = -((quarter & 1) as i64);
    let (cos, sin) = (cos ^ ((cos ^ sin) & odd), sin ^ ((cos ^ sin) & odd));
    let minus_cos = -(((quarter + 1) >> 1 & 1) as i64);
    let minus_sin = -((quarter >> 1 & 1) as i64);
    ((cos ^ minus_cos) - minus_cos, (sin ^ minus_sin) - minus_sin)
}

/// Fractional bits of the coefficients.
const COEFFICIENT_FRAC: u32 = 37;
/// pi / 4 with 62 fractional bits.
const EIGHTH: u128 = 0x3243_F6A8_885A_308D;
/// `cos(pi/4 u) = 1 - u^2 (COS[0] - u^2 (COS[1] - ...))`: (pi/4)^(2i+2) / (2i+2)!. The next term is below 2^-41.
const COS: [i64; 6] = taylor(2);
/// `sin(pi/4 u) = u (SIN[0] - u^2 (SIN[1] - ...))`: (pi/4)^(2i+1) / (2i+1)!. The next term is below 2^-37.
const SIN: [i64; 6] = taylor(1);

/// (pi/4)^p / p! for p = first, first + 2, ..., rounded to [`COEFFICIENT_FRAC`] bits.
const fn taylor(first: u32) -> [i64; 6] {
    let mut coefficients = [0; 6];
    let (mut term, mut p) = (1u128 << 62, 0);
    while p < first + 10 {
        p += 1;
        term = ((term * EIGHTH) >> 62) / p as u128;
        if p >= first && (p - first).is_multiple_of(2) {
            let shift = 62 - COEFFICIENT_FRAC;
            coefficients[((p - first) / 2) as usize] = ((term + (1 << (shift - 1))) >> shift) as i64;
        }
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Prg};

    /// The distance of both results from the float functions, in units of the last place.
    fn distance(bits: u32, angle: u64) -> f64 {
        let (cos, sin) = Turn::new(bits).cos_sin(angle);
        let x = std::f64::consts::TAU * (angle & crate::low_bits(bits)) as f64 / (1u64 << bits) as f64;
        let unit = (1u64 << TRIG_FRAC) as f64;
        (cos as f64 - x.cos() * unit).abs().max((sin as f64 - x.sin() * unit).abs())
    }

    #[test]
    fn every_angle_of_small_turns_is_within_a_unit() {
        for bits in 1..=18 {
            let worst = (0..1 << bits).map(|angle| distance(bits, angle)).fold(0.0, f64::max);
            assert!(worst < 1.0, "{bits} bits: {worst}");
        }
    }

    #[test]
    fn random_angles_of_large_turns_are_within_a_unit() {
        let seed = 0x7C;
        println!("seed {seed}");
        for bits in [19, 24, 31, 32, 33, 34, 35, 40] {
            let angles = Prg::new(&Key::from_bytes([seed; 32]), u64::from(bits)).words(50_000);
            let worst = angles.iter().map(|&angle| distance(bits, angle)).fold(0.0, f64::max);
            println!("{bits} bits: worst {worst}");
            assert!(worst < 1.0, "{bits} bits: {worst}");
        }
    }

    #[test]
    fn quarters_of_a_turn_are_exact() {
        let one = 1 << TRIG_FRAC;
        for bits in 2..=40 {
            let quarters = [(one, 0), (0, one), (-one, 0), (0, -one)];
            for (i, expected) in quarters.into_iter().enumerate() {
                assert_eq!(Turn::new(bits).cos_sin((i as u64) << (bits - 2)), expected, "{bits} bits, quarter {i}");
            }
        }
        assert_eq!(Turn::new(1).cos_sin(1), (-one, 0));
    }

    #[test]
    fn angles_count_modulo_the_turn() {
        let turn = Turn::new(17);
        for angle in [0, 1, 77, 131_071] {
            assert_eq!(turn.cos_sin(angle), turn.cos_sin(angle + (5 << 17)));
            assert_eq!(turn.cos_sin(angle), turn.cos_sin(angle.wrapping_sub(1 << 17)));
        }
    }

    #[test]
    fn the_bits_are_pinned() {
        // Both parties and every release must agree: a change here is a change of the protocol.
        let mut digest = 0u64;
        for angle in 0..1 << 12 {
            let (cos, sin) = Turn::new(12).cos_sin(angle);
            digest = digest.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(cos as u64 ^ (sin as u64).rotate_left(32));
        }
        assert_eq!(digest, 0xc40f_ee06_4b34_d64d, "{digest:#x}");
    }
}
