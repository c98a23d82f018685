//! From ranges to a spec: scales, column classes and series, or a refusal that names layer, value and limit.

use rayon::prelude::*;

use crate::activation::Pooler;
use crate::bert::{InputKind, norm_name};
use crate::calibrate::{LayerRanges, NormRanges, Ranges};
use crate::certificate::certificate_fracs;
use crate::choose_error::ChooseError;
use crate::config::AttentionKind;
use crate::function_choose::{activation, compared, pooler};
use crate::function_spec::{ActivationSpec, DivisionSpec};
use crate::heads::{HEADROOM, WIRE_FRAC, head, signed_bits};
use crate::opening::Opening;
use crate::padding::{padding, padding_of_softmax};
use crate::positive::{Fitted, Positive, log2_floor};
use crate::ranges::check;
use crate::relu_choose::relu_heads;
use crate::restarts::restart_probability;
use crate::shape::{Shape, TOKEN_CLASSES, Texts};
use crate::softmax_choose::softmax_head;
use crate::span::Span;
use crate::spec::{LayerSpec, NormSpec, ONE_HOT, SPEC_VERSION, Spec};

/// Fractional bits of matrices.
const WEIGHT_FRAC: i32 = 16;
/// Mean square of the defects of a row that reciprocals of softmax may count for, and the same of its exponentials.
const DEFECTS_OF_A_ROW: f64 = 5e-7;
/// Most fractional bits of a LayerNorm's output that is not divided.
const LINEAR_FRAC: i32 = 14;
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
        let (function, order) = activation(l, r, unusual, shape.activation)?;
        let (mut layer, defect) = layer((l, shape.attention), r, unusual, function)?;
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
    let logits = bits(f64::from(ranges.logits), WIRE_FRAC);
    let mut spec = Spec {
        version: SPEC_VERSION,
        shape: Shape { paddings, ..shape.clone() },
        weight_frac: WEIGHT_FRAC,
        table_frac: norms[0].division.as_ref().map_or(WIRE_FRAC, |division| division.input.frac) + 16,
        input_extra: 16,
        one_hot: ONE_HOT,
        pooler: pooler(shape.pooler, shape.width, ranges.pooler, unusual.map(|u| u.pooler))?,
        pooled: pooled(shape, ranges),
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

/// What the classifier reads: a tanh, or as much as the pooler's ReLU was seen to let through.
fn pooled(shape: &Shape, ranges: &Ranges) -> Opening {
    let bits = match shape.pooler {
        Pooler::Tanh => WIRE_FRAC as u32 + 2,
        Pooler::Relu => bits(f64::from(ranges.pooler), WIRE_FRAC),
    };
    Opening { frac: WIRE_FRAC, bits }
}

fn norm(
    shape: &Shape,
    n: usize,
    ranges: &NormRanges,
    unusual: Option<&NormRanges>,
) -> Result<(NormSpec, f64), ChooseError> {
    let width = shape.width as f64;
    if shape.is_linear(n) {
        // as fine for the largest rows as an output that was divided
        let deviation = (f64::from(ranges.square_sum.hi) / width).sqrt();
        let frac = (WIRE_FRAC - log2_floor(deviation)).clamp(6, LINEAR_FRAC);
        let normal = Opening { frac, bits: bits(f64::from(ranges.input), frac) };
        return Ok((NormSpec { division: None, normal }, 0.0));
    }
    let function = |v: f64| (width / (v + width * shape.eps)).sqrt();
    let (seen, unusual) = (ends(ranges.square_sum), unusual.map(|u| f64::from(u.square_sum.lo)));
    let mut positive = Positive { place: norm_name(n), function: &function, seen, unusual, from: 0 };
    let deviation = (positive.least().0 / width).sqrt();
    let frac = (WIRE_FRAC - log2_floor(deviation)).clamp(6, 24);
    positive.from = 2 * frac;
    let Fitted { curve: inverse_root, out: inverse_deviation, mean_square } = positive.curve()?;
    let input = Opening { frac, bits: bits(f64::from(ranges.input), frac) };
    let spec = NormSpec {
        division: Some(DivisionSpec { input, inverse_root, inverse_deviation }),
        normal: Opening { frac: WIRE_FRAC, bits: signed_bits(width.sqrt() * 1.05, WIRE_FRAC) },
    };
    // a row's square sum is off by twice as much as the root
    Ok((spec, 4.0 * mean_square))
}

fn layer(
    (l, attention): (usize, AttentionKind),
    r: &LayerRanges,
    unusual: Option<&LayerRanges>,
    function: ActivationSpec,
) -> Result<(LayerSpec, f64), ChooseError> {
    let wire = |most: f32| Opening { frac: WIRE_FRAC, bits: bits(f64::from(most), WIRE_FRAC) };
    let (heads, compared_sums, defects) = if attention == AttentionKind::TwoRelu {
        let (heads, compared, defects) = relu_heads(l, r)?;
        (heads, Some(compared), defects)
    } else {
        let heads = r.heads.iter().enumerate().map(|(h, r)| head(l, h, r, unusual.map(|u| &u.heads[h])));
        let (heads, defects): (Vec<_>, Vec<f64>) = heads.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        (heads, None, defects.iter().sum())
    };
    let scores = wire(r.scores);
    let of_scores =
        || compared(&format!("layer {l}"), "scores", scores, r.scores.max(unusual.map_or(0.0, |u| u.scores)).into());
    let compared = (attention == AttentionKind::TwoRelu).then(of_scores).transpose()?;
    let spec = LayerSpec {
        query: wire(r.query),
        key: wire(r.key),
        value: wire(r.value),
        scores,
        compared,
        compared_sums,
        heads,
        softmax: Vec::new(),
        attention: wire(r.attention),
        function,
        activation: wire(r.activation),
    };
    Ok((spec, defects))
}

/// Bits of a signed range with head-room.
fn bits(most: f64, frac: i32) -> u32 {
    signed_bits(most * HEADROOM, frac)
}

fn ends(span: Span) -> (f64, f64) {
    (f64::from(span.lo), f64::from(span.hi))
}
