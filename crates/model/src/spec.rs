//! The calibrated spec: every scale, range and series of a converted model. Public, and the same at all parties.
//!
//! A number `x` at `frac` fractional bits is the integer `round(x 2^frac)`. Weights carry `weight_frac`, tables `table_frac`.
//! Attention sums grow with the number of tokens `n`; their scales are functions of the class of `n`
//! ([`token_class`]): a sum is read in units of `2^class`, so one series serves every length.

use serde::{Deserialize, Serialize};

use crate::bert::InputKind;
use crate::certificate::{CERTIFICATE_FRACS, DEFECT};
use crate::config::{MOST_EPS, MOST_SHIFT, shift_is_sound};
use crate::engine::{Function, Site, Weight};
use crate::series::Series;
use crate::shape::{Shape, TOKEN_CLASSES, token_class};

/// The format that this program reads and writes.
pub const SPEC_VERSION: u32 = 3;

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

/// Openings of an attention head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadSpec {
    /// Squares, by token class.
    pub squares: Vec<Opening>,
    /// `1 / sum`, its argument in units of `2^class`.
    pub reciprocal: Curve,
    /// The opened reciprocal, in units of `2^-class`.
    pub reciprocal_out: Opening,
    /// Squares times values, by token class.
    pub mixed: Vec<Opening>,
}

/// Openings of an encoder layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSpec {
    /// Attention query.
    pub query: Opening,
    /// Attention key.
    pub key: Opening,
    /// Attention value.
    pub value: Opening,
    /// Scores.
    pub scores: Opening,
    /// What differs from head to head.
    pub heads: Vec<HeadSpec>,
    /// Attention output.
    pub attention: Opening,
    /// `GeLU(x) - x/2`.
    pub gelu: Curve,
    /// GeLU's output.
    pub activation: Opening,
}

/// Openings of a LayerNorm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NormSpec {
    /// Centred input.
    pub input: Opening,
    /// `sqrt(width / sum of squares)`.
    pub inverse_root: Curve,
    /// The opened inverse deviation.
    pub inverse_deviation: Opening,
    /// Output.
    pub normal: Opening,
}

/// The calibrated spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// [`SPEC_VERSION`].
    pub version: u32,
    /// Public shape.
    pub shape: Shape,
    /// Fractional bits of matrices.
    pub weight_frac: i32,
    /// Fractional bits of the embedding and position tables.
    pub table_frac: i32,
    /// Fractional bits that a client's input has beyond what its opening keeps.
    pub input_extra: u32,
    /// One-hot rows.
    pub one_hot: Opening,
    /// LayerNorms.
    pub norms: Vec<NormSpec>,
    /// Layers.
    pub layers: Vec<LayerSpec>,
    /// Pooler.
    pub tanh: Curve,
    /// Pooler output.
    pub pooled: Opening,
    /// Logits, as the client receives them.
    pub logits: Opening,
    /// Fractional bits of certificates as the client reads them, by token class: a unit is a quarter of the most that is accepted.
    pub certificates: Vec<i32>,
}

/// Why a spec cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Another format version.
    #[error("the spec has version {got}; this program reads version {expected}")]
    Version {
        /// As read.
        got: u32,
        /// [`SPEC_VERSION`].
        expected: u32,
    },
    /// A part is missing or has an impossible value.
    #[error("the spec's {what} is {got}; expected {expected}")]
    Shape {
        /// Part.
        what: String,
        /// As read.
        got: String,
        /// What would do.
        expected: String,
    },
    /// An opening cannot hold its values.
    #[error(
        "{site}: opened from {from} to {to} fractional bits with a range of {bits} bits, {spare} bits of head-room remain \
         and at least {least} are needed; recalibrate or lower the scale"
    )]
    Headroom {
        /// Where.
        site: String,
        /// Fractional bits of the share.
        from: i32,
        /// Fractional bits of the wire.
        to: i32,
        /// Range.
        bits: u32,
        /// `K - bits`.
        spare: i64,
        /// The least `K - bits`.
        least: i64,
    },
    /// Two scales are too far apart to be added.
    #[error("a sum of values with {one} and with {other} fractional bits; they may be at most 63 apart; convert again")]
    Sum {
        /// Fractional bits of one.
        one: i32,
        /// Fractional bits of the other.
        other: i32,
    },
}

/// How one-hot rows are opened, whatever the model: they hold zeros and ones.
pub(crate) const ONE_HOT: Opening = Opening { frac: 0, bits: 2 };

/// The least head-room `K - bits` of any opening: below it one element in 2^12 would restart a run.
pub const LEAST_HEADROOM: i64 = 12;

