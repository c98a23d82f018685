//! The portable kernel: plain loops in an order that the compiler can vectorise for any machine.
//!
//! The elementwise bodies are `inline(always)`, so that the AVX modules can compile the very same loops once more for
//! its registers. Lengths were checked by [`crate::Kernel`].

use std::hint::black_box;

use rayon::prelude::*;

use crate::{Dims, Rhs, add_assign};

/// Products of fewer multiply-adds than this are not worth a second thread.
pub(crate) const PARALLEL_WORK: usize = 1 << 21;
/// The part of the sum that one pass over the rows takes: its rows of b stay in the second-level cache.
const K_BLOCK: usize = 64;

/// See [`crate::Kernel::gemm`].
pub(crate) fn gemm(dims: Dims, a: &[u64], b: &[u64], rhs: Rhs, c: &mut [u64]) {
    let Dims { m, k, n } = dims;
    if dims.multiply_adds() == 0 {
        return;
    }
    let threads = rayon::current_num_threads();
    let serial = |a: &[u64], c: &mut [u64]| match rhs {
        Rhs::AsIs => rows_as_is(k, n, a, b, c),
        Rhs::Transposed => rows_transposed(k, n, a, b, c),
    };
    if dims.multiply_adds() < PARALLEL_WORK || threads == 1 {
        serial(a, c);
    } else if m >= 2 * threads {
        let rows = m.div_ceil(4 * threads).max(4);
        (a.par_chunks(rows * k), c.par_chunks_mut(rows * n)).into_par_iter().for_each(|(a, c)| serial(a, c));
    } else {
        few_rows(dims, a, b, rhs, c);
    }
}

/// See [`crate::Kernel::multiply_peak`]: sixteen chains, in whatever instructions the compiler finds for them.
pub(crate) fn multiply_peak(steps: u64) -> u64 {
    let (factor, more) = (black_box(3u64), black_box(5));
    let mut sums: [u64; 16] = std::array::from_fn(|i| i as u64);
    for _ in 0..steps {
        sums.iter_mut().for_each(|sum| *sum = sum.wrapping_mul(factor).wrapping_add(more));
    }
    black_box(sums);
    steps * sums.len() as u64
}

/// Few rows: the threads share the sum (or the columns, where b is transposed), each into a product of its own.
fn few_rows(Dims { m, k, n }: Dims, a: &[u64], b: &[u64], rhs: Rhs, c: &mut [u64]) {
    let threads = rayon::current_num_threads();
    match rhs {
        Rhs::AsIs => {
            let step = k.div_ceil(threads);
            let parts: Vec<Vec<u64>> = b
                .par_chunks(step * n)
                .enumerate()
                .map(|(i, b)| {
                    let wide = b.len() / n;
                    let a: Vec<u64> =
                        a.chunks_exact(k).flat_map(|row| &row[i * step..i * step + wide]).copied().collect();
                    let mut part = vec![0; m * n];
                    rows_as_is(wide, n, &a, b, &mut part);
                    part
                })
                .collect();
            parts.iter().for_each(|part| add_assign(c, part));
        }
        Rhs::Transposed => {
            let step = n.div_ceil(threads);
            let parts: Vec<Vec<u64>> = b
                .par_chunks(step * k)
                .map(|b| {
                    let wide = b.len() / k;
                    let mut part = vec![0; m * wide];
                    rows_transposed(k, wide, a, b, &mut part);
                    part
                })
                .collect();
            for (i, row) in c.chunks_exact_mut(n).enumerate() {
                for (part, row) in parts.iter().zip(row.chunks_mut(step)) {
                    add_assign(row, &part[i * row.len()..][..row.len()]);
                }
            }
        }
    }
}

/// Rows of c as sums of rows of b, four at a time so that each row of c is read and written a quarter as often.
fn rows_as_is(k: usize, n: usize, a: &[u64], b: &[u64], c: &mut [u64]) {
    for start in (0..k).step_by(K_BLOCK) {
        let end = (start + K_BLOCK).min(k);
        let b = &b[start * n..end * n];
        for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
            let (fours, rest) = a[start..end].as_chunks::<4>();
            let mut rows = b.chunks_exact(n);
            for f in fours {
                let (Some(b0), Some(b1), Some(b2), Some(b3)) = (rows.next(), rows.next(), rows.next(), rows.next())
                else {
                    unreachable!("b has a row for each column of a");
                };
                for ((((c, &b0), &b1), &b2), &b3) in c.iter_mut().zip(b0).zip(b1).zip(b2).zip(b3) {
                    let low = f[0].wrapping_mul(b0).wrapping_add(f[1].wrapping_mul(b1));
                    let high = f[2].wrapping_mul(b2).wrapping_add(f[3].wrapping_mul(b3));
                    *c = c.wrapping_add(low.wrapping_add(high));
                }
            }
            rest.iter().zip(rows).for_each(|(&f, b)| scale_add(f, b, c));
        }
    }
}

fn rows_transposed(k: usize, n: usize, a: &[u64], b: &[u64], c: &mut [u64]) {
    for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
        matrix_vector(b, a, c);
    }
}

#[inline(always)]
pub(crate) fn mul_add(a: &[u64], b: &[u64], c: &mut [u64]) {
    for ((c, &a), &b) in c.iter_mut().zip(a).zip(b) {
        *c = c.wrapping_add(a.wrapping_mul(b));
    }
}

#[inline(always)]
pub(crate) fn scale_add(factor: u64, a: &[u64], c: &mut [u64]) {
    for (c, &a) in c.iter_mut().zip(a) {
        *c = c.wrapping_add(a.wrapping_mul(factor));
    }
}

#[inline(always)]
pub(crate) fn row_dot(columns: usize, a: &[u64], b: &[u64], out: &mut [u64]) {
    for ((a, b), out) in a.chunks_exact(columns).zip(b.chunks_exact(columns)).zip(out) {
        *out = out.wrapping_add(dot(a, b));
    }
}

/// `out[i] += matrix[i] . vector`.
#[inline(always)]
pub(crate) fn matrix_vector(matrix: &[u64], vector: &[u64], out: &mut [u64]) {
    for (row, out) in matrix.chunks_exact(vector.len()).zip(out) {
        *out = out.wrapping_add(dot(row, vector));
    }
}

#[inline(always)]
fn dot(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).fold(0, |sum: u64, (&a, &b)| sum.wrapping_add(a.wrapping_mul(b)))
}

/// `out[i] += sum of row i`.
#[inline(always)]
pub(crate) fn row_sums(columns: usize, x: &[u64], out: &mut [u64]) {
    for (row, out) in x.chunks_exact(columns).zip(out) {
        *out = row.iter().fold(*out, |sum, x| sum.wrapping_add(*x));
    }
}

/// `c[i, j] += x[i, j] * factors[j]`.
#[inline(always)]
pub(crate) fn columns_mul_add(x: &[u64], factors: &[u64], c: &mut [u64]) {
    for (x, c) in x.chunks_exact(factors.len()).zip(c.chunks_exact_mut(factors.len())) {
        mul_add(x, factors, c);
    }
}
