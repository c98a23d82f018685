//! What protocols on shares are written over: a handful of operations that send, and whatever a party computes alone.
//!
//! A share is a list of words, by addition modulo 2^64 unless it says otherwise. `local` is called by named functions
//! of `layout`, `arithmetic`, `binary` and `truncate` alone.

use model::{Series, SpecError};
use ring64::{Dims, Rhs};

use crate::party::Party;

/// A sum of sines and cosines with integer coefficients over a period of any number of units, evaluated by Pi_Sin (Alg. 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wave {
    /// Units of one period.
    pub period: u64,
    /// Multiples of the base frequency.
    pub multiples: Vec<u32>,
    /// Coefficients of the cosines, below 2^31.
    pub cosines: Vec<i64>,
    /// Coefficients of the sines, below 2^31.
    pub sines: Vec<i64>,
    /// Constant term, at the scale of the result.
    pub constant: i64,
    /// Fractional bits of the dealt sines and cosines.
    pub trig_frac: u32,
    /// Fractional bits of the result.
    pub out_frac: i32,
}

impl Wave {
    /// Bits of an angle.
    pub fn bits(&self) -> u32 {
        64 - (self.period - 1).leading_zeros()
    }

    /// A calibrated series as such a sum.
    pub fn of(series: &Series) -> Wave {
        Wave {
            period: 1 << series.modulus_bits,
            multiples: series.harmonics.clone(),
            cosines: series.cosines.clone(),
            sines: series.sines.clone(),
            constant: series.constant,
            trig_frac: series.trig_frac,
            out_frac: series.out_frac(),
        }
    }

    /// All of it, and how many elements it is for, as integers.
    pub(crate) fn integers(&self, count: usize) -> Vec<u64> {
        let Wave { period, multiples, cosines, sines, constant, trig_frac, out_frac } = self;
        let mut all = vec![count as u64, *period, *constant as u64, (*trig_frac).into(), *out_frac as u64];
        all.extend(multiples.iter().map(|m| u64::from(*m)));
        all.extend(cosines.iter().chain(sines).map(|c| *c as u64));
        all
    }

    /// An angle of `2^40` steps a turn for each number of units: the kernels' turns are powers of two.
    pub(crate) fn angles(&self, units: &[u64]) -> Vec<u64> {
        let angle = |x: &u64| ((u128::from(*x) << 40) / u128::from(self.period)) as u64;
        units.iter().map(angle).collect()
    }
}

/// Protocols on shares. Each call of the first group is one round; [`Ring::local`] sends nothing.
pub(crate) trait Ring {
    /// A party's share of a list of words.
    type Share;
    /// What can go wrong.
    type Error: From<SpecError>;

    /// Products, element by element.
    fn multiply(&mut self, x: &Self::Share, y: &Self::Share) -> Result<Self::Share, Self::Error>;
    /// Squares.
    fn square(&mut self, x: &Self::Share) -> Result<Self::Share, Self::Error>;
    /// Rows of matrices that lie one behind the other, each times its number.
    fn scale_rows(
        &mut self,
        x: &Self::Share,
        r: &Self::Share,
        parts: &[(usize, usize)],
    ) -> Result<Self::Share, Self::Error>;
    /// Matrix products.
    fn matmul(
        &mut self,
        pairs: &[(&Self::Share, &Self::Share)],
        dims: &[Dims],
        rhs: Rhs,
    ) -> Result<Vec<Self::Share>, Self::Error>;
    /// Bitwise conjunctions; operands and result are shared by exclusive or.
    fn and(&mut self, x: &Self::Share, y: &Self::Share) -> Result<Self::Share, Self::Error>;
    /// The lowest bits of words shared by exclusive or, shared by addition.
    fn bit(&mut self, x: &Self::Share) -> Result<Self::Share, Self::Error>;
    /// A series of sines.
    fn sine(&mut self, x: &Self::Share, wave: &Wave) -> Result<Self::Share, Self::Error>;
    /// Truncation with the dealer's help, of lists of so many elements that lie one behind the other.
    fn truncate(&mut self, x: &Self::Share, parts: &[(usize, u32)]) -> Result<Self::Share, Self::Error>;

    /// Words of a list.
    fn count(&self, x: &Self::Share) -> usize;
    /// What each party computes alone: `count` words from the inputs' words.
    fn local(
        &mut self,
        inputs: &[&Self::Share],
        count: usize,
        compute: impl FnOnce(Party, &[&[u64]]) -> Vec<u64>,
    ) -> Self::Share;
}

#[cfg(test)]
mod tests {
    use super::super::world::{Protocol, fixed, key, published, run};
    use super::*;

    /// Every protocol once, on two lists of twelve.
    struct All;

    impl Protocol for All {
        fn run<R: Ring>(&self, ring: &mut R, inputs: &[R::Share]) -> Result<Vec<R::Share>, R::Error> {
            let (x, y) = (&inputs[0], &inputs[1]);
            let numbers = super::super::layout::slice(ring, y, 0..5);
            let dims = [Dims { m: 2, k: 6, n: 2 }];
            let mut results =
                vec![ring.multiply(x, y)?, ring.square(x)?, ring.scale_rows(x, &numbers, &[(3, 2), (2, 3)])?];
            for rhs in [Rhs::AsIs, Rhs::Transposed] {
                results.extend(ring.matmul(&[(x, y)], &dims, rhs)?);
            }
            Ok(results)
        }
    }

