//! Quotients as scikit-learn has them.

/// A quotient; 0 where there is nothing to divide by, as scikit-learn has it.
pub(crate) fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}
