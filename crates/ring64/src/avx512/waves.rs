//! The harmonics in 512-bit registers: eight angles at a time, several harmonics at each visit.
//!
//! A visit loads the running cosines, sines and sums once for a group of harmonics, and asks for the words of the next
//! group: a block reads a few kilobytes of each row, too little for the CPU to notice where it will read next.

use std::arch::asm;
use std::arch::x86_64::*;

use crate::waves::{BLOCK, Plan, Rows, Running};
use crate::{Harmonics, TRIG_FRAC};

/// Words of a register.
const LANES: usize = 8;
/// Harmonics of a visit at most.
const GROUP: usize = 2;

/// See [`crate::Turn::series_add`]; the twin is `waves::series_piece`.
pub(crate) fn series_piece(plan: Plan<'_>, harmonics: Harmonics<'_>, angles: &[u64], rows: Rows<'_>, sum: &mut [u64]) {
    super::require();
    assert_eq!(angles.len(), sum.len(), "series: lengths");
    // SAFETY: the CPU was checked above.
    unsafe { series(plan, harmonics, angles, rows, sum) }
}

#[target_feature(enable = "avx512f,avx512dq")]
fn series(plan: Plan<'_>, harmonics: Harmonics<'_>, angles: &[u64], rows: Rows<'_>, sum: &mut [u64]) {
    let mut running = Running::new();
    for (block, (angles, sum)) in angles.chunks(BLOCK).zip(sum.chunks_mut(BLOCK)).enumerate() {
        let mut h = 0;
        while h < harmonics.multiples.len() {
            let rotate = running.prepare(plan, h, angles);
            let count = plan.run(h, GROUP);
            let group = Group { harmonics, first: h, rotate, rows, at: block * BLOCK };
            match count {
                1 => group.add::<1>(&mut running, sum),
                _ => group.add::<GROUP>(&mut running, sum),
            }
            h += count;
        }
    }
}

/// Some harmonics of one block of angles that have a step in common.
struct Group<'a> {
    harmonics: Harmonics<'a>,
    first: usize,
    /// Whether the first harmonic is a rotation; the others are.
    rotate: bool,
    rows: Rows<'a>,
    /// Where the block begins in the rows.
    at: usize,
}