    #[test]
    fn products_are_exact_on_uniform_words() {
        let [x, y] = [1, 2].map(|stream| ring64::Prg::new(&key(9), stream).words(12));
        let seen = run(&All, &[x.clone(), y.clone()], 4);
        let times = |a: &u64, b: &u64| a.wrapping_mul(*b);
        let products: Vec<_> = x.iter().zip(&y).map(|(a, b)| times(a, b)).collect();
        let squares: Vec<_> = x.iter().map(|a| times(a, a)).collect();
        let rows = [0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4];
        let scaled: Vec<_> = x.iter().zip(rows).map(|(a, r)| times(a, &y[r])).collect();
        let matrix = |at: fn(usize, usize) -> usize| {
            let entry =
                |i: usize, j: usize| (0..6).fold(0u64, |sum, k| sum.wrapping_add(times(&x[6 * i + k], &y[at(k, j)])));
            vec![entry(0, 0), entry(0, 1), entry(1, 0), entry(1, 1)]
        };
        let expected = [products, squares, scaled, matrix(|k, j| 2 * k + j), matrix(|k, j| 6 * j + k)];
        assert_eq!(seen.outputs, expected);
        let bytes: Vec<_> = seen.demands.iter().map(|d| published(std::slice::from_ref(d))).collect();
        // 32 a product and 16 a square, each word of a matrix once
        assert_eq!(bytes, [12 * 32, 12 * 16, 12 * 32, 24 * 16, 24 * 16]);
    }

    struct Conjunction;

    impl Protocol for Conjunction {
        fn run<R: Ring>(&self, ring: &mut R, inputs: &[R::Share]) -> Result<Vec<R::Share>, R::Error> {
            let both = ring.and(&inputs[0], &inputs[1])?;
            Ok(vec![ring.bit(&inputs[0])?, both])
        }
    }

    #[test]
    fn conjunctions_and_bits_are_exact() {
        let words = |stream| ring64::Prg::new(&key(10), stream).words(300);
        let shares = [[words(1), words(2)], [words(3), words(4)]];
        let seen = super::super::world::run_shared(&Conjunction, &shares, 6);
        let value = |x: &[Vec<u64>; 2]| x[0].iter().zip(&x[1]).map(|(a, b)| a ^ b).collect::<Vec<_>>();
        let [x, y] = [value(&shares[0]), value(&shares[1])];
        assert_eq!(seen.outputs[0], x.iter().map(|x| x & 1).collect::<Vec<_>>());
        let both: Vec<_> = seen.shares[0][1].iter().zip(&seen.shares[1][1]).map(|(a, b)| a ^ b).collect();
        assert_eq!(both, x.iter().zip(&y).map(|(x, y)| x & y).collect::<Vec<_>>());
    }

    struct Sine(Wave);

    impl Protocol for Sine {
        fn run<R: Ring>(&self, ring: &mut R, inputs: &[R::Share]) -> Result<Vec<R::Share>, R::Error> {
            Ok(vec![ring.sine(&inputs[0], &self.0)?])
        }
    }

    /// A period that does not divide 2^64: sums of unreduced shares would be wrong by 2^64 modulo the period, which is most of it.
    #[test]
    fn sines_are_right_over_any_period_and_beyond_its_ends() {
        for period in [20 << 16, 1 << 19, 677_888, 3] {
            let unit = f64::from(1 << 16);
            let wave = Wave {
                period,
                multiples: vec![1, 2, 3],
                cosines: [0.5, 0.0, -0.25].map(|c| (c * unit) as i64).to_vec(),
                sines: [1.25, -0.5, 0.125].map(|c| (c * unit) as i64).to_vec(),
                constant: 1 << 31,
                trig_frac: 16,
                out_frac: 32,
            };
            let mut x = fixed(&[0.0, 1.7, -1.7, 1e-4, -1e-4, 9.999, 10.0, -10.0, 10.001, 123.456, -3000.0, 32767.0]);
            x.extend([period - 1, period, period + 1, period.wrapping_neg()]);
            let seen = run(&Sine(wave.clone()), &[x.clone()], period);
            for (x, y) in x.iter().zip(&seen.outputs[0]) {
                let turn = std::f64::consts::TAU * (*x as i64 as f64 / period as f64).fract();
                let (cos, sin) = (|k: f64| (k * turn).cos(), |k: f64| (k * turn).sin());
                let expected =
                    0.5 + 0.5 * cos(1.0) - 0.25 * cos(3.0) + 1.25 * sin(1.0) - 0.5 * sin(2.0) + 0.125 * sin(3.0);
                let off = ring64::decode(*y, 32) - expected;
                // three dealt pairs, each rounded to half a unit of 2^-16, and angles of 2^-40
                assert!(off.abs() < 4e-5, "period {period}, {}: {off}", *x as i64);
            }
            // an angle's bits and no more
            assert_eq!(seen.demands.len(), 1);
            assert_eq!(seen.demands[0].opened_bytes(), (x.len() * wave.bits() as usize).div_ceil(8));
        }
    }

    #[test]
    fn the_published_period_takes_21_bits() {
        let erf = model::secformer::PUBLISHED;
        let period = (erf.period * 65536.0) as u64;
        let wave = Wave {
            period,
            multiples: vec![1],
            cosines: vec![0],
            sines: vec![1],
            constant: 0,
            trig_frac: 16,
            out_frac: 32,
        };
        assert_eq!(wave.bits(), 21);
    }
}
