//! Which instructions do the heavy arithmetic, chosen at run time; every kernel gives the same bits.

use std::fmt;

use rayon::prelude::*;

use crate::Harmonics;
use crate::scalar::{self, PARALLEL_WORK};
use crate::tiles::{self, Right, Tiles};
use crate::waves::{Plan, Rows};

/// Elementwise calls on more words than this run on all threads, in pieces of about this size.
const PIECE_WORDS: usize = 1 << 15;

/// The shape of a matrix product: (m x k) times (k x n).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Rows of the left factor and of the product.
    pub m: usize,
    /// What is summed over.
    pub k: usize,
    /// Columns of the right factor and of the product.
    pub n: usize,
}

impl Dims {
    /// m, k, n in the order of "(m x k) times (k x n)".
    pub const fn new(m: usize, k: usize, n: usize) -> Self {
        Self { m, k, n }
    }

    /// The multiply-adds of the product.
    pub const fn multiply_adds(self) -> usize {
        self.m.saturating_mul(self.k).saturating_mul(self.n)
    }
}

/// How the right factor of a product lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhs {
    /// k rows of n words.
    AsIs,
    /// n rows of k words: the product is with its transpose.
    Transposed,
}

/// Threads that large calls from here share: those of the current rayon pool.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// A product of a batch: `c += a * b`, see [`Kernel::gemm`].
pub struct Product<'a> {
    /// The shape.
    pub dims: Dims,
    /// The left factor.
    pub a: &'a [u64],
    /// The right factor.
    pub b: &'a [u64],
    /// How `b` lies in memory.
    pub rhs: Rhs,
    /// What the product is added to.
    pub c: &'a mut [u64],
}

/// A set of instructions for the inner loops: of the methods here, of a [`crate::Prg`] and of a [`crate::Turn`]. Matrices are
/// contiguous and row-major, arithmetic is modulo 2^64.
///
/// All methods panic on lengths that do not fit each other, and where the CPU lacks the kernel's instructions: both are
/// errors of the programmer, never of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kernel {
    /// Portable Rust, on every machine.
    Scalar,
    /// 256-bit registers (avx2).
    Avx2,
    /// 512-bit registers and their 64-bit multiplication (avx512f, avx512dq).
    Avx512,
    /// 128-bit registers of 64-bit ARM, where every CPU has them.
    Neon,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        })
    }
}

/// Calls the function of the same name in the module of the kernel.
macro_rules! dispatch {
    ($kernel:expr, $($call:tt)+) => {
        match $kernel {
            Kernel::Scalar => scalar::$($call)+,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => crate::avx2::$($call)+,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => crate::avx512::$($call)+,
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Kernel::Neon => crate::neon::$($call)+,
            other => other.is_not_here(),
        }
    };
}

/// Calls the function of a portable module, or that of the same name in the module of the kernel.
macro_rules! twin {
    ($kernel:expr, $module:ident :: $($call:tt)+) => {
        match $kernel {
            Kernel::Scalar => crate::$module::$($call)+,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => crate::avx2::$($call)+,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => crate::avx512::$($call)+,
            // all that the portable loop can be compiled for
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Kernel::Neon => crate::$module::$($call)+,
            other => other.is_not_here(),
        }
    };
}

impl Kernel {
    /// The fastest kernel of this CPU.
    pub fn detect() -> Self {
        *Self::available().last().expect("the portable kernel")
    }

