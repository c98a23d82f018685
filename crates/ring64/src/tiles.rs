//! The blocked matrix product of the kernels with registers of their own: what is multiplied when, and by which thread.
//!
//! The right factor is cut into panels of 16 columns, in which each step of the sum is a run of whole lines of memory. A
//! [`crate::Packed`] factor lies in memory so; any other is copied, a block of a panel at a time, or read where it lies.
//! A block of 384 steps of a panel and the left factor's rows of those steps stay in the second-level cache, from which
//! they come as fast as 64-bit multiplications can take them; a tile of c gets all steps of the block in registers. What
//! a kernel adds is the strip: rows times one block of one panel.
#![allow(unsafe_code)]
#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "the portable kernel needs no tiles")
)]

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use crate::scalar::PARALLEL_WORK;
use crate::{Dims, add_assign};

/// Words of a line of memory, and of the widest register.
pub(crate) const LINE: usize = 8;
/// Columns of a panel.
pub(crate) const COLUMNS: usize = 2 * LINE;
/// Steps of the sum of one block. Longer ones read and write c less often; from 512 on the caches feel it.
const STEPS: usize = 384;
/// Rows of c that share one pass over the panels: as many as there are tokens in most texts, or a part of them.
const ROW_BLOCK: usize = 128;
/// Words of the left factor that stay in the second-level cache while the panels pass.
const LEFT_WORDS: usize = 3 << 14;
/// Words of an unpacked right factor that one streamed block may span, so that both its panels and the next block's
/// prefetched lines stay in the second-level cache.
const STREAM_WORDS: usize = 1 << 14;

/// Tiles that share the asking for what is read next.
const SHARERS: usize = 16;
/// Steps ahead that are asked for where one tile is alone in it.
const NEAR: usize = 96;

/// A line of memory.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u64; LINE]);

/// Where a matrix begins and how many words lie between the beginnings of its rows.
#[derive(Clone, Copy)]
pub(crate) struct Strided {
    pub(crate) first: *const u64,
    pub(crate) row: usize,
}

/// `c += a * b` for a few columns of c and a part of the sum.
pub(crate) struct Strip {
    /// Rows of a and of c, at least one.
    pub(crate) rows: usize,
    /// Columns of c, 1 to 16.
    pub(crate) width: usize,
    /// Columns of a and rows of b.
    pub(crate) steps: usize,
    /// The left factor.
    pub(crate) a: Strided,
    /// The right factor. Rows of a panel are whole lines: `width` words and zeros.
    pub(crate) b: Strided,
    /// Words from b to what will be read after it, to be asked for meanwhile; 0 where nothing will.
    #[cfg_attr(target_arch = "aarch64", allow(dead_code, reason = "stable Rust has no prefetch for it"))]
    pub(crate) ahead: usize,
    /// The first word of c.
    pub(crate) c: *mut u64,
    /// Words between the rows of c.
    pub(crate) columns: usize,
}

impl Strip {
    /// What tile `i` of `tiles`, one above the other, asks for, a row of it with each step: its share of what will be read
    /// after b, so that memory is never asked for too much at once. One or two tiles ask a little ahead of where they read.
    #[cfg_attr(target_arch = "aarch64", allow(dead_code, reason = "stable Rust has no prefetch for it"))]
    pub(crate) fn next(&self, i: usize, tiles: usize) -> Strided {
        let panel = self.b.row == self.width.next_multiple_of(LINE);
        let sharers = if tiles <= 2 || !panel { 1 } else { tiles.min(SHARERS) };
        if self.ahead == 0 || i >= sharers {
            return Strided { first: self.b.first, row: 0 };
        }
        let ahead = if sharers == 1 { self.ahead.min(NEAR * self.b.row) } else { self.ahead };
        let row = self.b.row / sharers;
        Strided { first: self.b.first.wrapping_add(ahead + i * self.steps * row), row }
    }
}

/// How a kernel multiplies and copies. The functions need the CPU that `require` asks for.
pub(crate) struct Tiles {
    /// Panics where the CPU lacks the instructions.
    pub(crate) require: fn(),
    /// Rows of the tallest tile.
    pub(crate) rows: usize,
    /// Up to this many rows of c an unpacked right factor is read where it lies, and a small one always.
    pub(crate) few_rows: usize,
    /// Whether a strip can do without whole lines of b.
    pub(crate) part_lines: bool,
    /// Multiplies: all words that the strip names may be read, and those of c written.
    pub(crate) strip: unsafe fn(&Strip),
    /// Copies `width` columns of some rows into a panel, filled up with zeros to whole lines.
    pub(crate) copy_rows: unsafe fn(rows: &[u64], row: usize, width: usize, panel: &mut [MaybeUninit<Line>]),
    /// Copies `width` rows as the columns of a panel, filled up with zeros to whole lines.
    pub(crate) copy_columns: unsafe fn(columns: &[u64], column: usize, width: usize, panel: &mut [MaybeUninit<Line>]),
}

