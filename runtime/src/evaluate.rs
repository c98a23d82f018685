//! `runtime evaluate`: a labelled set, privately, beside floating point and fixed point in clear.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use convert::{Converted, Student};
use datasets::{Metrics, Split, Tokenizer};
use model::{Float, Sample, Spec, Texts, clear_logits};
use serde_json::{Value, json};

use crate::client::Measured;
use crate::deployment::{Deployment, INSECURE_LOCAL, this_program};
use crate::exit::{BAD_FILE, coded};
use crate::infer::{cost, progress, security};
use crate::options::Evaluate;
use crate::shipped::choose;
use crate::texts::tokens;

/// Evaluates and prints.
pub fn run(options: &Evaluate, out: &mut dyn Write) -> Result<()> {
    let begin = Instant::now();
    let source = &options.source;
    let mut examples = datasets::load(options.task, &options.data_dir, Split::Dev)?;
    examples.truncate(options.max_samples.map_or(usize::MAX, |n| n as usize));
    let chosen = choose(source)?;
    let student = options.student.clone().or(chosen.student.clone());
    if !source.quiet {
        crate::log(&format!("note: {INSECURE_LOCAL}"));
    }
    let mut deployment = Deployment::start(&this_program()?, &chosen.bundle, source.deadline())?;
    let bundle = deployment.bundle()?;
    let spec = bundle.spec.clone();
    let folder = bundle.tokenizer_path.parent().context("a tokenizer without a folder")?;
    let tokenizer = Tokenizer::load(folder, spec.shape.positions)?;
    let reference = student.as_deref().map(|folder| Reference::read(folder, &spec)).transpose()?;
    if let Some(example) = examples.iter().find(|e| e.label >= spec.shape.labels) {
        let message = format!("the set has label {}, the model has {} labels", example.label, spec.shape.labels);
        return Err(coded(BAD_FILE, message));
    }

    let bar = progress(source.quiet, examples.len());
    let mut tally = Tally::default();
    for batch in examples.chunks(source.batch as usize) {
        let mut samples = Vec::with_capacity(batch.len());
        for example in batch {
            let (sample, cut) = tokens(&tokenizer, &example.text, example.text_pair.as_deref())?;
            tally.truncated += usize::from(cut);
            samples.push(sample);
        }
        let answer = deployment.classify(&samples)?;
        tally.measured.add(&answer.measured);
        for ((sample, logits), example) in samples.iter().zip(&answer.logits).zip(batch) {
            tally.truth.push(example.label);
            tally.private.push(largest(logits));
            if let Some(reference) = &reference {
                tally.compare(logits, &reference.float(sample)?, &reference.clear(sample)?);
            }
        }
        bar.inc(batch.len() as u64);
        bar.set_message(format!("accuracy {:.4}", tally.accuracy(&tally.private)));
    }
    bar.finish_and_clear();
    deployment.finish()?;
    let report = tally.report(options, reference.is_some(), begin.elapsed().as_secs_f64());
    if source.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        for key in ["samples", "accuracy", "accuracy_float", "accuracy_clear", "agreement_float", "agreement_clear"] {
            report.get(key).map(|v| writeln!(out, "{key:22}{v}")).transpose()?;
        }
        for key in ["labels_differ_float", "max_logit_diff_float", "max_logit_diff_clear", "restarts"] {
            report.get(key).map(|v| writeln!(out, "{key:22}{v}")).transpose()?;
        }
    }
    Ok(())
}

/// The student in clear, in floating and in fixed point.
struct Reference {
    student: Student,
    converted: Converted,
    spec: Arc<Spec>,
}

impl Reference {
    fn read(folder: &Path, spec: &Arc<Spec>) -> Result<Reference> {
        let student = Student::read(folder)?;
        let converted = convert::convert(&student, &student.stored_ranges()?)?;
        if *converted.spec != **spec {
            let message = format!(
                "{} is not the student that the bundle was made from, or its calibration has changed since; convert it again",
                folder.display()
            );
            return Err(coded(BAD_FILE, message));
        }
        Ok(Reference { student, converted, spec: spec.clone() })
    }

    fn float(&self, sample: &Sample) -> Result<Vec<f64>> {
        let texts = Texts::new(&[sample.ids.len()], self.student.shape())?;
        let logits = Float::new(&self.student.folded, ()).logits(&texts, &sample.ids, &sample.segments)?;
        Ok(logits.iter().map(|v| f64::from(*v)).collect())
    }

    fn clear(&self, sample: &Sample) -> Result<Vec<f64>> {
        let texts = Texts::new(&[sample.ids.len()], self.student.shape())?;
        Ok(clear_logits(&self.spec, &self.converted.quantised, &texts, &sample.ids, &sample.segments)?.concat())
    }
}

#[derive(Default)]
struct Tally {
    truth: Vec<usize>,
    private: Vec<usize>,
    float: Vec<usize>,
    clear: Vec<usize>,
    float_difference: f64,
    clear_difference: f64,
    truncated: usize,
    measured: Measured,
}

impl Tally {
    fn compare(&mut self, private: &[f64], float: &[f64], clear: &[f64]) {
        let difference = |other: &[f64]| private.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        self.float_difference = self.float_difference.max(difference(float));
        self.clear_difference = self.clear_difference.max(difference(clear));
        self.float.push(largest(float));
        self.clear.push(largest(clear));
    }

    fn accuracy(&self, labels: &[usize]) -> f64 {
        Metrics::of_classes(labels, &self.truth[..labels.len()]).accuracy
    }

    fn report(&self, options: &Evaluate, compared: bool, seconds: f64) -> Value {
        let mut report = json!({
            "task": options.task.key(),
            "samples": self.truth.len(),
            "accuracy": self.accuracy(&self.private),
            "restarts": self.measured.restarts,
            "truncated": self.truncated,
            "batch": options.source.batch,
            "cost": cost(&self.measured),
            "seconds": {
                "offline": self.measured.offline_seconds,
                "online": self.measured.online_seconds,
                "total": seconds,
            },
            "security": security(),
        });
        if compared {
            let agreement = |other: &[usize]| Metrics::of_classes(&self.private, other).accuracy;
            report["accuracy_float"] = json!(self.accuracy(&self.float));
            report["accuracy_clear"] = json!(self.accuracy(&self.clear));
            report["agreement_float"] = json!(agreement(&self.float));
            report["agreement_clear"] = json!(agreement(&self.clear));
            let differ = self.private.iter().zip(&self.float).filter(|(a, b)| a != b).count();
            report["labels_differ_float"] = json!(differ);
            report["max_logit_diff_float"] = json!(self.float_difference);
            report["max_logit_diff_clear"] = json!(self.clear_difference);
        }
        report
    }
}

fn largest(logits: &[f64]) -> usize {
    let better = |best: usize, next: usize| if logits[next] > logits[best] { next } else { best };
    (0..logits.len()).reduce(better).unwrap_or(0)
}
