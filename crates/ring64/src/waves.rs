//! Harmonics in bulk: what the dealer shares of a masked phase, and what the parties make of it.
//!
//! A polynomial for each angle and harmonic would cost more than reading the words that it multiplies. So harmonics that
//! lie a constant step apart are found by rotation: `e^(i (m + s) x) = e^(i m x) e^(i s x)` in integers of [`TRIG_FRAC`]
//! fractional bits, anchored on the polynomial again every [`ANCHOR`] harmonics, before rounding has added up. When to
//! rotate follows from the multiples alone ([`moves`]), which are public: the angles, which are the dealer's secrets, change
//! neither the instructions nor the addresses.
//!
//! Angles go through in blocks whose running cosines, sines and sums stay in the first-level cache, while the words of the
//! waves stream by once.

use rayon::prelude::*;

use crate::{TRIG_FRAC, Turn};

/// Angles of a block.
pub(crate) const BLOCK: usize = 512;
/// Harmonics from one polynomial to the next at most.
const ANCHOR: usize = 16;
/// Angles times harmonics from which on the threads share the blocks.
const PARALLEL: usize = 1 << 16;

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
    fn check(&self) {
        let count = self.multiples.len();
        assert!(self.cosines.len() == count && self.sines.len() == count, "harmonics: a coefficient for each");
        let small = |g: &i64| g.unsigned_abs() < 1 << 31;
        assert!(self.cosines.iter().chain(self.sines).all(small), "harmonics: coefficients below 2^31");
    }
}

/// How the cosines and sines of a harmonic are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// By the polynomial.
    Anchor,
    /// From the last harmonic's, by the step of the last rotation.
    Rotate,
    /// From the last harmonic's, which is also the step: a double angle.
    RotateByItself,
    /// From the last harmonic's, by a step that is twice its multiple.
    RotateByDouble,
    /// From the last harmonic's, by a step that the polynomial gives.
    RotateBy(u64),
}

/// The moves for these multiples, which are part of the function: other moves would give other last bits.
fn moves(multiples: &[u32]) -> Vec<Move> {
    let mut moves = Vec::with_capacity(multiples.len());
    let (mut since_anchor, mut known_step) = (0, None);
    for (h, &multiple) in multiples.iter().enumerate() {
        let multiple = u64::from(multiple);
        // Differences wrap, as the angles do.
        let step = |h: usize| {
            let pair = multiples.get(h.checked_sub(1)?..=h)?;
            Some(u64::from(pair[1]).wrapping_sub(u64::from(pair[0])))
        };
        let rotated = match step(h) {
            Some(_) if since_anchor == ANCHOR => None,
            Some(step) if known_step == Some(step) => Some(Move::Rotate),
            Some(by) if multiple == by.wrapping_mul(2) => Some(Move::RotateByItself),
            Some(by) if by == multiple.wrapping_sub(by).wrapping_mul(2) => Some(Move::RotateByDouble),
            // A step costs a polynomial: it must serve twice.
            Some(by) if step(h + 1) == Some(by) => Some(Move::RotateBy(by)),
            _ => None,
        };
        known_step = rotated.and(step(h)).or(known_step);
        since_anchor = if rotated.is_some() { since_anchor + 1 } else { 1 };
        moves.push(rotated.unwrap_or(Move::Anchor));
    }
    moves
}

