//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use bundle::Embedding;
use clap::{ArgGroup, Parser, ValueEnum};
use cli::memory::Memory;
use datasets::{DataFlags, Length};

const EXAMPLES: &str = "Examples:
  convert outputs/student -o outputs/bundle
  convert outputs/student -o outputs/bundle --calibrate --task sst2 --data-dir glue
  convert outputs/student -o outputs/bundle --task mrpc --data-dir glue --json
  convert outputs/student -o outputs/bundle --calibrate --train-file train.csv --validation-file dev.csv
  convert minilm-sst2 -o outputs/bundle --texts texts.txt
";

/// Splits a student into a bundle: masked weights for two parties, seeds for the dealer, a tokenizer for the client.
///
/// The student is a folder as `distill` leaves it. Scales follow from the ranges of its values: those in its
/// calibration.json, or with --texts or --calibrate those observed over texts; an ordinary model, whose attention is softmax,
/// needs some. Where validation texts are named, or with --texts, the fixed point of the bundle is compared with floating point
/// before anything is written. Every flag may be spelt with `_` for `-`.
#[derive(Clone, Debug, Parser)]
#[command(name = "convert", version, after_help = format!("{EXAMPLES}\n{}", cli::EXIT_CODES))]
#[command(group = ArgGroup::new("observed").args(["calibrate", "texts"]).multiple(true))]
pub struct Options {
    /// The student's folder.
    pub student: PathBuf,
    /// The bundle's folder: party0, party1, dealer and client come to lie in it.
    #[arg(short, long, value_name = "BUNDLE")]
    pub output: PathBuf,
    /// Who embeds: the parties with a private table, or the client, which then gets the table in clear.
    #[arg(long, value_enum, default_value_t)]
    pub embedding: Who,
    /// Observe ranges over training texts (--task or --train-file) and widen those in calibration.json by them, so that what
    /// worked goes on working.
    #[arg(long)]
    pub calibrate: bool,
    /// The same over texts without answers, in place of training texts: one a line, or two with a tab between in each; or a
    /// table by its ending (.csv, .tsv, .json, .jsonl, .parquet). Every tenth is left out, to compare on.
    #[arg(long, value_name = "FILE", conflicts_with = "train_file")]
    pub texts: Option<PathBuf>,
    /// Take the observed ranges in place of those in calibration.json: texts that only the latter held will be refused.
    #[arg(long, requires = "observed")]
    pub replace_ranges: bool,
    /// Texts that --calibrate or --texts observes, spread over the set.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = at_least_one, requires = "observed")]
    pub calibrate_samples: usize,
    /// Longest text in tokens, where that is less than the model takes: ranges need not hold for longer ones, which are cut.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub positions: Option<usize>,
    /// Put the new bundle in the place of an old one.
    #[arg(long, alias = "overwrite-output-dir")]
    pub overwrite: bool,
    /// How much memory there is.
    #[command(flatten)]
    pub memory: Memory,
    /// No table and no progress.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print one JSON object in place of the table.
    #[arg(long)]
    pub json: bool,
    /// What happens to long texts.
    #[command(flatten)]
    pub length: Length,
    /// Which texts.
    #[command(flatten)]
    pub data: DataFlags,
}

/// [`Embedding`] as a flag's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Who {
    /// The parties.
    #[default]
    Private,
    /// The client.
    Client,
}

impl From<Who> for Embedding {
    fn from(who: Who) -> Embedding {
        match who {
            Who::Private => Embedding::Private,
            Who::Client => Embedding::Client,
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".into()),
        Ok(n) => Ok(n),
        Err(e) => Err(format!("{e}")),
    }
}

impl Options {
    /// Parses a command line, the program's name first.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
        Options::try_parse_from(cli::dashed(args))
    }

    /// Whether ranges are observed.
    pub(crate) fn observes(&self) -> bool {
        self.calibrate || self.texts.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::from_args(line.split(' ').map(OsString::from))
    }

    #[test]
    fn flags_may_be_spelt_with_underscores() {
        let options =
            parse("convert my_student -o b --task SST-2 --data_dir=a_b --calibrate --calibrate_samples 7").unwrap();
        assert_eq!(options.data.task, Some(datasets::Task::Sst2));
        assert_eq!(options.data.data_dir, Some(PathBuf::from("a_b")));
        assert_eq!((options.calibrate, options.calibrate_samples), (true, 7));
        assert_eq!(options.student, PathBuf::from("my_student"));
    }

    #[test]
    fn flags_that_would_do_nothing_are_refused() {
        assert!(parse("convert s -o b --data-dir d").is_err());
        assert!(parse("convert s -o b --task sst2 --train-file t.csv").is_err());
        assert!(parse("convert s -o b --task sst2 --data-dir d --calibrate-samples 5").is_err());
        assert!(parse("convert s -o b --task sst2 --data-dir d --calibrate --calibrate-samples 0").is_err());
        assert!(parse("convert s").is_err());
        assert!(parse("convert s -o b --texts t.txt --train-file t.csv").is_err());
        assert!(parse("convert s -o b --texts t.txt --replace-ranges --calibrate-samples 5").unwrap().observes());
        assert_eq!(parse("convert s -o b").unwrap().data.source(), None);
    }
}
