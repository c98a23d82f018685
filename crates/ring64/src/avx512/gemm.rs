use crate::{Dims, Rhs};
pub(crate) fn gemm(dims: Dims, a: &[u64], b: &[u64], rhs: Rhs, c: &mut [u64]) {
    crate::scalar::gemm(dims, a, b, rhs, c)
}
