//! A matrix packed once into the order in which a kernel reads it, for products with many left factors.

use std::fmt;

use crate::{Dims, Kernel, Rhs};

/// A right factor of k rows and n columns, packed for one kernel. A weight is packed once, when it is loaded.
pub struct Packed {
    kernel: Kernel,
    k: usize,
    n: usize,
    words: Vec<u64>,
}

impl Packed {
    /// Packs a row-major matrix of k rows and n columns.
    ///
    /// # Panics
    /// When `words` are not k * n, and where the CPU lacks the kernel's instructions.
    pub fn new(kernel: Kernel, k: usize, n: usize, words: Vec<u64>) -> Self {
        assert_eq!(Some(words.len()), k.checked_mul(n), "packing {k} x {n}: length");
        Self { kernel, k, n, words }
    }

    /// Rows: what is summed over.
    pub fn rows(&self) -> usize {
        self.k
    }

    /// Columns of the product.
    pub fn columns(&self) -> usize {
        self.n
    }

    /// `c += a * self` for a of m x k and c of m x n.
    ///
    /// Large products run on all threads of the current rayon pool.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn multiply_add(&self, m: usize, a: &[u64], c: &mut [u64]) {
        self.kernel.gemm(Dims::new(m, self.k, self.n), a, &self.words, Rhs::AsIs, c);
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} x {}, {}, secret)", self.k, self.n, self.kernel)
    }
}
