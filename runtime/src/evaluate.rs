//! `runtime evaluate`: a labelled set, privately, beside floating point and fixed point in clear.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use cli::coded;
use cli::exit::BAD_INPUT;
use convert::{Converted, Student};
use datasets::{Empty, Error, Example, Files, Label, Loaded, Metrics, Source, Split, Target, chosen, largest};
use indicatif::ProgressBar;
use local::report::{cost, say_engine};
use model::{Lengths, ProblemType, Sample, Spec, Texts, batch_rows, clear_logits};
use roles::measured::Measured;
use serde_json::{Value, json};

use crate::options::{Evaluate, ModelSource};
use crate::refused::Refused;
use crate::results;
use crate::services::check_client;
use crate::session::Session;

/// How often the metric so far is worked out again.
const NEWS: Duration = Duration::from_secs(1);

/// Evaluates and prints.
pub fn run(options: &Evaluate, out: &mut dyn Write) -> Result<()> {
    if check_client(&options.source.services, out)? {
        return Ok(());
    }
    let begin = Instant::now();
    let source = texts(options)?;
    // what will be refused at the end is refused before the work
    options.results.as_deref().map(results::read).transpose()?;
    let bar = cli::bar(options.source.quiet, "", 0);
    let mut session = Session::open(&options.source, &bar)?;
    let target = target(&source, &session)?;
    let mut loaded = load(&source, &target, options.source.quiet)?;
    loaded.examples.truncate(options.max_samples.map_or(usize::MAX, |n| n as usize));
    let seconds = loaded.examples.iter().map(|example| example.text_pair.as_deref());
    session.check_pairs(seconds, "see --text-column and --text-pair-column")?;
    loaded.notes.iter().for_each(|note| bar.suspend(|| cli::log(note)));
    let texts = loaded.examples.iter().map(Example::texts);
    let (shape, empty) = (&session.spec.shape, Empty::of(&source));
    let encoded = convert::encode_with(&session.tokenizer, shape, texts, options.length, empty)?;
    if let Some(warning) = encoded.warning("validation", &session.spec.shape) {
        bar.suspend(|| cli::log(&warning));
    }
    let student = options.student.as_deref().map(checkpoint::classifier).transpose()?.or(session.student.clone());
    let reference =
        student.as_deref().map(|folder| Reference::read(folder, &session.spec, &options.source)).transpose()?;
    let mut tally = Tally::new(&source, &target, &loaded.examples);
    bar.set_length(encoded.samples.len() as u64);
    let refused = classify(&mut session, &encoded.samples, &mut tally, &options.source, &bar)?;
    let (engine, lengths, security) = (session.engine(), session.lengths(), session.security());
    session.finish()?;
    if let Some(reference) = &reference {
        compare(reference, &encoded.samples, lengths, &mut tally, &bar)?;
    }
    bar.finish_and_clear();
    let mut report = tally.report();
    for (key, value) in [
        ("task", json!(source.name())),
        ("skipped", json!(loaded.skipped)),
        ("truncated", json!(encoded.truncated.len())),
        ("batch", json!(options.source.batch)),
        ("certified", json!(engine.certifies().then_some(refused.texts().is_empty()))),
        ("refused", json!(refused.texts())),
        ("security", security),
    ] {
        report[key] = value;
    }
    say_engine(&mut report, engine);
    if let Some(warning) = report["max_logit_diff_float"].as_f64().filter(|d| *d > convert::TOLERANCE).map(far) {
        cli::log(&warning);
    }
    report["seconds"]["total"] = json!(begin.elapsed().as_secs_f64());
    if let Some(path) = &options.results {
        results::merge(path, tally.results(&report, engine.describe()))?;
    }
    match options.source.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
        false => {
            for (key, value) in tally.table(&report) {
                writeln!(out, "{key:28}{value}")?;
            }
        }
    }
    out.flush()?;
    refused.outcome(options.source.uncertified)
}

/// Classifies all texts privately, into the tally. Gives the texts whose answers were not certified.
fn classify(
    session: &mut Session,
    samples: &[Sample],
    tally: &mut Tally<'_>,
    flags: &ModelSource,
    bar: &ProgressBar,
) -> Result<Refused> {
    let mut refused = Refused::default();
    bar.set_message("classifying");
    let mut last_news = Instant::now();
    for batch in session.batches(samples)? {
        let answer = session.classify(batch)?;
        tally.measured.add(&answer.measured);
        for at in 0..batch.len() {
            let certified = answer.certified(&session.spec, at);
            if !refused.gives(certified, flags.uncertified) {
                continue;
            }
            tally.answered.push(refused.seen() - 1);
            tally.private.push(answer.logits[at].clone());
        }
        bar.inc(batch.len() as u64);
        if !bar.is_hidden() && last_news.elapsed() >= NEWS {
            let so_far = tally.judge(&tally.private);
            bar.set_message(format!("{} {:.4}", so_far.main_name(), so_far.main()));
            last_news = Instant::now();
        }
    }
    Ok(refused)
}