    /// Every kernel that this CPU can run, from the portable one to the fastest.
    pub fn available() -> Vec<Self> {
        let mut kernels = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            kernels.extend(crate::avx2::is_available().then_some(Self::Avx2));
            kernels.extend(crate::avx512::is_available().then_some(Self::Avx512));
        }
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        kernels.push(Self::Neon);
        kernels
    }

    fn is_not_here(self) -> ! {
        panic!("the kernel {self} is not for this CPU")
    }

    /// Overwrites whole passes of `words` with the key stream from block `counter` on, where the kernel has a way of its
    /// own; returns how many words that were.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no kernel there has a way of its own"))]
    pub(crate) fn fill_passes(self, key: &[u8; 32], stream: u64, counter: u64, words: &mut [u64]) -> usize {
        match self {
            // the twin is the crate `aes`, which the caller turns to for what is left
            Self::Scalar => 0,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 0,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => crate::avx512::fill_passes(key, stream, counter, words),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Self::Neon => 0,
            other => other.is_not_here(),
        }
    }

    /// `c += a * b` for a of m x k, c of m x n, and b of k x n ([`Rhs::AsIs`]) or n x k ([`Rhs::Transposed`]).
    ///
    /// Large products run on all threads of the current rayon pool.
    pub fn gemm(self, dims: Dims, a: &[u64], b: &[u64], rhs: Rhs, c: &mut [u64]) {
        let Dims { m, k, n } = dims;
        let area = |rows: usize, columns: usize| rows.checked_mul(columns).expect("gemm: matrix too large");
        assert_eq!(a.len(), area(m, k), "gemm {m} x {k} x {n}: length of a");
        assert_eq!(b.len(), area(k, n), "gemm {m} x {k} x {n}: length of b");
        assert_eq!(c.len(), area(m, n), "gemm {m} x {k} x {n}: length of c");
        // One column of c is a dot product with each row of a; one row with a transposed b is one with each row of b.
        if n == 1 {
            return self.matrix_vector(k, a, b, c);
        }
        if m == 1 && rhs == Rhs::Transposed {
            return self.matrix_vector(k, b, a, c);
        }
        match (self.tiles(), rhs) {
            (None, _) => scalar::gemm(dims, a, b, rhs, c),
            (Some(tiles), Rhs::AsIs) => tiles::multiply_add(tiles, dims, a, Right::Rows(b), c),
            (Some(tiles), Rhs::Transposed) => tiles::multiply_add(tiles, dims, a, Right::Columns(b), c),
        }
    }

    /// Many products that are too small to share threads each: the threads of the current rayon pool share the products.
    pub fn gemm_batch(self, products: &mut [Product<'_>]) {
        let one = |p: &mut Product<'_>| self.gemm(p.dims, p.a, p.b, p.rhs, p.c);
        let work = products.iter().map(|p| p.dims.multiply_adds()).fold(0, usize::saturating_add);
        if work < PARALLEL_WORK || rayon::current_num_threads() == 1 {
            products.iter_mut().for_each(one);
        } else {
            products.par_iter_mut().for_each(one);
        }
    }

    /// Tiles in registers, where the kernel has its own.
    pub(crate) fn tiles(self) -> Option<&'static Tiles> {
        match self {
            Self::Scalar => None,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Some(&crate::avx2::TILES),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Some(&crate::avx512::TILES),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Self::Neon => Some(&crate::neon::TILES),
            other => other.is_not_here(),
        }
    }

    /// Runs chains of multiply-adds in registers alone, and returns how many it ran: by the time this takes, the most that
    /// a matrix product of this kernel could do on one thread. Each of the `steps` is a multiply-add or more of each chain.
    pub fn multiply_peak(self, steps: u64) -> u64 {
        dispatch!(self, multiply_peak(steps))
    }

    /// `out[i] += matrix[i] . vector`.
    fn matrix_vector(self, k: usize, matrix: &[u64], vector: &[u64], out: &mut [u64]) {
        if k == 0 {
            return;
        }
        if matrix.len() < PARALLEL_WORK {
            return dispatch!(self, matrix_vector(matrix, vector, out));
        }
        let rows = out.len().div_ceil(4 * rayon::current_num_threads());
        (matrix.par_chunks(rows * k), out.par_chunks_mut(rows))
            .into_par_iter()
            .for_each(|(matrix, out)| dispatch!(self, matrix_vector(matrix, vector, out)));
    }

    /// `c[i] += a[i] * b[i]`.
    pub fn mul_add(self, a: &[u64], b: &[u64], c: &mut [u64]) {
        check("mul_add", a.len(), b.len(), c.len());
        pieces(a, b, c, |a, b, c| dispatch!(self, mul_add(a, b, c)));
    }

    /// `out[r] += sum over j of a[r, j] * b[r, j]`, for rows of `columns` words.
    pub fn row_dot(self, columns: usize, a: &[u64], b: &[u64], out: &mut [u64]) {
        check("row_dot", a.len(), b.len(), out.len().saturating_mul(columns));
        if columns == 0 {
            return;
        }
        let rows = PIECE_WORDS.div_ceil(columns);
        if out.len() <= rows {
            return dispatch!(self, row_dot(columns, a, b, out));
        }
        (a.par_chunks(rows * columns), b.par_chunks(rows * columns), out.par_chunks_mut(rows))
            .into_par_iter()
            .for_each(|(a, b, out)| dispatch!(self, row_dot(columns, a, b, out)));
    }

    /// `c[i, j] += a[i, j] * r[i]`, for rows of `columns` words: each row times its own number.
    pub fn scale_rows_add(self, columns: usize, a: &[u64], r: &[u64], c: &mut [u64]) {
        check("scale_rows_add", a.len(), r.len().saturating_mul(columns), c.len());
        rows(columns, a, r, c, |r, a, c| dispatch!(self, scale_add(r, a, c)));
    }

    /// `out[i] += sum over j of x[i, j]`, for rows of `columns` words.
    pub fn row_sums(self, columns: usize, x: &[u64], out: &mut [u64]) {
        let words = out.len().saturating_mul(columns);
        assert_eq!(x.len(), words, "row_sums: length");
        if columns == 0 {
            return;
        }
        let rows = PIECE_WORDS.div_ceil(columns);
        if out.len() <= rows {
            return dispatch!(self, row_sums(columns, x, out));
        }
        let pieces = x.par_chunks(rows * columns).zip(out.par_chunks_mut(rows));
        pieces.for_each(|(x, out)| dispatch!(self, row_sums(columns, x, out)));
    }

    /// `c[i, j] += x[i, j] * factors[j]`, for rows of `columns` words: each column times its own number.
    pub fn columns_mul_add(self, columns: usize, x: &[u64], factors: &[u64], c: &mut [u64]) {
        assert_eq!(factors.len(), columns, "columns_mul_add: length of the factors");
        assert_eq!(x.len(), c.len(), "columns_mul_add: lengths");
        assert!(columns == 0 && c.is_empty() || c.len().is_multiple_of(columns), "columns_mul_add: whole rows");
        if c.is_empty() {
            return;
        }
        let words = PIECE_WORDS.div_ceil(columns) * columns;
        if c.len() <= words {
            return dispatch!(self, columns_mul_add(x, factors, c));
        }
        let pieces = x.par_chunks(words).zip(c.par_chunks_mut(words));
        pieces.for_each(|(x, c)| dispatch!(self, columns_mul_add(x, factors, c)));
    }

    /// `out[i] += sum over j of x[i, j] * vector[j]`, for rows of `columns` words.
    pub fn rows_dot_vector(self, columns: usize, x: &[u64], vector: &[u64], out: &mut [u64]) {
        assert_eq!(vector.len(), columns, "rows_dot_vector: length of the vector");
        assert_eq!(x.len(), out.len().saturating_mul(columns), "rows_dot_vector: length");
        if columns == 0 {
            return;
        }
        let rows = PIECE_WORDS.div_ceil(columns);
        if out.len() <= rows {
            return dispatch!(self, matrix_vector(x, vector, out));
        }
        let pieces = x.par_chunks(rows * columns).zip(out.par_chunks_mut(rows));
        pieces.for_each(|(x, out)| dispatch!(self, matrix_vector(x, vector, out)));
    }

    /// The loop of [`crate::Turn::waves`].
    pub(crate) fn waves(self, plan: Plan<'_>, frac: u32, angles: &[u64], rows: &mut [&mut [u64]]) {
        twin!(self, waves::waves_piece(plan, frac, angles, rows));
    }

    /// The loop of [`crate::Turn::series_add`].
    pub(crate) fn series(
        self,
        plan: Plan<'_>,
        harmonics: Harmonics<'_>,
        angles: &[u64],
        rows: Rows<'_>,
        sum: &mut [u64],
    ) {
        twin!(self, waves::series_piece(plan, harmonics, angles, rows, sum));
    }

    /// The loop of [`crate::Turn::series_clear`].
    pub(crate) fn series_clear(self, plan: Plan<'_>, harmonics: Harmonics<'_>, angles: &[u64], sum: &mut [u64]) {
        twin!(self, waves::series_clear_piece(plan, harmonics, angles, sum));
    }

    /// The loop of [`Kernel::open_send`].
    pub(crate) fn send_piece(self, share: &[u64], offset: u64, bits: (u32, u32), words: &mut [u64], out: &mut [u8]) {
        twin!(self, opening::send_piece(share, offset, bits, words, out));
    }

    /// The loop of [`Kernel::open_receive`].
    pub(crate) fn receive_piece(self, bytes: &[u8], bits: u32, lift: Option<u32>, words: &mut [u64]) -> bool {
        twin!(self, opening::receive_piece(bytes, bits, lift, words))
    }
}

