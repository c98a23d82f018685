//! Why ranges do not make a spec.

use crate::spec_error::SpecError;

/// Why ranges do not make a spec.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChooseError {
    /// The ranges are of another model or format.
    #[error("calibration: {what} is {got}; expected {expected}")]
    Mismatch {
        /// Part.
        what: String,
        /// As read.
        got: String,
        /// What would do.
        expected: String,
    },
    /// A range is beyond what the private run can hold.
    #[error("{place}: {what} reaches {value:.4}, the limit is {limit:.4}; {cure}")]
    Range {
        /// Layer and place.
        place: String,
        /// Quantity.
        what: &'static str,
        /// As seen.
        value: f64,
        /// Limit.
        limit: f64,
        /// What to do.
        cure: &'static str,
    },
    /// Scales do not fit one another.
    #[error(transparent)]
    Spec(#[from] SpecError),
}
