//! The whole recipe, from folders to a folder.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use datasets::{Batches, Split, Tokenizer};

use serde_json::json;

use crate::adamw::Settings;
use crate::bad_file::BadFile;
use crate::bert::Bert;
use crate::calibration::write_calibration;
use crate::card::Card;
use crate::folder::{self, Folder};
use crate::judge::judge;
use crate::loss::cross_entropy;
use crate::options::Options;
use crate::range::ranges;
use crate::samples::Samples;
use crate::schedule::{Schedule, Shape};
use crate::state::Stage;
use crate::student::{self, Student};
use crate::training::{Loss, Plan, Run, train};
use crate::{atomic, output, stages};

/// The texts of a run.
#[derive(Debug)]
pub struct Data {
    /// What is learned from.
    pub train: Samples,
    /// What the models are judged by.
    pub dev: Samples,
}

/// Does what the options ask for.
pub fn run(options: &Options) -> Result<()> {
    let (teacher, start, data) = read(options)?;
    // What does not fit together is refused before the teacher learns for an hour.
    student::start(&teacher, start.clone(), options.student_layers)?;
    let mut run = output::begin(options)?;
    let teacher = fine_tuned(options, &mut run, teacher, &data)?;
    let mut student = student::start(&teacher, start, options.student_layers)?;
    stages::layers(options, &mut run, &teacher, &mut student, &data)?;
    stages::prediction(options, &mut run, &teacher, &mut student, &data)?;
    finish(options, &run, &teacher, &student, &data)
}

/// What [`run`] would do, in words.
pub fn describe(options: &Options) -> Result<String> {
    let (teacher, start, data) = read(options)?;
    let student = student::start(&teacher, start, options.student_layers)?;
    let texts = data.train.len();
    let stage = |stage| {
        let Plan { epochs, schedule, .. } = plan(options, stage, texts);
        format!("{}: {epochs} epochs, {} steps, learning rate {:e}\n", stage.name(), schedule.steps, schedule.peak)
    };
    let first = if teacher.has_head { "teacher: has a head for the task\n".into() } else { stage(Stage::Teacher) };
    let layers: Vec<String> = student.learns_from.iter().map(|layer| (layer + 1).to_string()).collect();
    Ok(format!(
        "{}: {texts} texts to learn from, {} to judge by\n{first}student: {} layers, from the teacher's {}\n{}{}output: {}\n",
        options.task,
        data.dev.len(),
        layers.len(),
        layers.join(", "),
        stage(Stage::Layers),
        stage(Stage::Prediction),
        output::folder(options).display(),
    ))
}

/// Everything a run starts from: the teacher, what the student starts from unless that is the teacher, the texts.
fn read(options: &Options) -> Result<(Folder, Option<Folder>, Data)> {
    output::check(options)?;
    let path = options.teacher.as_deref().context("--teacher is needed")?;
    let teacher = Folder::read(path, options.task, options.seed)?;
    let tokenizer = teacher.tokenizer(options.max_seq_length)?;
    let start = match &options.student {
        Some(folder) => Some(Folder::read(folder, options.task, options.seed)?),
        None => None,
    };
    let data = read_data(options, &tokenizer)?;
    Ok((teacher, start, data))
}

/// Judges a folder as it is stored.
pub fn evaluate(options: &Options, path: &Path) -> Result<serde_json::Value> {
    let folder = Folder::read(path, options.task, options.seed)?;
    ensure!(folder.has_head, BadFile::new(path, format!("no head for {}", options.task)));
    let examples = datasets::load(options.task, &options.data_dir, Split::Dev)?;
    let samples = Samples::encode(&examples, &folder.tokenizer(options.max_seq_length)?, options.max_eval_samples)?;
    let model = Bert::new(&folder.config, &folder.weights)?;
    let metrics = judge(&model, &samples)?;
    if options.calibrate {
        let examples = datasets::load(options.task, &options.data_dir, Split::Train)?;
        let tokenizer = folder.tokenizer(options.max_seq_length)?;
        write_calibration(&folder, &Samples::encode(&examples, &tokenizer, options.max_train_samples)?)?;
    }
    Ok(json!({
        "task": options.task.key(),
        "samples": metrics.samples,
        "accuracy": metrics.accuracy,
        "ranges": ranges(&model, &samples)?,
    }))
}