fn check(name: &str, a: usize, b: usize, c: usize) {
    assert!(a == b && a == c, "{name}: lengths {a}, {b} and {c} should be equal");
}

fn pieces(a: &[u64], b: &[u64], c: &mut [u64], work: impl Fn(&[u64], &[u64], &mut [u64]) + Sync) {
    if c.len() <= PIECE_WORDS {
        return work(a, b, c);
    }
    (a.par_chunks(PIECE_WORDS), b.par_chunks(PIECE_WORDS), c.par_chunks_mut(PIECE_WORDS))
        .into_par_iter()
        .for_each(|(a, b, c)| work(a, b, c));
}

fn rows(columns: usize, a: &[u64], r: &[u64], c: &mut [u64], work: impl Fn(u64, &[u64], &mut [u64]) + Sync) {
    if columns == 0 {
        return;
    }
    let serial = |a: &[u64], r: &[u64], c: &mut [u64]| {
        for ((a, &r), c) in a.chunks_exact(columns).zip(r).zip(c.chunks_exact_mut(columns)) {
            work(r, a, c);
        }
    };
    let rows = PIECE_WORDS.div_ceil(columns);
    if r.len() <= rows {
        return serial(a, r, c);
    }
    (a.par_chunks(rows * columns), r.par_chunks(rows), c.par_chunks_mut(rows * columns))
        .into_par_iter()
        .for_each(|(a, r, c)| serial(a, r, c));
}