impl Spec {
    /// How a site is opened.
    pub fn opening(&self, site: Site) -> Opening {
        match site {
            Site::OneHot => self.one_hot,
            Site::NormInput { norm } => self.norms[norm].input,
            Site::InverseDeviation { norm } => self.norms[norm].inverse_deviation,
            Site::Normal { norm } => self.norms[norm].normal,
            Site::Query { layer } => self.layers[layer].query,
            Site::Key { layer } => self.layers[layer].key,
            Site::Value { layer } => self.layers[layer].value,
            Site::Scores { layer } => self.layers[layer].scores,
            Site::Squares { layer, head, tokens } => self.layers[layer].heads[head].squares[token_class(tokens)],
            Site::Mixed { layer, head, tokens } => self.layers[layer].heads[head].mixed[token_class(tokens)],
            Site::Reciprocal { layer, head, tokens } => {
                let out = self.layers[layer].heads[head].reciprocal_out;
                Opening { frac: out.frac + token_class(tokens) as i32, ..out }
            }
            Site::Attention { layer } => self.layers[layer].attention,
            Site::Activation { layer } => self.layers[layer].activation,
            Site::Pooled => self.pooled,
            Site::Defect { .. } => DEFECT,
        }
    }

    /// The curve of a function, and by how many fractional bits the token count shifts argument (down) and result (up).
    pub fn curve(&self, function: Function) -> (&Curve, i32) {
        match function {
            Function::InverseRoot { norm } => (&self.norms[norm].inverse_root, 0),
            Function::Reciprocal { layer, head, tokens } => {
                (&self.layers[layer].heads[head].reciprocal, token_class(tokens) as i32)
            }
            Function::Gelu { layer } => (&self.layers[layer].gelu, 0),
            Function::Tanh => (&self.tanh, 0),
        }
    }

    /// Fractional bits of a weight.
    pub fn weight_frac(&self, weight: Weight) -> i32 {
        match weight {
            Weight::Embedding | Weight::Position => self.table_frac,
            _ => self.weight_frac,
        }
    }

    /// Fractional bits of a weight's product with its input, hence of its bias.
    pub fn bias_frac(&self, weight: Weight) -> i32 {
        let input = match weight {
            Weight::Embedding | Weight::Position => self.one_hot.frac,
            Weight::Query(l) | Weight::Key(l) | Weight::Value(l) => self.norms[2 * l].normal.frac,
            Weight::Residual(n) => self.norms[n].normal.frac,
            Weight::AttentionOutput(l) => self.layers[l].attention.frac,
            Weight::Up(l) => self.norms[2 * l + 1].normal.frac,
            Weight::Down(l) => self.layers[l].activation.frac,
            Weight::Pooler => self.norms[2 * self.shape.layers].normal.frac,
            Weight::Classifier => self.pooled.frac,
        };
        input + self.weight_frac(weight)
    }

    /// How the client's input is opened, and the fractional bits at which the client shares it.
    pub fn input(&self, kind: InputKind) -> (Opening, i32) {
        let opening = match kind {
            InputKind::OneHot => self.one_hot,
            InputKind::Embedded => self.norms[0].normal,
        };
        (opening, opening.frac + self.input_extra as i32)
    }

