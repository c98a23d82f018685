//! What was chosen, layer by layer, and what a run will cost.

use std::fmt;
use std::sync::Arc;

use model::{
    ActivationSpec, AttentionKind, Compared, Curve, InputKind, Lengths, Opening, PoolerSpec, Ranges, Segment,
    SoftmaxRanges, SoftmaxSpec, Spec, token_class,
};
use mpc::Planned;
use mpc::masked::Plan;
use serde::Serialize;

use crate::comparison::Comparison;
use crate::conversion::Converted;
use crate::error::ConvertError;
use crate::headroom::factors;

/// Token counts at which costs are told, as far as the model takes them.
const TOKENS: [usize; 6] = [16, 32, 64, 128, 256, 512];

/// The result of a conversion.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The student's folder.
    pub student: String,
    /// The bundle's folder.
    pub bundle: String,
    /// The bundle's id; absent when it was not written.
    pub id: Option<String>,
    /// Who embeds.
    pub embedding: bundle::Embedding,
    /// SHA-256 of the public spec.
    pub spec_digest: String,
    /// Texts over which the ranges were observed, the stretched ones included.
    pub calibration_texts: usize,
    /// One row an opened value.
    pub rows: Vec<Row>,
    /// What a text costs whose length is public, and then what one costs that is padded to a class.
    pub cost: Vec<CostAt>,
    /// Tokens of the shortest text that is padded; absent where none is, and each text's length is public.
    pub padded_from: Option<usize>,
    /// Fixed point against floating point; absent without validation texts.
    pub comparison: Option<Comparison>,
}

/// A value that is opened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Layer or part.
    pub layer: String,
    /// Value.
    pub place: &'static str,
    /// Smallest observed value; absent where only the size is known.
    pub least: Option<f64>,
    /// Largest observed (absolute) value.
    pub most: f64,
    /// Fractional bits.
    pub frac: i32,
    /// Bits between the largest observed value and the largest that fits; of a function, that it is right at.
    pub headroom: f64,
    /// The same below the smallest observed value, of a function of positive numbers.
    pub headroom_below: Option<f64>,
    /// Columns and harmonics of each class of a smooth function.
    pub series: Vec<SeriesOf>,
}

/// A class of columns of a smooth function.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesOf {
    /// Columns.
    pub columns: usize,
    /// Harmonics.
    pub harmonics: usize,
    /// The argument's period.
    pub period: f64,
}

/// What one text of so many tokens costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CostAt {
    /// Tokens; of padded texts the most of their class.
    pub tokens: usize,
    /// Whether it is padded.
    pub padded: bool,
    /// Rounds between the parties.
    pub rounds: usize,
    /// Payload that each party sends to the other.
    pub online_bytes_each_way: usize,
    /// Payload that the dealer sends.
    pub dealer_bytes: usize,
    /// Probability that the run has to be repeated.
    pub restart_probability: f64,
}

/// Costs at a few token counts.
pub(crate) fn costs(spec: &Arc<Spec>, kind: InputKind) -> Result<Vec<CostAt>, ConvertError> {
    let mut tokens = TOKENS.map(|n| n.min(spec.shape.positions)).to_vec();
    tokens.dedup();
    let calibrated = spec.calibrated(kind);
    let at = |(tokens, lengths)| {
        let cost = Plan::new(&calibrated, &[spec.texts(&[tokens], lengths)?])?.cost();
        Ok(CostAt {
            tokens,
            padded: lengths == Lengths::Padded,
            rounds: cost.rounds,
            online_bytes_each_way: cost.opened_bytes,
            dealer_bytes: cost.dealt_bytes,
            restart_probability: cost.restart_probability,
        })
    };
    let padded = tokens.iter().filter(|_| spec.padded.is_some()).map(|tokens| (*tokens, Lengths::Padded));
    tokens.iter().map(|tokens| (*tokens, Lengths::Exact)).chain(padded).map(at).collect()
}

