//! A student over texts: which texts those are, and what is fitted to them.

use std::path::Path;

use anyhow::Result;
use cli::memory::Memory;
use cli::{bar, log, spinner};
use datasets::{Empty, Error, Files, Length, Text, Unlabelled};
use model::{Ranges, Sample};

use crate::calibration::{encode_with, observe};
use crate::comparison::{Comparison, compare};
use crate::conversion::{Converted, convert};
use crate::error::ConvertError;
use crate::memory;
use crate::student::Student;

/// Texts of a file that are observed where nothing else is said.
const OBSERVED: usize = 2000;
/// Of texts without answers, one of so many is not observed: fixed point is held against floating point there.
const HELD_OUT: usize = 10;
/// Most of these on a first use, where somebody waits for an answer.
const COMPARED: usize = 32;
/// From how many texts on nothing is said about their number.
const MANY: usize = 100;

/// Texts as a student takes them: those that it is observed over, and those that fixed point is compared on.
#[derive(Default)]
pub(crate) struct Chosen {
    pub(crate) observed: Vec<Sample>,
    pub(crate) compared: Vec<Sample>,
}

impl Chosen {
    /// Texts without answers, spread over a file: as many as are to be observed, of which every tenth is compared on instead.
    pub(crate) fn of_texts(
        student: &Student,
        path: &Path,
        columns: Files,
        length: Length,
        (observed, compared): (usize, usize),
    ) -> Result<Chosen, ConvertError> {
        let Unlabelled { texts, notes } = Unlabelled::read(path, columns)?;
        notes.iter().for_each(|note| log(note));
        check_pairs(student, path, &texts)?;
        let wanted = observed.clamp(1, texts.len());
        let places: Vec<usize> = (0..wanted).map(|i| i * texts.len() / wanted).collect();
        let given = places.iter().map(|place| (texts[*place].0.as_str(), texts[*place].1.as_deref()));
        let encoded = encode_with(&student.tokenizer, student.shape(), given, length, Empty::Refused);
        let encoded = encoded.map_err(|error| located(error, path, &places))?;
        if let Some(warning) = encoded.warning("calibration", student.shape()) {
            log(&warning);
        }
        if student.is_softmax() && texts.len() < MANY {
            let (path, count) = (path.display(), texts.len());
            log(&format!(
                "warning: {path} holds {count} texts; softmax is fitted to them, and texts unlike these get no answer: give some hundreds"
            ));
        }
        let (mut chosen, most) = (Chosen::default(), compared);
        for (at, sample) in encoded.samples.into_iter().enumerate() {
            let held_out = at % HELD_OUT == HELD_OUT - 1 && chosen.compared.len() < most;
            if held_out { &mut chosen.compared } else { &mut chosen.observed }.push(sample);
        }
        if chosen.compared.is_empty() {
            // too few to leave any out
            chosen.compared = chosen.observed.clone();
        }
        Ok(chosen)
    }
}

fn check_pairs(student: &Student, path: &Path, texts: &[Text]) -> Result<(), ConvertError> {
    let pairs = texts.iter().any(|(_, second)| second.is_some());
    let Some(taught) = student.config.text_pair().filter(|taught| *taught != pairs) else { return Ok(()) };
    let kind = |pairs| if pairs { "pairs of texts" } else { "single texts" };
    Err(ConvertError::Pairs { path: path.into(), taught: kind(taught), got: kind(pairs) })
}

/// The error over a text that was chosen, with its number in the file.
fn located(error: ConvertError, path: &Path, places: &[usize]) -> ConvertError {
    let number = |text: usize| text.checked_sub(1).and_then(|at| places.get(at)).map_or(text, |place| place + 1);
    let unusable = |error: Error| {
        let message = error.to_string();
        ConvertError::Data(Error::Unusable { path: path.into(), message })
    };
    match error {
        ConvertError::Data(Error::Nothing { text, second }) => unusable(Error::Nothing { text: number(text), second }),
        ConvertError::Data(Error::TooLong { text, most }) => unusable(Error::TooLong { text: number(text), most }),
        other => other,
    }
}

/// What is fitted to texts, or follows from stored ranges.
pub(crate) struct Fitted {
    pub(crate) ranges: Ranges,
    pub(crate) converted: Converted,
    /// Absent where there is nothing to compare on.
    pub(crate) comparison: Option<Comparison>,
}

/// How a student is fitted.
pub(crate) struct Fitting {
    /// Whether it is observed over the texts.
    pub(crate) observes: bool,
    /// Whether that replaces what is stored.
    pub(crate) replaces: bool,
    pub(crate) quiet: bool,
}

impl Fitting {
    /// Fits the student. Whether fixed point is close is for the caller to say.
    pub(crate) fn fit(&self, student: &mut Student, texts: &Chosen) -> Result<Fitted> {
        if student.is_softmax() && self.observes {
            let bar = bar(self.quiet, "fitting the shifts of attention", texts.observed.len() as u64);
            student.fit_row_shifts(&texts.observed, &|| bar.inc(1))?;
            bar.finish_and_clear();
        }
        let ranges = self.ranges(student, &texts.observed)?;
        let fitting = spinner(self.quiet, "choosing scales and fitting series");
        let mut converted = convert(student, &ranges)?;
        fitting.finish_and_clear();
        let comparison = match texts.compared.is_empty() {
            true => None,
            false => Some(self.compared(&converted, &texts.compared)?),
        };
        if let Some(comparison) = &comparison {
            converted.accept(comparison)?;
        }
        Ok(Fitted { ranges, converted, comparison })
    }

    /// The ranges in the student's folder, those over the texts, or both together.
    fn ranges(&self, student: &Student, observed: &[Sample]) -> Result<Ranges> {
        if !self.observes {
            return Ok(student.stored_ranges()?);
        }
        // what is stored and cannot be read is said before the work
        let stored = match student.stored_ranges() {
            // those of softmax go with shifts that were fitted to their texts
            _ if self.replaces || student.is_softmax() => None,
            Err(ConvertError::NoRanges { .. }) => None,
            stored => Some(stored?),
        };
        let bar = bar(self.quiet, "observing ranges", 1);
        let observed = observe(student, observed, |steps| bar.set_length(steps), &|| bar.inc(1))?;
        bar.finish_and_clear();
        Ok(match stored {
            Some(stored) => {
                log("note: the observed ranges widen those in calibration.json; --replace-ranges takes them alone");
                student.check_ranges(&stored)?;
                stored.merge(&observed)
            }
            None => observed,
        })
    }

    fn compared(&self, converted: &Converted, samples: &[Sample]) -> Result<Comparison> {
        let bar = bar(self.quiet, "comparing with floating point", samples.len() as u64);
        let comparison = compare(converted, samples, &|| bar.inc(1))?;
        bar.finish_and_clear();
        Ok(comparison)
    }
}

/// Fits a student to a file of texts, as `convert --texts` does, and refuses one whose fixed point is not close.
pub fn convert_over(student: &mut Student, texts: &Path, memory: Memory, quiet: bool) -> Result<Converted> {
    let most = (OBSERVED, COMPARED);
    let texts = Chosen::of_texts(student, texts, Files::default(), Length::default(), most)?;
    memory::check_texts(student, &texts.observed, &texts.compared, memory)?;
    let Fitted { converted, comparison, .. } =
        Fitting { observes: true, replaces: false, quiet }.fit(student, &texts)?;
    match comparison.filter(|comparison| !comparison.is_close()) {
        Some(far) => Err(ConvertError::Accuracy { difference: far.max_difference, limit: far.tolerance }.into()),
        None => Ok(converted),
    }
}
