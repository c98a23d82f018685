//! The matrix product in 256-bit registers, which have no multiplication of 64-bit words.
//!
//! Modulo 2^64 a product is `low(a) low(b) + ((low(a) high(b) + high(a) low(b)) << 32)`, so each sum is kept in two
//! registers: one of 64-bit products of the low halves, and one of 32-bit lanes in which both cross products of a word
//! are added up by a single multiplication of a by b with its halves swapped. Shifting waits for the end.

use std::arch::x86_64::*;
use std::hint::black_box;
use std::mem::MaybeUninit;

use crate::tiles::{LINE, Line, Strided, Strip, Tiles};

/// Words of a register.
const LANES: usize = 4;
/// Rows of the tallest tile, which is one register wide: twelve of the sixteen registers hold its sums.
const ROWS: usize = 6;

pub(crate) static TILES: Tiles = Tiles {
    require: super::require,
    rows: ROWS,
    few_rows: 2 * ROWS,
    part_lines: false,
    strip,
    copy_rows,
    copy_columns,
};

/// All tiles of a strip.
///
/// # Safety
/// The CPU has avx2; a, b and c are as [`Strip`] says.
#[target_feature(enable = "avx2")]
unsafe fn strip(strip: &Strip) {
    let tiles = strip.rows.div_ceil(ROWS);
    let mut row = 0;
    for i in 0..tiles {
        // Tiles of about the same height.
        let height = (strip.rows - row).div_ceil(tiles - i);
        let mut next = strip.next(i, tiles);
        let vectors = if height > 3 { 1 } else { 2 };
        for column in (0..strip.width).step_by(vectors * LANES) {
            // SAFETY: `row` and `column` lie within a, b and c, and with them the `height` rows. A row of b is whole lines,
            // and so has `vectors` registers from `column` on; c is written to as far as the strip is wide.
            unsafe {
                let a = Strided { first: strip.a.first.add(row * strip.a.row), row: strip.a.row };
                let b = Strided { first: strip.b.first.add(column), row: strip.b.row };
                let c = strip.c.add(row * strip.columns + column);
                let width = strip.width - column;
                if width >= vectors * LANES {
                    tile(height)(strip.steps, a, b, next, c, strip.columns);
                } else {
                    let mut part = [0; ROWS * LINE];
                    tile(height)(strip.steps, a, b, next, part.as_mut_ptr(), LINE);
                    for (i, part) in part.chunks_exact(LINE).take(height).enumerate() {
                        for (j, word) in part[..width].iter().enumerate() {
                            let at = c.add(i * strip.columns + j);
                            *at = (*at).wrapping_add(*word);
                        }
                    }
                }
            }
            // The first of the columns has asked for it.
            next = Strided { first: strip.b.first, row: 0 };
        }
        row += height;
    }
}

type Tile = unsafe fn(usize, Strided, Strided, Strided, *mut u64, usize);

/// The tile of this many rows, 1 to 6: the low ones are two registers wide.
fn tile(rows: usize) -> Tile {
    const TILES: [Tile; ROWS] =
        [multiply::<1, 2>, multiply::<2, 2>, multiply::<3, 2>, multiply::<4, 1>, multiply::<5, 1>, multiply::<6, 1>];
    TILES[rows - 1]
}

/// Adds to R rows and V registers of c the product of R rows of a and `k` rows of b, and asks for `k` rows of `next`.
///
/// # Safety
/// The CPU has avx2. R rows of `k` words may be read from `a`, `k` rows of V registers from `b`, and R rows of V
/// registers, `columns` words apart, read and written from `c` on.
#[target_feature(enable = "avx2")]
unsafe fn multiply<const R: usize, const V: usize>(
    k: usize,
    a: Strided,
    b: Strided,
    next: Strided,
    c: *mut u64,
    columns: usize,
) {
    let mut lows = [[_mm256_setzero_si256(); V]; R];
    let mut crosses = lows;
    let (mut row, mut ahead) = (b.first, next.first);
    // SAFETY: all offsets stay within what the caller promised; a prefetch may name any address, and `row` moves past the
    // last row by wrapping only.
    unsafe {
        for p in 0..k {
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(LINE).cast());
            for v in 0..V {
                let b = _mm256_loadu_si256(row.add(v * LANES).cast());
                let swapped = _mm256_shuffle_epi32::<0b10_11_00_01>(b);
                for r in 0..R {
                    let x = _mm256_set1_epi64x(*a.first.add(r * a.row + p) as i64);
                    lows[r][v] = _mm256_add_epi64(lows[r][v], _mm256_mul_epu32(x, b));
                    crosses[r][v] = _mm256_add_epi32(crosses[r][v], _mm256_mullo_epi32(x, swapped));
                }
            }
            row = row.wrapping_add(b.row);
            ahead = ahead.wrapping_add(next.row);
        }
        for r in 0..R {
            for v in 0..V {
                let at = c.add(r * columns + v * LANES).cast();
                // Both cross sums go to the high half: one is there, the other is shifted to it.
                let cross = _mm256_add_epi32(crosses[r][v], _mm256_slli_epi64::<32>(crosses[r][v]));
                let high = _mm256_blend_epi32::<0b10_10_10_10>(_mm256_setzero_si256(), cross);
                let sum = _mm256_add_epi64(lows[r][v], high);
                _mm256_storeu_si256(at, _mm256_add_epi64(_mm256_loadu_si256(at), sum));
            }
        }
    }
}