/// One row an opened value whose range was observed.
pub(crate) fn rows(converted: &Converted, ranges: &Ranges) -> Vec<Row> {
    let spec = &converted.spec;
    let two_relu = spec.shape.attention == AttentionKind::TwoRelu;
    let mut rows = norm_rows(spec, ranges, 0);
    for (l, (layer, seen)) in spec.layers.iter().zip(&ranges.layers).enumerate() {
        let name = format!("layer {l}");
        // squares and mixed values of the longest text
        let class = token_class(spec.shape.positions);
        let longest = spec.shape.positions as f64;
        rows.extend([
            wire(&name, "query", seen.query, layer.query),
            wire(&name, "key", seen.key, layer.key),
            wire(&name, "value", seen.value, layer.value),
            wire(&name, "scores", seen.scores, layer.scores),
        ]);
        rows.extend(layer.compared.map(|c| compared(&name, "2ReLU of scores", seen.scores, layer.scores.frac, c)));
        let [weights, mixed] = match two_relu {
            true => ["positive scores", "these x values"],
            false => ["squares", "squares x values"],
        };
        for (h, (head, seen)) in layer.heads.iter().zip(&seen.heads).enumerate() {
            let name = format!("{name} head {h}");
            // a sum is read in units of the token class, hence between half and all of its mean
            let sum = f64::from(seen.sum.hi);
            // of 2ReLU all sums are raised to within a step of the largest
            let least =
                head.raised.as_ref().map_or(f64::from(seen.sum.lo) / 2.0, |r| f64::powi(2.0, r.top - 6).min(sum));
            let ends = (least, sum);
            rows.extend([
                wire(&name, weights, seen.squares, head.squares[class]),
                positive(&name, "1/sum", &|v| 1.0 / v, ends, &head.reciprocal),
                wire(&name, mixed, (f64::from(seen.mixed) * longest) as f32, head.mixed[class]),
            ]);
        }
        let softmax = layer.softmax.iter().zip(&seen.softmax).enumerate();
        rows.extend(softmax.flat_map(|(h, (head, seen))| softmax_rows(&format!("{name} head {h}"), head, seen)));
        rows.push(wire(&name, "attention", seen.attention, layer.attention));
        rows.extend(norm_rows(spec, ranges, 2 * l + 1));
        let inputs = || converted.orders[l].iter().map(|neuron| seen.gelu[*neuron]);
        let most = inputs().fold(0.0, f32::max);
        rows.push(match &layer.function {
            ActivationSpec::Gelu(gelu) => folded(&name, "GeLU", inputs(), gelu),
            ActivationSpec::Relu(relu) => compared(&name, "ReLU", most, relu.input.frac, relu.compared),
            ActivationSpec::Quad(input) => wire(&name, "quadratic", most, *input),
        });
        rows.push(wire(&name, "activation", seen.activation, layer.activation));
        rows.extend(norm_rows(spec, ranges, 2 * l + 2));
    }
    rows.push(match &spec.pooler {
        PoolerSpec::Tanh(tanh) => folded("pooler", "tanh", std::iter::once(ranges.pooler), tanh),
        PoolerSpec::Relu(relu) => compared("pooler", "ReLU", ranges.pooler, relu.input.frac, relu.compared),
    });
    rows.push(wire("classifier", "logits", ranges.logits, spec.logits));
    rows
}

/// A head of softmax: its scores, and the sums of its rows with what their spread asks for.
fn softmax_rows(layer: &str, head: &SoftmaxSpec, seen: &SoftmaxRanges) -> Vec<Row> {
    let row = |place, (least, most): (f64, f64), curve: &Curve, headroom: f64| {
        let (layer, frac, series) = (layer.into(), curve.frac, series_of(curve));
        Row { layer, place, least: Some(least), most, frac, headroom, headroom_below: None, series }
    };
    let sums = seen.row_sums();
    let scores = (f64::from(seen.scores.lo), f64::from(seen.scores.hi));
    // a factor of e: above it exponentials are clipped for three nats more
    let mut rows = vec![row("exp of scores", scores, &head.exponential, std::f64::consts::LOG2_E)];
    match &head.two_steps {
        None => rows.push(positive(layer, "1/sum of exp", &|v| 1.0 / v, sums, &head.reciprocal)),
        Some(two) => {
            rows.push(row("1/sum of exp, roughly", sums, &two.rough, std::f64::consts::LOG2_E / 2.0));
            rows.push(row("1/sum of exp, the rest", sums, &head.reciprocal, 0.7 * std::f64::consts::LOG2_E));
        }
    }
    rows
}

/// A LayerNorm; one that does not divide has one row.
fn norm_rows(spec: &Spec, ranges: &Ranges, norm: usize) -> Vec<Row> {
    let (shape, spec, seen) = (&spec.shape, &spec.norms[norm], &ranges.norms[norm]);
    let (layer, input, root) = match norm.checked_sub(1) {
        None => ("embedding".into(), "norm input", "norm 1/sqrt"),
        Some(n) if n % 2 == 0 => (format!("layer {}", n / 2), "attention norm input", "attention norm 1/sqrt"),
        Some(n) => (format!("layer {}", n / 2), "output norm input", "output norm 1/sqrt"),
    };
    let Some(division) = &spec.division else {
        return vec![wire(&layer, input, seen.input, spec.normal)];
    };
    let ends = (f64::from(seen.square_sum.lo), f64::from(seen.square_sum.hi));
    let (width, eps) = (shape.width as f64, shape.eps);
    let function = move |v: f64| (width / (v + width * eps)).sqrt();
    let root = positive(&layer, root, &function, ends, &division.inverse_root);
    vec![wire(&layer, input, seen.input, division.input), root]
}

