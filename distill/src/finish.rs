//! The student's folder: weights, results, the card.

use anyhow::Result;
use model::AttentionKind;

use crate::bert::Bert;
use crate::calibration::write_calibration;
use crate::card::Card;
use crate::evaluate;
use crate::folder::{self, Folder};
use crate::options::Options;
use crate::pipeline::{Data, evaluate_with_bar, observed_ranges};
use crate::progress::over;
use crate::student::Student;
use crate::training::Run;
use crate::{atomic, curves, predictions, results};

/// Writes the student's folder and evaluates the weights as they were written.
pub(crate) fn finish(options: &Options, run: &Run, teacher: &Folder, student: &Student, data: &Data) -> Result<()> {
    let out = &run.out;
    let mut config = student.config.clone();
    config.extra.insert(model::TEXT_PAIR.into(), data.train.are_pairs().into());
    folder::write(out, &config, &student.weights, &teacher.path, options.half)?;
    let stored = Folder::read(out, options.seed)?;
    let model = Bert::new(&stored.config, &stored.weights.on(teacher.weights.device()?)?)?;
    let student_evaluation = evaluate_with_bar(options, &model, &data.task, &data.dev)?;
    let teacher_model = Bert::new(&teacher.config, &teacher.weights.detached())?;
    let teacher_evaluation = evaluate_with_bar(options, &teacher_model, &data.task, &data.dev)?;
    let ranges = observed_ranges(options, &model, &data.dev)?;
    results::write(out, options, &run.state, data, [&student_evaluation, &teacher_evaluation], &ranges)?;
    let (student_metrics, teacher_metrics) = (student_evaluation.metrics, teacher_evaluation.metrics);
    curves::write(&out.join(curves::NAME), &run.state.log_history, &format!("eval_{}", student_metrics.main_name()))?;
    if let Some(test) = &data.test {
        let logits = over(options.quiet, "answering", test.len(), |step| evaluate::logits(&model, test, step))?;
        let name = format!("predict_results_{}.txt", data.task.source.name());
        predictions::write(&out.join(name), &data.task.target, &logits)?;
    }
    atomic::write_json(&out.join("trainer_state.json"), &run.state)?;
    let words: Vec<_> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let card = Card {
        name: &out.file_name().unwrap_or_default().to_string_lossy(),
        command: &words.join(" "),
        options,
        task: &data.task,
        config: &student.config,
        learns_from: &student.learns_from,
        teacher: &teacher_metrics,
        student: &student_metrics,
        steps: run.state.global_step,
        processes: run.group.size(),
        ranges: &ranges,
    };
    atomic::write(&out.join("README.md"), card.markdown().as_bytes())?;
    match student.config.attention_softmax {
        _ if options.no_calibration => {}
        AttentionKind::Softmax => {
            cli::log("note: of softmax attention, convert fits shifts and ranges itself: convert --calibrate");
        }
        AttentionKind::TwoQuad | AttentionKind::TwoRelu => write_calibration(&stored, &data.train, options.quiet)?,
    }
    if !options.quiet {
        let weights = if options.half { "half" } else { "single" };
        let (mine, its) = (student_metrics.words(), teacher_metrics.words());
        cli::log(&format!("student: {mine} in {weights} precision; teacher: {its}; written to {}", out.display()));
    }
    Ok(())
}