/// Runs the texts that were answered in clear, into the tally: after the session, since how long that takes says how long a text is,
/// and that it is done says that an answer was certified.
fn compare(
    reference: &Reference,
    samples: &[Sample],
    lengths: Lengths,
    tally: &mut Tally<'_>,
    bar: &ProgressBar,
) -> Result<()> {
    bar.set_message("comparing");
    bar.set_length(tally.answered.len() as u64);
    bar.set_position(0);
    for at in tally.answered.clone() {
        tally.float.push(reference.float(&samples[at])?);
        tally.clear.extend(reference.clear(&samples[at], lengths)?);
        bar.inc(1);
    }
    Ok(())
}

/// What to say where private answers are far from floating point's.
fn far(difference: f64) -> String {
    format!(
        "warning: logits differ from floating point by up to {difference:.3}, more than {}: some texts leave the ranges that the \
         model was calibrated for; convert it again with --calibrate on texts like these",
        convert::TOLERANCE
    )
}

/// The texts that the flags name. What can be wrong with them is found before a model is converted, as far as it can be
/// known without the model's labels.
fn texts(options: &Evaluate) -> Result<Source> {
    let source = options.data.needed()?;
    if let Source::Files(Files { validation: None, .. }) = &source {
        return Err(Error::Usage("a model is judged by a --validation-file; name one".into()).into());
    }
    if let Some(task) = source.task() {
        load(&source, &task.target(), options.source.quiet)?;
    }
    Ok(source)
}

/// What the answers are, in the model's names and order.
fn target(source: &Source, session: &Session) -> Result<Target> {
    let labels = &session.labels;
    if session.problem == ProblemType::Regression && labels.len() > 1 {
        let given = format!("{} numbers", labels.len());
        return Err(Error::Target { name: source.name(), asked: "one answer a text".into(), given }.into());
    }
    let target = source.target(Some(&Target::of_model(labels, session.problem == ProblemType::MultiLabel)))?;
    if let Target::Classes(names) = &target
        && names != labels
    {
        let (task, given, taken) = (source.name(), labels.join(", "), names.join(", "));
        cli::log(&format!("note: the model's labels {given} are taken for {task}'s {taken}, in this order"));
    }
    Ok(target)
}

fn load(source: &Source, target: &Target, quiet: bool) -> Result<Loaded> {
    Ok(match quiet {
        true => source.load_quietly(Split::Dev, target),
        false => source.load(Split::Dev, target),
    }?)
}

/// The student in clear: in floating point and, where the bundle has its stored scales, in fixed point.
struct Reference {
    student: Student,
    fixed: Option<Converted>,
}

impl Reference {
    fn read(folder: &Path, spec: &Arc<Spec>, flags: &ModelSource) -> Result<Reference> {
        convert::check_memory(folder, flags.here.running.memory)?;
        let mut student = Student::read(folder)?;
        student.shorten(spec.shape.positions)?;
        // what a conversion fits changes no value in floating point
        if student.shape().clone().unfitted() != spec.shape.clone().unfitted() {
            let message = format!("{} has another shape than the bundle's model", folder.display());
            return Err(coded(BAD_INPUT, message));
        }
        let converted = student.stored_ranges().and_then(|ranges| convert::convert(&student, &ranges)).map(|mut c| {
            // what is accepted was worked out on the texts of that conversion, and changes no logit
            let own = Arc::make_mut(&mut c.spec);
            own.certificates = spec.certificates.clone();
            match (&mut own.padded, spec.padded) {
                (Some(own), Some(of_bundle)) => own.certificate = of_bundle.certificate,
                (Some(_), None) => own.give_up_padding(),
                (None, _) => {}
            }
            c
        });
        // a bundle that was calibrated on other texts has other scales: there is nothing to hold it against in fixed point
        let fixed = converted.ok().filter(|converted| *converted.spec == **spec);
        if fixed.is_none() {
            let name = folder.display();
            cli::log(&match student.is_softmax() {
                true => "note: the scales of softmax are fitted by `convert` and stay in the bundle; fixed point is left out".into(),
                false => format!(
                    "note: the bundle has other scales than the calibration.json in {name}; fixed point is left out"
                ),
            });
        }
        Ok(Reference { student, fixed })
    }

    fn float(&self, sample: &Sample) -> Result<Vec<f64>> {
        let texts = Texts::new(&[sample.ids.len()], self.student.shape())?;
        let logits = self.student.folded.logits(&texts, &sample.ids, &sample.segments)?;
        Ok(logits.iter().map(|v| f64::from(*v)).collect())
    }

