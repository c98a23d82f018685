//! The matrix product in 512-bit registers.
//!
//! A tile of 8 rows by 16 columns of c stays in 16 registers while a part of the sum runs: each step loads two vectors of
//! b, broadcasts eight words of a, and does 16 multiplications and additions. a is never copied: its eight rows are eight
//! sequential reads.
//!
//! The whole tile is written in assembly, for the order of its instructions: a product is added six rows after it was
//! begun, into the next step if need be. Compilers put each addition next to its multiplication, whatever the source
//! says, and then a tenth of the multiplications' time is lost to additions that wait in front of them (Zen 5: 88 % of
//! [`multiply_peak`] against 97 %).

use std::any::Any;
use std::arch::asm;
use std::arch::x86_64::*;
use std::hint::black_box;
use std::mem::MaybeUninit;

use crate::tiles::{COLUMNS, LINE, Line, Strided, Strip, Tiles};

/// Words of a register.
const LANES: usize = LINE;
/// Rows of a tile.
const ROWS: usize = 8;
/// Sums of more steps than this are long enough to ask for the words of c before them.
const LONG: usize = 128;
/// Vectors of a tile.
const VECTORS: usize = COLUMNS / LANES;

pub(crate) static TILES: Tiles =
    Tiles { require: super::require, rows: ROWS, few_rows: 2 * ROWS, part_lines: true, strip, copy_rows, copy_columns };

/// All tiles of a strip.
///
/// # Safety
/// The CPU has avx512f and avx512dq; a, b and c are as [`Strip`] says.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn strip(strip: &Strip) {
    let vectors = strip.width.div_ceil(LANES);
    let mask = 0xFF >> (vectors * LANES - strip.width);
    let tiles = strip.rows.div_ceil(ROWS);
    for (i, row) in (0..strip.rows).step_by(ROWS).enumerate() {
        let height = ROWS.min(strip.rows - row);
        let next = strip.next(i, tiles);
        // SAFETY: `row` and the `height` rows from there on lie within a and c, and `vectors` are the strip's width, to the
        // last word that `mask` leaves.
        unsafe {
            let a = Strided { first: strip.a.first.add(row * strip.a.row), row: strip.a.row };
            let c = strip.c.add(row * strip.columns);
            tile(height, vectors)(strip.steps, a, strip.b, next, mask, c, strip.columns);
        }
    }
}

type Tile = unsafe fn(usize, Strided, Strided, Strided, __mmask8, *mut u64, usize);

