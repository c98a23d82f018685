//! A matrix packed once into the order in which a kernel reads it, for products with many left factors.

use std::fmt;

use rayon::prelude::*;

use crate::tiles::{self, COLUMNS, LINE, Line, Right};
use crate::{Dims, Kernel, Rhs};

/// Lines that one task of the packing fills.
const TASK_LINES: usize = 1 << 12;

/// A right factor of k rows and n columns, packed for one kernel. A weight is packed once, when it is loaded.
pub struct Packed {
    kernel: Kernel,
    k: usize,
    n: usize,
    words: Words,
}

enum Words {
    /// As they came, for the portable kernel.
    Rows(Vec<u64>),
    /// Panel after panel, each over all k rows.
    Panels(Vec<Line>),
}

impl Packed {
    /// Packs a row-major matrix of k rows and n columns.
    ///
    /// # Panics
    /// When `words` are not k * n, and where the CPU lacks the kernel's instructions.
    pub fn new(kernel: Kernel, k: usize, n: usize, words: Vec<u64>) -> Self {
        assert_eq!(Some(words.len()), k.checked_mul(n), "packing {k} x {n}: length");
        let words = match kernel.tiles() {
            None => Words::Rows(words),
            Some(tiles) => {
                (tiles.require)();
                Words::Panels(pack(k, n, &words))
            }
        };
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
        let (k, n) = (self.k, self.n);
        let dims = Dims::new(m, k, n);
        assert_eq!(Some(a.len()), m.checked_mul(k), "packed {m} x {k} x {n}: length of a");
        assert_eq!(Some(c.len()), m.checked_mul(n), "packed {m} x {k} x {n}: length of c");
        match (&self.words, self.kernel.tiles()) {
            (Words::Panels(lines), Some(tiles)) => tiles::multiply_add(tiles, dims, a, Right::Panels(lines), c),
            (Words::Rows(words), _) => self.kernel.gemm(dims, a, words, Rhs::AsIs, c),
            (Words::Panels(_), None) => unreachable!("only a kernel with tiles has panels"),
        }
    }
}

/// The panels of a row-major matrix, filled up with zeros to whole lines.
fn pack(k: usize, n: usize, words: &[u64]) -> Vec<Line> {
    let total = k * n.div_ceil(LINE);
    let panel = k * COLUMNS / LINE;
    (0..total)
        .into_par_iter()
        .with_min_len(TASK_LINES)
        .map(|i| {
            let column = i / panel * COLUMNS;
            // The last panel may be narrower.
            let lines = COLUMNS.min(n - column).div_ceil(LINE);
            let (row, start) = (i % panel / lines, column + i % panel % lines * LINE);
            let from = &words[row * n + start..][..LINE.min(n - start)];
            let mut to = [0; LINE];
            to[..from.len()].copy_from_slice(from);
            Line(to)
        })
        .collect()
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} x {}, {}, secret)", self.k, self.n, self.kernel)
    }
}
