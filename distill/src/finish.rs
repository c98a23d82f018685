//! The student's folder: weights, results, the card.

use anyhow::Result;
use serde_json::json;

use crate::atomic;
use crate::bert::Bert;
use crate::calibration::write_calibration;
use crate::card::Card;
use crate::folder::{self, Folder};
use crate::judge::{extend, results};
use crate::options::Options;
use crate::pipeline::{Data, judged, seen};
use crate::student::Student;
use crate::training::Run;

/// Writes the student's folder and judges what was written.
pub(crate) fn finish(options: &Options, run: &Run, teacher: &Folder, student: &Student, data: &Data) -> Result<()> {
    let out = &run.out;
    let mut config = student.config.clone();
    config.extra.insert(model::TEXT_PAIR.into(), data.train.are_pairs().into());
    folder::write(out, &config, &student.weights, &teacher.path, options.half)?;
    let stored = Folder::read(out, options.seed)?;
    let model = Bert::new(&stored.config, &stored.weights.on(teacher.weights.device()?)?)?;
    let metrics = judged(options, &model, &data.question, &data.dev)?;
    let taught = Bert::new(&teacher.config, &teacher.weights.detached())?;
    let taught = judged(options, &taught, &data.question, &data.dev)?;
    let seen = seen(options, &model, &data.dev)?;
    let trained = json!({"train_samples": data.train.len(), "train_steps": run.state.global_step});
    let mut judged = json!({"eval_samples": metrics.samples});
    extend(&mut judged, results("eval_", &metrics));
    extend(&mut judged, results("teacher_eval_", &taught));
    let mut all = json!({"task": data.question.source.name(), "options": options, "ranges": seen});
    for part in [&trained, &judged] {
        extend(&mut all, part.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    }
    atomic::write_json(&out.join("train_results.json"), &trained)?;
    atomic::write_json(&out.join("eval_results.json"), &judged)?;
    atomic::write_json(&out.join("all_results.json"), &all)?;
    atomic::write_json(&out.join("trainer_state.json"), &run.state)?;
    let words: Vec<_> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let card = Card {
        name: &out.file_name().unwrap_or_default().to_string_lossy(),
        command: &words.join(" "),
        options,
        question: &data.question,
        config: &student.config,
        learns_from: &student.learns_from,
        teacher: &taught,
        student: &metrics,
        steps: run.state.global_step,
        ranges: &seen,
    };
    atomic::write(&out.join("README.md"), card.markdown().as_bytes())?;
    match student.config.refusal() {
        _ if options.no_calibration => {}
        None => write_calibration(&stored, &data.train, options.quiet)?,
        Some(why) => eprintln!("note: this student cannot be run privately: {why}"),
    }
    if !options.quiet {
        let weights = if options.half { "half" } else { "single" };
        let (mine, its) = (metrics.words(), taught.words());
        eprintln!("student: {mine} in {weights} precision; teacher: {its}; written to {}", out.display());
    }
    Ok(())
}
