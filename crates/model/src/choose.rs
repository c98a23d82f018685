//! From ranges to a spec: scales, column classes and series, or a refusal that names layer, value and limit.

use rayon::prelude::*;

use crate::activation::Activation;
use crate::bert::{InputKind, norm_name};
use crate::calibrate::{LayerRanges, NormRanges, Ranges};
use crate::certificate::certificate_fracs;
use crate::choose_error::ChooseError;
use crate::config::AttentionKind;
use crate::fit::{Problem, Terms};
use crate::heads::{HEADROOM, WIRE_FRAC, head, signed_bits};
use crate::opening::{Curve, Opening, Segment};
use crate::padding::{padding, padding_of_softmax};
use crate::positive::{Fitted, Positive, log2_floor};
use crate::ranges::check;
use crate::restarts::restart_probability;
use crate::shape::{Shape, TOKEN_CLASSES, Texts};
use crate::softmax_choose::softmax_head;
use crate::span::Span;
use crate::spec::{LayerSpec, NormSpec, ONE_HOT, SPEC_VERSION, Spec};

/// Fractional bits of matrices.
const WEIGHT_FRAC: i32 = 16;
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
/// Mean square of the defects of a row that reciprocals of softmax may count for, and the same of its exponentials.
const DEFECTS_OF_A_ROW: f64 = 5e-7;
/// Restart probability above which a spec is refused, at the longest text.
const RESTART_LIMIT: f64 = 0.35;

/// A spec, and the order of neurons in each layer that makes its column classes contiguous.
pub struct Choice {
    /// The spec.
    pub spec: Spec,
    /// Neuron `orders[layer][i]` comes to place `i`.
    pub orders: Vec<Vec<usize>>,
}

/// Chooses scales and fits series for texts of 1 token up to all positions.
pub fn choose(shape: &Shape, ranges: &Ranges) -> Result<Choice, ChooseError> {
    check(shape, ranges)?;
    let unusual = ranges.unusual.as_deref();
    unusual.map_or(Ok(()), |unusual| check(shape, unusual))?;
    // mean squares of all defects of a row
    let mut of_norms = 0.0;
    let mut norms = Vec::new();
    for (n, r) in ranges.norms.iter().enumerate() {
        let (norm, defect) = norm(shape, n, r, unusual.map(|u| &u.norms[n]))?;
        norms.push(norm);
        of_norms += defect;
    }
    let mut defects = of_norms;
    let mut of_softmax = (0.0, 0.0);
    let mut layers = Vec::new();
    let (mut orders, mut paddings) = (Vec::new(), Vec::new());
    for (l, r) in ranges.layers.iter().enumerate() {
        let unusual = unusual.map(|u| &u.layers[l]);
        let (gelu, order) = gelu_curve(l, r, unusual, shape.activation)?;
        let (mut layer, defect) = layer(l, r, unusual, gelu)?;
        let softmax = r
            .softmax
            .par_iter()
            .enumerate()
            .map(|(h, head)| softmax_head(shape, (l, h), head, r.attention))
            .collect::<Result<Vec<_>, _>>()?;
        let mut of_layer = Vec::new();
        for (head, padding, reciprocals, exponentials) in softmax {
            layer.softmax.push(head);
            of_layer.push(padding);
            of_softmax = (of_softmax.0 + reciprocals, of_softmax.1 + exponentials);
        }
        if shape.attention == AttentionKind::Softmax {
            paddings.push(of_layer);
        }
        layers.push(layer);
        defects += defect;
        orders.push(order);
    }
    let weights = (defect_weight(of_softmax.0), defect_weight(of_softmax.1));
    let counted = |square: f64, weight: i32| square * f64::powi(4.0, -weight);
    defects += counted(of_softmax.0, weights.0) + counted(of_softmax.1, weights.1);
    let most = reach(ranges.pooler, unusual.map(|u| u.pooler)) + 0.5;
    let logits = bits(f64::from(ranges.logits), WIRE_FRAC);
    let mut spec = Spec {
        version: SPEC_VERSION,
        shape: Shape { paddings, ..shape.clone() },
        weight_frac: WEIGHT_FRAC,
        table_frac: norms[0].input.frac + 16,
        input_extra: 16,
        one_hot: ONE_HOT,
        tanh: tanh_curve(shape.width, most)?,
        pooled: Opening { frac: WIRE_FRAC, bits: WIRE_FRAC as u32 + 2 },
        logits: Opening { frac: WIRE_FRAC, bits: logits + 2 },
        certificates: certificate_fracs(defects)?,
        defect_weights: (shape.attention == AttentionKind::Softmax).then_some(weights),
        padded: None,
        norms,
        layers,
    };
    match spec.is_softmax() {
        // where scores with padding are not zero, nothing says where they lie
        true if shape.relative_positions => {}
        true => padding_of_softmax(&mut spec),
        false => padding(&mut spec, ranges, of_norms, RESTART_LIMIT),
    }
    spec.check()?;
    check_restarts(&spec)?;
    Ok(Choice { spec, orders })
}

