//! The calibrated spec: every scale, range and series of a converted model. Public, and the same at all parties.
//!
//! A number `x` at `frac` fractional bits is the integer `round(x 2^frac)`. Weights carry `weight_frac`, tables `table_frac`.
//! Attention sums grow with the number of tokens `n`; their scales are functions of the class of `n`
//! ([`token_class`]): a sum is read in units of `2^class`, so one series serves every length.

use serde::{Deserialize, Serialize};

use crate::bert::{Bert, BertSite, BertWeight, InputKind};
use crate::compared::Compared;
use crate::config::{AttentionKind, MOST_EPS, MOST_SHIFT, shift_is_sound};
use crate::function_spec::{ActivationSpec, DivisionSpec, PoolerSpec, check_compared};
use crate::opening::{CERTIFICATE_FRACS, Curve, DEFECT, Opening};
use crate::relu_spec::RaisedSpec;
use crate::shape::{SHORTEST_CLASS, Shape, TOKEN_CLASSES};
use crate::softmax_spec::{SoftmaxSpec, TwoSteps, check_fitted};
use crate::spec_error::{SpecError, count, within};

/// The format that this program reads and writes.
pub const SPEC_VERSION: u32 = 3;

/// Openings of an attention head of 2Quad or 2ReLU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadSpec {
    /// Squares, or positive scores, by token class.
    pub squares: Vec<Opening>,
    /// `1 / sum`, its argument in units of `2^class`.
    pub reciprocal: Curve,
    /// The opened reciprocal, in units of `2^-class`.
    pub reciprocal_out: Opening,
    /// These times values, by token class.
    pub mixed: Vec<Opening>,
    /// What differs in the shortest padded texts, where a spec has padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padded: Option<PaddedHead>,
    /// Of 2ReLU, how sums of all sizes are brought into the domain of one series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<RaisedSpec>,
}

/// Openings of an attention head in the shortest padded texts ([`SHORTEST_CLASS`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaddedHead {
    /// `1 / sum`, of sums that span those of all shorter texts.
    pub reciprocal: Curve,
    /// The opened reciprocal.
    pub reciprocal_out: Opening,
    /// Squares times values.
    pub mixed: Opening,
}

/// What texts that are padded need beyond what texts of any length do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaddedSpec {
    /// Tokens of the shortest text that may be padded: attention sums of shorter ones are below the domain of a series.
    pub fewest: usize,
    /// Fractional bits of certificates of the shortest class.
    pub certificate: i32,
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
    /// Of 2ReLU, how they are compared with zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// And how sums of the positive ones are compared with thresholds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_sums: Option<Compared>,
    /// What differs from head to head, with 2Quad or 2ReLU.
    pub heads: Vec<HeadSpec>,
    /// The same with softmax.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub softmax: Vec<SoftmaxSpec>,
    /// Attention output.
    pub attention: Opening,
    /// The activation.
    #[serde(flatten)]
    pub function: ActivationSpec,
    /// The activation's output.
    pub activation: Opening,
}

/// Openings of a LayerNorm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NormSpec {
    /// What dividing by the deviation takes; nothing where a LayerNorm only subtracts the mean.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub division: Option<DivisionSpec>,
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
    #[serde(flatten)]
    pub pooler: PoolerSpec,
    /// Pooler output.
    pub pooled: Opening,
    /// Logits, as the client receives them.
    pub logits: Opening,
    /// Fractional bits of certificates as the client reads them, by token class: a unit is a quarter of the most that is accepted.
    pub certificates: Vec<i32>,
    /// Of softmax, by how many bits defects of reciprocals and of exponentials count for less than they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defect_weights: Option<(i32, i32)>,
    /// Where texts may be padded; specs that were chosen before they could be keep their digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padded: Option<PaddedSpec>,
}

/// Of a place that is not asked for.
const UNASKED: Opening = Opening { frac: 0, bits: 2 };

/// How one-hot rows are opened, whatever the model: they hold zeros and ones.
pub(crate) const ONE_HOT: Opening = Opening { frac: 0, bits: 2 };

