//! The program: read, observe, convert, compare, write, tell.

use std::io::Write;
use std::ops::ControlFlow;

use anyhow::Result;
use bundle::{Embedding, WriteOptions};
use cli::{bar, log};
use datasets::{Files, Source};
use model::Sample;

use crate::calibration::{Encoded, Sentences};
use crate::conversion::write_bundle;
use crate::error::ConvertError;
use crate::fitting::{Chosen, Fitted, Fitting};
use crate::memory;
use crate::options::Options;
use crate::paths::check_output;
use crate::report::{Report, costs, rows};
use crate::stop;
use crate::student::Student;

/// Texts on which fixed point is held against floating point.
const COMPARED: usize = 200;

/// Converts as the options say; the result goes to `out`, progress to standard error.
pub fn run(options: &Options, out: &mut impl Write) -> Result<()> {
    stop::listen();
    let embedding = Embedding::from(options.embedding);
    let source = texts(options)?;
    check_output(&options.student, &options.output)?;
    bundle::check_folder(&options.output, options.overwrite).map_err(ConvertError::from)?;
    let folder = checkpoint::classifier(&options.student).map_err(ConvertError::from)?;
    memory::check(&folder, options.memory)?;
    let mut student = Student::read(&folder)?;
    student.warn();
    if let Some(positions) = options.positions {
        student.shorten(positions)?;
    }
    let texts = chosen(options, source, &student)?;
    memory::check_texts(&student, &texts.observed, &texts.compared, options.memory)?;
    let fitting = Fitting { observes: options.observes(), replaces: options.replace_ranges, quiet: options.quiet };
    let Fitted { ranges, converted, comparison } = fitting.fit(&mut student, &texts)?;
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

/// The labelled texts that the flags name, if any; an error of usage where they would do nothing, or not enough.
fn texts(options: &Options) -> Result<Option<Source>, ConvertError> {
    let usage = |message: &str| Err(datasets::Error::Usage(message.into()).into());
    if options.texts.is_some() || !options.calibrate {
        return match options.data.source() {
            Some(source) if is_unjudged(&source) => {
                usage("a --train-file is for --calibrate; say so, or name a --validation-file to compare on")
            }
            source => Ok(source),
        };
    }
    match options.data.needed() {
        Err(_) => {
            usage("--calibrate observes texts; say --texts FILE (one text a line), --task TASK or --train-file FILE")
        }
        Ok(Source::Files(Files { train: None, .. })) => {
            usage("--calibrate observes training texts; name a --train-file, or --texts FILE with one text a line")
        }
        Ok(source) => Ok(Some(source)),
    }
}

/// Whether there is nothing to compare on.
fn is_unjudged(source: &Source) -> bool {
    matches!(source, Source::Files(Files { validation: None, .. }))
}

/// Texts as the student takes them: those to observe and those to compare on, where they are asked for.
fn chosen(options: &Options, source: Option<Source>, student: &Student) -> Result<Chosen, ConvertError> {
    let mut texts = match &options.texts {
        Some(path) => {
            let most = (options.calibrate_samples, COMPARED);
            Chosen::of_texts(student, path, options.data.columns(), options.length, most)?
        }
        None => Chosen::default(),
    };
    let Some(source) = source else { return Ok(texts) };
    let unjudged = is_unjudged(&source);
    let sentences = Sentences::new(source, student, options.length, options.quiet)?;
    if options.texts.is_none() && options.calibrate {
        texts.observed = told(sentences.training(student, options.calibrate_samples)?, "training", student);
    }
    match unjudged {
        true => log("note: without --validation-file nothing is compared with floating point"),
        false => texts.compared = told(sentences.held_out(student, COMPARED)?, "validation", student),
    }
    Ok(texts)
}

fn told(texts: Encoded, kind: &str, student: &Student) -> Vec<Sample> {
    if let Some(warning) = texts.warning(kind, student.shape()) {
        log(&warning);
    }
    texts.samples
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