/// That a text of any length is restarted rarely enough.
fn check_restarts(spec: &Spec) -> Result<(), ChooseError> {
    let shape = &spec.shape;
    let calibrated = spec.calibrated(InputKind::OneHot);
    for tokens in (0..TOKEN_CLASSES).map(|c| shape.positions.min(1 << c)) {
        let mismatch = |e: crate::shape::TextsError| ChooseError::Mismatch {
            what: "tokens".into(),
            got: e.to_string(),
            expected: "at least one position".into(),
        };
        let texts = Texts::new(&[tokens], shape).map_err(mismatch)?;
        let restart = restart_probability(&calibrated, &texts)?;
        if restart > RESTART_LIMIT {
            let place = format!("a text of {tokens} tokens");
            let cure = "train with the range penalty, or calibrate on texts like those to be classified";
            return Err(ChooseError::Range {
                place,
                what: "restart probability",
                value: restart,
                limit: RESTART_LIMIT,
                cure,
            });
        }
    }
    Ok(())
}

/// By how many bits defects count for less than they are whose squares come to so much in a row: so that they do not hide those of
/// the other functions.
fn defect_weight(of_a_row: f64) -> i32 {
    ((of_a_row / DEFECTS_OF_A_ROW).log2() / 2.0).ceil().max(0.0) as i32
}

fn norm(
    shape: &Shape,
    n: usize,
    ranges: &NormRanges,
    unusual: Option<&NormRanges>,
) -> Result<(NormSpec, f64), ChooseError> {
    let width = shape.width as f64;
    let function = |v: f64| (width / (v + width * shape.eps)).sqrt();
    let (seen, unusual) = (ends(ranges.square_sum), unusual.map(|u| f64::from(u.square_sum.lo)));
    let mut positive = Positive { place: norm_name(n), function: &function, seen, unusual, from: 0 };
    let deviation = (positive.least().0 / width).sqrt();
    let frac = (WIRE_FRAC - log2_floor(deviation)).clamp(6, 24);
    positive.from = 2 * frac;
    let Fitted { curve: inverse_root, out: inverse_deviation, mean_square } = positive.curve()?;
    let spec = NormSpec {
        input: Opening { frac, bits: bits(f64::from(ranges.input), frac) },
        inverse_root,
        inverse_deviation,
        normal: Opening { frac: WIRE_FRAC, bits: signed_bits(width.sqrt() * 1.05, WIRE_FRAC) },
    };
    // a row's square sum is off by twice as much as the root
    Ok((spec, 4.0 * mean_square))
}

fn layer(
    l: usize,
    r: &LayerRanges,
    unusual: Option<&LayerRanges>,
    gelu: Curve,
) -> Result<(LayerSpec, f64), ChooseError> {
    let wire = |most: f32| Opening { frac: WIRE_FRAC, bits: bits(f64::from(most), WIRE_FRAC) };
    let heads = r.heads.iter().enumerate().map(|(h, r)| head(l, h, r, unusual.map(|u| &u.heads[h])));
    let (heads, defects): (Vec<_>, Vec<f64>) = heads.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let spec = LayerSpec {
        query: wire(r.query),
        key: wire(r.key),
        value: wire(r.value),
        scores: wire(r.scores),
        heads,
        softmax: Vec::new(),
        attention: wire(r.attention),
        gelu,
        activation: wire(r.activation),
    };
    Ok((spec, defects.iter().sum()))
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

/// Bits of a signed range with head-room.
fn bits(most: f64, frac: i32) -> u32 {
    signed_bits(most * HEADROOM, frac)
}

fn ends(span: Span) -> (f64, f64) {
    (f64::from(span.lo), f64::from(span.hi))
}