impl Turn {
    /// For each multiple a row of `cos(multiple * angles[i])`, then a row of sines, with `frac` fractional bits, off by less
    /// than 2^-24 before they are rounded to these. The time does not depend on the angles.
    ///
    /// # Panics
    /// When `out` is not two rows for each multiple, or `frac` exceeds [`TRIG_FRAC`].
    pub fn waves(&self, multiples: &[u32], frac: u32, angles: &[u64], out: &mut [u64]) {
        let n = angles.len();
        assert_eq!(out.len(), 2 * multiples.len() * n, "waves: length");
        assert!(frac <= TRIG_FRAC, "waves of {frac} fractional bits: {TRIG_FRAC} are possible");
        if out.is_empty() {
            return;
        }
        let plan = Plan { moves: &moves(multiples), multiples, shift: self.shift() };
        if parallel(multiples.len(), n) {
            // Each block writes a part of every row.
            let mut blocks: Vec<Vec<&mut [u64]>> = angles.chunks(BLOCK).map(|_| Vec::new()).collect();
            for row in out.chunks_exact_mut(n) {
                blocks.iter_mut().zip(row.chunks_mut(BLOCK)).for_each(|(block, part)| block.push(part));
            }
            let work =
                |(angles, mut rows): (&[u64], Vec<&mut [u64]>)| self.kernel().waves(plan, frac, angles, &mut rows);
            return angles.par_chunks(BLOCK).zip(blocks).for_each(work);
        }
        let mut rows: Vec<&mut [u64]> = out.chunks_exact_mut(n).collect();
        self.kernel().waves(plan, frac, angles, &mut rows);
    }

    /// Adds to `sum[i]`, over all harmonics, `(g cos + h sin) C + (g sin - h cos) S` with the cosine and sine of the public angle
    /// `angles[i]` and the words C and S of `waves`, which lie as [`Turn::waves`] lays them. Where C and S are the shares of
    /// the cosine and the sine of a mask, this is a share of the series at `angle - mask`.
    ///
    /// # Panics
    /// When the lengths do not fit, and on coefficients that are not below 2^31.
    pub fn series_add(&self, harmonics: Harmonics<'_>, angles: &[u64], waves: &[u64], sum: &mut [u64]) {
        let n = angles.len();
        assert_eq!(waves.len(), 2 * harmonics.multiples.len() * n, "series_add: length of the waves");
        let (kernel, all) = (self.kernel(), Rows { words: waves, row: n, first: 0 });
        self.by_blocks(harmonics, angles, sum, |plan, first, angles, sum| {
            kernel.series(plan, harmonics, angles, Rows { first, ..all }, sum);
        });
    }

    /// Adds to `sum[i]` the series at the angle itself, in units of the coefficients: [`Turn::series_add`] with a mask of zero.
    ///
    /// # Panics
    /// When the lengths differ, and on coefficients that are not below 2^31.
    pub fn series_clear(&self, harmonics: Harmonics<'_>, angles: &[u64], sum: &mut [u64]) {
        let kernel = self.kernel();
        self.by_blocks(harmonics, angles, sum, |plan, _, angles, sum| {
            kernel.series_clear(plan, harmonics, angles, sum);
        });
    }

    /// Calls `work` with the plan and with pieces of the angles: the first one's number, the piece, its sums.
    fn by_blocks(
        &self,
        harmonics: Harmonics<'_>,
        angles: &[u64],
        sum: &mut [u64],
        work: impl Fn(Plan<'_>, usize, &[u64], &mut [u64]) + Sync,
    ) {
        assert_eq!(sum.len(), angles.len(), "series: length of the sum");
        harmonics.check();
        let plan = Plan { moves: &moves(harmonics.multiples), multiples: harmonics.multiples, shift: self.shift() };
        if !parallel(harmonics.multiples.len(), angles.len()) {
            return work(plan, 0, angles, sum);
        }
        let blocks = angles.par_chunks(BLOCK).zip(sum.par_chunks_mut(BLOCK)).enumerate();
        blocks.for_each(|(block, (angles, sum))| work(plan, block * BLOCK, angles, sum));
    }
}

fn parallel(harmonics: usize, angles: usize) -> bool {
    harmonics.saturating_mul(angles) >= PARALLEL && angles > BLOCK && rayon::current_num_threads() > 1
}

/// The harmonics of one call: what is the same for all its angles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    moves: &'a [Move],
    multiples: &'a [u32],
    /// Of the turn: angles are shifted left by this.
    shift: u32,
}

impl Plan<'_> {
    /// How many harmonics from `h` on, `most` or fewer, have the step of `h` in common.
    pub(crate) fn run(&self, h: usize, most: usize) -> usize {
        let rest = self.moves.get(h + 1..).unwrap_or_default();
        (1 + rest.iter().take_while(|next| **next == Move::Rotate).count()).min(most)
    }
}

