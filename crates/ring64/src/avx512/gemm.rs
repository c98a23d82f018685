//! The matrix product in 512-bit registers.
//!
//! A tile of 8 rows by 24 columns of c stays in 24 registers while the sum over k runs: each step loads three vectors of
//! b, broadcasts eight words of a, and does 24 multiplications and additions. b is copied into narrow panels that stay in
//! the first-level cache, except where c has so few rows that a copy would cost more than it saves: then b is streamed
//! from where it lies, once. a is never copied: its eight rows are eight sequential reads.

use std::arch::x86_64::*;
use std::ops::Range;

use rayon::prelude::*;

use crate::scalar::PARALLEL_WORK;
use crate::{Dims, Rhs, add_assign};

/// Words of a register.
const LANES: usize = 8;
/// Rows of a tile.
const ROWS: usize = 8;
/// Columns of a tile: three registers.
const COLUMNS: usize = 3 * LANES;
/// Steps of the sum that a copied panel of b holds: 128 x 24 words are half of a first-level cache.
const K_BLOCK: usize = 128;
/// Rows of c that share one pass over the panels, so that their part of a stays in the second-level cache.
const ROW_BLOCK: usize = 384;
/// Up to this many rows b is read where it lies.
const FEW_ROWS: usize = 2 * ROWS;
/// Words of b that one streamed block may span, so that both its column panels and the next block's prefetched lines
/// stay in the second-level cache.
const STREAM_WORDS: usize = 1 << 14;

/// See [`crate::Kernel::gemm`].
pub(crate) fn gemm(dims: Dims, a: &[u64], b: &[u64], rhs: Rhs, c: &mut [u64]) {
    super::require();
    let Dims { m, k, n } = dims;
    // The tiles' pointers rest on these.
    assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n, "gemm: lengths");
    if dims.multiply_adds() == 0 {
        return;
    }
    // One column of c is a dot product with each row of a; one row with a transposed b is one with each row of b.
    if n == 1 {
        return matrix_vector(k, a, b, c);
    }
    if m == 1 && rhs == Rhs::Transposed {
        return matrix_vector(k, b, a, c);
    }

    let product = Product { dims, a, b, rhs, c: Output(c.as_mut_ptr()) };
    let threads = rayon::current_num_threads();
    if dims.multiply_adds() < PARALLEL_WORK || threads == 1 {
        // SAFETY: the CPU was checked above; `c` is borrowed exclusively and no other block writes to it.
        unsafe { product.block(0..m, 0..n, 0..k) };
    } else if m <= FEW_ROWS && rhs == Rhs::AsIs && k >= n {
        // Threads share the sum, so that each streams whole rows of b, into products of their own.
        let parts: Vec<Vec<u64>> = split(k, threads, 1)
            .into_par_iter()
            .map(|steps| {
                let mut part = vec![0; m * n];
                let product = Product { c: Output(part.as_mut_ptr()), ..product };
                // SAFETY: the CPU was checked above; `part` is this closure's own, of m x n words.
                unsafe { product.block(0..m, 0..n, steps) };
                part
            })
            .collect();
        parts.iter().for_each(|part| add_assign(c, part));
    } else {
        // Threads share the columns, and the rows too where there are not enough columns.
        let columns = split(n, 4 * threads, COLUMNS);
        let rows = split(m, (4 * threads).div_ceil(columns.len()), ROWS);
        let blocks: Vec<_> = columns.iter().flat_map(|j| rows.iter().map(move |i| (i, j))).collect();
        blocks.into_par_iter().for_each(|(i, j)| {
            // SAFETY: the CPU was checked above; `c` is borrowed exclusively, and no two blocks share a word of it: they
            // differ in their rows or in their columns.
            unsafe { product.block(i.clone(), j.clone(), 0..k) };
        });
    }
}

/// `0..total` in at most `parts` ranges of about the same length, a multiple of `unit` except for the last.
fn split(total: usize, parts: usize, unit: usize) -> Vec<Range<usize>> {
    let step = total.div_ceil(unit).div_ceil(parts) * unit;
    (0..total).step_by(step).map(|start| start..(start + step).min(total)).collect()
}

