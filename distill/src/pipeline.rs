//! The whole training run, from the models' folders to the student's.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use datasets::{Empty, Source, Split, Tokenizer};
use serde_json::{Value, json};

use crate::bert::Bert;
use crate::calibration::write_calibration;
use crate::design::{LayerNorm, Shift, Softmax};
use crate::errors::bad_file;
use crate::evaluate::{self, Evaluation, extend};
use crate::folder::{self, CONFIG, Folder, ModelRole, WEIGHTS};
use crate::loss::with_truth;
use crate::options::Options;
use crate::parallel::{Launch, ProcessGroup, RunTerms};
use crate::plan::{StagePlan, plan};
use crate::preflight::NamedConfig;
use crate::progress::over;
use crate::range::{ObservedLayer, ranges};
use crate::samples::Samples;
use crate::state::Stage;
use crate::student;
use crate::task_binding::TaskBinding;
use crate::training::{Loss, Run, train};
use crate::{digests, finish, greedy, memory, output, place, preflight, shifts, stages};

/// The texts of a run.
#[derive(Clone, Debug)]
pub struct Data {
    /// How the task and the models fit together.
    pub task: TaskBinding,
    /// The training set.
    pub train: Samples,
    /// The development set.
    pub dev: Samples,
    /// The test set, without labels.
    pub test: Option<Samples>,
}

/// Does what the options ask for, with the other processes that were launched.
pub fn run(options: &Options, launch: &Launch) -> Result<()> {
    // Only rank 0 logs.
    let options = &Options { quiet: options.quiet || launch.rank > 0, ..options.clone() };
    let (teacher, start, data) = read(options, launch.size)?;
    // A student that does not fit its teacher is refused before the teacher is fine-tuned, which takes long.
    student::start(&teacher, start.clone(), options.student_layers, &options.design)?;
    let device = options.device.open(options.seed, launch)?;
    // Only rank 0 resumes runs.
    let inputs = if launch.rank == 0 {
        digests::of_inputs(&teacher, start.as_ref(), &data)?
    } else {
        digests::InputDigests::new()
    };
    let terms = RunTerms { settings: serde_json::to_value(options)?, texts: digests::of_texts(&data.train) };
    let waiting = cli::spinner(options.quiet || launch.size == 1, "waiting for the other processes");
    let group = ProcessGroup::join(launch, terms, Duration::from_secs(options.ddp_timeout));
    waiting.finish_and_clear();
    let mut run = output::begin(options, group?, inputs)?;
    let teacher = fine_tuned(options, &mut run, teacher.on(&device)?, &data)?;
    if launch.size > 1 {
        run.group.agree("the teacher's weights", &digests::of_weights(&teacher.weights)?)?;
    }
    let start = start.map(|start| start.on(&device)).transpose()?;
    let mut student = student::start(&teacher, start, options.student_layers, &options.design)?;
    if options.design.attention_shift == Some(Shift::Fit) && options.design.softmax == Softmax::TwoQuad {
        let teacher_model = Bert::new(&teacher.config, &teacher.weights.detached())?;
        let fit = |path: &Path| shifts::fit(&teacher_model, &data.train, &student.learns_from, path);
        student.config.attention_shift = run.group.make_once(&run.out, output::SHIFTS, fit)?;
        student.config.check()?;
    }
    stages::layers(options, &mut run, &teacher, &mut student, &data)?;
    stages::prediction(options, &mut run, &teacher, &mut student, &data)?;
    if options.design.layer_norm == LayerNorm::Linear {
        greedy::norms(options, &mut run, &teacher, &mut student, &data)?;
    }
    if !run.group.leads() {
        return Ok(());
    }
    finish::finish(options, &run, &teacher, &student, &data)
}

