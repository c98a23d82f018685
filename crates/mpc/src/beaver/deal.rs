//! The dealer: correlations of uniform masks, demand by demand. What it deals depends on the plan's counts and on its own
//! randomness alone: it holds no weights and sees no message.
//!
//! Masks are sums (or exclusive ors) of a word of P0's stream and one of P1's. P0's half of a dealt value is a word of its
//! stream, P1 is sent the rest.

use ring64::{Dims, Kernel, Product, Rhs, Turn, add_assign};

use super::demand::Demand;
use super::plan::Plan;
use crate::dealt::DealtWriter;
use crate::error::MpcError;
use crate::protocol::truncate::{high_part, top_bit};
use crate::streams::{Purpose, Streams};

/// Deals one attempt: everything that P1 needs beyond its key goes to `writer`, in plan order.
pub fn deal<S: Streams>(plan: &Plan, streams: [S; 2], kernel: Kernel, writer: DealtWriter<'_>) -> Result<(), MpcError> {
    let [zero, one] = streams;
    let mut dealing = Dealing { zero, one, kernel, number: 0, writer };
    for (number, (_, demand)) in plan.demands.iter().enumerate() {
        dealing.number = number as u64;
        dealing.demand(demand)?;
    }
    dealing.writer.finish()
}

struct Dealing<'d, S> {
    zero: S,
    one: S,
    kernel: Kernel,
    number: u64,
    writer: DealtWriter<'d>,
}

impl<S: Streams> Dealing<'_, S> {
    /// Both halves of masks.
    fn halves(&mut self, purpose: Purpose, count: usize) -> [Vec<u64>; 2] {
        let (number, kernel) = (self.number, self.kernel);
        [self.zero.words(number, purpose, count, kernel), self.one.words(number, purpose, count, kernel)]
    }

    /// Masks that are shared by addition.
    fn mask(&mut self, purpose: Purpose, count: usize) -> Vec<u64> {
        let [mut mask, half] = self.halves(purpose, count);
        add_assign(&mut mask, &half);
        mask
    }

    /// Masks that are shared by exclusive or.
    fn bits(&mut self, purpose: Purpose, count: usize) -> Vec<u64> {
        let [mut mask, half] = self.halves(purpose, count);
        mask.iter_mut().zip(&half).for_each(|(a, b)| *a ^= b);
        mask
    }

    /// Shares a value by addition.
    fn share(&mut self, purpose: Purpose, mut value: Vec<u64>) -> Result<(), MpcError> {
        self.zero.subtract_from(self.number, purpose, &mut value, self.kernel);
        self.writer.words(&value, 0, 64)
    }

    fn demand(&mut self, demand: &Demand) -> Result<(), MpcError> {
        match demand {
            Demand::Multiply { count } => {
                let (a, b) = (self.mask(Purpose::Mask, *count), self.mask(Purpose::Right, *count));
                let mut products = vec![0; *count];
                self.kernel.mul_add(&a, &b, &mut products);
                self.share(Purpose::Dealt, products)
            }
            Demand::Square { count } => {
                let a = self.mask(Purpose::Mask, *count);
                let mut squares = vec![0; *count];
                self.kernel.mul_add(&a, &a, &mut squares);
                self.share(Purpose::Dealt, squares)
            }
            Demand::ScaleRows { parts } => {
                let count = parts.iter().map(|(rows, cols)| rows * cols).sum();
                let a = self.mask(Purpose::Mask, count);
                let b = self.mask(Purpose::Right, parts.iter().map(|(rows, _)| rows).sum());
                let mut products = vec![0; count];
                scale_parts(self.kernel, parts, &a, &b, &mut products);
                self.share(Purpose::Dealt, products)
            }
            Demand::Matmul { products, transposed } => {
                let rhs = if *transposed { Rhs::Transposed } else { Rhs::AsIs };
                let dims: Vec<_> = products.iter().map(|[m, k, n]| Dims { m: *m, k: *k, n: *n }).collect();
                self.matmul(&dims, rhs)
            }
            Demand::Linear { dims: [m, k, n], .. } => self.matmul(&[Dims { m: *m, k: *k, n: *n }], Rhs::AsIs),
            Demand::Residual { rows, cols, centred, .. } => {
                let a = self.mask(Purpose::Mask, rows * cols);
                let b = self.mask(Purpose::Right, 2 * cols);
                let mut products = vec![0; rows * cols];
                self.kernel.columns_mul_add(*cols, &a, &b[..*cols], &mut products);
                self.share(Purpose::Dealt, products)?;
                if !centred {
                    return Ok(());
                }
                let mut means = vec![0; *rows];
                self.kernel.rows_dot_vector(*cols, &a, &b[*cols..], &mut means);
                self.share(Purpose::Second, means)
            }
            Demand::And { count } => {
                let (a, b) = (self.bits(Purpose::Mask, *count), self.bits(Purpose::Right, *count));
                let mut rest = self.zero.words(self.number, Purpose::Dealt, *count, self.kernel);
                rest.iter_mut().zip(a.iter().zip(&b)).for_each(|(c, (a, b))| *c ^= a & b);
                self.writer.words(&rest, 0, 64)
            }
            Demand::Bit { count } => {
                let bits = self.bits(Purpose::Mask, *count).iter().map(|r| r & 1).collect();
                self.share(Purpose::Dealt, bits)
            }
            Demand::Sine { count, wave } => {
                let halves = self.halves(Purpose::Mask, *count);
                let mask = |(a, b): (&u64, &u64)| (a % wave.period + b % wave.period) % wave.period;
                let masks: Vec<u64> = halves[0].iter().zip(&halves[1]).map(mask).collect();
                let mut waves = vec![0; 2 * wave.multiples.len() * count];
                turn(self.kernel).waves(&wave.multiples, wave.trig_frac, &wave.angles(&masks), &mut waves);
                self.share(Purpose::Dealt, waves)
            }
            Demand::Truncate { parts } => {
                let r = self.mask(Purpose::Mask, parts.iter().map(|(count, _)| count).sum());
                self.share(Purpose::Dealt, high_part(&r, parts))?;
                self.share(Purpose::Second, top_bit(&r))
            }
        }
    }

    fn matmul(&mut self, dims: &[Dims], rhs: Rhs) -> Result<(), MpcError> {
        let a = self.mask(Purpose::Mask, dims.iter().map(|d| d.m * d.k).sum());
        let b = self.mask(Purpose::Right, dims.iter().map(|d| d.k * d.n).sum());
        let mut c = vec![0; dims.iter().map(|d| d.m * d.n).sum()];
        products(self.kernel, dims, rhs, &a, &b, &mut c);
        self.share(Purpose::Dealt, c)
    }
}

