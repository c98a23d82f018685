//! Which certificates are those of right answers.
//!
//! The squares of all defects of a text add up to its certificate ([`crate::Checks`]); calibration says how large that may be.

use crate::choose_error::ChooseError;
use crate::opening::CERTIFICATE_FRACS;
use crate::shape::{SHORTEST_CLASS, TOKEN_CLASSES};
use crate::spec::Spec;

/// Units of a certificate that are accepted; a right answer has none or one, the second and third are room for rounding.
const ACCEPTED_UNITS: f64 = 4.0;
/// How far above the certificate of an ordinary text the bound is.
pub const ORDINARY: f64 = 10.0;
/// Class of lengths from which on the bound is as large as it may be.
const FULL_CLASS: i32 = 7;
/// How large certificates may be, by token class, where the squared defects of a row come to so much in the mean. Rows that
/// are off by so much that logits would be were never seen with less than this bound in all; up to 2^7 tokens the bound is
/// proportional to the tokens, so that one row alone cannot be far off. An ordinary text stays ten times below it.
pub(crate) fn certificate_fracs(of_a_row: f64) -> Result<Vec<i32>, ChooseError> {
    (0..TOKEN_CLASSES as i32).map(|class| certificate_frac(of_a_row, class)).collect()
}

/// The same of texts of up to `2^exponent` rows.
pub(crate) fn certificate_frac(of_a_row: f64, exponent: i32) -> Result<i32, ChooseError> {
    let expected = of_a_row * f64::powi(2.0, exponent);
    let enough = (ACCEPTED_UNITS / (ORDINARY * expected)).log2().floor();
    let finest = CERTIFICATE_FRACS.start() + (FULL_CLASS - exponent).max(0);
    if enough < f64::from(*CERTIFICATE_FRACS.start()) {
        return Err(ChooseError::Range {
            place: format!("a text of {} tokens", 1 << exponent),
            what: "expected sum of squared defects of all series",
            value: expected,
            limit: ACCEPTED_UNITS * f64::powi(2.0, -CERTIFICATE_FRACS.start()) / ORDINARY,
            cure: "arguments of 1/sqrt and 1/sum spread too far for series this good: train with distill's --range-penalty and --short-texts, or calibrate on other texts",
        });
    }
    Ok(finest.min(enough as i32))
}

impl Spec {
    /// Fractional bits at which the client reads the certificate of a text of this class ([`crate::Texts::class`]).
    pub fn certificate_frac(&self, class: usize) -> i32 {
        match self.padded {
            Some(padded) if class == SHORTEST_CLASS => padded.certificate,
            _ => self.certificates[self.shape.class_exponent(class) as usize],
        }
    }

    /// The largest certificate with which the answer to a text of this class is accepted.
    pub fn certificate_limit(&self, class: usize) -> f64 {
        ACCEPTED_UNITS * f64::powi(2.0, -self.certificate_frac(class))
    }

    /// The certificate of a text of this class.
    pub fn certificate(&self, class: usize, total: f64) -> Certificate {
        Certificate { total, limit: self.certificate_limit(class) }
    }
}

/// How far a text's run was from its own promises, and how far that of a right answer to a text of its class is at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certificate {
    /// Sum of the squares of all that was missing.
    pub total: f64,
    /// The largest total that is accepted.
    pub limit: f64,
}

impl Certificate {
    /// Whether it is one of a right answer. A sum of squares that wrapped is negative, or too large.
    pub fn holds(self) -> bool {
        (0.0..=self.limit).contains(&self.total)
    }
}