    /// On the integers that the private run computed on, padded as it was.
    fn clear(&self, sample: &Sample, lengths: Lengths) -> Result<Option<Vec<f64>>> {
        let Some(Converted { spec, quantised, .. }) = &self.fixed else { return Ok(None) };
        let texts = spec.texts(&[sample.ids.len()], lengths)?;
        let (ids, segments) = batch_rows(&spec.shape, &texts, std::slice::from_ref(sample))?;
        Ok(Some(clear_logits(spec, quantised, &texts, &ids, &segments)?.concat()))
    }
}

/// Whether two rows of logits give a text the same class, or the same labels.
fn same_answer(target: &Target, a: &[f64], b: &[f64]) -> bool {
    match target {
        Target::Labels(_) => chosen(a) == chosen(b),
        Target::Classes(_) | Target::Number => largest(a) == largest(b),
    }
}

/// True answers, and the logits of each way to compute them.
struct Tally<'a> {
    source: &'a Source,
    target: &'a Target,
    truth: Vec<Label>,
    /// Which of the texts have an answer; the others are in no score.
    answered: Vec<usize>,
    private: Vec<Vec<f64>>,
    float: Vec<Vec<f64>>,
    clear: Vec<Vec<f64>>,
    measured: Measured,
}

impl<'a> Tally<'a> {
    fn new(source: &'a Source, target: &'a Target, examples: &[Example]) -> Tally<'a> {
        let truth = examples.iter().map(|example| example.label.clone()).collect();
        let [private, float, clear] = [(); 3].map(|()| Vec::new());
        let (answered, measured) = (Vec::new(), Measured::default());
        Tally { source, target, truth, answered, private, float, clear, measured }
    }

    fn judge(&self, logits: &[Vec<f64>]) -> Metrics {
        let truth: Vec<Label> = self.answered.iter().map(|at| self.truth[*at].clone()).collect();
        self.source.judge(self.target, logits, &truth)
    }

    /// Each way to compute the logits with the ending of its keys.
    fn all_ways(&self) -> [(&'static str, &Vec<Vec<f64>>); 3] {
        [("", &self.private), ("_float", &self.float), ("_clear", &self.clear)]
    }

    /// The same; those that were not computed are left out.
    fn ways(&self) -> impl Iterator<Item = (&'static str, &Vec<Vec<f64>>)> {
        self.all_ways().into_iter().filter(|(_, logits)| !logits.is_empty())
    }

    fn report(&self) -> Value {
        let mut report = json!({
            "samples": self.truth.len(),
            "answered": self.answered.len(),
            "restarts": self.measured.restarts,
            "cost": cost(&self.measured),
            "seconds": {"offline": self.measured.offline_seconds, "online": self.measured.online_seconds},
        });
        for (way, logits) in self.ways() {
            for (name, score) in self.judge(logits).named() {
                report[format!("{name}{way}")] = json!(score);
            }
        }
        let are_named = !matches!(self.target, Target::Number);
        for (way, logits) in self.ways().skip(1) {
            let pairs = || self.private.iter().zip(logits);
            let differences = pairs().flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).abs());
            report[format!("max_logit_diff{way}")] = json!(differences.fold(0.0, f64::max));
            if are_named {
                let differ = pairs().filter(|(a, b)| !same_answer(self.target, a, b)).count();
                report[format!("labels_differ{way}")] = json!(differ);
                report[format!("agreement{way}")] = json!(1.0 - differ as f64 / logits.len() as f64);
            }
        }
        report
    }

    /// What a file of results says of this run.
    fn results(&self, report: &Value, engine: Value) -> Vec<(String, Value)> {
        let mut entries = Vec::new();
        for (prefix, (_, logits)) in results::PREFIXES.into_iter().zip(self.all_ways()) {
            if logits.is_empty() {
                continue;
            }
            let mut scores: Vec<(&str, Value)> =
                self.judge(logits).named().into_iter().map(|(name, score)| (name, score.into())).collect();
            scores.push(("samples", logits.len().into()));
            entries.extend(scores.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
        }
        let private = results::PREFIXES[0];
        for key in ["restarts", "security"] {
            entries.push((format!("{private}{key}"), report[key].clone()));
        }
        let engine = engine.as_object().cloned().unwrap_or_default();
        entries.extend(engine.into_iter().map(|(key, value)| (format!("{private}{key}"), value)));
        entries
    }

    /// What a person reads first.
    fn table(&self, report: &Value) -> Vec<(String, Value)> {
        let mut keys = vec!["samples".to_string(), "answered".to_string()];
        if self.answered.is_empty() {
            return keys.into_iter().map(|key| (key.clone(), report[&key].clone())).collect();
        }
        let each = |name: &str| ["", "_float", "_clear"].map(|way| format!("{name}{way}"));
        keys.extend(self.judge(&self.private).named().into_keys().flat_map(each));
        keys.extend(["agreement", "labels_differ", "max_logit_diff"].into_iter().flat_map(each));
        keys.push("restarts".into());
        keys.into_iter().filter_map(|key| report.get(&key).cloned().map(|value| (key, value))).collect()
    }
}