impl Spec {
    /// How a site is opened.
    pub fn opening(&self, site: BertSite) -> Opening {
        let head = |layer: usize, head: usize| &self.layers[layer].heads[head];
        match site {
            BertSite::OneHot => self.one_hot,
            BertSite::NormInput { norm } => self.division(norm).map_or(UNASKED, |division| division.input),
            BertSite::InverseDeviation { norm } => {
                self.division(norm).map_or(UNASKED, |division| division.inverse_deviation)
            }
            BertSite::Normal { norm } => self.norms[norm].normal,
            BertSite::Query { layer } => self.layers[layer].query,
            BertSite::Key { layer } => self.layers[layer].key,
            BertSite::Value { layer } => self.layers[layer].value,
            BertSite::Scores { layer } => self.layers[layer].scores,
            BertSite::Exponential { layer, head } => self.softmax(layer, head).exponential_out,
            BertSite::Squares { layer, head, .. } if self.is_softmax() => self.softmax(layer, head).squares,
            BertSite::Mixed { layer, head, .. } if self.is_softmax() => self.softmax(layer, head).mixed,
            BertSite::Reciprocal { layer, head, .. } if self.is_softmax() => self.softmax(layer, head).reciprocal_out,
            BertSite::Sum { layer, head } => self.two_steps(layer, head, |two| two.sum),
            BertSite::Rough { layer, head } => self.two_steps(layer, head, |two| two.rough_out),
            BertSite::Corrected { layer, head } => self.two_steps(layer, head, |two| two.corrected),
            BertSite::CorrectedSum { layer, head } => self.two_steps(layer, head, |two| two.corrected_sum),
            BertSite::Squares { layer, head: h, class } => {
                head(layer, h).squares[self.shape.class_exponent(class) as usize]
            }
            BertSite::Mixed { layer, head: h, class } => {
                let of = head(layer, h);
                let padded = of.padded.as_ref().filter(|_| class == SHORTEST_CLASS);
                padded.map_or_else(|| of.mixed[self.shape.class_exponent(class) as usize], |padded| padded.mixed)
            }
            BertSite::Reciprocal { layer, head: h, class } => {
                let of = head(layer, h);
                let padded = of.padded.as_ref().filter(|_| class == SHORTEST_CLASS);
                let out = padded.map_or(of.reciprocal_out, |padded| padded.reciprocal_out);
                Opening { frac: out.frac + self.shape.class_exponent(class), ..out }
            }
            BertSite::Power { .. } => RaisedSpec::POWER,
            BertSite::Raised { layer, head: h, class } => head(layer, h)
                .raised
                .as_ref()
                .map_or(UNASKED, |raised| raised.mixed[self.shape.class_exponent(class) as usize]),
            BertSite::RaisedSum { layer, head: h, class } => {
                let (of, class) = (head(layer, h), self.shape.class_exponent(class));
                of.raised.as_ref().map_or(UNASKED, |raised| raised.sum(of.squares[class as usize], class))
            }
            BertSite::Attention { layer } | BertSite::Weighted { layer } => self.layers[layer].attention,
            BertSite::Activation { layer } => self.layers[layer].activation,
            BertSite::ActivationInput { layer } => self.layers[layer].function.input().unwrap_or(UNASKED),
            BertSite::PoolerInput => self.pooler.relu().map_or(UNASKED, |relu| relu.input),
            BertSite::Pooled => self.pooled,
            BertSite::NormDefect { .. } | BertSite::ReciprocalDefect { .. } | BertSite::ExponentialDefect { .. } => {
                DEFECT
            }
        }
    }

    /// What dividing by the deviation takes in a LayerNorm.
    pub(crate) fn division(&self, norm: usize) -> Option<&DivisionSpec> {
        self.norms[norm].division.as_ref()
    }

    /// Whether attention is softmax; else it is 2Quad or 2ReLU.
    pub fn is_softmax(&self) -> bool {
        self.shape.attention == AttentionKind::Softmax
    }

    /// Fractional bits of a weight.
    pub fn weight_frac(&self, weight: BertWeight) -> i32 {
        match weight {
            BertWeight::Embedding | BertWeight::Position => self.table_frac,
            // added to scores as they are before any is opened
            BertWeight::RelativeBias(layer) => self.layers[layer].query.frac + self.layers[layer].key.frac,
            _ => self.weight_frac,
        }
    }

