//! The fixed-point network against the floating-point one, on the same texts.

use std::fmt;

use datasets::largest;
use model::{
    FloatTrace, Functions, Lengths, Network, ProblemType, SHORTEST_CLASS, Sample, Texts, batch_rows, clear_certified,
    clear_trace, token_class,
};
use serde::Serialize;

use crate::conversion::Converted;
use crate::error::ConvertError;

/// Largest difference of a logit that is accepted.
pub const TOLERANCE: f64 = 2e-2;
/// From which share of its largest value on the error of a site is out of line.
const OUT_OF_LINE: f64 = 1e-2;

/// How far the two are apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Texts compared.
    pub samples: usize,
    /// Texts with the same label, or the same labels; absent where the answer is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_label: Option<usize>,
    /// Largest difference of a logit.
    pub max_difference: f64,
    /// Root of the mean square of the differences.
    pub rms_difference: f64,
    /// [`TOLERANCE`].
    pub tolerance: f64,
    /// The largest certificate of a text, by class of lengths.
    pub certificates: Vec<f64>,
    /// Where the difference begins, when it is too large.
    pub suspect: Option<Suspect>,
}

/// The first value whose error is out of line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspect {
    /// The value, in words.
    pub site: String,
    /// Largest difference there.
    pub difference: f64,
    /// Largest value there.
    pub largest: f64,
    /// Number of the text.
    pub text: usize,
}

impl Comparison {
    /// Whether every logit is close.
    pub fn is_close(&self) -> bool {
        self.max_difference <= self.tolerance
    }
}

/// The closing lines.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (max, rms) = (self.max_difference, self.rms_difference);
        let (samples, limit) = (self.samples, self.tolerance);
        match self.is_close() {
            true => write!(f, "-[ok] all logits close (atol {limit:.0e}), ")?,
            false => write!(f, "-[x] logits are not close (atol {limit:.0e}), ")?,
        }
        write!(f, "max diff {max:.2e}, rms {rms:.2e}, ")?;
        match self.same_label {
            Some(same) => write!(f, "{same} of {samples} labels equal")?,
            None => write!(f, "{samples} texts")?,
        }
        match &self.suspect {
            Some(Suspect { site, difference, largest, text }) => {
                write!(f, "\n-[x] first out of line: {site}, off by {difference:.2e} of {largest:.2e}, in text {text}")
            }
            None => Ok(()),
        }
    }
}

/// Compares on these texts, which must not be empty. `step` is called after each.
pub fn compare(converted: &Converted, samples: &[Sample], step: &dyn Fn()) -> Result<Comparison, ConvertError> {
    let shape = &converted.spec.shape;
    let (mut squares, mut count, mut same_label) = (0.0, 0usize, 0);
    let mut worst = (0, 0.0f64);
    let mut certificates = vec![0.0f64; SHORTEST_CLASS + 1];
    let mut see = |class: usize, totals: &[f64]| {
        // one that wrapped is as large as any
        let largest = &mut certificates[class];
        totals.iter().for_each(|total| *largest = largest.max(if *total < 0.0 { f64::MAX } else { *total }));
    };
    for (number, sample) in samples.iter().enumerate() {
        let Sample { ids, segments } = sample;
        let texts = Texts::new(&[ids.len()], shape)?;
        let float = converted.folded.logits(&texts, ids, segments)?;
        let float: Vec<f64> = float.iter().map(|v| f64::from(*v)).collect();
        let clear = clear_certified(&converted.spec, &converted.quantised, &texts, ids, segments)?;
        let (clear, totals): (Vec<_>, Vec<f64>) = clear.into_iter().unzip();
        see(token_class(ids.len()), &totals);
        let clear = clear.concat();
        let differences: Vec<f64> = float.iter().zip(&clear).map(|(f, c)| (f - c).abs()).collect();
        for (padded, total) in shortest_padded(converted, sample)? {
            let close = float.iter().zip(&padded).all(|(f, c)| (f - c).abs() < TOLERANCE);
            // what is not close is accepted by no bound: then no text is padded
            see(SHORTEST_CLASS, &[if close { total } else { f64::MAX }]);
        }
        squares += differences.iter().map(|d| d * d).sum::<f64>();
        count += differences.len();
        same_label += usize::from(same_labels(converted.problem, &float, &clear));
        let most = differences.iter().copied().fold(0.0, not_less);
        if number == 0 || most > worst.1 || most.is_nan() {
            worst = (number, most);
        }
        step();
    }
    let mut comparison = Comparison {
        samples: samples.len(),
        same_label: (converted.problem != ProblemType::Regression).then_some(same_label),
        max_difference: worst.1,
        rms_difference: (squares / count.max(1) as f64).sqrt(),
        tolerance: TOLERANCE,
        certificates,
        suspect: None,
    };
    if !comparison.is_close() {
        comparison.suspect = suspect(converted, samples, worst.0)?;
    }
    Ok(comparison)
}

/// Logits and certificate of a text of the shortest padded class, if it is one, whose series are its own. Padding changes nothing else.
fn shortest_padded(converted: &Converted, sample: &Sample) -> Result<Vec<(Vec<f64>, f64)>, ConvertError> {
    let spec = &converted.spec;
    let tokens = sample.ids.len();
    let Ok(texts) = spec.texts(&[tokens], Lengths::Padded) else { return Ok(Vec::new()) };
    if texts.class(texts.rows(), &spec.shape) != SHORTEST_CLASS {
        return Ok(Vec::new());
    }
    let (ids, segments) = batch_rows(&spec.shape, &texts, std::slice::from_ref(sample))?;
    Ok(clear_certified(spec, &converted.quantised, &texts, &ids, &segments)?)
}

fn same_labels(problem: ProblemType, a: &[f64], b: &[f64]) -> bool {
    match problem {
        ProblemType::SingleLabel => largest(a) == largest(b),
        // a label is there where its sigmoid is above one half
        ProblemType::MultiLabel => a.iter().zip(b).all(|(a, b)| (*a > 0.0) == (*b > 0.0)),
        ProblemType::Regression => true,
    }
}

/// The larger; a number that is none stays.
fn not_less(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}

/// The first value whose error is out of line, or the one whose error is largest for its size.
fn suspect(converted: &Converted, samples: &[Sample], text: usize) -> Result<Option<Suspect>, ConvertError> {
    let Sample { ids, segments } = &samples[text];
    let texts = Texts::new(&[ids.len()], &converted.spec.shape)?;
    let mut float = FloatTrace::default();
    converted.folded.observed(Functions::Series, &mut float, &texts, ids, segments)?;
    let clear = clear_trace(&converted.spec, &converted.quantised, &texts, ids, segments)?;
    let table = converted.folded.bert().table();
    let suspects = float.0.iter().zip(&clear).map(|((site, float), (_, clear))| {
        let differences = float.iter().zip(clear).map(|(f, c)| (f64::from(*f) - c).abs());
        let largest = float.iter().fold(0.0f64, |most, v| most.max(f64::from(v.abs())));
        Suspect { site: table[*site].name.to_string(), difference: differences.fold(0.0, not_less), largest, text }
    });
    let share = |s: &Suspect| s.difference / s.largest.max(f64::MIN_POSITIVE);
    let suspects: Vec<Suspect> = suspects.collect();
    // a number that is none is out of line too
    let first = suspects.iter().find(|s| share(s).is_nan() || share(s) > OUT_OF_LINE);
    Ok(first.or_else(|| suspects.iter().max_by(|a, b| share(a).total_cmp(&share(b)))).cloned())
}