    /// Checks all counts that the rest of the code relies on; scales are checked by planning.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.version != SPEC_VERSION {
            return Err(SpecError::Version { got: self.version, expected: SPEC_VERSION });
        }
        let s = &self.shape;
        let count = |what: &str, got: usize, expected: usize| match got == expected {
            true => Ok(()),
            false => {
                let (what, got, expected) = (what.to_string(), got.to_string(), expected.to_string());
                Err(SpecError::Shape { what, got, expected })
            }
        };
        let within = |what: &str, got: usize, most: usize| match (1..=most).contains(&got) {
            true => Ok(()),
            false => {
                Err(SpecError::Shape { what: what.into(), got: got.to_string(), expected: format!("1 to {most}") })
            }
        };
        if !s.activation.is_private() {
            let (what, expected) = ("activation".into(), "gelu or gelu_tanh".into());
            return Err(SpecError::Shape { what, got: format!("{:?}", s.activation), expected });
        }
        within("number of layers", s.layers, 24)?;
        within("width", s.width, 8192)?;
        within("number of heads", s.heads, s.width)?;
        count("width modulo heads", s.width % s.heads, 0)?;
        within("inner width", s.inner, 32768)?;
        within("number of words", s.words, 1 << 20)?;
        within("number of segments", s.segments, 16)?;
        within("number of positions", s.positions, 512)?;
        within("number of labels", s.labels, 1 << 12)?;
        count("number of layers with a spec", self.layers.len(), s.layers)?;
        count("number of LayerNorms with a spec", self.norms.len(), s.norms())?;
        count("number of layers with shifts", s.shifts.len(), s.layers)?;
        if !(0.0..=MOST_EPS).contains(&s.eps) {
            let (what, got, expected) = ("epsilon".into(), s.eps.to_string(), format!("0 to {MOST_EPS}"));
            return Err(SpecError::Shape { what, got, expected });
        }
        if let Some(shift) = s.shifts.iter().flatten().find(|c| !shift_is_sound(**c)) {
            let expected = format!("-{MOST_SHIFT} to {MOST_SHIFT}");
            return Err(SpecError::Shape { what: "attention shift".into(), got: shift.to_string(), expected });
        }
        within("extra fractional bits of the input", self.input_extra as usize, 32)?;
        for (l, layer) in self.layers.iter().enumerate() {
            count(&format!("layer {l}: shifts"), s.shifts[l].len(), s.heads)?;
            count(&format!("layer {l}: heads"), layer.heads.len(), s.heads)?;
            for (h, head) in layer.heads.iter().enumerate() {
                count(&format!("layer {l} head {h}: token classes of squares"), head.squares.len(), TOKEN_CLASSES)?;
                count(&format!("layer {l} head {h}: token classes of mixed"), head.mixed.len(), TOKEN_CLASSES)?;
                self.check_curve(&format!("layer {l} head {h}: reciprocal"), &head.reciprocal, 1)?;
            }
            self.check_curve(&format!("layer {l}: gelu"), &layer.gelu, s.inner)?;
        }
        for (n, norm) in self.norms.iter().enumerate() {
            self.check_curve(&format!("norm {n}: inverse root"), &norm.inverse_root, 1)?;
        }
        self.check_curve("pooler", &self.tanh, s.width)?;
        count("number of token classes with a certificate", self.certificates.len(), TOKEN_CLASSES)?;
        if let Some(got) = self.certificates.iter().find(|frac| !CERTIFICATE_FRACS.contains(frac)) {
            let (least, most) = (CERTIFICATE_FRACS.start(), CERTIFICATE_FRACS.end());
            let expected = format!("{least} to {most}");
            return Err(SpecError::Shape {
                what: "fractional bits of a certificate".into(),
                got: got.to_string(),
                expected,
            });
        }
        self.check_scales()
    }

    /// No scale or range is so far out that computing with it could overflow.
    fn check_scales(&self) -> Result<(), SpecError> {
        let mut openings = vec![("one-hot rows", self.one_hot), ("pooled", self.pooled), ("logits", self.logits)];
        let mut fracs = vec![("weights", self.weight_frac), ("tables", self.table_frac), ("tanh", self.tanh.frac)];
        for norm in &self.norms {
            openings.extend([norm.input, norm.inverse_deviation, norm.normal].map(|o| ("a LayerNorm", o)));
            fracs.push(("a LayerNorm", norm.inverse_root.frac));
        }
        for layer in &self.layers {
            let of = [layer.query, layer.key, layer.value, layer.scores, layer.attention, layer.activation];
            openings.extend(of.map(|o| ("a layer", o)));
            fracs.push(("GeLU", layer.gelu.frac));
            for head in &layer.heads {
                let by_tokens = head.squares.iter().chain(&head.mixed).copied();
                openings.extend(by_tokens.chain([head.reciprocal_out]).map(|o| ("a head", o)));
                fracs.push(("a reciprocal", head.reciprocal.frac));
            }
        }
        fracs.extend(openings.iter().map(|(place, o)| (*place, o.frac)));
        let wrong = |what: String, got: String, expected: &str| {
            Err(SpecError::Shape { what, got, expected: expected.to_string() })
        };
        if let Some((place, frac)) = fracs.iter().find(|(_, frac)| !(-64..=64).contains(frac)) {
            return wrong(format!("scale of {place}"), format!("{frac} fractional bits"), "-64 to 64");
        }
        if let Some((place, o)) = openings.iter().find(|(_, o)| !(1..=64).contains(&o.bits)) {
            return wrong(format!("range of {place}"), format!("{} bits", o.bits), "1 to 64");
        }
        if self.one_hot != ONE_HOT {
            return wrong("opening of one-hot rows".into(), format!("{:?}", self.one_hot), "0 fractional bits, 2 bits");
        }
        // the client receives the classifier's sums at their own scale and rounds them to that of the logits
        let drop = self.bias_frac(Weight::Classifier) - self.logits.frac;
        if drop < 0 || i64::from(drop) + i64::from(self.logits.bits) > 63 {
            let got = format!(
                "{} fractional bits, {drop} below the classifier's, {} bits",
                self.logits.frac, self.logits.bits
            );
            return wrong("scale of the logits".into(), got, "at most the classifier's, and 63 bits together");
        }
        Ok(())
    }

    fn check_curve(&self, what: &str, curve: &Curve, cols: usize) -> Result<(), SpecError> {
        let wrong = |part: &str, got: String, expected: String| {
            Err(SpecError::Shape { what: format!("{what}: {part}"), got, expected })
        };
        let sum = curve.segments.iter().try_fold(0usize, |sum, s| sum.checked_add(s.cols));
        if sum != Some(cols) || curve.segments.is_empty() {
            return wrong("columns", format!("{sum:?}"), cols.to_string());
        }
        for segment in &curve.segments {
            if segment.cols == 0 {
                return wrong("columns of a segment", "0".into(), "at least 1".into());
            }
            if let Err(why) = segment.series.check() {
                return wrong("series", why, "a series that this program can evaluate".into());
            }
            let (frac, first) = (segment.series.out_frac(), curve.segments[0].series.out_frac());
            if frac != first {
                return wrong("fractional bits", frac.to_string(), first.to_string());
            }
        }
        Ok(())
    }
}