/// The right factor of a product.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// k rows of n words.
    Rows(&'a [u64]),
    /// n rows of k words.
    Columns(&'a [u64]),
    /// Panel after panel.
    Panels(&'a [Line]),
}

impl Right<'_> {
    fn fits(self, k: usize, n: usize) -> bool {
        match self {
            Self::Rows(words) | Self::Columns(words) => words.len() == k * n,
            Self::Panels(lines) => lines.len() == k * n.div_ceil(LINE),
        }
    }
}

/// The columns of each panel.
fn panels(n: usize) -> Vec<Range<usize>> {
    blocks(0..n, COLUMNS).collect()
}

/// `c += a * right`, on all threads of the current pool where that pays.
pub(crate) fn multiply_add(tiles: &'static Tiles, dims: Dims, a: &[u64], right: Right<'_>, c: &mut [u64]) {
    (tiles.require)();
    let Dims { m, k, n } = dims;
    // The pointers below rest on these.
    assert!(a.len() == m * k && right.fits(k, n) && c.len() == m * n, "gemm: lengths");
    if dims.multiply_adds() == 0 {
        return;
    }
    let panels = panels(n);
    let in_place = matches!(right, Right::Rows(_)) && (tiles.part_lines || n.is_multiple_of(LINE));
    let few = in_place && m <= tiles.few_rows;
    let streamed = few || (in_place && k * n <= STREAM_WORDS);
    let product = Product { tiles, dims, a, right, streamed, c: Output(c.as_mut_ptr()) };
    let threads = rayon::current_num_threads();
    if dims.multiply_adds() < PARALLEL_WORK || threads == 1 {
        // SAFETY: the CPU was checked above; `c` is borrowed exclusively and no other block writes to it.
        unsafe { product.block(0..m, &panels, 0..k) };
    } else if (few && k >= n) || (panels.len() * m.div_ceil(tiles.rows) < threads && k >= STEPS * threads) {
        // Threads share the sum, so that each streams whole rows of b, into products of their own.
        let parts: Vec<Vec<u64>> = split(k, threads, 1)
            .into_par_iter()
            .map(|steps| {
                let mut part = vec![0; m * n];
                let product = Product { c: Output(part.as_mut_ptr()), ..product };
                // SAFETY: the CPU was checked above; `part` is this closure's own, of m x n words.
                unsafe { product.block(0..m, &panels, steps) };
                part
            })
            .collect();
        parts.iter().for_each(|part| add_assign(c, part));
    } else {
        // Threads share the columns, and the rows too where there are not enough columns.
        let wide = panels.len().div_ceil(4 * threads);
        let rows = split(m, (4 * threads).div_ceil(panels.len().div_ceil(wide)), tiles.rows);
        let blocks: Vec<_> = panels.chunks(wide).flat_map(|p| rows.iter().map(move |rows| (rows, p))).collect();
        blocks.into_par_iter().for_each(|(rows, panels)| {
            // SAFETY: the CPU was checked above; `c` is borrowed exclusively, and no two blocks share a word of it: they
            // differ in their rows or in their columns.
            unsafe { product.block(rows.clone(), panels, 0..k) };
        });
    }
}

/// `0..total` in at most `parts` ranges of about the same length, a multiple of `unit` except for the last.
fn split(total: usize, parts: usize, unit: usize) -> Vec<Range<usize>> {
    let step = total.div_ceil(unit).div_ceil(parts) * unit;
    blocks(0..total, step).collect()
}

fn blocks(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(step).map(move |start| start..(start + step).min(range.end))
}

/// The first word of c, or of a part of it, that several threads write to in turn blocks of their own.
#[derive(Clone, Copy)]
struct Output(*mut u64);

// SAFETY: an address, written through only in `Product::strip`, whose callers promise blocks that share no word.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

/// A product whose lengths and CPU were checked, with `c` pointing to m x n words.
#[derive(Clone, Copy)]
struct Product<'a> {
    tiles: &'static Tiles,
    dims: Dims,
    a: &'a [u64],
    right: Right<'a>,
    streamed: bool,
    c: Output,
}

