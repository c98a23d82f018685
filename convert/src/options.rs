//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use bundle::Embedding;
use clap::{Parser, ValueEnum};
use datasets::Task;

use crate::calibration::Sentences;

/// Splits a student into a bundle: masked weights for two parties, seeds for the dealer, a tokenizer for the client.
///
/// The student is a folder as `distill` leaves it. Scales follow from the ranges of its values: those in its
/// calibration.json, or those observed with --calibrate. Every flag may be spelt with `_` for `-`.
///
/// Exit codes: 0 done, 1 other, 2 usage, 3 a bad file, 4 a value out of range or logits not close, 130 stopped.
#[derive(Clone, Debug, Parser)]
#[command(name = "convert", version, verbatim_doc_comment)]
pub struct Options {
    /// The student's folder.
    pub student: PathBuf,
    /// The bundle's folder: party0, party1, dealer and client come to lie in it.
    #[arg(short, long, value_name = "BUNDLE")]
    pub output: PathBuf,
    /// Who embeds: the parties with a private table, or the client, which then gets the table in clear.
    #[arg(long, value_enum, default_value_t)]
    pub embedding: Who,
    /// Observe ranges over the training texts of this task, and compare with floating point on its dev texts.
    #[arg(long, value_name = "TASK", value_parser = |name: &str| name.parse::<Task>(), requires = "data_dir")]
    pub calibrate: Option<Task>,
    /// The GLUE folder, or the task's own.
    #[arg(long, value_name = "DIR", requires = "calibrate")]
    pub data_dir: Option<PathBuf>,
    /// Training texts that --calibrate observes, spread over the set.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = at_least_one)]
    pub calibrate_samples: usize,
    /// Put the new bundle in the place of an old one.
    #[arg(long)]
    pub overwrite: bool,
    /// No table and no progress bars.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print one JSON object in place of the table.
    #[arg(long)]
    pub json: bool,
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
        Options::try_parse_from(dashed(args))
    }

    /// The texts that were named.
    pub fn sentences(&self) -> Option<Sentences> {
        let (task, data_dir) = (self.calibrate?, self.data_dir.clone()?);
        Some(Sentences { task, data_dir, samples: self.calibrate_samples })
    }
}

/// A command line with its flags spelt with `-` where they came with `_`; what follows `--` stays as it is.
pub fn dashed(args: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut flags = true;
    args.into_iter().map(move |arg| {
        flags &= arg != "--";
        if flags { dashes(arg) } else { arg }
    })
}

/// `--data_dir=a_b` as `--data-dir=a_b`.
fn dashes(arg: OsString) -> OsString {
    match arg.to_str() {
        Some(text) if text.starts_with("--") => {
            let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
            format!("{}{value}", name.replace('_', "-")).into()
        }
        _ => arg,
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
        let options = parse("convert my_student -o b --data_dir=a_b --calibrate SST-2 --calibrate_samples 7").unwrap();
        let expected = Sentences { task: Task::Sst2, data_dir: "a_b".into(), samples: 7 };
        assert_eq!(options.sentences(), Some(expected));
        assert_eq!(options.student, PathBuf::from("my_student"));
    }

    #[test]
    fn a_task_needs_a_folder_and_a_folder_a_task() {
        assert!(parse("convert s -o b --calibrate sst2").is_err());
        assert!(parse("convert s -o b --data-dir d").is_err());
        assert!(parse("convert s -o b --calibrate sst2 --data-dir d --calibrate-samples 0").is_err());
        assert!(parse("convert s").is_err());
        assert_eq!(parse("convert s -o b").unwrap().sentences(), None);
    }
}
