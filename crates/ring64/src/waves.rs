//! Harmonics in bulk: what the dealer shares of a masked phase, and what the parties make of it.

use crate::{TRIG_FRAC, Turn};

/// Harmonics of a Fourier series with integer coefficients: `sum over h of cosines[h] cos(multiples[h] x) + sines[h] sin(multiples[h] x)`.
#[derive(Clone, Copy, Debug)]
pub struct Harmonics<'a> {
    /// Multiples of the base frequency.
    pub multiples: &'a [u32],
    /// Coefficients of the cosines, below 2^31.
    pub cosines: &'a [i64],
    /// Coefficients of the sines, below 2^31.
    pub sines: &'a [i64],
}

impl Harmonics<'_> {
    fn multipliers(&self, turn: &Turn, h: usize, angle: u64) -> (i64, i64) {
        let (cos, sin) = turn.cos_sin(angle.wrapping_mul(u64::from(self.multiples[h])));
        let (g, s) = (self.cosines[h], self.sines[h]);
        (round_shift(g * cos + s * sin, TRIG_FRAC), round_shift(g * sin - s * cos, TRIG_FRAC))
    }
}

impl Turn {
    /// For each multiple a row of `cos(multiple * angles[i])`, then a row of sines, with `frac` fractional bits.
    ///
    /// # Panics
    /// When `out` is not two rows for each multiple, or `frac` exceeds [`TRIG_FRAC`].
    pub fn waves(&self, multiples: &[u32], frac: u32, angles: &[u64], out: &mut [u64]) {
        assert_eq!(out.len(), 2 * multiples.len() * angles.len(), "waves: length");
        let n = angles.len();
        for (h, multiple) in multiples.iter().enumerate() {
            for (i, angle) in angles.iter().enumerate() {
                let (cos, sin) = self.cos_sin(angle.wrapping_mul(u64::from(*multiple)));
                out[2 * h * n + i] = round_shift(cos, TRIG_FRAC - frac) as u64;
                out[(2 * h + 1) * n + i] = round_shift(sin, TRIG_FRAC - frac) as u64;
            }
        }
    }

    /// Adds to `sum[i]`, over all harmonics, `(g cos + h sin) C + (g sin - h cos) S` with the cosine and sine of the public angle
    /// `angles[i]` and the words C and S of `waves`, which lie as [`Turn::waves`] lays them. Where C and S are the shares of
    /// the cosine and the sine of a mask, this is a share of the series at `angle - mask`.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn series_add(&self, harmonics: Harmonics<'_>, angles: &[u64], waves: &[u64], sum: &mut [u64]) {
        let n = angles.len();
        assert_eq!(waves.len(), 2 * harmonics.multiples.len() * n, "series_add: length of the waves");
        assert_eq!(sum.len(), n, "series_add: length of the sum");
        for h in 0..harmonics.multiples.len() {
            for i in 0..n {
                let (of_cos, of_sin) = harmonics.multipliers(self, h, angles[i]);
                let (c, s) = (waves[2 * h * n + i], waves[(2 * h + 1) * n + i]);
                let term = (of_cos as u64).wrapping_mul(c).wrapping_add((of_sin as u64).wrapping_mul(s));
                sum[i] = sum[i].wrapping_add(term);
            }
        }
    }

    /// Adds to `sum[i]` the series at the angle itself, in units of the coefficients: [`Turn::series_add`] with a mask of zero.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn series_clear(&self, harmonics: Harmonics<'_>, angles: &[u64], sum: &mut [u64]) {
        assert_eq!(sum.len(), angles.len(), "series_clear: length of the sum");
        for h in 0..harmonics.multiples.len() {
            for (sum, angle) in sum.iter_mut().zip(angles) {
                *sum = sum.wrapping_add(harmonics.multipliers(self, h, *angle).0 as u64);
            }
        }
    }
}

fn round_shift(v: i64, by: u32) -> i64 {
    if by == 0 { v } else { (v + (1 << (by - 1))) >> by }
}