impl Product<'_> {
    /// Adds `steps` of the sum to the rows and the panels of c that are named.
    ///
    /// # Safety
    /// The ranges lie within the dimensions, `c` is valid for m x n words, and nobody else reads or writes these rows and
    /// columns meanwhile.
    unsafe fn block(&self, rows: Range<usize>, panels: &[Range<usize>], steps: Range<usize>) {
        let mut copy = [const { MaybeUninit::uninit() }; STEPS * COLUMNS / LINE];
        for rows in blocks(rows, ROW_BLOCK) {
            if let (true, Right::Rows(b)) = (self.streamed, self.right) {
                // SAFETY: passed on as promised.
                unsafe { self.stream(b, rows, panels, steps.clone()) };
                continue;
            }
            let deep = match self.right {
                Right::Panels(_) => (LEFT_WORDS / rows.len()).next_multiple_of(STEPS),
                // What is copied is read in its own order as far as possible.
                Right::Rows(_) | Right::Columns(_) => STEPS,
            };
            for deep in blocks(steps.clone(), deep) {
                for (i, columns) in panels.iter().enumerate() {
                    let next = panels.get(i + 1);
                    for steps in blocks(deep.clone(), STEPS) {
                        let (b, ahead) = self.panel(columns, &steps, &deep, next, &mut copy);
                        // SAFETY: passed on as promised; `panel` gives the rows `steps` of these columns.
                        unsafe { self.strip(rows.clone(), columns.clone(), steps, b, ahead) };
                    }
                }
            }
        }
    }

    /// Where the block of a panel lies, and how many words further on the block after it.
    fn panel(
        &self,
        columns: &Range<usize>,
        steps: &Range<usize>,
        deep: &Range<usize>,
        next: Option<&Range<usize>>,
        copy: &mut [MaybeUninit<Line>],
    ) -> (Strided, usize) {
        let Dims { k, n, .. } = self.dims;
        let (first, lines) = (columns.start / LINE, columns.len().div_ceil(LINE));
        let copy = &mut copy[..steps.len() * lines];
        match self.right {
            Right::Panels(panels) => {
                let at = first * k + steps.start * lines;
                let after = match next {
                    _ if steps.end < deep.end => at + steps.len() * lines,
                    Some(next) => next.start / LINE * k + deep.start * next.len().div_ceil(LINE),
                    None => at,
                };
                let ahead = (after - at) * LINE;
                return (
                    Strided { first: panels[at..][..steps.len() * lines].as_ptr().cast(), row: lines * LINE },
                    ahead,
                );
            }
            // SAFETY: the CPU was checked by `multiply_add`.
            Right::Rows(b) => unsafe {
                (self.tiles.copy_rows)(&b[steps.start * n + columns.start..], n, columns.len(), copy)
            },
            // SAFETY: as above.
            Right::Columns(b) => unsafe {
                (self.tiles.copy_columns)(&b[columns.start * k + steps.start..], k, columns.len(), copy);
            },
        }
        (Strided { first: copy.as_ptr().cast(), row: lines * LINE }, 0)
    }

    /// The block of unpacked rows without copies: a few steps at a time over all columns.
    ///
    /// # Safety
    /// As for `block`.
    unsafe fn stream(&self, b: &[u64], rows: Range<usize>, panels: &[Range<usize>], steps: Range<usize>) {
        let n = self.dims.n;
        let width = panels.last().map_or(0, |p| p.end) - panels.first().map_or(0, |p| p.start);
        let few = (STREAM_WORDS / width.max(1)).clamp(8, STEPS);
        for steps in blocks(steps, few) {
            for columns in panels {
                let b = Strided { first: b[steps.start * n + columns.start..].as_ptr(), row: n };
                // SAFETY: passed on as promised; from that word on b has the rows `steps` of these columns.
                unsafe { self.strip(rows.clone(), columns.clone(), steps.clone(), b, few * n) };
            }
        }
    }

    /// # Safety
    /// As for `block`; `b` has `steps.len()` rows of these columns, filled up to whole lines unless streamed.
    unsafe fn strip(&self, rows: Range<usize>, columns: Range<usize>, steps: Range<usize>, b: Strided, ahead: usize) {
        let Dims { k, n, .. } = self.dims;
        let strip = Strip {
            rows: rows.len(),
            width: columns.len(),
            steps: steps.len(),
            a: Strided { first: self.a[rows.start * k + steps.start..].as_ptr(), row: k },
            b,
            ahead,
            // SAFETY: the row and the column lie within c.
            c: unsafe { self.c.0.add(rows.start * n + columns.start) },
            columns: n,
        };
        // SAFETY: the CPU was checked by `multiply_add`. The rows and columns lie within a and c, and the rest of the
        // promise is passed on.
        unsafe { (self.tiles.strip)(&strip) };
    }
}

/// The body of [`Tiles::copy_rows`], for each kernel to compile for itself.
#[inline(always)]
pub(crate) fn copy_rows(rows: &[u64], row: usize, width: usize, panel: &mut [MaybeUninit<Line>]) {
    let lines = width.div_ceil(LINE);
    for (from, to) in rows.chunks(row).zip(panel.chunks_exact_mut(lines)) {
        let (full, rest) = from[..width].as_chunks::<LINE>();
        let mut to = to.iter_mut();
        // The lines come second: `zip` would take one from the first iterator for nothing.
        for (from, to) in full.iter().zip(to.by_ref()) {
            to.write(Line(*from));
        }
        if let Some(to) = to.next() {
            let line = to.write(Line([0; LINE]));
            line.0[..rest.len()].copy_from_slice(rest);
        }
    }
}
