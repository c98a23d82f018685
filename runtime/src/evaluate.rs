//! `runtime evaluate`: a labelled set, privately, beside floating point and fixed point in clear.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use cli::coded;
use cli::exit::BAD_INPUT;
use convert::{Converted, Student};
use datasets::{Metrics, Split};
use model::{Float, Sample, Spec, Texts, clear_logits};
use serde_json::{Value, json};

use crate::client::Measured;
use crate::infer::{cost, security};
use crate::options::Evaluate;
use crate::session::Session;
use crate::texts::tokens;

/// Evaluates and prints.
pub fn run(options: &Evaluate, out: &mut dyn Write) -> Result<()> {
    let begin = Instant::now();
    let source = &options.source;
    let mut examples = datasets::load(options.task, &options.data_dir, Split::Dev)?;
    examples.truncate(options.max_samples.map_or(usize::MAX, |n| n as usize));
    let bar = cli::bar(source.quiet, "", examples.len() as u64);
    let mut session = Session::open(source, &bar)?;
    let labels = session.spec.shape.labels;
    if let Some(example) = examples.iter().find(|e| e.label >= labels) {
        let message = format!("the set has label {}, the model has {labels} labels", example.label);
        return Err(coded(BAD_INPUT, message));
    }
    let student = options.student.clone().or(session.student.clone());
    let reference = student.as_deref().map(|folder| Reference::read(folder, &session.spec)).transpose()?;
    let mut tally = Tally::default();
    let mut samples = Vec::with_capacity(examples.len());
    for example in &examples {
        let (sample, cut) = tokens(&session.tokenizer, &example.text, example.text_pair.as_deref())?;
        tally.truncated += usize::from(cut);
        samples.push(sample);
    }
    let mut truth = examples.iter().map(|e| e.label);
    for batch in session.batches(&samples)? {
        let answer = session.deployment.classify(batch)?;
        tally.measured.add(&answer.measured);
        for (sample, logits) in batch.iter().zip(&answer.logits) {
            tally.truth.extend(truth.next());
            tally.private.extend(datasets::largest(logits));
            if let Some(reference) = &reference {
                tally.compare(logits, &reference.float(sample)?, reference.clear(sample)?.as_deref());
            }
        }
        bar.inc(batch.len() as u64);
        bar.set_message(format!("accuracy {:.4}", tally.accuracy(&tally.private)));
    }
    bar.finish_and_clear();
    session.deployment.finish()?;
    let report = tally.report(options, begin.elapsed().as_secs_f64());
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

/// The student in clear: in floating point and, where the bundle has its stored scales, in fixed point.
struct Reference {
    student: Student,
    fixed: Option<Converted>,
}

impl Reference {
    fn read(folder: &Path, spec: &Arc<Spec>) -> Result<Reference> {
        let student = Student::read(folder)?;
        if *student.shape() != spec.shape {
            let message = format!("{} has another shape than the bundle's model", folder.display());
            return Err(coded(BAD_INPUT, message));
        }
        let converted = student.stored_ranges().and_then(|ranges| convert::convert(&student, &ranges));
        // a bundle that was calibrated on other texts has other scales: there is nothing to hold it against in fixed point
        let fixed = converted.ok().filter(|converted| *converted.spec == **spec);
        if fixed.is_none() {
            let name = folder.display();
            crate::log(&format!(
                "note: the bundle has other scales than the calibration.json in {name}; fixed point is left out"
            ));
        }
        Ok(Reference { student, fixed })
    }

    fn float(&self, sample: &Sample) -> Result<Vec<f64>> {
        let texts = Texts::new(&[sample.ids.len()], self.student.shape())?;
        let logits = Float::new(&self.student.folded, ()).logits(&texts, &sample.ids, &sample.segments)?;
        Ok(logits.iter().map(|v| f64::from(*v)).collect())
    }

    fn clear(&self, sample: &Sample) -> Result<Option<Vec<f64>>> {
        let Some(Converted { spec, quantised, .. }) = &self.fixed else { return Ok(None) };
        let texts = Texts::new(&[sample.ids.len()], &spec.shape)?;
        Ok(Some(clear_logits(spec, quantised, &texts, &sample.ids, &sample.segments)?.concat()))
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
    fn compare(&mut self, private: &[f64], float: &[f64], clear: Option<&[f64]>) {
        let difference = |other: &[f64]| private.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        self.float_difference = self.float_difference.max(difference(float));
        self.float.extend(datasets::largest(float));
        if let Some(clear) = clear {
            self.clear_difference = self.clear_difference.max(difference(clear));
            self.clear.extend(datasets::largest(clear));
        }
    }

    fn accuracy(&self, labels: &[usize]) -> f64 {
        Metrics::of_classes(labels, &self.truth[..labels.len()]).accuracy
    }

    fn report(&self, options: &Evaluate, seconds: f64) -> Value {
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
        let agreement = |other: &[usize]| Metrics::of_classes(&self.private, other).accuracy;
        if !self.float.is_empty() {
            report["accuracy_float"] = json!(self.accuracy(&self.float));
            report["agreement_float"] = json!(agreement(&self.float));
            let differ = self.private.iter().zip(&self.float).filter(|(a, b)| a != b).count();
            report["labels_differ_float"] = json!(differ);
            report["max_logit_diff_float"] = json!(self.float_difference);
        }
        if !self.clear.is_empty() {
            report["accuracy_clear"] = json!(self.accuracy(&self.clear));
            report["agreement_clear"] = json!(agreement(&self.clear));
            report["max_logit_diff_clear"] = json!(self.clear_difference);
        }
        report
    }
}
