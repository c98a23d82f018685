//! From ranges to what stands for an activation, and for the pooler's tanh.

use crate::activation::{Activation, Pooler};
use crate::calibrate::LayerRanges;
use crate::choose_error::ChooseError;
use crate::compared::{Compared, Pace};
use crate::fit::{Problem, Terms};
use crate::function_spec::{ActivationSpec, PoolerSpec, ReluSpec};
use crate::heads::{HEADROOM, WIRE_FRAC, signed_bits};
use crate::opening::{Curve, Opening, Segment};
use crate::positive::log2_floor;

/// Widening of a neuron's range before its class is chosen.
const NEURON_HEADROOM: f64 = 1.4;
/// Widening of the range that unusual texts were seen to need.
const UNUSUAL_HEADROOM: f64 = 1.1;
/// Domain and period (power of two) of the column classes of GeLU.
const GELU_CLASSES: [(f64, u32); 5] = [(4.0, 4), (12.0, 5), (28.0, 6), (60.0, 7), (124.0, 8)];
/// Error of GeLU's series, rounding noise included, aimed at.
const GELU_TOLERANCE: f64 = 5e-4;
/// Error of GeLU's series, rounding noise included, accepted.
const GELU_LIMIT: f64 = 3e-3;
/// The same of tanh: aimed at, and accepted.
const TANH_TOLERANCE: f64 = 4e-4;
const TANH_LIMIT: f64 = 2e-3;
/// Fractional bits of coefficients and of dealt terms of GeLU: two bits more would cost its large tensor head-room.
const GELU_BITS: (u32, u32) = (15, 15);
/// The same of tanh.
const TANH_BITS: (u32, u32) = (16, 16);
/// Fractional bits of a quadratic's argument: those that its square then loses are not all noise.
const QUAD_FRAC: i32 = 14;
/// Bits on which anything is compared at least, and by how many more than its wire has.
const LEAST_COMPARED: u32 = 20;
const SPARE_COMPARED: u32 = 1;
/// Most bits that are compared.
const MOST_COMPARED: u32 = 32;

/// An activation, and the order of neurons that makes its classes of columns contiguous.
pub(crate) fn activation(
    l: usize,
    r: &LayerRanges,
    unusual: Option<&LayerRanges>,
    activation: Activation,
) -> Result<(ActivationSpec, Vec<usize>), ChooseError> {
    let most = |of: &LayerRanges| of.gelu.iter().fold(0.0f32, |most, v| most.max(*v));
    let in_place = || (0..r.gelu.len()).collect();
    match activation {
        Activation::Gelu | Activation::GeluTanh => {
            let (curve, order) = gelu_curve(l, r, unusual, activation)?;
            Ok((ActivationSpec::Gelu(curve), order))
        }
        Activation::Relu => {
            let relu = relu(&format!("layer {l}"), "ReLU's input", most(r), unusual.map(most))?;
            Ok((ActivationSpec::Relu(relu), in_place()))
        }
        Activation::Quad => {
            let bits = signed_bits(f64::from(most(r)) * HEADROOM, QUAD_FRAC);
            Ok((ActivationSpec::Quad(Opening { frac: QUAD_FRAC, bits }), in_place()))
        }
    }
}

/// What the pooler takes, of so many columns.
pub(crate) fn pooler(of: Pooler, cols: usize, seen: f32, unusual: Option<f32>) -> Result<PoolerSpec, ChooseError> {
    match of {
        Pooler::Tanh => Ok(PoolerSpec::Tanh(tanh_curve(cols, reach(seen, unusual) + 0.5)?)),
        Pooler::Relu => Ok(PoolerSpec::Relu(relu("pooler", "ReLU's input", seen, unusual)?)),
    }
}

fn relu(place: &str, what: &'static str, seen: f32, unusual: Option<f32>) -> Result<ReluSpec, ChooseError> {
    let input = Opening { frac: WIRE_FRAC, bits: signed_bits(f64::from(seen) * HEADROOM, WIRE_FRAC) };
    Ok(ReluSpec { input, compared: compared(place, what, input, f64::from(seen.max(unusual.unwrap_or(0.0))))? })
}

