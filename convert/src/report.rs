//! What was chosen, layer by layer, and what a run will cost.

use std::fmt;
use std::sync::Arc;

use model::{Curve, HeadRanges, InputKind, Opening, Plan, Ranges, Spec, Texts, token_class};
use serde::Serialize;

use crate::comparison::Comparison;
use crate::error::ConvertError;

/// Token counts at which costs are told, as far as the model takes them.
const TOKENS: [usize; 3] = [16, 128, 512];

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
    /// What a text costs.
    pub cost: Vec<CostAt>,
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
    /// Bits between the largest observed value and the largest that fits.
    pub headroom: f64,
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
    /// Tokens.
    pub tokens: usize,
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
    let at = |tokens| {
        let cost = Plan::new(spec, &Texts::new(&[tokens], &spec.shape)?, kind)?.cost();
        Ok(CostAt {
            tokens,
            rounds: cost.rounds,
            online_bytes_each_way: cost.opened_bytes,
            dealer_bytes: cost.dealt_bytes,
            restart_probability: cost.restart_probability,
        })
    };
    tokens.into_iter().map(at).collect()
}

/// One row an opened value whose range was observed.
pub(crate) fn rows(spec: &Spec, ranges: &Ranges) -> Vec<Row> {
    let mut rows = norm_rows(spec, ranges, 0).to_vec();
    for (l, (layer, seen)) in spec.layers.iter().zip(&ranges.layers).enumerate() {
        let name = format!("layer {l}");
        // squares and mixed values of the longest text
        let class = token_class(spec.shape.positions);
        let longest = spec.shape.positions as f64;
        let neurons = seen.gelu.iter().fold(0.0f32, |most, v| most.max(*v));
        rows.extend([
            wire(&name, "query", seen.query, layer.query),
            wire(&name, "key", seen.key, layer.key),
            wire(&name, "value", seen.value, layer.value),
            wire(&name, "scores", seen.scores, layer.scores),
        ]);
        // of all heads the one whose sums differ most
        let ratio = |h: &HeadRanges| h.sum.hi / h.sum.lo;
        let widest = (0..seen.heads.len()).max_by(|a, b| ratio(&seen.heads[*a]).total_cmp(&ratio(&seen.heads[*b])));
        if let Some(h) = widest {
            let (name, head, seen) = (format!("{name} head {h} (widest)"), &layer.heads[h], &seen.heads[h]);
            rows.extend([
                wire(&name, "squares", seen.squares, head.squares[class]),
                curve(&name, "1/sum", (Some(seen.sum.lo), seen.sum.hi), &head.reciprocal),
                wire(&name, "squares x values", (f64::from(seen.mixed) * longest) as f32, head.mixed[class]),
            ]);
        }
        rows.push(wire(&name, "attention", seen.attention, layer.attention));
        rows.extend(norm_rows(spec, ranges, 2 * l + 1));
        rows.extend([
            curve(&name, "GeLU", (None, neurons), &layer.gelu),
            wire(&name, "activation", seen.activation, layer.activation),
        ]);
        rows.extend(norm_rows(spec, ranges, 2 * l + 2));
    }
    rows.push(curve("pooler", "tanh", (None, ranges.pooler), &spec.tanh));
    rows.push(wire("classifier", "logits", ranges.logits, spec.logits));
    rows
}

fn norm_rows(spec: &Spec, ranges: &Ranges, norm: usize) -> [Row; 2] {
    let (spec, seen) = (&spec.norms[norm], &ranges.norms[norm]);
    let (layer, input, root) = match norm.checked_sub(1) {
        None => ("embedding".into(), "norm input", "norm 1/sqrt"),
        Some(n) if n % 2 == 0 => (format!("layer {}", n / 2), "attention norm input", "attention norm 1/sqrt"),
        Some(n) => (format!("layer {}", n / 2), "output norm input", "output norm 1/sqrt"),
    };
    let sum = (Some(seen.square_sum.lo), seen.square_sum.hi);
    [wire(&layer, input, seen.input, spec.input), curve(&layer, root, sum, &spec.inverse_root)]
}

fn wire(layer: &str, place: &'static str, most: f32, opening: Opening) -> Row {
    let limit = f64::powi(2.0, opening.bits as i32 - 1 - opening.frac);
    let most = f64::from(most);
    let headroom = (limit / most).log2();
    Row { layer: layer.into(), place, least: None, most, frac: opening.frac, headroom, series: Vec::new() }
}

fn curve(layer: &str, place: &'static str, (least, most): (Option<f32>, f32), curve: &Curve) -> Row {
    let period = |modulus_bits: u32| f64::powi(2.0, modulus_bits as i32 - curve.frac);
    let series = curve.segments.iter().map(|s| SeriesOf {
        columns: s.cols,
        harmonics: s.series.harmonics.len(),
        period: period(s.series.modulus_bits),
    });
    let series: Vec<SeriesOf> = series.collect();
    // an even or odd function has half a period on each side
    let widest = series.iter().map(|s| s.period).fold(0.0, f64::max);
    let limit = if least.is_some() { widest } else { widest / 2.0 };
    let (least, most) = (least.map(f64::from), f64::from(most));
    Row { layer: layer.into(), place, least, most, frac: curve.frac, headroom: (limit / most).log2(), series }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.rows.iter().map(|r| r.layer.len()).max().unwrap_or(0);
        writeln!(
            f,
            "{:widest$}  {:21}  {:>22}  {:>4}  {:>9}  series (columns x harmonics)",
            "layer", "value", "range", "frac", "head-room"
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
                "{layer:widest$}  {:21}  {range:>22}  {:>4}  {:>4.1} bits  {}",
                row.place,
                row.frac,
                row.headroom,
                series.join(", ")
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "\ntokens  rounds  online bytes each way  dealer bytes  restart probability")?;
        for c in &self.cost {
            writeln!(
                f,
                "{:>6}  {:>6}  {:>21}  {:>12}  {:>18.2}%",
                c.tokens,
                c.rounds,
                c.online_bytes_each_way,
                c.dealer_bytes,
                100.0 * c.restart_probability
            )?;
        }
        Ok(())
    }
}