#[target_feature(enable = "avx2")]
fn copy_rows(rows: &[u64], row: usize, width: usize, panel: &mut [MaybeUninit<Line>]) {
    crate::tiles::copy_rows(rows, row, width, panel);
}

#[target_feature(enable = "avx2")]
fn copy_columns(columns: &[u64], column: usize, width: usize, panel: &mut [MaybeUninit<Line>]) {
    let lines = width.div_ceil(LINE);
    let steps = panel.len() / lines;
    for line in 0..lines {
        let height = LINE.min(width - line * LINE);
        let to = &mut panel[line..];
        let mut done = 0;
        if height == LINE {
            for step in (0..steps / LANES * LANES).step_by(LANES) {
                for half in [0, LANES] {
                    let square = &columns[(line * LINE + half) * column + step..][..3 * column + LANES];
                    let to = &mut to[step * lines..][..3 * lines + 1];
                    let mut x = [_mm256_setzero_si256(); LANES];
                    for (i, x) in x.iter_mut().enumerate() {
                        // SAFETY: four words from i * column on, the last of them the last of the slice where i = 3.
                        *x = unsafe { _mm256_loadu_si256(square.as_ptr().add(i * column).cast()) };
                    }
                    for (i, x) in transpose(x).into_iter().enumerate() {
                        // SAFETY: half of line i * lines, at most the last of the slice.
                        unsafe {
                            _mm256_storeu_si256(to.as_mut_ptr().add(i * lines).cast::<u64>().add(half).cast(), x)
                        };
                    }
                }
            }
            done = steps / LANES * LANES;
        }
        for (step, to) in to.iter_mut().step_by(lines).enumerate().skip(done) {
            let word = |i: usize| if i < height { columns[(line * LINE + i) * column + step] } else { 0 };
            to.write(Line(std::array::from_fn(word)));
        }
    }
}

/// Vector i of the result holds word i of each vector.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose([a, b, c, d]: [__m256i; LANES]) -> [__m256i; LANES] {
    let (even_ab, odd_ab) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let (even_cd, odd_cd) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    [
        _mm256_permute2x128_si256::<0x20>(even_ab, even_cd),
        _mm256_permute2x128_si256::<0x20>(odd_ab, odd_cd),
        _mm256_permute2x128_si256::<0x31>(even_ab, even_cd),
        _mm256_permute2x128_si256::<0x31>(odd_ab, odd_cd),
    ]
}

/// See [`crate::Kernel::multiply_peak`]: the two multiplications and additions of each word, in chains.
pub(crate) fn multiply_peak(steps: u64) -> u64 {
    #[target_feature(enable = "avx2")]
    fn chains(steps: u64) -> u64 {
        let (factor, more) = (_mm256_set1_epi64x(black_box(3)), _mm256_set1_epi64x(black_box(5)));
        let mut lows: [__m256i; ROWS] = std::array::from_fn(|i| _mm256_set1_epi64x(i as i64));
        let mut crosses = lows;
        for _ in 0..steps {
            for (low, cross) in lows.iter_mut().zip(&mut crosses) {
                *low = _mm256_mul_epu32(*low, factor);
                *cross = _mm256_mullo_epi32(*cross, factor);
            }
            for (low, cross) in lows.iter_mut().zip(&mut crosses) {
                *low = _mm256_add_epi64(*low, more);
                *cross = _mm256_add_epi32(*cross, more);
            }
        }
        black_box((lows, crosses));
        steps * (ROWS * LANES) as u64
    }
    super::require();
    // SAFETY: the CPU was checked; it is safe otherwise.
    unsafe { chains(steps) }
}