/// `out[i] += matrix[i] . vector`.
fn matrix_vector(k: usize, matrix: &[u64], vector: &[u64], out: &mut [u64]) {
    if matrix.len() < PARALLEL_WORK {
        return super::matrix_vector(matrix, vector, out);
    }
    let rows = out.len().div_ceil(4 * rayon::current_num_threads());
    (matrix.par_chunks(rows * k), out.par_chunks_mut(rows))
        .into_par_iter()
        .for_each(|(matrix, out)| super::matrix_vector(matrix, vector, out));
}

/// The first word of c, or of a part of it, that several threads write to in turn blocks of their own.
#[derive(Clone, Copy)]
struct Output(*mut u64);

// SAFETY: an address, written through only in `Product::block`, whose callers promise blocks that share no word.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

/// A product whose lengths were checked, with `c` pointing to m x n words.
#[derive(Clone, Copy)]
struct Product<'a> {
    dims: Dims,
    a: &'a [u64],
    b: &'a [u64],
    rhs: Rhs,
    c: Output,
}

/// A panel of b for one block of the sum.
#[repr(align(64))]
struct Panel([u64; K_BLOCK * COLUMNS]);

impl Product<'_> {
    /// Adds `steps` of the sum to the rows and columns of c that are named.
    ///
    /// # Safety
    /// The CPU has avx512f and avx512dq, the ranges lie within the dimensions, `c` is valid for m x n words, and nobody
    /// else reads or writes these rows and columns meanwhile.
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn block(&self, rows: Range<usize>, columns: Range<usize>, steps: Range<usize>) {
        if rows.len() <= FEW_ROWS && self.rhs == Rhs::AsIs {
            // SAFETY: passed on as promised.
            return unsafe { self.stream(rows, columns, steps) };
        }
        let mut panel = Panel([0; K_BLOCK * COLUMNS]);
        for row_block in rows.clone().step_by(ROW_BLOCK) {
            let row_block = row_block..(row_block + ROW_BLOCK).min(rows.end);
            for step in steps.clone().step_by(K_BLOCK) {
                let step = step..(step + K_BLOCK).min(steps.end);
                for column in columns.clone().step_by(COLUMNS) {
                    let width = COLUMNS.min(columns.end - column);
                    self.copy(step.clone(), column, width, &mut panel);
                    let b = Strided { first: panel.0.as_ptr(), row: COLUMNS };
                    // SAFETY: passed on as promised; the panel holds K_BLOCK >= step.len() rows of COLUMNS words.
                    unsafe { self.tiles(row_block.clone(), column, width, step.clone(), b, 0) };
                }
            }
        }
    }

    /// The block without copies: a few steps at a time over all columns.
    ///
    /// # Safety
    /// As for `block`, and b is not transposed.
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn stream(&self, rows: Range<usize>, columns: Range<usize>, steps: Range<usize>) {
        let n = self.dims.n;
        let k_block = (STREAM_WORDS / columns.len()).clamp(8, K_BLOCK);
        for step in steps.clone().step_by(k_block) {
            let step = step..(step + k_block).min(steps.end);
            for column in columns.clone().step_by(COLUMNS) {
                let width = COLUMNS.min(columns.end - column);
                let b = Strided { first: self.b[step.start * n + column..].as_ptr(), row: n };
                // SAFETY: passed on as promised; from that word on b has step.len() rows with `width` columns.
                unsafe { self.tiles(rows.clone(), column, width, step.clone(), b, k_block * n) };
            }
        }
    }

    /// Copies the rows `step` of b and `width` columns from `column` on, padded with zeros to the columns of a panel.
    #[target_feature(enable = "avx512f,avx512dq")]
    fn copy(&self, step: Range<usize>, column: usize, width: usize, panel: &mut Panel) {
        let Dims { k, n, .. } = self.dims;
        let panel = panel.0.as_chunks_mut::<COLUMNS>().0;
        match self.rhs {
            Rhs::AsIs => {
                for (p, to) in step.zip(panel) {
                    let from = &self.b[p * n + column..][..width];
                    match <&[u64; COLUMNS]>::try_from(from) {
                        Ok(full) => *to = *full,
                        Err(_) => {
                            *to = [0; COLUMNS];
                            to[..width].copy_from_slice(from);
                        }
                    }
                }
            }
            Rhs::Transposed => {
                for j in 0..COLUMNS {
                    if j < width {
                        let from = &self.b[(column + j) * k..][step.clone()];
                        panel.iter_mut().zip(from).for_each(|(to, &w)| to[j] = w);
                    } else {
                        panel.iter_mut().for_each(|to| to[j] = 0);
                    }
                }
            }
        }
    }

    /// All tiles of one column panel.
    ///
    /// # Safety
    /// As for `block`; `b` has `step.len()` rows in which `width` (1 to COLUMNS) words from `first` on may be read.
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn tiles(
        &self,
        rows: Range<usize>,
        column: usize,
        width: usize,
        step: Range<usize>,
        b: Strided,
        mut ahead: usize,
    ) {
        let Dims { k, n, .. } = self.dims;
        let vectors = width.div_ceil(LANES);
        let mask = 0xFF >> (vectors * LANES - width);
        for row in rows.clone().step_by(ROWS) {
            let a = Strided { first: self.a[row * k + step.start..].as_ptr(), row: k };
            // SAFETY: row < m and column < n, so the offset lies within the m x n words of c.
            let c = unsafe { self.c.0.add(row * n + column) };
            let height = ROWS.min(rows.end - row);
            // SAFETY: the tile's rows lie within `rows` and its `width` columns within those of c and of b, as promised;
            // a's rows have step.len() words from step.start on, for the steps lie within k.
            unsafe { tile(height, vectors)(step.len(), a, b, ahead, mask, c, n) };
            // The first tile has asked for the lines ahead.
            ahead = 0;
        }
    }
}

