//! Whether ranges are those of a trained model: nothing is computed from a number that no observation gives.

use crate::bert::norm_name;
use crate::calibrate::{CALIBRATION_VERSION, LayerRanges, Ranges};
use crate::choose_error::ChooseError;
use crate::shape::{Shape, TOKEN_CLASSES};
use crate::span::Span;

/// The largest absolute value of anything that is opened.
const MOST: f32 = 1e9;
/// The largest sum of squares.
const MOST_SUM: f32 = 1e12;

/// Refuses ranges of another model, and numbers that are none.
pub fn check(shape: &Shape, ranges: &Ranges) -> Result<(), ChooseError> {
    count("version", ranges.version as usize, CALIBRATION_VERSION as usize)?;
    count("number of layers", ranges.layers.len(), shape.layers)?;
    count("number of LayerNorms", ranges.norms.len(), shape.norms())?;
    for (n, norm) in ranges.norms.iter().enumerate() {
        size(&|| format!("{}: input", norm_name(n)), norm.input)?;
        span(&norm_name(n), "sum of squares", &norm.square_sum)?;
    }
    for (l, ranges) in ranges.layers.iter().enumerate() {
        layer(shape, l, ranges)?;
    }
    size(&|| "pooler: input of tanh".into(), ranges.pooler)?;
    size(&|| "classifier: logits".into(), ranges.logits)
}

fn layer(shape: &Shape, l: usize, r: &LayerRanges) -> Result<(), ChooseError> {
    count(&format!("layer {l}: number of neurons"), r.gelu.len(), shape.inner)?;
    count(&format!("layer {l}: number of heads"), r.heads.len() + r.softmax.len(), shape.heads)?;
    let named = [
        ("query", r.query),
        ("key", r.key),
        ("value", r.value),
        ("scores", r.scores),
        ("attention output", r.attention),
        ("GeLU's output", r.activation),
    ];
    for (name, value) in named {
        size(&|| format!("layer {l}: {name}"), value)?;
    }
    for (h, head) in r.heads.iter().enumerate() {
        size(&|| format!("layer {l} head {h}: squares of shifted scores"), head.squares)?;
        size(&|| format!("layer {l} head {h}: squares times values"), head.mixed)?;
        span(&format!("layer {l} head {h}"), "mean square of shifted scores", &head.sum)?;
    }
    for (h, head) in r.softmax.iter().enumerate() {
        let finite = |span: &Span| span.lo <= span.hi && span.lo.abs().max(span.hi.abs()) < MOST;
        let sound =
            finite(&head.scores) && head.sums.len() == TOKEN_CLASSES && head.seen().all(|(_, s)| s.iter().all(finite));
        size(&|| format!("layer {l} head {h}: exponentials times values"), head.mixed)?;
        if !sound {
            let what = format!("layer {l} head {h}: shifted scores");
            return Err(mismatch(
                what,
                format!("{} to {}", head.scores.lo, head.scores.hi),
                "a range of numbers".into(),
            ));
        }
    }
    for (n, value) in r.gelu.iter().enumerate() {
        size(&|| format!("layer {l}: GeLU's input of neuron {n}"), *value)?;
    }
    Ok(())
}

fn count(what: &str, got: usize, expected: usize) -> Result<(), ChooseError> {
    match got == expected {
        true => Ok(()),
        false => Err(mismatch(what.to_string(), got.to_string(), expected.to_string())),
    }
}

/// A largest absolute value; zero where a part of the network says nothing.
fn size(what: &dyn Fn() -> String, value: f32) -> Result<(), ChooseError> {
    match (0.0..MOST).contains(&value) {
        true => Ok(()),
        false => Err(mismatch(what(), value.to_string(), format!("a number from 0 to {MOST:e}"))),
    }
}

/// A smallest and a largest value of which one over, or one over the root, is taken.
fn span(place: &str, what: &'static str, span: &Span) -> Result<(), ChooseError> {
    if !(0.0 <= span.lo && span.lo <= span.hi && span.hi < MOST_SUM) {
        let got = format!("{} to {}", span.lo, span.hi);
        return Err(mismatch(format!("{place}: {what}"), got, format!("a range within 0 and {MOST_SUM:e}")));
    }
    if span.lo > 0.0 {
        return Ok(());
    }
    let (place, cure) = (place.to_string(), "calibrate on more texts");
    Err(ChooseError::Range { place, what, value: f64::from(span.lo), limit: 0.0, cure })
}

fn mismatch(what: String, got: String, expected: String) -> ChooseError {
    ChooseError::Mismatch { what, got, expected }
}