/// The words of waves, row by row, from column `first` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    words: &'a [u64],
    row: usize,
    first: usize,
}

impl<'a> Rows<'a> {
    /// Where column `at` is that will be read `rows` rows later, by one who reads a block of each row before the next block:
    /// an address to prefetch, perhaps beyond the words.
    pub(crate) fn ahead(self, row: usize, at: usize, rows: usize, block: usize) -> *const u64 {
        let count = self.words.len() / self.row.max(1);
        let (blocks, row) = ((row + rows) / count, (row + rows) % count);
        self.words.as_ptr().wrapping_add(row * self.row + self.first + at + blocks * block)
    }

    /// `len` words of a row, from column `at` on.
    #[inline(always)]
    pub(crate) fn part(self, row: usize, at: usize, len: usize) -> &'a [u64] {
        &self.words[row * self.row + self.first + at..][..len]
    }
}

/// The cosines and sines of a block of angles, of the last harmonic and of the step. All are at most a few units above 1,
/// so they fit 32 bits with their sign.
pub(crate) struct Running {
    pub(crate) cos: [i64; BLOCK],
    pub(crate) sin: [i64; BLOCK],
    pub(crate) step_cos: [i64; BLOCK],
    pub(crate) step_sin: [i64; BLOCK],
}

impl Running {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { cos: [0; BLOCK], sin: [0; BLOCK], step_cos: [0; BLOCK], step_sin: [0; BLOCK] }
    }

    /// Finds what harmonic `h` needs before its loop; returns whether that has to rotate.
    #[inline(always)]
    pub(crate) fn prepare(&mut self, plan: Plan<'_>, h: usize, angles: &[u64]) -> bool {
        let n = angles.len();
        let Self { cos, sin, step_cos, step_sin } = self;
        let (cos, sin, step_cos, step_sin) = (&mut cos[..n], &mut sin[..n], &mut step_cos[..n], &mut step_sin[..n]);
        let polynomial = |multiple: u64, cos: &mut [i64], sin: &mut [i64]| {
            crate::trig::cos_sin_piece(angles, multiple << plan.shift, cos, sin);
        };
        match plan.moves[h] {
            Move::Anchor => polynomial(u64::from(plan.multiples[h]), cos, sin),
            Move::Rotate => {}
            Move::RotateByItself => {
                step_cos.copy_from_slice(cos);
                step_sin.copy_from_slice(sin);
            }
            Move::RotateByDouble => {
                for (((step_cos, step_sin), &mut cos), &mut sin) in step_cos.iter_mut().zip(step_sin).zip(cos).zip(sin)
                {
                    (*step_cos, *step_sin) = rotated((cos, sin), (cos, sin));
                }
            }
            Move::RotateBy(step) => polynomial(step, step_cos, step_sin),
        }
        plan.moves[h] != Move::Anchor
    }

    /// Calls `visit` with the cosine and the sine of the harmonic of each angle, and with an item of `others`.
    #[inline(always)]
    fn visit<T>(&mut self, rotate: bool, others: impl ExactSizeIterator<Item = T>, visit: impl Fn(i64, i64, T)) {
        let n = others.len();
        let steps = self.step_cos[..n].iter().zip(&self.step_sin[..n]);
        let last = self.cos[..n].iter_mut().zip(&mut self.sin[..n]);
        for (((cos, sin), (&step_cos, &step_sin)), other) in last.zip(steps).zip(others) {
            if rotate {
                (*cos, *sin) = rotated((*cos, *sin), (step_cos, step_sin));
            }
            visit(*cos, *sin, other);
        }
    }
}

/// The product of two numbers that fit 32 bits with their sign, which is the cheaper multiplication on most machines.
#[inline(always)]
fn product(a: i64, b: i64) -> i64 {
    i64::from(a as i32) * i64::from(b as i32)
}

