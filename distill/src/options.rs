//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use cli::coded;
use cli::exit::USAGE;
use cli::memory::Memory;
use datasets::{DataFlags, Length};
use serde::Serialize;

use crate::design::{Design, Device};
use crate::objectives::Objectives;
use crate::precedence::Precedence;
use crate::recipe::{self, RecipeChoice};
use crate::trainer::TrainerFlags;

/// The special tokens of a pair, and a word of each text.
const SHORTEST: usize = 5;

const EXAMPLES: &str = r"Examples:
  # a teacher and a task from the hub
  distill --teacher bert-base-uncased --task sst2
  # a teacher in a folder, texts and classes of your own
  distill --teacher my-bert --train-file train.csv --validation-file dev.csv \
    --text-column review --label-column stars
  # pairs of texts (text, text_pair) with a number each (label)
  distill --teacher my-bert --train-file train.tsv --validation-file dev.tsv --regression";

/// Teaches a student that can be run on shares.
///
/// The teacher learns the task if it has no head for it; the student, with 2Quad attention, learns first the teacher's
/// hidden states and attention scores (stage 1), then its answers (stage 2). Every flag may be spelt with `_` for `-`.
#[derive(Clone, Debug, Parser, Serialize)]
#[command(name = "distill", version, args_override_self = true, after_help = format!("{EXAMPLES}\n\n{}", cli::EXIT_CODES))]
pub struct Options {
    /// The teacher: a folder, as Hugging Face tools leave it, or a model on the hub (bert-base-uncased, owner/name).
    #[arg(long, value_name = "MODEL", required_unless_present_any = ["evaluate_only", "print_recipe"])]
    pub teacher: Option<PathBuf>,
    /// The teacher's revision on the hub: a branch, a tag or a commit.
    #[arg(long, value_name = "REV", requires = "teacher")]
    pub revision: Option<String>,
    /// What the student starts from, a folder or a model on the hub; without it, the fine-tuned teacher.
    #[arg(long, value_name = "MODEL")]
    pub student: Option<PathBuf>,
    /// Keep this many evenly spaced layers of what the student starts from.
    #[arg(long, value_name = "N")]
    pub student_layers: Option<usize>,
    /// The student's functions.
    #[command(flatten)]
    #[serde(flatten)]
    pub design: Design,
    /// Where it is trained.
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub device: Device,
    /// Where everything goes [default: outputs/TASK-STUDENT].
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
    /// Take the published hyper-parameters of another task of GLUE than --task, or of none, or `ours`, which come nearer to the
    /// teacher in less time. --config goes over them, and the command line over both: there a flag for every stage goes over
    /// a recipe's for one.
    #[arg(long, value_name = "TASK|ours|none", value_parser = RecipeChoice::parse)]
    #[serde(skip)]
    pub recipe: Option<RecipeChoice>,
    /// A recipe of your own, in TOML: flags of this program that say how to train, such as `stage1-epochs = 5`.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Print what recipes and command line come to, as --config takes it, and do nothing.
    #[arg(long)]
    #[serde(skip)]
    pub print_recipe: bool,
    /// What everything random is drawn from.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Texts are cut to this many tokens; of a pair, the longer text first [default: 128, or all that the models read].
    #[arg(long, value_name = "N", value_parser = length)]
    pub max_seq_length: Option<usize>,
    /// Train on the first N examples only.
    #[arg(long, value_name = "N", value_parser = count)]
    pub max_train_samples: Option<usize>,
    /// Evaluate on the first N examples only.
    #[arg(long, value_name = "N", value_parser = count)]
    pub max_eval_samples: Option<usize>,
    /// Texts in a batch.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub per_device_train_batch_size: u16,
    /// Texts in a batch of stage 1, where it differs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub stage1_batch_size: Option<u16>,
    /// How every stage is trained.
    #[command(flatten)]
    #[serde(flatten)]
    pub trainer: TrainerFlags,
    /// Largest learning rate of every stage that has no flag of its own.
    #[arg(long, value_name = "RATE", value_parser = amount)]
    pub learning_rate: Option<f64>,
    /// Epochs of every stage that has no flag of its own.
    #[arg(long, value_name = "N")]
    pub num_train_epochs: Option<u64>,
    /// Share of the steps over which the learning rate climbs (teacher and stage 2).
    #[arg(long, default_value_t = 0.1, value_parser = fraction)]
    pub warmup_ratio: f64,
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
    #[arg(long, conflicts_with = "freeze_embeddings")]
    pub stage1_train_embeddings: bool,
    /// Epochs of stage 2 [default: 5].
    #[arg(long, value_name = "N")]
    pub stage2_epochs: Option<u64>,
    /// Learning rate of stage 2 [default: 1e-5].
    #[arg(long, value_name = "RATE", value_parser = amount)]
    pub stage2_learning_rate: Option<f64>,
    /// What the student is taught.
    #[command(flatten)]
    #[serde(flatten)]
    pub objectives: Objectives,
    /// Weight of the penalty on values outside the range that private runs are made for.
    #[arg(long, default_value_t = 0.1, value_parser = amount)]
    pub range_penalty: f64,
    /// The student's dropout in stage 1; without it, as its configuration says.
    #[arg(long, value_name = "P", value_parser = fraction)]
    pub stage1_dropout: Option<f64>,
    /// The student's dropout in stage 2; without it, as its configuration says.
    #[arg(long, value_name = "P", value_parser = fraction)]
    pub stage2_dropout: Option<f64>,
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
    /// Steps between two evaluations in stage 2, where they differ.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub stage2_eval_steps: Option<u64>,
    /// Steps between two checkpoints.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip)]
    pub save_steps: u64,
    /// Seconds of silence after which a process that trains with this one (torchrun) counts as lost.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    #[serde(skip)]
    pub ddp_timeout: u64,
    /// Only judge a model's folder on the development set, as stored, and print the result.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["teacher", "student", "output_dir"])]
    #[serde(skip)]
    pub evaluate_only: Option<PathBuf>,
    /// Leave calibration.json out: `convert` then needs texts.
    #[arg(long)]
    pub no_calibration: bool,
    /// With --evaluate-only: observe the ranges of the stored model again, over training texts, and write its
    /// calibration.json (its format changes now and then).
    #[arg(long, action = ArgAction::SetTrue, requires = "evaluate_only")]
    #[serde(skip)]
    pub calibrate: bool,
    /// Check the input and say what would be done.
    #[arg(long, action = ArgAction::SetTrue)]
    #[serde(skip)]
    pub dry_run: bool,
    /// Neither progress nor a log on standard error; only warnings and errors.
    #[arg(short, long)]
    #[serde(skip)]
    pub quiet: bool,
    /// How much memory there is.
    #[command(flatten)]
    #[serde(skip)]
    pub memory: Memory,
    /// What happens to texts that are too long.
    #[command(flatten)]
    #[serde(flatten)]
    pub length: Length,
    /// The texts.
    #[command(flatten)]
    #[serde(flatten)]
    pub data: DataFlags,
    /// Where the values come from.
    #[arg(skip)]
    #[serde(skip)]
    pub precedence: Precedence,
    /// What --print-recipe prints.
    #[arg(skip)]
    #[serde(skip)]
    pub recipe_text: String,
}

