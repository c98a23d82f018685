//! The whole recipe, from folders to a folder.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cli::coded;
use cli::exit::USAGE;
use datasets::{Batches, Metrics, Source, Split, Tokenizer};
use model::Config;
use serde_json::{Value, json};

use crate::adamw::Settings;
use crate::bert::Bert;
use crate::calibration::write_calibration;
use crate::card::Card;
use crate::faults::bad_file;
use crate::folder::{self, Folder};
use crate::judge::{extend, judge, results};
use crate::loss::with_truth;
use crate::options::Options;
use crate::progress::over;
use crate::question::Question;
use crate::range::{LayerRanges, ranges};
use crate::samples::Samples;
use crate::schedule::{Schedule, Shape};
use crate::state::Stage;
use crate::student::{self, Student};
use crate::training::{Loss, Plan, Run, train};
use crate::{atomic, memory, output, place, stages};

/// Texts are cut to this many tokens where neither the user nor a model says otherwise.
const LENGTH: usize = 128;

/// The texts of a run.
#[derive(Debug)]
pub struct Data {
    /// What is asked about them.
    pub question: Question,
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
        let Plan { epochs, batches, schedule, .. } = plan(options, stage, texts);
        let (name, steps, rate) = (stage.name(), schedule.steps, schedule.peak);
        format!("{name}: {epochs} epochs, {steps} steps of {} texts, learning rate {rate:e}\n", batches.size)
    };
    let first = if teacher.has_head { "teacher: has a head for the task\n".into() } else { stage(Stage::Teacher) };
    let layers: Vec<String> = student.learns_from.iter().map(|layer| (layer + 1).to_string()).collect();
    Ok(format!(
        "{}: {texts} texts to learn from, {} to judge by\n{first}student: {} layers, from the teacher's {}\n{}{}{}output: {}\n",
        data.question.title(),
        data.dev.len(),
        layers.len(),
        layers.join(", "),
        stage(Stage::Layers),
        stage(Stage::Prediction),
        options.precedence.describe(),
        output::folder(options).display(),
    ))
}

/// Everything a run starts from: the teacher, what the student starts from unless that is the teacher, the texts.
fn read(options: &Options) -> Result<(Folder, Option<Folder>, Data)> {
    output::check(options)?;
    let source = options.data.needed()?;
    let name = options.teacher.as_deref().context("--teacher is needed")?;
    let teacher = place::find(name, options.revision.as_deref(), options.quiet)?;
    let start = options.student.as_deref().map(|name| place::find(name, None, options.quiet)).transpose()?;
    // What does not fit into the memory is refused before it is read.
    let config = ::checkpoint::read_config(&teacher)?;
    let mut mine = start.as_deref().map_or_else(|| Ok(config.clone()), ::checkpoint::read_config)?;
    let length = length(options, &[(&teacher, &config), (start.as_deref().unwrap_or(&teacher), &mine)])?;
    student::check_layers(options.student_layers, mine.num_hidden_layers)?;
    mine.num_hidden_layers = options.student_layers.unwrap_or(mine.num_hidden_layers);
    let batch = batch(options, Stage::Layers).max(batch(options, Stage::Prediction));
    memory::check(options.memory, &config, &mine, batch, length)?;
    let teacher = Folder::read(&teacher, options.seed)?;
    let (question, teacher) = Question::for_teacher(source, teacher, options.seed)?;
    let start = match &start {
        Some(folder) => Some(question.for_student(Folder::read(folder, options.seed)?, options.seed)?),
        None => None,
    };
    let models: Vec<&Folder> = [&teacher].into_iter().chain(&start).collect();
    let tokenizer = teacher.tokenizer(length)?;
    let part = |split, limit| encode(options, &question, split, limit, &tokenizer, &models);
    let train = part(Split::Train, options.max_train_samples)?;
    let dev = part(Split::Dev, options.max_eval_samples)?;
    Ok((teacher, start, Data { question, train, dev }))
}

/// The most tokens of a text that all models can read.
fn length(options: &Options, models: &[(&Path, &Config)]) -> Result<usize> {
    let least = models.iter().map(|(_, config)| config.max_position_embeddings).min().unwrap_or(LENGTH);
    let length = options.max_seq_length.unwrap_or(least.min(LENGTH));
    for (path, config) in models {
        let (path, limit) = (path.display(), config.max_position_embeddings);
        let message = || format!("--max-seq-length is {length}; {path} reads {limit} tokens at most");
        ensure!(length <= limit, coded(USAGE, message()));
    }
    Ok(length)
}

/// The first `limit` texts of a part, as tokens that `models` can read.
fn encode(
    options: &Options,
    question: &Question,
    split: Split,
    limit: Option<usize>,
    tokenizer: &Tokenizer,
    models: &[&Folder],
) -> Result<Samples> {
    let load = if options.quiet { Source::load_quietly } else { Source::load };
    let mut loaded = load(&question.source, split, &question.target)?;
    loaded.examples.truncate(limit.unwrap_or(usize::MAX));
    let part = match split {
        Split::Train => "to learn from",
        Split::Dev => "to judge by",
    };
    if loaded.skipped > 0 {
        eprintln!("warning: {} broken rows of the texts {part} are left out", loaded.skipped);
    }
    let name = format!("reading the texts {part}");
    let samples = over(options.quiet, &name, loaded.examples.len(), |step| {
        Samples::encode(&loaded.examples, tokenizer, options.length, step)
    })
    .with_context(|| format!("of the texts {part}"))?;
    if samples.truncated() > 0 {
        let (cut, most) = (samples.truncated(), tokenizer.max_length());
        eprintln!("warning: {cut} of {} texts {part} are cut to {most} tokens", samples.len());
    }
    for model in models {
        let (largest, segments) = (samples.largest_segment(), model.config.type_vocab_size);
        let message = || {
            format!(
                "has {segments} segments (type_vocab_size), the texts {part} have {}; choose another model",
                largest + 1
            )
        };
        ensure!((largest as usize) < segments, bad_file(&model.path, message()));
    }
    Ok(samples)
}

