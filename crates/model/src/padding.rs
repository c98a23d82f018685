//! What padded texts need beyond texts of any length: domains for the sums of attention of the shortest class.
//!
//! In each class but the shortest a text has more than half of the rows that it is padded to, as in the classes of texts that
//! are not padded. The shortest class holds all shorter texts: its sums begin at a text of two tokens, and its reciprocals
//! are series of their own. Where one of them cannot be fitted, the class begins at a longer text.

use crate::bert::InputKind;
use crate::calibrate::Ranges;
use crate::certificate::certificate_frac;
use crate::choose_error::ChooseError;
use crate::heads::{attention_sums, mixed_most, mixed_opening};
use crate::positive::Fitted;
use crate::restarts::restart_probability;
use crate::shape::{Lengths, SHORTEST_CLASS, Texts, TextsError};
use crate::spec::{PaddedHead, PaddedSpec, Spec};

/// Tokens from which on the shortest class may hold texts, the most useful first. The last is where the next class would
/// begin to hold them as well: nine tokens fill more than half of sixteen rows.
const FEWEST: [usize; 4] = [2, 3, 5, 9];

/// Gives a spec what padded texts need, if their series can be fitted and they restart no more often than that. `of_norms` is the
/// mean square of all defects of a row that LayerNorms make.
pub(crate) fn padding(spec: &mut Spec, ranges: &Ranges, of_norms: f64, most_restarts: f64) {
    let most = spec.shape.padded_length(1);
    for fewest in FEWEST.into_iter().filter(|fewest| *fewest <= most) {
        if let Ok((heads, certificate)) = shortest(spec, ranges, of_norms, fewest) {
            let of_spec = spec.layers.iter_mut().flat_map(|layer| &mut layer.heads);
            of_spec.zip(heads).for_each(|(head, padded)| head.padded = Some(padded));
            spec.padded = Some(PaddedSpec { fewest, certificate });
            if restarts_of_shortest(spec).is_none_or(|restarts| restarts > most_restarts) {
                spec.give_up_padding();
            }
            return;
        }
    }
}

/// Says that texts may be padded with softmax, whose series are the same for all classes: from two tokens on, as they were calibrated.
pub(crate) fn padding_of_softmax(spec: &mut Spec) {
    let class = spec.shape.class_exponent(SHORTEST_CLASS) as usize;
    let fewest = FEWEST[0].min(spec.shape.padded_length(1));
    spec.padded = Some(PaddedSpec { fewest, certificate: spec.certificates[class] });
}

/// How often a text of the shortest class restarts; nothing where a scale does not fit its value.
fn restarts_of_shortest(spec: &Spec) -> Option<f64> {
    let texts = Texts::padded(&[spec.shape.padded_length(1)], &spec.shape).ok()?;
    restart_probability(&spec.calibrated(InputKind::OneHot), &texts).ok()
}

impl Spec {
    /// Takes back that texts may be padded.
    pub fn give_up_padding(&mut self) {
        self.padded = None;
        self.layers.iter_mut().flat_map(|layer| &mut layer.heads).for_each(|head| head.padded = None);
    }

    /// A batch of texts of so many tokens each, of whose lengths this is public.
    pub fn texts(&self, tokens: &[usize], lengths: Lengths) -> Result<Texts, TextsError> {
        match lengths {
            Lengths::Padded => self.padded_texts(tokens),
            Lengths::Exact => Texts::new(tokens, &self.shape),
        }
    }

    fn padded_texts(&self, tokens: &[usize]) -> Result<Texts, TextsError> {
        let padded = self.padded.ok_or(TextsError::Unpadded)?;
        if let Some(got) = tokens.iter().find(|got| **got > self.shape.positions) {
            return Err(TextsError::Length { got: *got, most: self.shape.positions });
        }
        if let Some(got) = tokens.iter().find(|got| **got < padded.fewest) {
            return Err(TextsError::Short { got: *got, fewest: padded.fewest });
        }
        Texts::padded(&tokens.iter().map(|tokens| self.shape.padded_length(*tokens)).collect::<Vec<_>>(), &self.shape)
    }
}

/// All heads for texts of so many tokens on in the shortest class, and its certificates.
fn shortest(spec: &Spec, ranges: &Ranges, of_norms: f64, fewest: usize) -> Result<(Vec<PaddedHead>, i32), ChooseError> {
    let exponent = spec.shape.class_exponent(SHORTEST_CLASS);
    let least = (fewest as f64 / f64::powi(2.0, exponent)).min(0.5);
    let unusual = ranges.unusual.as_deref();
    let of_ranges = |(l, h): (usize, usize)| (&ranges.layers[l].heads[h], unusual.map(|u| &u.layers[l].heads[h]));
    let all = || (0..spec.shape.layers).flat_map(|l| (0..spec.shape.heads).map(move |h| (l, h)));
    let spread = |at: (usize, usize)| of_ranges(at).0.sum.hi / of_ranges(at).0.sum.lo;
    // the head that is most likely to fail is tried first
    let mut order: Vec<_> = all().collect();
    order.sort_by(|a, b| spread(*b).total_cmp(&spread(*a)));
    let mut fitted = std::collections::BTreeMap::new();
    let mut defects = of_norms;
    for at in order {
        let head = &spec.layers[at.0].heads[at.1];
        if let Some((mixed, mean_square)) = crate::relu_choose::padded(at, head, exponent)? {
            let (reciprocal, reciprocal_out) = (head.reciprocal.clone(), head.reciprocal_out);
            fitted.insert(at, PaddedHead { reciprocal, reciprocal_out, mixed });
            defects += mean_square;
            continue;
        }
        let (ranges, unusual) = of_ranges(at);
        let positive = attention_sums(at, ranges, unusual, least);
        let Fitted { curve, out, mean_square } = positive.wide_curve()?;
        let squares = spec.layers[at.0].heads[at.1].squares[exponent as usize];
        let mixed = mixed_opening(mixed_most(ranges), positive.seen.0, squares.frac, exponent);
        fitted.insert(at, PaddedHead { reciprocal: curve, reciprocal_out: out, mixed });
        defects += mean_square;
    }
    Ok((fitted.into_values().collect(), certificate_frac(defects, exponent)?))
}