#[inline(always)]
fn rotated((cos, sin): (i64, i64), (step_cos, step_sin): (i64, i64)) -> (i64, i64) {
    let next_cos = product(cos, step_cos) - product(sin, step_sin);
    let next_sin = product(sin, step_cos) + product(cos, step_sin);
    (round_shift(next_cos, TRIG_FRAC), round_shift(next_sin, TRIG_FRAC))
}

#[inline(always)]
fn round_shift(v: i64, by: u32) -> i64 {
    // Twice the half, so that no bits to drop need no branch.
    (v + ((1 << by) >> 1)) >> by
}

/// The loop of [`Turn::waves`].
#[inline(always)]
pub(crate) fn waves_piece(plan: Plan<'_>, frac: u32, angles: &[u64], rows: &mut [&mut [u64]]) {
    let mut running = Running::new();
    let drop = TRIG_FRAC - frac;
    for (block, angles) in angles.chunks(BLOCK).enumerate() {
        for (h, pair) in rows.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let rotate = running.prepare(plan, h, angles);
            let [of_cos, of_sin] = pair.each_mut().map(|row| &mut row[block * BLOCK..][..angles.len()]);
            running.visit(rotate, of_cos.iter_mut().zip(of_sin), |cos, sin, (of_cos, of_sin)| {
                *of_cos = round_shift(cos, drop) as u64;
                *of_sin = round_shift(sin, drop) as u64;
            });
        }
    }
}

/// The loop of [`Turn::series_add`].
#[inline(always)]
pub(crate) fn series_piece(plan: Plan<'_>, harmonics: Harmonics<'_>, angles: &[u64], rows: Rows<'_>, sum: &mut [u64]) {
    let mut running = Running::new();
    for (block, (angles, sum)) in angles.chunks(BLOCK).zip(sum.chunks_mut(BLOCK)).enumerate() {
        for h in 0..plan.moves.len() {
            let (g, s) = (harmonics.cosines[h], harmonics.sines[h]);
            let rotate = running.prepare(plan, h, angles);
            let [of_cos, of_sin] = [0, 1].map(|row| rows.part(2 * h + row, block * BLOCK, angles.len()));
            let others = sum.iter_mut().zip(of_cos).zip(of_sin);
            // Even functions have no sines: half of the products are zero.
            if s == 0 {
                running.visit(rotate, others, |cos, sin, ((sum, &of_cos), &of_sin)| {
                    add_term(sum, (product(g, cos), of_cos), (product(g, sin), of_sin));
                });
            } else {
                running.visit(rotate, others, |cos, sin, ((sum, &of_cos), &of_sin)| {
                    let by = (product(g, cos) + product(s, sin), product(g, sin) - product(s, cos));
                    add_term(sum, (by.0, of_cos), (by.1, of_sin));
                });
            }
        }
    }
}

/// Adds both words of a wave times their multipliers, which come with [`TRIG_FRAC`] fractional bits too many.
#[inline(always)]
fn add_term(sum: &mut u64, (by_cos, cos): (i64, u64), (by_sin, sin): (i64, u64)) {
    let (by_cos, by_sin) = (round_shift(by_cos, TRIG_FRAC), round_shift(by_sin, TRIG_FRAC));
    let term = (by_cos as u64).wrapping_mul(cos).wrapping_add((by_sin as u64).wrapping_mul(sin));
    *sum = sum.wrapping_add(term);
}

/// The loop of [`Turn::series_clear`].
#[inline(always)]
pub(crate) fn series_clear_piece(plan: Plan<'_>, harmonics: Harmonics<'_>, angles: &[u64], sum: &mut [u64]) {
    let mut running = Running::new();
    for (angles, sum) in angles.chunks(BLOCK).zip(sum.chunks_mut(BLOCK)) {
        for h in 0..plan.moves.len() {
            let (g, s) = (harmonics.cosines[h], harmonics.sines[h]);
            let rotate = running.prepare(plan, h, angles);
            running.visit(rotate, sum.iter_mut(), |cos, sin, sum| {
                *sum = sum.wrapping_add(round_shift(product(g, cos) + product(s, sin), TRIG_FRAC) as u64);
            });
        }
    }
}
