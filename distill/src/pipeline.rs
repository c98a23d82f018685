//! The whole recipe, from folders to a folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use datasets::{Batches, Split, Tokenizer};

use crate::adamw::Settings;
use crate::bad_file::BadFile;
use crate::checkpoint;
use crate::folder::{self, Folder};
use crate::judge::judge;
use crate::bert::Bert;
use crate::loss::cross_entropy;
use crate::options::Options;
use crate::samples::Samples;
use crate::schedule::{Schedule, Shape};
use crate::state::{Stage, State};
use crate::training::{Loss, Plan, Run, train};

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
    let teacher_path = options.teacher.as_deref().context("--teacher is needed")?;
    let teacher = Folder::read(teacher_path, options.task, options.seed)?;
    let tokenizer = teacher.tokenizer(options.max_seq_length)?;
    let data = read_data(options, &tokenizer)?;
    let mut run = begin(options)?;
    let teacher = fine_tuned(options, &mut run, teacher, &data)?;
    let _ = teacher;
    Ok(())
}

fn read_data(options: &Options, tokenizer: &Tokenizer) -> Result<Data> {
    let read = |split, limit| -> Result<Samples> {
        let examples = datasets::load(options.task, &options.data_dir, split)?;
        let samples = Samples::encode(&examples, tokenizer, limit)?;
        if samples.truncated() > 0 {
            eprintln!("warning: {} texts of {} are cut to {} tokens", samples.truncated(), split.file(), options.max_seq_length);
        }
        Ok(samples)
    };
    let data = Data {
        train: read(Split::Train, options.max_train_samples)?,
        dev: read(Split::Dev, options.max_eval_samples)?,
    };
    ensure!(!data.train.is_empty() && !data.dev.is_empty(), "there must be at least one example to train and to judge by");
    Ok(data)
}

/// The output folder, new or taken up.
fn begin(options: &Options) -> Result<Run> {
    let out = output_folder(options);
    let settings = serde_json::to_value(options)?;
    let resume = match &options.resume_from_checkpoint {
        Some(Some(folder)) => Some(folder.clone()),
        Some(None) => match checkpoint::newest(&out)? {
            Some(folder) => Some(folder),
            None => bail!("--resume-from-checkpoint: there is no checkpoint in {}", out.display()),
        },
        None if options.overwrite_output_dir => {
            if out.exists() {
                fs::remove_dir_all(&out).with_context(|| format!("cannot empty {}", out.display()))?;
            }
            None
        }
        None => checkpoint::newest(&out)?,
    };
    if let Some(folder) = resume {
        let state = checkpoint::read_state(&folder)?;
        if state.settings != settings {
            let path = folder.join("trainer_state.json");
            bail!(BadFile::new(&path, format!("made with other options: {}; now {settings}", state.settings)));
        }
        eprintln!("taking up {} after step {} of {}", folder.display(), state.stage_step, state.stage.name());
        return Ok(Run { out, resume: Some(folder), state });
    }
    if out.is_dir() && fs::read_dir(&out)?.next().is_some() {
        bail!("{} is not empty and has no checkpoint; choose another --output-dir or pass --overwrite-output-dir", out.display());
    }
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    Ok(Run { out, resume: None, state: State::new(settings) })
}

/// `--output-dir`, or outputs/TASK-STUDENT.
pub fn output_folder(options: &Options) -> PathBuf {
    let start = options.student.as_deref().or(options.teacher.as_deref()).unwrap_or(Path::new("student"));
    let name = start.file_name().unwrap_or_default().to_string_lossy();
    let layers = options.student_layers.map(|n| format!("-l{n}")).unwrap_or_default();
    let default = || Path::new("outputs").join(format!("{}-{name}{layers}", options.task.key()));
    options.output_dir.clone().unwrap_or_else(default)
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
fn plan(options: &Options, stage: Stage, examples: usize) -> Plan {
    let (epochs, rate, shape) = match stage {
        Stage::Teacher => (
            options.teacher_epochs.or(options.num_train_epochs).unwrap_or(3),
            options.teacher_learning_rate.or(options.learning_rate).unwrap_or(5e-5),
            Shape::WarmUp(options.warmup_ratio),
        ),
        Stage::Layers => (
            options.stage1_epochs.or(options.num_train_epochs).unwrap_or(10),
            options.stage1_learning_rate.or(options.learning_rate).unwrap_or(5e-5),
            if options.stage1_linear_decay { Shape::WarmUp(0.02) } else { Shape::Constant },
        ),
        Stage::Prediction => (
            options.stage2_epochs.or(options.num_train_epochs).unwrap_or(5),
            options.stage2_learning_rate.or(options.learning_rate).unwrap_or(1e-5),
            Shape::WarmUp(options.warmup_ratio),
        ),
    };
    let batches = Batches { size: usize::from(options.per_device_train_batch_size), pool: 1, seed: options.seed };
    let steps = epochs * batches.count(examples) as u64;
    Plan {
        stage,
        batches,
        epochs,
        schedule: Schedule { peak: rate, shape, steps },
        optimiser: Settings { weight_decay: options.weight_decay, ..Settings::default() },
        keep_best: stage != Stage::Layers,
        evaluate_every: options.eval_steps,
        log_every: options.logging_steps,
        save_every: options.save_steps,
    }
}