/// A number that is not negative: a rate, a weight.
pub(crate) fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(amount) if amount >= 0.0 && amount.is_finite() => Ok(amount),
        _ => Err("expected a number from 0 up".into()),
    }
}

pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to below 1".into()),
    }
}

pub(crate) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "expected a number from 1 up".into())
}

fn length(text: &str) -> Result<usize, String> {
    let long_enough = |length: &usize| *length >= SHORTEST;
    text.parse().ok().filter(long_enough).ok_or_else(|| format!("expected a number of tokens from {SHORTEST} up"))
}

impl Options {
    /// Parses the command line over the recipes that it asks for; `--max_seq_length` is `--max-seq-length`.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Options> {
        let args: Vec<OsString> = cli::dashed(args).collect();
        let precedence = Precedence::of(&args)?;
        let matches = precedence.parse(&args)?;
        let recipe_text = recipe::print(&Options::command(), &matches);
        let options = Options { precedence, recipe_text, ..Options::from_arg_matches(&matches)? };
        if options.objectives.soft_weight == 0.0 && options.objectives.gold_weight == 0.0 {
            let message = "--soft-weight and --gold-weight are both 0, so stage 2 has nothing to learn; give one of them a weight";
            return Err(coded(USAGE, message));
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> anyhow::Result<Options> {
        Options::from_args(args.iter().map(OsString::from))
    }

    #[test]
    fn both_spellings_of_a_flag_are_understood() {
        let dashes = ["distill", "--teacher", "t", "--task", "SST-2", "--data-dir", "my_data", "--max-seq-length=64"];
        let underscores =
            ["distill", "--teacher", "t", "--task=sst_2", "--data_dir", "my_data", "--max_seq_length", "64"];
        let (a, b) = (parse(&dashes).unwrap(), parse(&underscores).unwrap());
        assert_eq!(a.max_seq_length, Some(64));
        assert_eq!((a.data.data_dir.clone(), a.data.task), (Some("my_data".into()), Some(datasets::Task::Sst2)));
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
        for (flag, value) in [
            ("--learning-rate", "-1"),
            ("--weight-decay", "nan"),
            ("--stage1-dropout", "1"),
            ("--seed", "x"),
            ("--max-seq-length", "4"),
            ("--max-train-samples", "0"),
            ("--train-file", "train.csv"),
            ("--memory", "much"),
        ] {
            let args = ["distill", "--teacher", "t", "--task", "sst2", "--data-dir", "d", flag, value];
            assert!(parse(&args).is_err(), "{flag} {value}");
        }
    }
}