/// Where a matrix begins and how many words lie between the beginnings of its rows.
#[derive(Clone, Copy)]
struct Strided {
    first: *const u64,
    row: usize,
}

type Tile = unsafe fn(usize, Strided, Strided, usize, __mmask8, *mut u64, usize);

/// The tile of this many rows (1 to 8) and vectors (1 to 3).
fn tile(rows: usize, vectors: usize) -> Tile {
    const fn of<const V: usize>() -> [Tile; ROWS] {
        [
            multiply::<1, V>,
            multiply::<2, V>,
            multiply::<3, V>,
            multiply::<4, V>,
            multiply::<5, V>,
            multiply::<6, V>,
            multiply::<7, V>,
            multiply::<8, V>,
        ]
    }
    const TILES: [[Tile; ROWS]; 3] = [of::<1>(), of::<2>(), of::<3>()];
    TILES[vectors - 1][rows - 1]
}

/// Adds to R rows and V vectors of c the product of R rows of a and `k` rows of b, and asks for the lines of b that lie
/// `ahead` words further on.
///
/// # Safety
/// The CPU has avx512f and avx512dq. R rows of `k` words may be read from `a`; from `b`, `k` rows of V vectors, of which
/// the last only where `mask` is set; and R rows of the same width, `columns` words apart, read and written from `c` on.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn multiply<const R: usize, const V: usize>(
    k: usize,
    a: Strided,
    b: Strided,
    ahead: usize,
    mask: __mmask8,
    c: *mut u64,
    columns: usize,
) {
    let lanes = |v: usize| if v + 1 == V { mask } else { 0xFF };
    let mut sums = [[_mm512_setzero_si512(); V]; R];
    let mut row = b.first;
    // SAFETY: all offsets stay within what the caller promised; masked-off words are neither read nor written, a prefetch
    // may name any address, and `row` moves past the last row by wrapping only.
    unsafe {
        for p in 0..k {
            let mut bs = [_mm512_setzero_si512(); V];
            for (v, b) in bs.iter_mut().enumerate() {
                *b = _mm512_maskz_loadu_epi64(lanes(v), row.add(v * LANES).cast());
                if ahead != 0 {
                    _mm_prefetch::<_MM_HINT_T1>(row.wrapping_add(ahead + v * LANES).cast());
                }
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = _mm512_set1_epi64(*a.first.add(r * a.row + p) as i64);
                for (sum, &b) in sums.iter_mut().zip(&bs) {
                    *sum = _mm512_add_epi64(*sum, _mm512_mullo_epi64(x, b));
                }
            }
            row = row.wrapping_add(b.row);
        }
        for (r, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let at: *mut i64 = c.add(r * columns + v * LANES).cast();
                let old = _mm512_maskz_loadu_epi64(lanes(v), at);
                _mm512_mask_storeu_epi64(at, lanes(v), _mm512_add_epi64(old, sum));
            }
        }
    }
}
