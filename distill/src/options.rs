//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser};
use datasets::Task;
use serde::Serialize;

/// Teaches a student that can be run on shares.
///
/// The teacher learns the task if it has no head for it; the student, with 2Quad attention, learns first the teacher's
/// hidden states and attention scores (stage 1), then its answers (stage 2). Every flag may be spelt with `_` for `-`.
///
/// Exit codes: 0 done, 1 other, 2 usage, 3 a bad file, 130 interrupted.
#[derive(Clone, Debug, Parser, Serialize)]
#[command(name = "distill", version, args_override_self = true)]
pub struct Options {
    /// The teacher's folder, as Hugging Face tools leave it.
    #[arg(long, value_name = "FOLDER", required_unless_present = "evaluate_only")]
    pub teacher: Option<PathBuf>,
    /// The task, in any usual spelling.
    #[arg(long, value_parser = |name: &str| name.parse::<Task>())]
    #[serde(serialize_with = "task_key")]
    pub task: Task,
    /// The GLUE folder, or the task's own.
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// What the student starts from; without it, the fine-tuned teacher.
    #[arg(long, value_name = "FOLDER")]
    pub student: Option<PathBuf>,
    /// Keep this many evenly spaced layers of what the student starts from.
    #[arg(long, value_name = "N")]
    pub student_layers: Option<usize>,
    /// Where everything goes; by default outputs/TASK-STUDENT.
    #[arg(long, value_name = "FOLDER")]
    #[serde(skip)]
    pub output_dir: Option<PathBuf>,
    /// Begin anew in a folder that is not empty.
    #[arg(long)]
    #[serde(skip)]
    pub overwrite_output_dir: bool,
    /// Take a run up from a checkpoint; without a value, from the newest in the output folder.
    #[arg(long, value_name = "FOLDER", num_args = 0..=1)]
    #[serde(skip)]
    pub resume_from_checkpoint: Option<Option<PathBuf>>,
    /// What everything random is drawn from.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Texts are cut to this many tokens.
    #[arg(long, default_value_t = 128)]
    pub max_seq_length: usize,
    /// Train on the first N examples only.
    #[arg(long, value_name = "N")]
    pub max_train_samples: Option<usize>,
    /// Evaluate on the first N examples only.
    #[arg(long, value_name = "N")]
    pub max_eval_samples: Option<usize>,
    /// Texts in a batch.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub per_device_train_batch_size: u16,
    /// Largest learning rate of every stage that has no flag of its own.
    #[arg(long, value_name = "RATE", value_parser = amount)]
    pub learning_rate: Option<f64>,
    /// Epochs of every stage that has no flag of its own.
    #[arg(long, value_name = "N")]
    pub num_train_epochs: Option<u64>,
    /// Share of the steps over which the learning rate climbs (teacher and stage 2).
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub warmup_ratio: f32,
    /// Decay of weights other than biases and LayerNorm's.
    #[arg(long, default_value_t = 0.01, value_parser = amount)]
    pub weight_decay: f64,
    /// Epochs of the teacher's fine-tuning [default: 3].
    #[arg(long, value_name = "N")]
    pub teacher_epochs: Option<u64>,
    /// Learning rate of the teacher's fine-tuning [default: 5e-5].
    #[arg(long, value_name = "RATE", value_parser = amount)]
    pub teacher_learning_rate: Option<f64>,
    /// Epochs of stage 1 [default: 10].
    #[arg(long, value_name = "N")]
    pub stage1_epochs: Option<u64>,
    /// Learning rate of stage 1 [default: 5e-5].
    #[arg(long, value_name = "RATE", value_parser = amount)]
    pub stage1_learning_rate: Option<f64>,
    /// Let the learning rate of stage 1 climb and fall like that of stage 2, instead of keeping it.
    #[arg(long)]
    pub stage1_linear_decay: bool,
    /// Train the embedding tables in stage 1 even where the student starts with the teacher's.
    #[arg(long)]
    pub stage1_train_embeddings: bool,
    /// Epochs of stage 2 [default: 5].
    #[arg(long, value_name = "N")]
    pub stage2_epochs: Option<u64>,
    /// Learning rate of stage 2 [default: 1e-5].
    #[arg(long, value_name = "RATE", value_parser = amount)]
    pub stage2_learning_rate: Option<f64>,
    /// Weight of the cross-entropy with the true classes in stage 2, beside 1 for the teacher's.
    #[arg(long, default_value_t = 0.0, value_parser = amount)]
    pub gold_weight: f64,
    /// Weight of the penalty on values outside the range that private runs are made for.
    #[arg(long, default_value_t = 0.1, value_parser = amount)]
    pub range_penalty: f64,
    /// The student's dropout in stage 1; without it, as its configuration says.
    #[arg(long, value_name = "P", value_parser = share)]
    pub stage1_dropout: Option<f32>,
    /// The student's dropout in stage 2; without it, as its configuration says.
    #[arg(long, value_name = "P", value_parser = share)]
    pub stage2_dropout: Option<f32>,
    /// Write the student's weights in half precision.
    #[arg(long)]
    pub half: bool,
    /// Steps between two lines of log.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip)]
    pub logging_steps: u64,
    /// Steps between two evaluations.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub eval_steps: u64,
    /// Steps between two checkpoints.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip)]
    pub save_steps: u64,
    /// Only judge a model's folder on the development set, as stored, and print the result.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["teacher", "student", "output_dir"])]
    #[serde(skip)]
    pub evaluate_only: Option<PathBuf>,
    /// With --evaluate-only: observe the ranges of the stored model again, over training texts, and write its
    /// calibration.json (its format changes now and then).
    #[arg(long, action = ArgAction::SetTrue, requires = "evaluate_only")]
    #[serde(skip)]
    pub calibrate: bool,
    /// Check the input and say what would be done.
    #[arg(long, action = ArgAction::SetTrue)]
    #[serde(skip)]
    pub dry_run: bool,
}