/// What [`run`] would do, in words.
pub fn describe(options: &Options, launch: &Launch) -> Result<String> {
    let (teacher, start, data) = read(options, launch.size)?;
    let student = student::start(&teacher, start, options.student_layers, &options.design)?;
    let texts = data.train.len();
    let shown = stages::stage1_data(options, &data);
    let stage = |stage| {
        let samples = if stage == Stage::Layers { &shown.train } else { &data.train };
        let StagePlan { epochs, batches, schedule, .. } = plan(options, stage, samples.lengths(), launch.size);
        let (name, steps, rate) = (stage.name(), schedule.steps, schedule.peak);
        format!("{name}: {epochs} epochs, {steps} steps of {} texts, learning rate {rate:e}\n", batches.size)
    };
    let first = if teacher.has_head { "teacher: has a head for the task\n".into() } else { stage(Stage::Teacher) };
    let layers: Vec<String> = student.learns_from.iter().map(|layer| (layer + 1).to_string()).collect();
    let norms = match options.design.layer_norm {
        LayerNorm::Full => String::new(),
        LayerNorm::Linear => format!("for each of {} layers, {}", layers.len(), stage(Stage::Norms)),
    };
    Ok(format!(
        "{}: {texts} texts to learn from, {} to judge by\n{first}student: {} layers, from the teacher's {}\n{}{}{norms}{}output: {}\n",
        data.task.title(),
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
fn read(options: &Options, processes: usize) -> Result<(Folder, Option<Folder>, Data)> {
    output::check(options)?;
    let mut source = options.data.needed()?;
    if let Source::Files(files) = &mut source {
        files.test.clone_from(&options.trainer.test_file);
    }
    let name = options.teacher.as_deref().context("--teacher is needed")?;
    // A model that cannot work is refused before it is fetched, and one that does not fit into memory before it is read.
    let teacher = place::find(name, options.revision.as_deref(), options.quiet, &|known| match options.student {
        Some(_) => preflight::check_teacher(options, known),
        None => preflight::check(options, processes, known, None),
    })?;
    let config = ::checkpoint::read_config(&teacher)?;
    let suits = |known: NamedConfig<'_>| preflight::check(options, processes, (&teacher, &config), Some(known));
    let start = options.student.as_deref().map(|name| place::find(name, None, options.quiet, &suits)).transpose()?;
    let length = match &start {
        Some(start) => suits((start, &::checkpoint::read_config(start)?))?,
        None => preflight::check(options, processes, (&teacher, &config), None)?,
    };
    let teacher = Folder::read(&teacher, options.seed)?;
    let (task, teacher) = TaskBinding::for_teacher(source, teacher, options.seed)?;
    let start = match &start {
        Some(folder) => Some(task.for_student(Folder::read_as(ModelRole::Start, folder, options.seed)?, options.seed)?),
        None => None,
    };
    let models: Vec<&Folder> = [&teacher].into_iter().chain(&start).collect();
    let tokenizer = teacher.tokenizer(length)?;
    if let Some(start) = &start {
        student::check_tokenizer(&tokenizer, &start.path)?;
    }
    let part = |split, limit| encode(options, &task, split, limit, &tokenizer, &models);
    let train = part(Split::Train, options.max_train_samples)?;
    let dev = part(Split::Dev, options.max_eval_samples)?;
    let test = match options.trainer.predicts() {
        true => {
            let loaded = task.source.load_test(options.quiet)?;
            loaded.notes.iter().for_each(|note| cli::log(note));
            let (texts, empty) = (&loaded.texts, Empty::of(&task.source));
            let encode = |step: &dyn Fn(usize)| Samples::unlabelled(texts, &tokenizer, options.length, empty, step);
            Some(fitting(options, "to answer", texts.len(), &tokenizer, &models, encode)?)
        }
        false => None,
    };
    Ok((teacher, start, Data { task, train, dev, test }))
}

/// The first `limit` texts of a part, as tokens that `models` can read.
fn encode(
    options: &Options,
    task: &TaskBinding,
    split: Split,
    limit: Option<usize>,
    tokenizer: &Tokenizer,
    models: &[&Folder],
) -> Result<Samples> {
    let load = if options.quiet { Source::load_quietly } else { Source::load };
    let mut loaded = load(&task.source, split, &task.target)?;
    loaded.examples.truncate(limit.unwrap_or(usize::MAX));
    let part = if split == Split::Train { "to learn from" } else { "to judge by" };
    loaded.notes.iter().for_each(|note| cli::log(note));
    if loaded.skipped > 0 {
        cli::log(&format!("warning: {} broken rows of the texts {part} are left out", loaded.skipped));
    }
    let empty = Empty::of(&task.source);
    let encode = |step: &dyn Fn(usize)| Samples::encode(&loaded.examples, tokenizer, options.length, empty, step);
    fitting(options, part, loaded.examples.len(), tokenizer, models, encode)
}

/// What `encode` makes of a part's texts, if `models` can read it.
fn fitting(
    options: &Options,
    part: &str,
    texts: usize,
    tokenizer: &Tokenizer,
    models: &[&Folder],
    encode: impl FnOnce(&dyn Fn(usize)) -> Result<Samples, datasets::Error>,
) -> Result<Samples> {
    let name = format!("reading the texts {part}");
    let samples =
        over(options.quiet, &name, texts, |step| encode(step)).with_context(|| format!("of the texts {part}"))?;
    if samples.truncated() > 0 {
        let (cut, most) = (samples.truncated(), tokenizer.max_length());
        cli::log(&format!("warning: {cut} of {} texts {part} are cut to {most} tokens", samples.len()));
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

/// Evaluates a model as it is stored.
pub fn evaluate_folder(options: &Options, path: &Path) -> Result<Value> {
    let source = options.data.needed()?;
    let config = ::checkpoint::read_config(path)?;
    let length = preflight::length(options, &[(path, &config)])?;
    memory::check_evaluation(options.memory, &config, length, options.calibrate)?;
    let folder = Folder::read_as(ModelRole::Evaluated, path, options.seed)?;
    let task = TaskBinding::for_model(source, &folder)?;
    let tokenizer = folder.tokenizer(length)?;
    let part = |split, limit| encode(options, &task, split, limit, &tokenizer, &[&folder]);
    let samples = part(Split::Dev, options.max_eval_samples)?;
    let model = Bert::new(&folder.config, &folder.weights)?;
    let metrics = evaluate_with_bar(options, &model, &task, &samples)?.metrics;
    if options.calibrate {
        write_calibration(&folder, &part(Split::Train, options.max_train_samples)?, options.quiet)?;
    }
    let mut answer = json!({
        "task": task.source.name(),
        "samples": metrics.samples,
        "ranges": observed_ranges(options, &model, &samples)?,
    });
    extend(&mut answer, evaluate::results("", &metrics));
    Ok(answer)
}

pub(crate) fn evaluate_with_bar(
    options: &Options,
    model: &Bert,
    task: &TaskBinding,
    samples: &Samples,
) -> Result<Evaluation> {
    over(options.quiet, "judging", samples.len(), |step| evaluate::evaluate(model, samples, task, step))
}

pub(crate) fn observed_ranges(options: &Options, model: &Bert, samples: &Samples) -> Result<Vec<ObservedLayer>> {
    over(options.quiet, "looking at ranges", samples.len(), |step| ranges(model, samples, step))
}

/// The teacher with a head for the task: as it was read, or fine-tuned now, or by the run that is resumed.
fn fine_tuned(options: &Options, run: &mut Run, teacher: Folder, data: &Data) -> Result<Folder> {
    let own = run.out.join(output::TEACHER);
    if teacher.has_head {
        return Ok(teacher);
    }
    if run.state.stage > Stage::Teacher {
        let folder = run.group.broadcast_files(&own, &[CONFIG, WEIGHTS])?;
        return Folder::read(folder.folder(), options.seed)?.on(teacher.weights.device()?);
    }
    let plan = plan(options, Stage::Teacher, data.train.lengths(), run.group.size());
    let weights = teacher.weights.trainable(|name| options.objectives.freezes(name))?;
    train(run, &plan, &teacher.config, &weights, data, |model, step| {
        let logits = model.logits(step.batch, Some(step.key))?;
        let total = with_truth(&logits, &data.train.batch_labels(step.chosen, model.device())?)?;
        let total = step.shard.over_texts(&total)?;
        Ok(Loss { total, parts: Vec::new() })
    })?;
    if run.group.leads() {
        folder::write(&own, &teacher.config, &weights, &teacher.path, false)?;
    }
    let teacher = Folder { path: own, weights: weights.detached(), has_head: true, ..teacher };
    if !options.quiet {
        let model = Bert::new(&teacher.config, &teacher.weights)?;
        let evaluation = over(options.quiet, "judging", data.dev.len(), |step| {
            evaluate::evaluate(&model, &data.dev, &data.task, &|texts| {
                step(texts);
                run.group.alive();
            })
        })?;
        let metrics = evaluation.metrics;
        cli::log(&format!("teacher: {}, written to {}", metrics.words(), teacher.path.display()));
    }
    Ok(teacher)
}
