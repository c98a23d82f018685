//! The kernel of 256-bit registers, for the machines without wider ones.
//!
//! Elementwise loops are the scalar bodies compiled once more with the feature on; the matrix product is written out. The
//! key stream is the portable one, which finds these registers by itself.
#![allow(unsafe_code)]

mod gemm;

pub(crate) use crate::opening::receive_piece;
pub(crate) use gemm::{TILES, multiply_peak};

use crate::Harmonics;
use crate::recompiled::recompiled;
use crate::waves::{Plan, Rows};

/// Whether this CPU has the instructions. The standard library asks the CPU once and remembers.
pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

/// [`crate::Kernel::Avx2`] can be named on any CPU, so each entry below asks before it runs.
fn require() {
    assert!(is_available(), "the kernel avx2 needs a CPU with avx2");
}

recompiled! {
    "avx2";
    scalar::mul_add(a: &[u64], b: &[u64], c: &mut [u64]);
    scalar::scale_add(factor: u64, a: &[u64], c: &mut [u64]);
    scalar::row_dot(columns: usize, a: &[u64], b: &[u64], out: &mut [u64]);
    scalar::matrix_vector(matrix: &[u64], vector: &[u64], out: &mut [u64]);
    scalar::row_sums(columns: usize, x: &[u64], out: &mut [u64]);
    scalar::columns_mul_add(x: &[u64], factors: &[u64], c: &mut [u64]);
    waves::waves_piece(plan: Plan<'_>, frac: u32, angles: &[u64], rows: &mut [&mut [u64]]);
    waves::series_piece(plan: Plan<'_>, harmonics: Harmonics<'_>, angles: &[u64], rows: Rows<'_>, sum: &mut [u64]);
    waves::series_clear_piece(plan: Plan<'_>, harmonics: Harmonics<'_>, angles: &[u64], sum: &mut [u64]);
    opening::send_piece(share: &[u64], offset: u64, bits: (u32, u32), words: &mut [u64], out: &mut [u8]);
}