/// Writes the student's folder and judges what was written.
fn finish(options: &Options, run: &Run, teacher: &Folder, student: &Student, data: &Data) -> Result<()> {
    let out = &run.out;
    folder::write(out, &student.config, &student.weights, &teacher.path, options.half)?;
    let stored = Folder::read(out, options.task, options.seed)?;
    let model = Bert::new(&stored.config, &stored.weights)?;
    let metrics = judge(&model, &data.dev)?;
    let taught = judge(&Bert::new(&teacher.config, &teacher.weights)?, &data.dev)?;
    let seen = ranges(&model, &data.dev)?;
    let trained = json!({"train_samples": data.train.len(), "train_steps": run.state.global_step});
    let judged = json!({
        "eval_accuracy": metrics.accuracy,
        "eval_samples": metrics.samples,
        "teacher_eval_accuracy": taught.accuracy,
    });
    let mut all = json!({"task": options.task.key(), "options": options, "ranges": seen});
    for part in [&trained, &judged] {
        if let (Some(all), Some(part)) = (all.as_object_mut(), part.as_object()) {
            all.extend(part.clone());
        }
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
        config: &student.config,
        learns_from: &student.learns_from,
        teacher: &taught,
        student: &metrics,
        steps: run.state.global_step,
        ranges: &seen,
    };
    atomic::write(&out.join("README.md"), card.markdown().as_bytes())?;
    write_calibration(&stored, &data.train)?;
    let weights = if options.half { "half" } else { "single" };
    eprintln!(
        "student: accuracy {:.4} in {weights} precision, teacher {:.4}, written to {}",
        metrics.accuracy,
        taught.accuracy,
        out.display()
    );
    Ok(())
}

fn read_data(options: &Options, tokenizer: &Tokenizer) -> Result<Data> {
    let read = |split, limit| -> Result<Samples> {
        let examples = datasets::load(options.task, &options.data_dir, split)?;
        let samples = Samples::encode(&examples, tokenizer, limit)?;
        if samples.truncated() > 0 {
            eprintln!(
                "warning: {} texts of {} are cut to {} tokens",
                samples.truncated(),
                split.file(),
                options.max_seq_length
            );
        }
        Ok(samples)
    };
    let data = Data {
        train: read(Split::Train, options.max_train_samples)?,
        dev: read(Split::Dev, options.max_eval_samples)?,
    };
    ensure!(
        !data.train.is_empty() && !data.dev.is_empty(),
        "there must be at least one example to train and to judge by"
    );
    Ok(data)
}

/// The teacher with a head for the task: as it was read, or fine-tuned now, or by the run that is taken up.
fn fine_tuned(options: &Options, run: &mut Run, teacher: Folder, data: &Data) -> Result<Folder> {
    let own = run.out.join("teacher");
    if teacher.has_head {
        return Ok(teacher);
    }
    if run.state.stage > Stage::Teacher {
        return Folder::read(&own, options.task, options.seed);
    }
    let plan = plan(options, Stage::Teacher, data.train.len());
    let weights = teacher.weights.trainable(|_| false)?;
    train(run, &plan, &teacher.config, &weights, (&data.train, &data.dev), |model, turn| {
        let logits = model.logits(turn.batch, Some(turn.key))?;
        let total = cross_entropy(&logits, &data.train.classes(turn.chosen)?)?;
        Ok(Loss { total, parts: Vec::new() })
    })?;
    folder::write(&own, &teacher.config, &weights, &teacher.path, false)?;
    let accuracy = judge(&Bert::new(&teacher.config, &weights.detached())?, &data.dev)?.main();
    eprintln!("teacher: accuracy {accuracy:.4}, written to {}", own.display());
    Ok(Folder { path: own, weights: weights.detached(), has_head: true, ..teacher })
}

/// The numbers of a stage.
pub(crate) fn plan(options: &Options, stage: Stage, examples: usize) -> Plan {
    let (epochs, rate, shape) = match stage {
        Stage::Teacher => (
            options.teacher_epochs.or(options.num_train_epochs).unwrap_or(3),
            options.teacher_learning_rate.or(options.learning_rate).unwrap_or(5e-5),
            Shape::WarmUp(f64::from(options.warmup_ratio)),
        ),
        Stage::Layers => (
            options.stage1_epochs.or(options.num_train_epochs).unwrap_or(10),
            options.stage1_learning_rate.or(options.learning_rate).unwrap_or(5e-5),
            if options.stage1_linear_decay { Shape::WarmUp(f64::from(options.warmup_ratio)) } else { Shape::Constant },
        ),
        Stage::Prediction => (
            options.stage2_epochs.or(options.num_train_epochs).unwrap_or(5),
            options.stage2_learning_rate.or(options.learning_rate).unwrap_or(1e-5),
            Shape::WarmUp(f64::from(options.warmup_ratio)),
        ),
    };
    let batches = Batches { size: usize::from(options.per_device_train_batch_size), pool: 1, seed: options.seed };
    let steps = epochs.saturating_mul(batches.count(examples) as u64);
    Plan {
        stage,
        batches,
        epochs,
        schedule: Schedule { peak: rate, shape, steps },
        optimiser: Settings { weight_decay: options.weight_decay as f32, ..Settings::default() },
        keep_best: stage != Stage::Layers,
        evaluate_every: options.eval_steps,
        log_every: options.logging_steps,
        save_every: options.save_steps,
    }
}
