//! The program: read, observe, convert, compare, write, tell.

use std::io::Write;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, Result};
use bundle::{Embedding, WriteOptions};
use indicatif::{ProgressBar, ProgressStyle};
use model::Ranges;

use crate::calibration::Sentences;
use crate::comparison::compare;
use crate::conversion::{convert, write_bundle};
use crate::error::ConvertError;
use crate::options::Options;
use crate::paths::check_output;
use crate::report::{Report, costs, rows};
use crate::stop;
use crate::student::Student;

/// Dev texts on which fixed point is held against floating point.
const COMPARED: usize = 200;

/// Converts as the options say; the result goes to `out`, progress to standard error.
pub fn run(options: &Options, out: &mut impl Write) -> Result<()> {
    stop::listen();
    let embedding = Embedding::from(options.embedding);
    check_output(&options.student, &options.output)?;
    bundle::check_folder(&options.output, options.overwrite).map_err(ConvertError::from)?;
    let student = Student::read(&options.student)?;
    let sentences = options.sentences();
    let ranges = match &sentences {
        Some(sentences) => observe(options, &student, sentences)?,
        None => student.stored_ranges()?,
    };
    let fitting = spinner(options, "choosing scales and fitting series");
    let converted = convert(&student, &ranges)?;
    fitting.finish_and_clear();
    let comparison = match &sentences {
        Some(sentences) => {
            let samples = sentences.held_out(&student, COMPARED)?;
            let bar = bar(options, "comparing with floating point", samples.len() as u64);
            let comparison = compare(&converted, &samples, &|| bar.inc(1))?;
            bar.finish_and_clear();
            Some(comparison)
        }
        None => None,
    };
    let mut report = Report {
        student: options.student.display().to_string(),
        bundle: options.output.display().to_string(),
        id: None,
        embedding,
        spec_digest: hex::encode(bundle::spec_digest(&converted.spec)),
        calibration_texts: ranges.texts,
        rows: rows(&converted.spec, &ranges),
        cost: costs(&converted.spec, embedding.input_kind())?,
        comparison,
    };
    if let Some(comparison) = report.comparison.as_ref().filter(|c| !c.is_close()) {
        let (difference, limit) = (comparison.max_difference, comparison.tolerance);
        tell(options, &report, out)?;
        return Err(ConvertError::Accuracy { difference, limit }.into());
    }
    let bar = bar(options, "writing masked weights", 1);
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

fn observe(options: &Options, student: &Student, sentences: &Sentences) -> Result<Ranges> {
    let bar = bar(options, "observing ranges", 1);
    let ranges = sentences.ranges(student, |steps| bar.set_length(steps), &|| bar.inc(1))?;
    bar.finish_and_clear();
    Ok(ranges)
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
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")
}

/// Shows only on a terminal.
fn bar(options: &Options, message: &'static str, steps: u64) -> ProgressBar {
    let bar = if options.quiet { ProgressBar::hidden() } else { ProgressBar::new(steps) };
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {percent:>3} %, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")).with_message(message)
}

fn spinner(options: &Options, message: &'static str) -> ProgressBar {
    let bar = if options.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.enable_steady_tick(Duration::from_millis(100));
    bar.with_message(message)
}
