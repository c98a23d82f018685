//! The program: read, observe, convert, compare, write, tell.

use std::io::Write;
use std::ops::ControlFlow;

use anyhow::Result;
use bundle::{Embedding, WriteOptions};
use cli::{bar, log, spinner};
use datasets::{Files, Source};
use model::{Ranges, Sample};

use crate::calibration::{Encoded, Sentences, observe};
use crate::comparison::{Comparison, compare};
use crate::conversion::{Converted, convert, write_bundle};
use crate::error::ConvertError;
use crate::memory;
use crate::options::Options;
use crate::paths::check_output;
use crate::report::{Report, costs, rows};
use crate::stop;
use crate::student::Student;

/// Validation texts on which fixed point is held against floating point.
const COMPARED: usize = 200;

/// Converts as the options say; the result goes to `out`, progress to standard error.
pub fn run(options: &Options, out: &mut impl Write) -> Result<()> {
    stop::listen();
    let embedding = Embedding::from(options.embedding);
    let source = texts(options)?;
    check_output(&options.student, &options.output)?;
    bundle::check_folder(&options.output, options.overwrite).map_err(ConvertError::from)?;
    memory::check(&options.student, options.memory)?;
    let mut student = Student::read(&options.student)?;
    student.warn();
    if let Some(positions) = options.positions {
        student.shorten(positions)?;
    }
    let texts = source.map(|source| Chosen::read(options, source, &student)).transpose()?.unwrap_or_default();
    memory::check_texts(&student, &texts.training, &texts.validation, options.memory)?;
    if student.is_softmax() && options.calibrate {
        let bar = bar(options.quiet, "fitting the shifts of attention", texts.training.len() as u64);
        student.fit_row_shifts(&texts.training, &|| bar.inc(1))?;
        bar.finish_and_clear();
    }
    let ranges = ranges(options, &student, &texts.training)?;
    let fitting = spinner(options.quiet, "choosing scales and fitting series");
    let mut converted = convert(&student, &ranges)?;
    fitting.finish_and_clear();
    let comparison = match texts.validation.is_empty() {
        true => None,
        false => Some(compared(options, &converted, &texts.validation)?),
    };
    if let Some(comparison) = &comparison {
        converted.accept(comparison)?;
    }
    let mut report = Report {
        student: options.student.display().to_string(),
        bundle: options.output.display().to_string(),
        id: None,
        embedding,
        spec_digest: hex::encode(bundle::spec_digest(&converted.spec)),
        calibration_texts: ranges.texts,
        rows: rows(&converted, &ranges),
        cost: costs(&converted.spec, embedding.input_kind())?,
        padded_from: converted.spec.padded.map(|padded| padded.fewest),
        comparison,
    };
    if let Some(comparison) = report.comparison.as_ref().filter(|c| !c.is_close()) {
        let (difference, limit) = (comparison.max_difference, comparison.tolerance);
        tell(options, &report, out)?;
        return Err(ConvertError::Accuracy { difference, limit }.into());
    }
    let bar = bar(options.quiet, "writing masked weights", 1);
    let mut progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        if stop::wanted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let how = WriteOptions { overwrite: options.overwrite, progress: Some(&mut progress) };
    stop::writing();
    let id = write_bundle(&student, &converted, embedding, &options.output, how)?;
    bar.finish_and_clear();
    report.id = Some(id.to_string());
    tell(options, &report, out)
}

/// The texts that the flags name, if any; an error of usage where they would do nothing, or not enough.
fn texts(options: &Options) -> Result<Option<Source>, ConvertError> {
    let usage = |message: &str| Err(datasets::Error::Usage(message.into()).into());
    if !options.calibrate {
        return match options.data.source() {
            Some(source) if is_unjudged(&source) => {
                usage("a --train-file is for --calibrate; say so, or name a --validation-file to compare on")
            }
            source => Ok(source),
        };
    }
    match options.data.needed()? {
        Source::Files(Files { train: None, .. }) => usage("--calibrate observes training texts; name a --train-file"),
        source => Ok(Some(source)),
    }
}

/// Whether there is nothing to compare on.
fn is_unjudged(source: &Source) -> bool {
    matches!(source, Source::Files(Files { validation: None, .. }))
}

/// Texts as the student takes them: those to observe and those to compare on, where they are asked for.
#[derive(Default)]
struct Chosen {
    training: Vec<Sample>,
    validation: Vec<Sample>,
}

impl Chosen {
    fn read(options: &Options, source: Source, student: &Student) -> Result<Chosen, ConvertError> {
        let unjudged = is_unjudged(&source);
        let sentences = Sentences::new(source, student, options.length, options.quiet)?;
        let mut texts = Chosen::default();
        if options.calibrate {
            texts.training = told(sentences.training(student, options.calibrate_samples)?, "training", student);
        }
        match unjudged {
            true => log("note: without --validation-file nothing is compared with floating point"),
            false => texts.validation = told(sentences.held_out(student, COMPARED)?, "validation", student),
        }
        Ok(texts)
    }
}

fn told(texts: Encoded, kind: &str, student: &Student) -> Vec<Sample> {
    if let Some(warning) = texts.warning(kind, student.shape()) {
        log(&warning);
    }
    texts.samples
}

/// The ranges in the student's folder, those over training texts, or both together.
fn ranges(options: &Options, student: &Student, training: &[Sample]) -> Result<Ranges> {
    if !options.calibrate {
        return Ok(student.stored_ranges()?);
    }
    // what is stored and cannot be read is said before the work
    let stored = match student.stored_ranges() {
        // those of softmax go with shifts that were fitted to their texts
        _ if options.replace_ranges || student.is_softmax() => None,
        Err(ConvertError::NoRanges { .. }) => None,
        stored => Some(stored?),
    };
    let observed = calibrate(options, student, training)?;
    Ok(match stored {
        Some(stored) => {
            log("note: the observed ranges widen those in calibration.json; --replace-ranges takes them alone");
            student.check_ranges(&stored)?;
            stored.merge(&observed)
        }
        None => observed,
    })
}

fn calibrate(options: &Options, student: &Student, samples: &[Sample]) -> Result<Ranges> {
    let bar = bar(options.quiet, "observing ranges", 1);
    let ranges = observe(student, samples, |steps| bar.set_length(steps), &|| bar.inc(1))?;
    bar.finish_and_clear();
    Ok(ranges)
}

fn compared(options: &Options, converted: &Converted, samples: &[Sample]) -> Result<Comparison> {
    let bar = bar(options.quiet, "comparing with floating point", samples.len() as u64);
    let comparison = compare(converted, samples, &|| bar.inc(1))?;
    bar.finish_and_clear();
    Ok(comparison)
}

fn tell(options: &Options, report: &Report, out: &mut impl Write) -> Result<()> {
    let mut text = String::new();
    if options.json {
        text = serde_json::to_string_pretty(report)? + "\n";
    } else {
        if !options.quiet {
            text += &format!("{report}\n");
        }
        if let Some(id) = &report.id {
            text += &format!("{} written, id {id}, {} embedding\n", report.bundle, report.embedding);
        }
        if let Some(comparison) = &report.comparison {
            text += &format!("{comparison}\n");
        }
    }
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
