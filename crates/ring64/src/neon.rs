//! The kernel of 64-bit ARM, whose every CPU has the instructions: only the matrix product is written out. The other loops
//! are the portable ones, which the compiler makes of the same registers, and so is the key stream.
#![allow(unsafe_code)]

mod gemm;

pub(crate) use crate::scalar::{columns_mul_add, matrix_vector, mul_add, row_dot, row_sums, scale_add};
pub(crate) use gemm::{TILES, multiply_peak};