fn wire(layer: &str, place: &'static str, most: f32, opening: Opening) -> Row {
    let limit = f64::powi(2.0, opening.bits as i32 - 1 - opening.frac);
    let most = f64::from(most);
    let headroom = (limit / most).log2();
    let (least, headroom_below, series) = (None, None, Vec::new());
    Row { layer: layer.into(), place, least, most, frac: opening.frac, headroom, headroom_below, series }
}

/// What is compared with zero: beyond the bits that are looked at it has any sign.
fn compared(layer: &str, place: &'static str, most: f32, frac: i32, by: Compared) -> Row {
    wire(layer, place, most, Opening { frac, bits: by.bits })
}

/// `1/v` or `1/sqrt v`: how far below and above what was seen it still holds.
fn positive(
    layer: &str,
    place: &'static str,
    function: &dyn Fn(f64) -> f64,
    (lo, hi): (f64, f64),
    curve: &Curve,
) -> Row {
    let (below, above) = factors(curve, function, (lo, hi));
    let series = series_of(curve);
    let (least, headroom, headroom_below) = (Some(lo), above.log2(), Some(below.log2()));
    Row { layer: layer.into(), place, least, most: hi, frac: curve.frac, headroom, headroom_below, series }
}

/// An even or odd function, which is folded back at half its period: of all columns the one that comes nearest to that.
/// `seen` has a value a column in the order of the curve; one will do where all have the same.
fn folded(layer: &str, place: &'static str, seen: impl Iterator<Item = f32>, curve: &Curve) -> Row {
    let series = series_of(curve);
    let halves = series.iter().flat_map(|s| std::iter::repeat_n(s.period / 2.0, s.columns));
    let (mut most, mut room) = (0.0f64, f64::INFINITY);
    for (seen, half) in seen.map(f64::from).zip(halves) {
        most = most.max(seen);
        room = room.min(half / seen);
    }
    let headroom = room.log2();
    Row { layer: layer.into(), place, least: None, most, frac: curve.frac, headroom, headroom_below: None, series }
}

fn series_of(curve: &Curve) -> Vec<SeriesOf> {
    let period = |modulus_bits: u32| f64::powi(2.0, modulus_bits as i32 - curve.frac);
    let of = |s: &Segment| SeriesOf {
        columns: s.cols,
        harmonics: s.series.harmonics.len(),
        period: period(s.series.modulus_bits),
    };
    curve.segments.iter().map(of).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.rows.iter().map(|r| r.layer.len()).max().unwrap_or(0);
        writeln!(
            f,
            "{:widest$}  {:21}  {:>22}  {:>4}  {:>5}  {:>9}  series (columns x harmonics)",
            "layer", "value", "range", "frac", "below", "above"
        )?;
        let mut above = "";
        for row in &self.rows {
            let layer = if row.layer == above { "" } else { row.layer.as_str() };
            above = &row.layer;
            let range = match row.least {
                Some(least) => format!("{least:.3} to {:.3}", row.most),
                None => format!("{:.3}", row.most),
            };
            let series: Vec<String> = row.series.iter().map(|s| format!("{} x {}", s.columns, s.harmonics)).collect();
            let line = format!(
                "{layer:widest$}  {:21}  {range:>22}  {:>4}  {:>5}  {:>4.1} bits  {}",
                row.place,
                row.frac,
                row.headroom_below.map(|bits| format!("{bits:.1}")).unwrap_or_default(),
                row.headroom,
                series.join(", ")
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "\n   tokens  rounds  online bytes each way  dealer bytes  restart probability")?;
        for c in &self.cost {
            let tokens = if c.padded { format!("up to {}", c.tokens) } else { c.tokens.to_string() };
            writeln!(
                f,
                "{tokens:>9}  {:>6}  {:>21}  {:>12}  {:>18.2}%",
                c.rounds,
                c.online_bytes_each_way,
                c.dealer_bytes,
                100.0 * c.restart_probability
            )?;
        }
        match self.padded_from {
            Some(from) => writeln!(f, "texts of {from} tokens or more are padded to a class (up to so many)"),
            None => {
                writeln!(f, "no text is padded: the spread of attention sums is too large; add --exact-lengths to runs")
            }
        }
    }
}
