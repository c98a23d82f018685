//! The kernel of 512-bit registers.
//!
//! Elementwise loops are the scalar bodies compiled once more with the features on; the matrix product, the key stream, openings
//! and series are written out.
#![allow(unsafe_code)]

mod aes;
mod gemm;
mod opening;
mod waves;

pub(crate) use aes::fill_passes;
pub(crate) use gemm::{TILES, multiply_peak};
pub(crate) use opening::{receive_piece, send_piece};
pub(crate) use waves::{series_piece, waves_piece};

use crate::Harmonics;
use crate::recompiled::recompiled;
use crate::waves::Plan;

/// Whether this CPU has the instructions. The standard library asks the CPU once and remembers.
pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
}

/// [`crate::Kernel::Avx512`] can be named on any CPU, so each entry below asks before it runs.
fn require() {
    assert!(is_available(), "the kernel avx512 needs a CPU with avx512f and avx512dq");
}

recompiled! {
    "avx512f,avx512dq";
    scalar::mul_add(a: &[u64], b: &[u64], c: &mut [u64]);
    scalar::scale_add(factor: u64, a: &[u64], c: &mut [u64]);
    scalar::row_dot(columns: usize, a: &[u64], b: &[u64], out: &mut [u64]);
    scalar::matrix_vector(matrix: &[u64], vector: &[u64], out: &mut [u64]);
    scalar::row_sums(columns: usize, x: &[u64], out: &mut [u64]);
    scalar::columns_mul_add(x: &[u64], factors: &[u64], c: &mut [u64]);
    waves::series_clear_piece(plan: Plan<'_>, harmonics: Harmonics<'_>, angles: &[u64], sum: &mut [u64]);
}