/// A number that is not negative: a rate, a weight.
fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(amount) if amount >= 0.0 && amount.is_finite() => Ok(amount),
        _ => Err("expected a number from 0 up".into()),
    }
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to below 1".into()),
    }
}

fn task_key<S: serde::Serializer>(task: &Task, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(task.key())
}

impl Options {
    /// Parses the command line; `--max_seq_length` is `--max-seq-length`.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
        Options::try_parse_from(args.into_iter().map(
            |arg| match arg.to_str().and_then(|text| text.strip_prefix("--")) {
                None => arg,
                Some(flag) => {
                    let (name, value) = flag.split_at(flag.find('=').unwrap_or(flag.len()));
                    format!("--{}{value}", name.replace('_', "-")).into()
                }
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, clap::Error> {
        Options::from_args(args.iter().map(OsString::from))
    }

    #[test]
    fn both_spellings_of_a_flag_are_understood() {
        let dashes = ["distill", "--teacher", "t", "--task", "SST-2", "--data-dir", "my_data", "--max-seq-length=64"];
        let underscores =
            ["distill", "--teacher", "t", "--task=sst_2", "--data_dir", "my_data", "--max_seq_length", "64"];
        let (a, b) = (parse(&dashes).unwrap(), parse(&underscores).unwrap());
        assert_eq!((a.max_seq_length, a.data_dir.clone(), a.task), (64, PathBuf::from("my_data"), Task::Sst2));
        assert_eq!(serde_json::to_value(a).unwrap(), serde_json::to_value(b).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_utf8_is_a_path() {
        use std::os::unix::ffi::OsStringExt;
        let mut args: Vec<OsString> =
            ["distill", "--teacher", "t", "--task", "sst2", "--data_dir", "d", "--output_dir"].map(Into::into).into();
        args.push(OsString::from_vec(b"o\xff_t".to_vec()));
        let out = Options::from_args(args.clone()).unwrap().output_dir.unwrap();
        assert_eq!(out.as_os_str(), args.last().unwrap());
        // In a flag's place it is an error, not a panic.
        args.push(OsString::from_vec(b"--o\xff".to_vec()));
        assert!(Options::from_args(args).is_err());
    }

    #[test]
    fn a_checkpoint_to_resume_from_may_be_left_to_the_program() {
        let common = ["distill", "--teacher", "t", "--task", "sst2", "--data-dir", "d"];
        let with = |more: &[&str]| parse(&[&common, more].concat()).unwrap().resume_from_checkpoint;
        assert_eq!(with(&[]), None);
        assert_eq!(with(&["--resume-from-checkpoint"]), Some(None));
        assert_eq!(with(&["--resume_from_checkpoint", "c"]), Some(Some("c".into())));
    }

    #[test]
    fn wrong_usage_is_refused() {
        assert!(parse(&["distill", "--task", "sst2", "--data-dir", "d"]).is_err());
        assert!(parse(&["distill", "--teacher", "t", "--task", "imdb", "--data-dir", "d"]).is_err());
        let batch =
            ["distill", "--teacher", "t", "--task", "sst2", "--data-dir", "d", "--per-device-train-batch-size", "0"];
        assert!(parse(&batch).is_err());
        for (flag, value) in
            [("--learning-rate", "-1"), ("--weight-decay", "nan"), ("--stage1-dropout", "1"), ("--seed", "x")]
        {
            let args = ["distill", "--teacher", "t", "--task", "sst2", "--data-dir", "d", flag, value];
            assert!(parse(&args).is_err(), "{flag} {value}");
        }
    }
}
