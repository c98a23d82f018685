//! The matrix product in 128-bit registers, which have no multiplication of 64-bit words.
//!
//! Modulo 2^64 a product is `low(a) low(b) + ((low(a) high(b) + high(a) low(b)) << 32)`. Four words of b are parted into
//! their low and their high halves; for these four columns the sums of the low products fill two registers, and those of
//! the cross products, of which 32 bits matter, one. Each word costs one multiply-accumulate; shifting waits for the end.

use std::arch::aarch64::*;
use std::hint::black_box;
use std::mem::MaybeUninit;

use crate::tiles::{LINE, Line, Strided, Strip, Tiles, copy_rows};

/// Columns of a tile.
const WIDTH: usize = 4;
/// Rows of a tile: 24 of the 32 registers hold its sums.
const ROWS: usize = 8;

pub(crate) static TILES: Tiles =
    Tiles { require: || (), rows: ROWS, few_rows: 2 * ROWS, part_lines: false, strip, copy_rows, copy_columns };

/// All tiles of a strip. What is read after b is left to the CPU's own foresight.
///
/// # Safety
/// a, b and c are as [`Strip`] says.
unsafe fn strip(strip: &Strip) {
    for row in (0..strip.rows).step_by(ROWS) {
        let height = ROWS.min(strip.rows - row);
        for column in (0..strip.width).step_by(WIDTH) {
            // SAFETY: `row` and `column` lie within a, b and c, and with them the `height` rows. A row of b is whole lines,
            // and so has four words from `column` on; c is written to as far as the strip is wide.
            unsafe {
                let a = Strided { first: strip.a.first.add(row * strip.a.row), row: strip.a.row };
                let b = Strided { first: strip.b.first.add(column), row: strip.b.row };
                let c = strip.c.add(row * strip.columns + column);
                let width = strip.width - column;
                if width >= WIDTH {
                    tile(height)(strip.steps, a, b, c, strip.columns);
                } else {
                    let mut part = [0; ROWS * WIDTH];
                    tile(height)(strip.steps, a, b, part.as_mut_ptr(), WIDTH);
                    for (i, part) in part.chunks_exact(WIDTH).take(height).enumerate() {
                        for (j, word) in part[..width].iter().enumerate() {
                            let at = c.add(i * strip.columns + j);
                            *at = (*at).wrapping_add(*word);
                        }
                    }
                }
            }
        }
    }
}

type Tile = unsafe fn(usize, Strided, Strided, *mut u64, usize);

/// The tile of this many rows, 1 to 8.
fn tile(rows: usize) -> Tile {
    const TILES: [Tile; ROWS] = [
        multiply::<1>,
        multiply::<2>,
        multiply::<3>,
        multiply::<4>,
        multiply::<5>,
        multiply::<6>,
        multiply::<7>,
        multiply::<8>,
    ];
    TILES[rows - 1]
}

/// The sums of four columns of a row.
#[derive(Clone, Copy)]
struct Sums {
    low: [uint64x2_t; 2],
    cross: uint32x4_t,
}

impl Sums {
    fn zero() -> Self {
        // SAFETY: every CPU of this architecture has the instructions.
        unsafe { Self { low: [vdupq_n_u64(0); 2], cross: vdupq_n_u32(0) } }
    }

    /// Adds the word of a with these halves times four words of b, given as their low and their high halves.
    #[inline(always)]
    fn add(&mut self, a: uint32x2_t, lows: uint32x4_t, highs: uint32x4_t) {
        // SAFETY: every CPU of this architecture has the instructions.
        unsafe {
            self.low[0] = vmlal_lane_u32::<0>(self.low[0], vget_low_u32(lows), a);
            self.low[1] = vmlal_high_lane_u32::<0>(self.low[1], lows, a);
            self.cross = vmlaq_lane_u32::<0>(self.cross, highs, a);
            self.cross = vmlaq_lane_u32::<1>(self.cross, lows, a);
        }
    }

    fn total(self) -> [uint64x2_t; 2] {
        // SAFETY: every CPU of this architecture has the instructions.
        unsafe {
            [
                vaddq_u64(self.low[0], vshlq_n_u64::<32>(vmovl_u32(vget_low_u32(self.cross)))),
                vaddq_u64(self.low[1], vshlq_n_u64::<32>(vmovl_high_u32(self.cross))),
            ]
        }
    }
}

/// Adds to R rows and four columns of c the product of R rows of a and `k` rows of b.
///
/// # Safety
/// R rows of `k` words may be read from `a`, `k` rows of four words from `b`, and R rows of four words, `columns` words
/// apart, read and written from `c` on.
unsafe fn multiply<const R: usize>(k: usize, a: Strided, b: Strided, c: *mut u64, columns: usize) {
    let mut sums = [Sums::zero(); R];
    // SAFETY: all offsets stay within what the caller promised. Every CPU of this architecture has the instructions.
    unsafe {
        for p in 0..k {
            let row = b.first.add(p * b.row);
            let (left, right) = (vreinterpretq_u32_u64(vld1q_u64(row)), vreinterpretq_u32_u64(vld1q_u64(row.add(2))));
            let (lows, highs) = (vuzp1q_u32(left, right), vuzp2q_u32(left, right));
            for (r, sums) in sums.iter_mut().enumerate() {
                let word = vreinterpret_u32_u64(vld1_u64(a.first.add(r * a.row + p)));
                sums.add(word, lows, highs);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (half, sum) in sums.total().into_iter().enumerate() {
                let at = c.add(r * columns + 2 * half);
                vst1q_u64(at, vaddq_u64(vld1q_u64(at), sum));
            }
        }
    }
}

/// Copies eight rows at a time: so many cache lines are read, and one is written.
fn copy_columns(columns: &[u64], column: usize, width: usize, panel: &mut [MaybeUninit<Line>]) {
    let lines = width.div_ceil(LINE);
    for line in 0..lines {
        let height = LINE.min(width - line * LINE);
        for (step, to) in panel[line..].iter_mut().step_by(lines).enumerate() {
            let word = |i: usize| if i < height { columns[(line * LINE + i) * column + step] } else { 0 };
            to.write(Line(std::array::from_fn(word)));
        }
    }
}

/// See [`crate::Kernel::multiply_peak`]: the four multiply-accumulates of four words, in chains.
pub(crate) fn multiply_peak(steps: u64) -> u64 {
    // SAFETY: every CPU of this architecture has the instructions.
    unsafe {
        let factor = vdupq_n_u32(black_box(3));
        let mut lows: [uint64x2_t; 2 * ROWS] = std::array::from_fn(|i| vdupq_n_u64(i as u64));
        let mut crosses: [uint32x4_t; ROWS] = std::array::from_fn(|i| vdupq_n_u32(i as u32));
        for _ in 0..steps {
            for i in 0..2 * ROWS {
                let next = vreinterpretq_u32_u64(lows[(i + 1) % (2 * ROWS)]);
                lows[i] = vmlal_u32(lows[i], vget_low_u32(next), vget_low_u32(factor));
            }
            for _ in 0..2 {
                for i in 0..ROWS {
                    crosses[i] = vmlaq_u32(crosses[i], crosses[(i + 1) % ROWS], factor);
                }
            }
        }
        black_box((lows, crosses));
    }
    steps * (ROWS * WIDTH) as u64
}
