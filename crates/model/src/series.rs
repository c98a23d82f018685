//! A smooth function as a Fourier series with integer coefficients.
//!
//! `f(x) = c0 + sum_k g_k cos(2 pi k x / P) + h_k sin(2 pi k x / P)` with a period `P` of `2^modulus_bits` units of the phase,
//! hence exact in the ring. With a masked phase `X = x + a`, `cos k(X - a) = cos kX cos ka + sin kX sin ka`: the parties
//! read X and multiply shares of `cos ka`, `sin ka` by public integers. Both parties must compute the same integers to the
//! last bit, so there is no float here: coefficients are rounded once, sines come from integer tables.

use ring64::{Harmonics, TRIG_FRAC, Turn};
use serde::{Deserialize, Serialize};

/// Integer coefficients of a Fourier series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The period is `2^modulus_bits` units of the phase.
    pub modulus_bits: u32,
    /// Fractional bits of the coefficients.
    pub coefficient_frac: u32,
    /// Fractional bits of the dealt sines and cosines.
    pub trig_frac: u32,
    /// The integers stand for `f 2^-exponent`.
    pub exponent: i32,
    /// Constant term, at `coefficient_frac + trig_frac`.
    pub constant: i64,
    /// Multiples of the base frequency.
    pub harmonics: Vec<u32>,
    /// Coefficients of the cosines.
    pub cosines: Vec<i64>,
    /// Coefficients of the sines.
    pub sines: Vec<i64>,
}

impl Series {
    /// Fractional bits of the result.
    pub fn out_frac(&self) -> i32 {
        (self.coefficient_frac + self.trig_frac) as i32 - self.exponent
    }

    /// Says why the series cannot be evaluated, if so.
    pub fn check(&self) -> Result<(), String> {
        let n = self.harmonics.len();
        if !(1..=40).contains(&self.modulus_bits) {
            return Err(format!("a period of 2^{} units", self.modulus_bits));
        }
        if self.coefficient_frac > 24 || self.trig_frac > TRIG_FRAC || !(-64..=64).contains(&self.exponent) {
            let (c, t) = (self.coefficient_frac, self.trig_frac);
            return Err(format!("{c} and {t} fractional bits, exponent {}", self.exponent));
        }
        if n == 0 || n > 4096 || self.cosines.len() != n || self.sines.len() != n {
            return Err(format!("{n} harmonics, {} cosines, {} sines", self.cosines.len(), self.sines.len()));
        }
        match self.cosines.iter().chain(&self.sines).find(|c| c.unsigned_abs() >= 1 << 31) {
            Some(c) => Err(format!("a coefficient of {c}")),
            None => Ok(()),
        }
    }

    /// The angles of one revolution.
    pub fn turn(&self) -> Turn {
        Turn::new(self.modulus_bits)
    }

    /// The terms without the constant.
    pub fn terms(&self) -> Harmonics<'_> {
        Harmonics { multiples: &self.harmonics, cosines: &self.cosines, sines: &self.sines }
    }

    /// The function of a number with `frac` fractional bits in the phase; nothing where it has no such phase.
    pub fn at(&self, v: f64, frac: i32) -> Option<f64> {
        let phase = ring64::encode(v, frac)? & ring64::low_bits(self.modulus_bits);
        let words = self.evaluate(&[phase]);
        words.first().map(|word| ring64::decode(*word, self.out_frac()))
    }

    /// The function of phases in clear, at [`Series::out_frac`].
    pub fn evaluate(&self, phase: &[u64]) -> Vec<u64> {
        let mut sum = vec![0; phase.len()];
        self.turn().series_clear(self.terms(), phase, &mut sum);
        sum.iter().map(|s| (s << self.trig_frac).wrapping_add(self.constant as u64)).collect()
    }
}
