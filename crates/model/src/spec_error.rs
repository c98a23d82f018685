//! Why scales cannot be run.

/// The least head-room `K - bits` of any opening: below it one element in 2^12 would restart a run.
pub const LEAST_HEADROOM: i64 = 12;

/// Why a spec cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Another format version.
    #[error("the spec has version {got}; this program reads version {expected}")]
    Version {
        /// As read.
        got: u32,
        /// [`crate::SPEC_VERSION`].
        expected: u32,
    },
    /// A part is missing or has an impossible value.
    #[error("the spec's {what} is {got}; expected {expected}")]
    Shape {
        /// Part.
        what: String,
        /// As read.
        got: String,
        /// What would do.
        expected: String,
    },
    /// An opening cannot hold its values.
    #[error(
        "{site}: opened from {from} to {to} fractional bits with a range of {bits} bits, {spare} bits of head-room remain \
         and at least {least} are needed; recalibrate or lower the scale"
    )]
    Headroom {
        /// Where.
        site: String,
        /// Fractional bits of the share.
        from: i32,
        /// Fractional bits of the wire.
        to: i32,
        /// Range.
        bits: u32,
        /// `K - bits`.
        spare: i64,
        /// The least `K - bits`.
        least: i64,
    },
    /// An engine of published functions was given padded texts.
    #[error("published functions run texts of their exact lengths only, not padded ones: add --exact-lengths")]
    Padding,
    /// An engine that has softmax as it was published only was asked for it by series.
    #[error("the engine beaver runs softmax with --functions exact only; say so, or leave --engine out")]
    SoftmaxSeries,
    /// A comparison of too few or too many bits.
    #[error("{name}: compared on {bits} bits but the lowest {cut}; from 2 to 32 bits must remain")]
    Comparison {
        /// Which.
        name: String,
        /// Range.
        bits: u32,
        /// Bits that are not looked at.
        cut: u32,
    },
    /// Two scales are too far apart to be added.
    #[error("a sum of values with {one} and with {other} fractional bits; they may be at most 63 apart; convert again")]
    Sum {
        /// Fractional bits of one.
        one: i32,
        /// Fractional bits of the other.
        other: i32,
    },
}

/// Refuses another number than that of the shape.
pub(crate) fn count(what: &str, got: usize, expected: usize) -> Result<(), SpecError> {
    match got == expected {
        true => Ok(()),
        false => Err(SpecError::Shape { what: what.into(), got: got.to_string(), expected: expected.to_string() }),
    }
}

/// Refuses no, and too many.
pub(crate) fn within(what: &str, got: usize, most: usize) -> Result<(), SpecError> {
    match (1..=most).contains(&got) {
        true => Ok(()),
        false => Err(SpecError::Shape { what: what.into(), got: got.to_string(), expected: format!("1 to {most}") }),
    }
}