/// How a wire is compared with zero of which so much was seen. A value beyond the bits that are looked at has any sign, and nothing
/// shows it: they hold what the wire does twice over, and what unusual texts were seen to need.
pub(crate) fn compared(place: &str, what: &'static str, input: Opening, seen: f64) -> Result<Compared, ChooseError> {
    let needed = signed_bits(seen * UNUSUAL_HEADROOM, input.frac);
    let bits = (input.bits + SPARE_COMPARED).max(needed).max(LEAST_COMPARED);
    if bits > MOST_COMPARED {
        let limit = f64::powi(2.0, MOST_COMPARED as i32 - 2 - input.frac) / HEADROOM;
        let cure = "train with the range penalty";
        return Err(ChooseError::Range { place: place.into(), what, value: seen, limit, cure });
    }
    Ok(Compared { bits, cut: 0, pace: Pace::Lean })
}

fn gelu_curve(
    l: usize,
    r: &LayerRanges,
    unusual: Option<&LayerRanges>,
    activation: Activation,
) -> Result<(Curve, Vec<usize>), ChooseError> {
    let class = |(neuron, most): (usize, &f32)| {
        let most = reach(*most, unusual.map(|u| u.gelu[neuron]));
        GELU_CLASSES.iter().position(|(limit, _)| most <= *limit).ok_or(ChooseError::Range {
            place: format!("layer {l}"),
            what: "GeLU's input",
            value: most,
            limit: GELU_CLASSES[GELU_CLASSES.len() - 1].0,
            cure: "train with the range penalty",
        })
    };
    let classes: Vec<usize> = r.gelu.iter().enumerate().map(class).collect::<Result<_, _>>()?;
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by_key(|i| classes[*i]);
    let mut segments = Vec::new();
    for (number, (limit, period_bits)) in GELU_CLASSES.iter().enumerate() {
        let cols = classes.iter().filter(|c| **c == number).count();
        if cols > 0 {
            let function = |x: f64| activation.even_part(x);
            let (domain, period) = ((-limit, *limit), f64::powi(2.0, *period_bits as i32));
            let problem = Problem { function: &function, domain, period, terms: Terms::EvenOdd, relative: false };
            let counts = [4, 6, 8, 10, 12, 14, 16, 20, 24, 32, 40, 48, 64, 80];
            let (fit, error) = problem.smallest(&counts, GELU_BITS, GELU_TOLERANCE);
            accept(&format!("layer {l}, GeLU of inputs up to {limit}"), error, GELU_LIMIT)?;
            let modulus_bits = period_bits + WIRE_FRAC as u32;
            segments.push(Segment { cols, series: fit.rounded(modulus_bits, GELU_BITS.0, GELU_BITS.1, 0) });
        }
    }
    Ok((Curve { frac: WIRE_FRAC, stretch: 0, segments }, order))
}

fn tanh_curve(cols: usize, most: f64) -> Result<Curve, ChooseError> {
    // symmetric about a quarter of the period: the plateau holds up to half the period less the flank
    let period_bits = (log2_floor(most + 5.0) + 2).max(4) as u32;
    if period_bits > 8 {
        let cure = "train the pooler with weight decay";
        return Err(ChooseError::Range {
            place: "pooler".into(),
            what: "input of tanh",
            value: most,
            limit: 124.0,
            cure,
        });
    }
    let period = f64::powi(2.0, period_bits as i32);
    let most = most.min(period / 2.0 - 5.0);
    let problem =
        Problem { function: &f64::tanh, domain: (-most, most), period, terms: Terms::OddOdd, relative: false };
    let (fit, error) = problem.smallest(&[8, 16, 24, 32, 48, 64, 96], TANH_BITS, TANH_TOLERANCE);
    accept(&format!("pooler, tanh of inputs up to {most:.1}"), error, TANH_LIMIT)?;
    let series = fit.rounded(period_bits + WIRE_FRAC as u32, TANH_BITS.0, TANH_BITS.1, 0);
    Ok(Curve { frac: WIRE_FRAC, stretch: 0, segments: vec![Segment { cols, series }] })
}

/// Up to where a function must hold that was seen up to there, and by unusual texts up to there.
fn reach(seen: f32, unusual: Option<f32>) -> f64 {
    let unusual = unusual.map_or(0.0, |u| f64::from(u) * UNUSUAL_HEADROOM);
    (f64::from(seen) * NEURON_HEADROOM).max(unusual) + 0.5
}

/// Refuses a series whose error is too large, or no number.
fn accept(place: &str, error: f64, limit: f64) -> Result<(), ChooseError> {
    if error <= limit {
        return Ok(());
    }
    let (place, what) = (place.to_string(), "error of the best series");
    Err(ChooseError::Range { place, what, value: error, limit, cure: "train with the range penalty" })
}