    /// Fractional bits of the classifier's sums, which is what masked wires share of the logits.
    pub fn logits_share_frac(&self) -> i32 {
        self.pooled.frac + self.weight_frac(BertWeight::Classifier)
    }

    /// How the client's input is opened.
    pub fn input(&self, kind: InputKind) -> Opening {
        match kind {
            InputKind::OneHot => self.one_hot,
            InputKind::Embedded => self.norms[0].normal,
        }
    }

    /// Checks all counts that the rest of the code relies on; scales are checked by planning.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.version != SPEC_VERSION {
            return Err(SpecError::Version { got: self.version, expected: SPEC_VERSION });
        }
        let s = &self.shape;
        if s.relative_positions && (!self.is_softmax() || self.padded.is_some()) {
            let (what, got) = ("relative positions".into(), "true".into());
            let expected = "false, but for softmax on texts that are not padded".into();
            return Err(SpecError::Shape { what, got, expected });
        }
        within("number of layers", s.layers, Bert::MOST_LAYERS)?;
        within("width", s.width, Bert::MOST_WIDTH)?;
        within("number of heads", s.heads, Bert::MOST_HEADS.min(s.width))?;
        count("width modulo heads", s.width % s.heads, 0)?;
        within("inner width", s.inner, Bert::MOST_INNER)?;
        within("number of words", s.words, Bert::MOST_WORDS)?;
        within("number of segments", s.segments, Bert::MOST_SEGMENTS)?;
        within("number of positions", s.positions, Bert::MOST_POSITIONS)?;
        within("number of labels", s.labels, Bert::MOST_LABELS)?;
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
        check_fitted(s)?;
        self.check_layers()?;
        if let Some(layer) = s.linear_norms.iter().find(|layer| **layer >= s.layers) {
            let (what, expected) = ("layer without a division".into(), format!("below {}", s.layers));
            return Err(SpecError::Shape { what, got: layer.to_string(), expected });
        }
        within("number of LayerNorms that do not divide", s.linear_norms.len() + 1, s.layers + 1)?;
        for (n, norm) in self.norms.iter().enumerate() {
            let (what, divides) = (format!("norm {n}: divisions"), usize::from(!s.is_linear(n)));
            count(&what, norm.division.iter().count(), divides)?;
            if let Some(division) = &norm.division {
                self.check_curve(&format!("norm {n}: inverse root"), &division.inverse_root, 1)?;
            }
        }
        self.pooler.check(s.pooler)?;
        if let Some(tanh) = self.pooler.tanh() {
            self.check_curve("pooler", tanh, s.width)?;
        }
        count("number of token classes with a certificate", self.certificates.len(), TOKEN_CLASSES)?;
        let certificates = self.certificates.iter().copied().chain(self.padded.map(|padded| padded.certificate));
        if let Some(got) = certificates.into_iter().find(|frac| !CERTIFICATE_FRACS.contains(frac)) {
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

    /// Counts of the layers and of their heads.
    fn check_layers(&self) -> Result<(), SpecError> {
        let s = &self.shape;
        let padding = usize::from(self.padded.is_some());
        if let Some(padded) = self.padded {
            within("tokens of the shortest padded text", padded.fewest, s.padded_length(1))?;
        }
        for (l, layer) in self.layers.iter().enumerate() {
            count(&format!("layer {l}: shifts"), s.shifts[l].len(), s.heads)?;
            layer.function.check(l, s.activation)?;
            if let Some(gelu) = layer.function.gelu() {
                self.check_curve(&format!("layer {l}: gelu"), gelu, s.inner)?;
            }
            let compares = usize::from(s.attention == AttentionKind::TwoRelu);
            count(&format!("layer {l}: comparisons of scores"), layer.compared.iter().count(), compares)?;
            count(&format!("layer {l}: comparisons of sums"), layer.compared_sums.iter().count(), compares)?;
            if let Some(compared) = layer.compared {
                check_compared(&format!("layer {l}: scores"), layer.scores, compared)?;
            }
            if self.is_softmax() {
                count(&format!("layer {l}: heads of 2Quad"), layer.heads.len(), 0)?;
                layer.check_softmax(l, s.heads)?;
                for (h, head) in layer.softmax.iter().enumerate() {
                    head.curves()
                        .try_for_each(|(name, c)| self.check_curve(&format!("layer {l} head {h}: {name}"), c, 1))?;
                }
                continue;
            }
            count(&format!("layer {l}: heads"), layer.heads.len(), s.heads)?;
            for (h, head) in layer.heads.iter().enumerate() {
                count(&format!("layer {l} head {h}: token classes of squares"), head.squares.len(), TOKEN_CLASSES)?;
                count(&format!("layer {l} head {h}: token classes of mixed"), head.mixed.len(), TOKEN_CLASSES)?;
                self.check_curve(&format!("layer {l} head {h}: reciprocal"), &head.reciprocal, 1)?;
                let padded = head.padded.as_ref().map(|padded| &padded.reciprocal);
                count(&format!("layer {l} head {h}: openings of padded texts"), padded.iter().count(), padding)?;
                padded.map_or(Ok(()), |curve| {
                    self.check_curve(&format!("layer {l} head {h}: reciprocal of padded texts"), curve, 1)
                })?;
                count(&format!("layer {l} head {h}: thresholds of sums"), head.raised.iter().count(), compares)?;
                if let Some(raised) = &head.raised {
                    raised.check(&format!("layer {l} head {h}"))?;
                }
            }
        }
        Ok(())
    }

    /// No scale or range is so far out that computing with it could overflow.
    fn check_scales(&self) -> Result<(), SpecError> {
        let mut openings = vec![("one-hot rows", self.one_hot), ("pooled", self.pooled), ("logits", self.logits)];
        let mut fracs = vec![("weights", self.weight_frac), ("tables", self.table_frac)];
        fracs.extend(self.pooler.tanh().map(|tanh| ("tanh", tanh.frac)));
        openings.extend(self.pooler.relu().map(|relu| ("the pooler", relu.input)));
        for norm in &self.norms {
            openings.push(("a LayerNorm", norm.normal));
            if let Some(division) = &norm.division {
                openings.extend([division.input, division.inverse_deviation].map(|o| ("a LayerNorm", o)));
                fracs.push(("a LayerNorm", division.inverse_root.frac));
            }
        }
        for layer in &self.layers {
            let of = [layer.query, layer.key, layer.value, layer.scores, layer.attention, layer.activation];
            openings.extend(of.map(|o| ("a layer", o)));
            openings.extend(layer.function.input().map(|o| ("an activation", o)));
            fracs.extend(layer.function.gelu().map(|gelu| ("GeLU", gelu.frac)));
            for head in &layer.softmax {
                openings.extend(head.openings().map(|o| ("a head", o)));
                fracs.extend(head.curves().map(|(name, curve)| (name, curve.frac)));
            }
            for head in &layer.heads {
                let by_tokens = head.squares.iter().chain(&head.mixed).copied();
                let padded = head.padded.iter().flat_map(|padded| [padded.mixed, padded.reciprocal_out]);
                openings.extend(head.raised.iter().flat_map(|raised| &raised.mixed).map(|o| ("a head", *o)));
                openings.extend(by_tokens.chain([head.reciprocal_out]).chain(padded).map(|o| ("a head", o)));
                let curves = [&head.reciprocal].into_iter().chain(head.padded.iter().map(|padded| &padded.reciprocal));
                fracs.extend(curves.map(|curve| ("a reciprocal", curve.frac)));
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
        let drop = self.logits_share_frac() - self.logits.frac;
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

impl Spec {
    /// Openings of a head of softmax.
    pub(crate) fn softmax(&self, layer: usize, head: usize) -> &SoftmaxSpec {
        &self.layers[layer].softmax[head]
    }

    /// The same of its two steps; of a head in one step what is never asked for.
    pub(crate) fn two_steps(&self, layer: usize, head: usize, of: fn(&TwoSteps) -> Opening) -> Opening {
        self.softmax(layer, head).two_steps.as_ref().map_or(UNASKED, of)
    }
}

impl LayerSpec {
    /// Counts of heads of either kind.
    pub(crate) fn check_softmax(&self, layer: usize, heads: usize) -> Result<(), SpecError> {
        count(&format!("layer {layer}: heads of softmax"), self.softmax.len(), heads)?;
        let mut all = self.softmax.iter().enumerate();
        all.try_for_each(|(head, softmax)| softmax.check(&format!("layer {layer} head {head}")))
    }
}
