//! At which scale a value is opened, and what a smooth function is made of.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::series::Series;

/// How a value is opened: `frac` fractional bits, `|x| 2^frac < 2^(bits-1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Fractional bits; negative where a unit is more than one.
    pub frac: i32,
    /// Signed range in bits, the sign included.
    pub bits: u32,
}

/// A smooth function, by columns: neurons whose inputs keep to a narrow range have a shorter series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    /// Fractional bits of the argument.
    pub frac: i32,
    /// Contiguous classes of columns.
    pub segments: Vec<Segment>,
    /// The argument is multiplied with so many [`STRETCH_FRAC`]-bit fractions of one before it is opened, so that its period is
    /// that of the function and not the next power of two; 0 where it is not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stretch: u32,
}

/// Fractional bits of [`Curve::stretch`].
pub const STRETCH_FRAC: i32 = 8;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(stretch: &u32) -> bool {
    *stretch == 0
}

/// A class of columns that share a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Columns.
    pub cols: usize,
    /// Their series.
    pub series: Series,
}

impl Curve {
    /// Columns of all segments.
    pub fn cols(&self) -> usize {
        self.segments.iter().map(|s| s.cols).sum()
    }
}

/// How defects are opened: units of a millionth, and a range in which every answer that is accepted lies.
pub const DEFECT: Opening = Opening { frac: 20, bits: 14 };
/// Fractional bits of a certificate's share: sums of squares of opened defects.
pub const CERTIFICATE_FRAC: i32 = 2 * DEFECT.frac;
/// Fractional bits of certificates as clients read them: of the coarsest, the most that is accepted is 2^-7, below 1e-2.
pub const CERTIFICATE_FRACS: RangeInclusive<i32> = 9..=CERTIFICATE_FRAC;