/// The tile of this many rows (1 to 8) and vectors (1 or 2).
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
    const TILES: [[Tile; ROWS]; VECTORS] = [of::<1>(), of::<2>()];
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
    ahead: Strided,
    mask: __mmask8,
    c: *mut u64,
    columns: usize,
) {
    let lanes = |v: usize| if v + 1 == V { mask } else { 0xFF };
    let mut sums = [[_mm512_setzero_si512(); V]; R];
    if k > LONG {
        for r in 0..R {
            for v in 0..V {
                _mm_prefetch::<_MM_HINT_T0>(c.wrapping_add(r * columns + v * LANES).cast());
            }
        }
    }
    let (mut row, mut done) = (b.first, 0);
    if let (Some(whole), 0xFF) = ((&mut sums as &mut dyn Any).downcast_mut::<[[__m512i; VECTORS]; ROWS]>(), mask) {
        // SAFETY: R and V are those of the whole tile, and no word of its vectors is masked off.
        unsafe { multiply_whole(k / UNROLLED, a, b, ahead, whole) };
        done = k / UNROLLED * UNROLLED;
        row = row.wrapping_add(done * b.row);
    }
    // SAFETY: all offsets stay within what the caller promised; masked-off words are neither read nor written, a prefetch
    // may name any address, and `row` moves past the last row by wrapping only.
    unsafe {
        for p in done..k {
            let mut bs = [_mm512_setzero_si512(); V];
            for (v, b) in bs.iter_mut().enumerate() {
                *b = _mm512_maskz_loadu_epi64(lanes(v), row.add(v * LANES).cast());
                _mm_prefetch::<_MM_HINT_T1>(ahead.first.wrapping_add(p * ahead.row + v * LANES).cast());
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

/// Steps that the loop of the whole tile takes at once, so that its six pairs of products come round.
const UNROLLED: usize = 3;

/// A row of a step: to the sums of the row six before it is added what it left in a pair of registers, which then gets
/// this row's products.
macro_rules! row {
    ($a:literal + $step:literal, $s0:literal $s1:literal, $t0:literal $t1:literal) => {
        concat!(
            concat!("vpbroadcastq zmm30, qword ptr [", $a, " + 8 * ", $step, "]\n"),
            concat!("vpaddq zmm", $s0, ", zmm", $s0, ", zmm", $t0, "\n"),
            concat!("vpaddq zmm", $s1, ", zmm", $s1, ", zmm", $t1, "\n"),
            concat!("vpmullq zmm", $t0, ", zmm30, zmm16\n"),
            concat!("vpmullq zmm", $t1, ", zmm30, zmm17\n"),
        )
    };
}

/// A step: row r of the tile has its sums in the registers 2 r and 2 r + 1.
macro_rules! step {
    ($step:literal, $($t0:literal $t1:literal),+) => {
        concat!(
            "vmovdqu64 zmm16, zmmword ptr [{b}]\n",
            "vmovdqu64 zmm17, zmmword ptr [{b} + 64]\n",
            "prefetcht0 byte ptr [{ahead}]\n",
            "prefetcht0 byte ptr [{ahead} + 64]\n",
            "add {ahead}, {ahead_row}\n",
            "add {b}, {b_row}\n",
            step!(@rows $step, $($t0 $t1),+)
        )
    };
    (@rows $step:literal, $a0:literal $a1:literal, $b0:literal $b1:literal, $c0:literal $c1:literal,
     $d0:literal $d1:literal, $e0:literal $e1:literal, $f0:literal $f1:literal, $g0:literal $g1:literal,
     $h0:literal $h1:literal) => {
        concat!(
            row!("{a}" + $step, 4 5, $a0 $a1),
            row!("{a} + {a1}" + $step, 6 7, $b0 $b1),
            row!("{a} + 2 * {a1}" + $step, 8 9, $c0 $c1),
            row!("{a} + {a3}" + $step, 10 11, $d0 $d1),
            row!("{a} + 4 * {a1}" + $step, 12 13, $e0 $e1),
            row!("{a} + {a5}" + $step, 14 15, $f0 $f1),
            row!("{a} + 2 * {a3}" + $step, 0 1, $g0 $g1),
            row!("{a} + {a7}" + $step, 2 3, $h0 $h1),
        )
    };
}

/// `3 * turns` steps of a whole tile.
///
/// # Safety
/// The CPU has avx512f and avx512dq; 8 rows of that many words may be read from `a`, and as many rows of 16 from `b`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn multiply_whole(turns: usize, a: Strided, b: Strided, ahead: Strided, sums: &mut [[__m512i; VECTORS]; ROWS]) {
    if turns == 0 {
        return;
    }
    let [[s0, s1], [s2, s3], [s4, s5], [s6, s7], [s8, s9], [s10, s11], [s12, s13], [s14, s15]] = sums;
    let zero = _mm512_setzero_si512();
    let row = a.row * size_of::<u64>();
    // SAFETY: reads the rows and columns that the caller promised, for a prefetch may name any address, and writes to
    // registers only, all of them named. The three additions to b and the one to a move past their last word at most.
    unsafe {
        asm!(
            "2:",
            step!(0, 18 19, 20 21, 22 23, 24 25, 26 27, 28 29, 18 19, 20 21),
            step!(1, 22 23, 24 25, 26 27, 28 29, 18 19, 20 21, 22 23, 24 25),
            step!(2, 26 27, 28 29, 18 19, 20 21, 22 23, 24 25, 26 27, 28 29),
            "add {a}, 24",
            "dec {turns}",
            "jnz 2b",
            // What the last six rows left.
            "vpaddq zmm4, zmm4, zmm18", "vpaddq zmm5, zmm5, zmm19", "vpaddq zmm6, zmm6, zmm20",
            "vpaddq zmm7, zmm7, zmm21", "vpaddq zmm8, zmm8, zmm22", "vpaddq zmm9, zmm9, zmm23",
            "vpaddq zmm10, zmm10, zmm24", "vpaddq zmm11, zmm11, zmm25", "vpaddq zmm12, zmm12, zmm26",
            "vpaddq zmm13, zmm13, zmm27", "vpaddq zmm14, zmm14, zmm28", "vpaddq zmm15, zmm15, zmm29",
            turns = inout(reg) turns => _,
            a = inout(reg) a.first => _,
            b = inout(reg) b.first => _,
            a1 = in(reg) row,
            a3 = in(reg) 3 * row,
            a5 = in(reg) 5 * row,
            a7 = in(reg) 7 * row,
            b_row = in(reg) b.row * size_of::<u64>(),
            ahead = inout(reg) ahead.first => _,
            ahead_row = in(reg) ahead.row * size_of::<u64>(),
            inout("zmm0") *s0, inout("zmm1") *s1, inout("zmm2") *s2, inout("zmm3") *s3,
            inout("zmm4") *s4, inout("zmm5") *s5, inout("zmm6") *s6, inout("zmm7") *s7,
            inout("zmm8") *s8, inout("zmm9") *s9, inout("zmm10") *s10, inout("zmm11") *s11,
            inout("zmm12") *s12, inout("zmm13") *s13, inout("zmm14") *s14, inout("zmm15") *s15,
            out("zmm16") _, out("zmm17") _,
            inout("zmm18") zero => _, inout("zmm19") zero => _, inout("zmm20") zero => _, inout("zmm21") zero => _,
            inout("zmm22") zero => _, inout("zmm23") zero => _, inout("zmm24") zero => _, inout("zmm25") zero => _,
            inout("zmm26") zero => _, inout("zmm27") zero => _, inout("zmm28") zero => _, inout("zmm29") zero => _,
            out("zmm30") _,
            options(readonly, nostack),
        );
    }
}

#[target_feature(enable = "avx512f,avx512dq")]
fn copy_rows(rows: &[u64], row: usize, width: usize, panel: &mut [MaybeUninit<Line>]) {
    for row in rows.chunks(row).take(panel.len() / width.div_ceil(LINE)) {
        // The next panel is copied from the words beside these.
        for line in (width..2 * width).step_by(LINE) {
            _mm_prefetch::<_MM_HINT_T1>(row.as_ptr().wrapping_add(line).cast());
        }
    }
    crate::tiles::copy_rows(rows, row, width, panel);
}

#[target_feature(enable = "avx512f,avx512dq")]
fn copy_columns(columns: &[u64], column: usize, width: usize, panel: &mut [MaybeUninit<Line>]) {
    let lines = width.div_ceil(LANES);
    let steps = panel.len() / lines;
    for line in 0..lines {
        let height = LANES.min(width - line * LANES);
        for step in (0..steps).step_by(LANES) {
            let count = LANES.min(steps - step);
            let square = &columns[line * LANES * column + step..][..(height - 1) * column + count];
            let to = &mut panel[step * lines + line..][..(count - 1) * lines + 1];
            // The next panel is copied from the rows after these.
            for i in 0..LANES {
                _mm_prefetch::<_MM_HINT_T1>(square.as_ptr().wrapping_add((width + i) * column).cast());
            }
            let mut x = [_mm512_setzero_si512(); LANES];
            if (height, count) == (LANES, LANES) {
                for (i, x) in x.iter_mut().enumerate() {
                    // SAFETY: eight words from i * column on, the last of them the last of the slice where i = 7.
                    *x = unsafe { _mm512_loadu_epi64(square.as_ptr().add(i * column).cast()) };
                }
                for (i, x) in transpose(x).into_iter().enumerate() {
                    // SAFETY: line i * lines, at most the last of the slice, which is as wide as a register and aligned.
                    unsafe { _mm512_store_epi64(to.as_mut_ptr().add(i * lines).cast(), x) };
                }
                continue;
            }
            let mask = 0xFF >> (LANES - count);
            for (i, x) in x[..height].iter_mut().enumerate() {
                let from = &square[i * column..][..count];
                // SAFETY: `mask` leaves the words of `from`.
                *x = unsafe { _mm512_maskz_loadu_epi64(mask, from.as_ptr().cast()) };
            }
            for (to, x) in to.iter_mut().step_by(lines).zip(transpose(x)) {
                // SAFETY: a line is as wide as a register.
                unsafe { _mm512_storeu_epi64(to.as_mut_ptr().cast(), x) };
            }
        }
    }
}

/// Vector i of the result holds word i of each vector.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(x: [__m512i; LANES]) -> [__m512i; LANES] {
    // Pairs of words, then pairs of pairs, then halves.
    let mut y = x;
    for i in 0..4 {
        y[2 * i] = _mm512_unpacklo_epi64(x[2 * i], x[2 * i + 1]);
        y[2 * i + 1] = _mm512_unpackhi_epi64(x[2 * i], x[2 * i + 1]);
    }
    // y[2i + o]: words o, o + 2, o + 4, o + 6 of rows 2i and 2i + 1, a pair in each quarter.
    let mut z = y;
    for o in 0..2 {
        for i in 0..2 {
            let (low, high) = (y[4 * i + o], y[4 * i + 2 + o]);
            z[4 * i + o] = _mm512_shuffle_i64x2::<0b10_00_10_00>(low, high);
            z[4 * i + 2 + o] = _mm512_shuffle_i64x2::<0b11_01_11_01>(low, high);
        }
    }
    // z[4i + o]: words o and o + 4 of rows 4i to 4i + 3, z[4i + 2 + o]: words o + 2 and o + 6.
    let mut out = z;
    for o in 0..4 {
        out[o] = _mm512_shuffle_i64x2::<0b10_00_10_00>(z[o], z[4 + o]);
        out[4 + o] = _mm512_shuffle_i64x2::<0b11_01_11_01>(z[o], z[4 + o]);
    }
    out
}

/// Multiply-adds of independent chains in registers; returns how many.
#[target_feature(enable = "avx512f,avx512dq")]
fn peak(steps: u64) -> u64 {
    const CHAINS: usize = 24;
    let (factor, more) = (_mm512_set1_epi64(black_box(3)), _mm512_set1_epi64(black_box(5)));
    let mut sums: [__m512i; CHAINS] = std::array::from_fn(|i| _mm512_set1_epi64(i as i64));
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = _mm512_mullo_epi64(*sum, factor);
        }
        for sum in &mut sums {
            *sum = _mm512_add_epi64(*sum, more);
        }
    }
    black_box(sums);
    steps * (CHAINS * LANES) as u64
}

pub(crate) fn multiply_peak(steps: u64) -> u64 {
    super::require();
    // SAFETY: the CPU was checked.
    unsafe { peak(steps) }
}
