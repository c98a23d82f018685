//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use convert::Who;
use datasets::Task;

/// Classifies texts privately: two servers compute on shares, neither sees text, weights or answer.
#[derive(Parser)]
#[command(name = "runtime", version, after_help = cli::EXIT_CODES)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Classify texts; starts both parties and the dealer on this machine and is the client.
    Infer(Infer),
    /// Classify a labelled set and compare with floating point and with fixed point in clear.
    Evaluate(Evaluate),
    /// Be one of the two computing parties (started by `infer` and `evaluate`).
    Party(Party),
    /// Be the dealer of correlated randomness (started by `infer` and `evaluate`).
    Dealer(Dealer),
}

/// Which model to run.
#[derive(Args)]
pub struct Source {
    /// A bundle that `convert` made.
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub bundle: Option<PathBuf>,
    /// A student that `distill` made; it is converted into your cache folder first. Without --bundle and --model the
    /// student that ships with this program is used.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Who embeds, where a model is converted: the parties with a private table, or the client with a table in clear.
    #[arg(long, value_enum, default_value_t, conflicts_with = "bundle")]
    pub embedding: Who,
    /// Longest wait for another role, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub deadline: u64,
    /// Most texts that share their rounds; fewer where memory or restarts would grow too large.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub batch: u32,
    /// Print one JSON object in place of one list a text.
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(short, long)]
    pub quiet: bool,
}

impl Source {
    /// The longest wait.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline)
    }
}

/// `runtime infer`.
#[derive(Args)]
pub struct Infer {
    /// Which model.
    #[command(flatten)]
    pub source: Source,
    /// A text to classify; may be given several times.
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    pub text: Vec<String>,
    /// A file with one text a line; without --text and --file, texts are read from standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Labels to print for each text, best first.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with = "json")]
    pub top_k: u32,
}

/// `runtime evaluate`.
#[derive(Args)]
pub struct Evaluate {
    /// Which model.
    #[command(flatten)]
    pub source: Source,
    /// The task, in any usual spelling.
    #[arg(long, value_name = "TASK", value_parser = |name: &str| name.parse::<Task>())]
    pub task: Task,
    /// The GLUE folder, or the task's own.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The student that the bundle was made from, for comparing.
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub student: Option<PathBuf>,
    /// Evaluate the first N examples only.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_samples: Option<u32>,
}

/// `runtime party`.
#[derive(Args)]
pub struct Party {
    /// 0 or 1.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub index: u8,
    /// Loopback port to listen on; 0 takes any free one and says which.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// How to run it.
    #[command(flatten)]
    pub child: Child,
}

/// `runtime dealer`.
#[derive(Args)]
pub struct Dealer {
    /// How to run it.
    #[command(flatten)]
    pub child: Child,
}

/// What parties and dealers have in common.
#[derive(Args)]
pub struct Child {
    /// This role's part of the bundle.
    #[arg(long, value_name = "DIR")]
    pub bundle: PathBuf,
    /// Consent to run on loopback with a one-time token in place of certificates, which protects nothing. Required until
    /// deployments between machines are built.
    #[arg(long, required = true)]
    pub insecure_local: bool,
    /// Longest wait for another role, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub deadline: u64,
}

impl Options {
    /// Parses a command line, the program's name first. Flags may be spelt with `_` for `-`.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
        Options::try_parse_from(cli::dashed(args))
    }
}