impl Group<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn add<const N: usize>(&self, running: &mut Running, sum: &mut [u64]) {
        let sines = &self.harmonics.sines[self.first..][..N];
        // Even functions have no sines: half of the products are zero.
        if sines.iter().all(|s| *s == 0) {
            self.add_terms::<N, false>(running, sum);
        } else {
            self.add_terms::<N, true>(running, sum);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn add_terms<const N: usize, const SINES: bool>(&self, running: &mut Running, sum: &mut [u64]) {
        let len = sum.len();
        assert!(len <= BLOCK, "a block of angles");
        let coefficient = |of: &[i64], k: usize| _mm512_set1_epi64(of[self.first + k]);
        let cosines: [_; N] = std::array::from_fn(|k| coefficient(self.harmonics.cosines, k));
        let sines: [_; N] = std::array::from_fn(|k| coefficient(self.harmonics.sines, k));
        let rows: [[&[u64]; 2]; N] =
            std::array::from_fn(|k| [0, 1].map(|row| self.rows.part(2 * (self.first + k) + row, self.at, len)));
        let ahead: [[*const u64; 2]; N] = std::array::from_fn(|k| {
            [0, 1].map(|row| self.rows.ahead(2 * (self.first + k) + row, self.at, 2 * GROUP, BLOCK))
        });
        for start in (0..len).step_by(LANES) {
            let mask = mask(len - start);
            // SAFETY: `start` and, where the mask is set, the words after it lie within rows and sums of `len` words; the
            // running arrays are BLOCK words, a multiple of the lanes, and `len` is at most that. Prefetches may name any
            // address.
            unsafe {
                let mut cos = _mm512_loadu_epi64(running.cos.as_ptr().add(start));
                let mut sin = _mm512_loadu_epi64(running.sin.as_ptr().add(start));
                let step_cos = _mm512_loadu_epi64(running.step_cos.as_ptr().add(start));
                let step_sin = _mm512_loadu_epi64(running.step_sin.as_ptr().add(start));
                let total: *mut i64 = sum.as_mut_ptr().add(start).cast();
                let mut terms = _mm512_maskz_loadu_epi64(mask, total);
                for k in 0..N {
                    if k > 0 || self.rotate {
                        (cos, sin) = rotated((cos, sin), (step_cos, step_sin));
                    }
                    let (by_cos, by_sin) = if SINES {
                        (
                            _mm512_add_epi64(product(cosines[k], cos), product(sines[k], sin)),
                            _mm512_sub_epi64(product(cosines[k], sin), product(sines[k], cos)),
                        )
                    } else {
                        (product(cosines[k], cos), product(cosines[k], sin))
                    };
                    for (row, by) in [by_cos, by_sin].into_iter().enumerate() {
                        _mm_prefetch::<_MM_HINT_T0>(ahead[k][row].wrapping_add(start).cast());
                        let word = _mm512_maskz_loadu_epi64(mask, rows[k][row].as_ptr().add(start).cast());
                        terms = _mm512_add_epi64(terms, _mm512_mullo_epi64(round_shift(by), word));
                    }
                }
                _mm512_mask_storeu_epi64(total, mask, terms);
                _mm512_storeu_epi64(running.cos.as_mut_ptr().add(start), cos);
                _mm512_storeu_epi64(running.sin.as_mut_ptr().add(start), sin);
            }
        }
    }
}

/// The twin is `waves::product`: of the low halves of each lane, signed. As an intrinsic, the compiler takes it for a product of
/// whole words, whose halves it no longer knows to be signs, and uses the slower multiplication of these.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn product(a: __m512i, b: __m512i) -> __m512i {
    let product;
    // SAFETY: one instruction of avx512f on registers alone.
    unsafe {
        asm!("vpmuldq {}, {}, {}", lateout(zmm_reg) product, in(zmm_reg) a, in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    product
}

/// The twin is `waves::rotated`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn rotated((cos, sin): (__m512i, __m512i), (step_cos, step_sin): (__m512i, __m512i)) -> (__m512i, __m512i) {
    let next_cos = _mm512_sub_epi64(product(cos, step_cos), product(sin, step_sin));
    let next_sin = _mm512_add_epi64(product(sin, step_cos), product(cos, step_sin));
    (round_shift(next_cos), round_shift(next_sin))
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn round_shift(v: __m512i) -> __m512i {
    _mm512_srai_epi64::<{ TRIG_FRAC }>(_mm512_add_epi64(v, _mm512_set1_epi64(1 << (TRIG_FRAC - 1))))
}

/// See [`crate::Turn::waves`]; the twin is `waves::waves_piece`.
pub(crate) fn waves_piece(plan: Plan<'_>, frac: u32, angles: &[u64], rows: &mut [&mut [u64]]) {
    super::require();
    // SAFETY: the CPU was checked above.
    unsafe { waves(plan, frac, angles, rows) }
}

#[target_feature(enable = "avx512f,avx512dq")]
fn waves(plan: Plan<'_>, frac: u32, angles: &[u64], rows: &mut [&mut [u64]]) {
    let mut running = Running::new();
    let drop = TRIG_FRAC - frac;
    let (half, drop) = (_mm512_set1_epi64((1 << drop) >> 1), _mm_cvtsi32_si128(drop as i32));
    for (block, angles) in angles.chunks(BLOCK).enumerate() {
        let at = block * BLOCK..block * BLOCK + angles.len();
        for h in 0..rows.len() / 2 {
            let rotate = running.prepare(plan, h, angles);
            let next = rows.get(2 * h + 2..2 * h + 4);
            let ahead = next.map_or([std::ptr::null(); 2], |next| [0, 1].map(|row| next[row][at.clone()].as_ptr()));
            let [of_cos, of_sin] = rows[2 * h..].first_chunk_mut::<2>().expect("two rows for each multiple");
            let (of_cos, of_sin) = (&mut of_cos[at.clone()], &mut of_sin[at.clone()]);
            for start in (0..angles.len()).step_by(LANES) {
                let mask = mask(angles.len() - start);
                // SAFETY: as in `Group::add_terms`, for rows that were cut to the block.
                unsafe {
                    let mut cos = _mm512_loadu_epi64(running.cos.as_ptr().add(start));
                    let mut sin = _mm512_loadu_epi64(running.sin.as_ptr().add(start));
                    if rotate {
                        let step_cos = _mm512_loadu_epi64(running.step_cos.as_ptr().add(start));
                        let step_sin = _mm512_loadu_epi64(running.step_sin.as_ptr().add(start));
                        (cos, sin) = rotated((cos, sin), (step_cos, step_sin));
                        _mm512_storeu_epi64(running.cos.as_mut_ptr().add(start), cos);
                        _mm512_storeu_epi64(running.sin.as_mut_ptr().add(start), sin);
                    }
                    for (row, (to, wave)) in [(&mut *of_cos, cos), (&mut *of_sin, sin)].into_iter().enumerate() {
                        _mm_prefetch::<_MM_HINT_ET0>(ahead[row].wrapping_add(start).cast());
                        let wave = _mm512_sra_epi64(_mm512_add_epi64(wave, half), drop);
                        _mm512_mask_storeu_epi64(to.as_mut_ptr().add(start).cast(), mask, wave);
                    }
                }
            }
        }
    }
}

/// The lanes that the first of `len` words fill.
#[inline]
fn mask(len: usize) -> __mmask8 {
    if len >= LANES { 0xFF } else { (1 << len) - 1 }
}
