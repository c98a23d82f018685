//! What 2ReLU has beyond 2Quad in a spec.

use serde::{Deserialize, Serialize};

use crate::opening::Opening;
use crate::relu_attention::STEP_BITS;
use crate::shape::TOKEN_CLASSES;
use crate::spec_error::{SpecError, count};

/// How the sums of a head's positive scores are brought into the domain of one series: below each of its thresholds, which are a
/// factor of `2^STEP_BITS` apart, they are multiplied with a larger power of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedSpec {
    /// The largest sum is below `2^top`, in units of the class.
    pub top: i32,
    /// Thresholds.
    pub steps: u32,
    /// Positive scores times values, times the power, by token class.
    pub mixed: Vec<Opening>,
}

/// Most thresholds.
const MOST_STEPS: u32 = 4;

impl RaisedSpec {
    /// How powers are opened.
    pub(crate) const POWER: Opening = Opening { frac: 0, bits: MOST_STEPS * STEP_BITS as u32 + 2 };

    /// Thresholds by which every sum of one unit and more, of so many fractional bits, is brought below the top and no further than a
    /// step below it.
    pub(crate) fn steps(top: i32, most_bits: i32) -> u32 {
        ((top + most_bits + STEP_BITS - 1) / STEP_BITS - 1).max(1) as u32
    }

    /// Below what sums are multiplied with a larger power, in units of the class, the largest first.
    pub(crate) fn thresholds(&self) -> impl Iterator<Item = f64> {
        let top = self.top;
        (1..=self.steps as i32).map(move |step| f64::powi(2.0, top - step * STEP_BITS))
    }

    /// How a raised sum is opened: its scale is that of the positive scores, its range ends one step above the top.
    pub(crate) fn sum(&self, weights: Opening, class: i32) -> Opening {
        let frac = weights.frac;
        Opening { frac, bits: (self.top + class + frac + 3).clamp(2, 64) as u32 }
    }

    pub(crate) fn check(&self, what: &str) -> Result<(), SpecError> {
        count(&format!("{what}: token classes of raised values"), self.mixed.len(), TOKEN_CLASSES)?;
        if !(1..=MOST_STEPS).contains(&self.steps) || !(-32..=32).contains(&self.top) {
            let (what, got) = (format!("{what}: thresholds of sums"), format!("{} below 2^{}", self.steps, self.top));
            return Err(SpecError::Shape { what, got, expected: format!("1 to {MOST_STEPS}, below 2^-32 to 2^32") });
        }
        Ok(())
    }
}
