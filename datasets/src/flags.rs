//! The flags that say which texts, the same in every program.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{Error, Files, Source, Task};

/// Where labelled texts come from.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[command(next_help_heading = "Labelled texts")]
pub struct DataFlags {
    /// A task of GLUE, in any usual spelling: cola, mnli, mnli-mm, mrpc, qnli, qqp, rte, sst2, stsb, wnli.
    #[arg(long, value_name = "TASK", value_parser = |name: &str| name.parse::<Task>(),
        conflicts_with_all = ["train_file", "validation_file"])]
    #[serde(serialize_with = "key")]
    pub task: Option<Task>,
    /// The GLUE folder, or the task's own; without it the task comes from the hub (nyu-mll/glue), where this program was built with the feature `hub`.
    #[arg(long, value_name = "DIR", requires = "task")]
    pub data_dir: Option<PathBuf>,
    /// A file of your own to learn from: .csv, .tsv, .json or .jsonl (also .gz), or .parquet, with named columns.
    #[arg(long, value_name = "FILE")]
    pub train_file: Option<PathBuf>,
    /// A file of your own to judge by.
    #[arg(long, value_name = "FILE")]
    pub validation_file: Option<PathBuf>,
    /// The column of the (first) text in files of your own [default: text, sentence, sentence1, premise or question].
    #[arg(long, value_name = "NAME", conflicts_with = "task")]
    pub text_column: Option<String>,
    /// The column of the second text [default: text_pair, sentence2, hypothesis or question2, if there].
    #[arg(long, value_name = "NAME", conflicts_with = "task")]
    pub text_pair_column: Option<String>,
    /// The column of the answer [default: label, labels or score].
    #[arg(long, value_name = "NAME", conflicts_with = "task")]
    pub label_column: Option<String>,
    /// The answers in files of your own are numbers, not classes.
    #[arg(long, conflicts_with = "task")]
    pub regression: bool,
    /// What the answers in files of your own are: one class a text, any number of labels a text (a list in their column), or a
    /// number [default: single_label, or what a stored model that is judged says].
    #[arg(long, value_name = "TYPE", value_enum, conflicts_with_all = ["task", "regression"])]
    pub problem_type: Option<AnswerType>,
    /// What stands between several labels in one cell, where that is no list.
    #[arg(long, value_name = "CHAR", conflicts_with = "task")]
    pub label_delimiter: Option<char>,
}

/// What an answer is, as `problem_type` in a model's configuration has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum AnswerType {
    /// One class of several.
    #[value(alias = "single_label_classification")]
    SingleLabel,
    /// Any of several labels.
    #[value(alias = "multi_label_classification")]
    MultiLabel,
    /// A number.
    Regression,
}

impl DataFlags {
    /// The source that the flags name; `None` if they name none.
    pub fn source(&self) -> Option<Source> {
        if let Some(task) = self.task {
            return Some(Source::Glue { task, folder: self.data_dir.clone() });
        }
        if self.train_file.is_none() && self.validation_file.is_none() {
            return None;
        }
        Some(Source::Files(Files {
            train: self.train_file.clone(),
            validation: self.validation_file.clone(),
            test: None,
            text: self.text_column.clone(),
            pair: self.text_pair_column.clone(),
            label: self.label_column.clone(),
            answers: self.problem_type.or(self.regression.then_some(AnswerType::Regression)),
            delimiter: self.label_delimiter,
        }))
    }

    /// The columns that the flags name, of a file that another flag names.
    pub fn columns(&self) -> Files {
        Files { text: self.text_column.clone(), pair: self.text_pair_column.clone(), ..Files::default() }
    }

    /// The source that the flags name; an error of usage if they name none.
    pub fn needed(&self) -> Result<Source, Error> {
        let missing = || Error::Usage("which texts? say --task TASK, or --train-file and --validation-file".into());
        self.source().ok_or_else(missing)
    }
}

/// What happens to texts that are too long.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Length {
    /// Refuse a text that is too long, instead of cutting its end off with a warning.
    #[arg(long)]
    pub no_truncate: bool,
}

fn key<S: serde::Serializer>(task: &Option<Task>, serializer: S) -> Result<S::Ok, S::Error> {
    match task {
        Some(task) => serializer.serialize_str(task.key()),
        None => serializer.serialize_none(),
    }
}
