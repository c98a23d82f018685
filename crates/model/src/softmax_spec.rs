//! Scales and series of softmax attention in a spec.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::AttentionKind;
use crate::opening::{Curve, Opening};
use crate::series::Series;
use crate::shape::{Shape, TOKEN_CLASSES};
use crate::spec_error::{SpecError, count};

/// Openings of a head of softmax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftmaxSpec {
    /// `exp(s / 2)` of shifted scores.
    pub exponential: Curve,
    /// The shifted scores themselves, by the same harmonics.
    pub identity: Curve,
    /// Opened `exp(s / 2)`.
    pub exponential_out: Opening,
    /// Its squares.
    pub squares: Opening,
    /// Squares times values.
    pub mixed: Opening,
    /// One over the sum of a row, or over its product with the rough reciprocal.
    pub reciprocal: Curve,
    /// The opened reciprocal.
    pub reciprocal_out: Opening,
    /// Where sums spread too far for one series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub two_steps: Option<TwoSteps>,
}

/// What a head needs whose sums spread too far for one series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwoSteps {
    /// A smaller power of the exponential, by the same harmonics.
    pub exponential: Curve,
    /// By token class, the power of two in whose units its row sums are read.
    pub units: Vec<i32>,
    /// A power of the row sums that is about one over the sum of exponentials.
    pub rough: Curve,
    /// That, opened.
    pub rough_out: Opening,
    /// The sum of a row of exponentials.
    pub sum: Opening,
    /// Squares times values, times the rough reciprocal.
    pub corrected: Opening,
    /// The sum times the rough reciprocal.
    pub corrected_sum: Opening,
}

/// The largest multiple of a feature, and the largest shift in nats: none that was fitted is a hundredth of it.
const MOST_NATS: f64 = 1e6;
/// Largest power of two in whose units rough sums are read.
const MOST_UNIT: i32 = 16;

impl SoftmaxSpec {
    /// All curves, by name.
    pub(crate) fn curves(&self) -> impl Iterator<Item = (&'static str, &Curve)> {
        let one = [("exponential", &self.exponential), ("identity", &self.identity), ("reciprocal", &self.reciprocal)];
        let two = self
            .two_steps
            .iter()
            .flat_map(|two| [("rough exponential", &two.exponential), ("rough reciprocal", &two.rough)]);
        one.into_iter().chain(two)
    }

    /// All openings.
    pub(crate) fn openings(&self) -> impl Iterator<Item = Opening> {
        let one = [self.exponential_out, self.squares, self.mixed, self.reciprocal_out];
        let two = self.two_steps.iter().flat_map(|two| [two.rough_out, two.sum, two.corrected, two.corrected_sum]);
        one.into_iter().chain(two)
    }

    /// Counts that the rest of the code relies on: curves of one column, and those of one phase by the same harmonics.
    pub(crate) fn check(&self, place: &str) -> Result<(), SpecError> {
        for (name, curve) in self.curves() {
            count(&format!("{place}: columns of {name}"), curve.segments.len(), 1)?;
        }
        let same = |other: &Series, own: &Series| {
            (other.modulus_bits, other.trig_frac, &other.harmonics) == (own.modulus_bits, own.trig_frac, &own.harmonics)
        };
        let own = &self.exponential;
        let beside = [&self.identity].into_iter().chain(self.two_steps.iter().map(|two| &two.exponential));
        for other in beside {
            let fits = same(&other.segments[0].series, &own.segments[0].series);
            count(&format!("{place}: series of one phase by other harmonics"), usize::from(!fits), 0)?;
        }
        let Some(two) = &self.two_steps else { return Ok(()) };
        count(&format!("{place}: token classes of rough sums"), two.units.len(), TOKEN_CLASSES)?;
        let far = two.units.iter().filter(|unit| !(0..=MOST_UNIT).contains(*unit)).count();
        count(&format!("{place}: units beyond 2^{MOST_UNIT}"), far, 0)
    }
}

/// Counts and ranges of what a shape says of the shifts of rows and of padding.
pub(crate) fn check_fitted(shape: &Shape) -> Result<(), SpecError> {
    let layers = if shape.attention == AttentionKind::Softmax { shape.layers } else { 0 };
    count("layers with shifts of rows", shape.row_shifts.len(), layers)?;
    count("layers with places of padding", shape.paddings.len(), layers)?;
    for (layer, (shifts, paddings)) in shape.row_shifts.iter().zip(&shape.paddings).enumerate() {
        count(&format!("layer {layer}: shifts of rows"), shifts.len(), shape.heads)?;
        count(&format!("layer {layer}: places of padding"), paddings.len(), shape.heads)?;
        for padding in paddings {
            count(&format!("layer {layer}: classes of rows of padding"), padding.rows.len(), TOKEN_CLASSES)?;
        }
        let of_paddings = paddings.iter().flat_map(|padding| padding.rows.iter().chain([&padding.depth]));
        if let Some(far) = shifts.iter().flatten().chain(of_paddings).find(|v| v.is_nan() || v.abs() > MOST_NATS) {
            let (what, expected) = (format!("layer {layer}: shift of rows"), format!("-{MOST_NATS} to {MOST_NATS}"));
            return Err(SpecError::Shape { what, got: far.to_string(), expected });
        }
    }
    Ok(())
}

/// The curves of a head, to be shared by the functions that read them.
#[derive(Debug)]
pub(crate) struct SoftmaxCurves {
    pub(crate) exponential: Arc<Curve>,
    pub(crate) identity: Arc<Curve>,
    pub(crate) reciprocal: Arc<Curve>,
    /// Empty for a head in one step.
    pub(crate) rough_exponential: Arc<Curve>,
    pub(crate) rough: Arc<Curve>,
    pub(crate) units: Vec<i32>,
}

impl SoftmaxCurves {
    pub(crate) fn of(spec: &SoftmaxSpec) -> SoftmaxCurves {
        let shared = |curve: &Curve| Arc::new(curve.clone());
        let none = || Arc::new(Curve { frac: 0, stretch: 0, segments: Vec::new() });
        let two = spec.two_steps.as_ref();
        SoftmaxCurves {
            exponential: shared(&spec.exponential),
            identity: shared(&spec.identity),
            reciprocal: shared(&spec.reciprocal),
            rough_exponential: two.map_or_else(none, |two| shared(&two.exponential)),
            rough: two.map_or_else(none, |two| shared(&two.rough)),
            units: two.map_or_else(|| vec![0; TOKEN_CLASSES], |two| two.units.clone()),
        }
    }
}