/// Judges a folder as it is stored.
pub fn evaluate(options: &Options, path: &Path) -> Result<Value> {
    let source = options.data.needed()?;
    let config = ::checkpoint::read_config(path)?;
    let length = length(options, &[(path, &config)])?;
    memory::check_judging(options.memory, &config, length, options.calibrate)?;
    let folder = Folder::read(path, options.seed)?;
    let question = Question::for_model(source, &folder)?;
    let tokenizer = folder.tokenizer(length)?;
    let part = |split, limit| encode(options, &question, split, limit, &tokenizer, &[&folder]);
    let samples = part(Split::Dev, options.max_eval_samples)?;
    let model = Bert::new(&folder.config, &folder.weights)?;
    let metrics = judged(options, &model, &question, &samples)?;
    if options.calibrate {
        write_calibration(&folder, &part(Split::Train, options.max_train_samples)?, options.quiet)?;
    }
    let mut answer = json!({
        "task": question.source.name(),
        "samples": metrics.samples,
        "ranges": seen(options, &model, &samples)?,
    });
    extend(&mut answer, results("", &metrics));
    Ok(answer)
}

fn judged(options: &Options, model: &Bert, question: &Question, samples: &Samples) -> Result<Metrics> {
    over(options.quiet, "judging", samples.len(), |step| judge(model, samples, question, step))
}

fn seen(options: &Options, model: &Bert, samples: &Samples) -> Result<Vec<LayerRanges>> {
    over(options.quiet, "looking at ranges", samples.len(), |step| ranges(model, samples, step))
}

/// Writes the student's folder and judges what was written.
fn finish(options: &Options, run: &Run, teacher: &Folder, student: &Student, data: &Data) -> Result<()> {
    let out = &run.out;
    let mut config = student.config.clone();
    config.extra.insert(model::TEXT_PAIR.into(), data.train.are_pairs().into());
    folder::write(out, &config, &student.weights, &teacher.path, options.half)?;
    let stored = Folder::read(out, options.seed)?;
    let model = Bert::new(&stored.config, &stored.weights)?;
    let metrics = judged(options, &model, &data.question, &data.dev)?;
    let taught = Bert::new(&teacher.config, &teacher.weights)?;
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
    write_calibration(&stored, &data.train, options.quiet)?;
    if !options.quiet {
        let weights = if options.half { "half" } else { "single" };
        let (mine, its) = (metrics.words(), taught.words());
        eprintln!("student: {mine} in {weights} precision; teacher: {its}; written to {}", out.display());
    }
    Ok(())
}

/// The teacher with a head for the task: as it was read, or fine-tuned now, or by the run that is taken up.
fn fine_tuned(options: &Options, run: &mut Run, teacher: Folder, data: &Data) -> Result<Folder> {
    let own = run.out.join("teacher");
    if teacher.has_head {
        return Ok(teacher);
    }
    if run.state.stage > Stage::Teacher {
        return Folder::read(&own, options.seed);
    }
    let plan = plan(options, Stage::Teacher, data.train.len());
    let weights = teacher.weights.trainable(|_| false)?;
    train(run, &plan, &teacher.config, &weights, data, |model, turn| {
        let logits = model.logits(turn.batch, Some(turn.key))?;
        let total = with_truth(&logits, &data.train.answers(turn.chosen)?)?;
        Ok(Loss { total, parts: Vec::new() })
    })?;
    folder::write(&own, &teacher.config, &weights, &teacher.path, false)?;
    let teacher = Folder { path: own, weights: weights.detached(), has_head: true, ..teacher };
    if !options.quiet {
        let metrics = judged(options, &Bert::new(&teacher.config, &teacher.weights)?, &data.question, &data.dev)?;
        eprintln!("teacher: {}, written to {}", metrics.words(), teacher.path.display());
    }
    Ok(teacher)
}

/// Texts in a batch of a stage.
fn batch(options: &Options, stage: Stage) -> usize {
    let own = options.stage1_batch_size.filter(|_| stage == Stage::Layers);
    usize::from(own.unwrap_or(options.per_device_train_batch_size))
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
    let batches = Batches { size: batch(options, stage), pool: 1, seed: options.seed };
    let steps = epochs.saturating_mul(batches.count(examples) as u64);
    Plan {
        stage,
        batches,
        epochs,
        schedule: Schedule { peak: rate, shape, steps },
        optimiser: Settings { weight_decay: options.weight_decay as f32, ..Settings::default() },
        keep_best: stage != Stage::Layers,
        evaluate_every: options.stage2_eval_steps.filter(|_| stage == Stage::Prediction).unwrap_or(options.eval_steps),
        log_every: options.logging_steps,
        save_every: options.save_steps,
        quiet: options.quiet,
    }
}