/// The turn of `Wave::angles`.
pub(super) fn turn(kernel: Kernel) -> Turn {
    Turn::new(40).with_kernel(kernel)
}

/// Adds the products of matrices that lie one behind the other.
pub(super) fn products(kernel: Kernel, dims: &[Dims], rhs: Rhs, a: &[u64], b: &[u64], c: &mut [u64]) {
    let (mut a, mut b, mut c) = (a, b, c);
    let mut products = Vec::with_capacity(dims.len());
    for d in dims {
        let (left, rest) = a.split_at(d.m * d.k);
        let (right, others) = b.split_at(d.k * d.n);
        let (product, behind) = c.split_at_mut(d.m * d.n);
        products.push(Product { dims: *d, a: left, b: right, rhs, c: product });
        (a, b, c) = (rest, others, behind);
    }
    kernel.gemm_batch(&mut products);
}

/// Adds to `c`, for matrices that lie one behind the other, each row of `a` times its number of `r`.
pub(super) fn scale_parts(kernel: Kernel, parts: &[(usize, usize)], a: &[u64], r: &[u64], c: &mut [u64]) {
    let (mut at, mut row) = (0, 0);
    for (rows, cols) in parts {
        let (here, numbers) = (at..at + rows * cols, row..row + rows);
        (at, row) = (here.end, numbers.end);
        if !here.is_empty() {
            kernel.scale_rows_add(*cols, &a[here.clone()], &r[numbers], &mut c[here]);
        }
    }
}
