//! Files of the user's own, and which of their columns are read.

use std::path::{Path, PathBuf};

use crate::example::Columns;
use crate::table::Table;
use crate::{AnswerType, Error, Split};

/// Names that a column of texts usually has, the likelier first.
const TEXTS: [&str; 5] = ["text", "sentence", "sentence1", "premise", "question"];
/// Names that a column of second texts usually has.
const PAIRS: [&str; 4] = ["text_pair", "sentence2", "hypothesis", "question2"];
/// Names that a column of answers usually has.
const LABELS: [&str; 3] = ["label", "labels", "score"];

/// Files of the user's own: csv, tsv, json lines or parquet, by their endings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// What a model is fitted to.
    pub train: Option<PathBuf>,
    /// What it is judged by.
    pub validation: Option<PathBuf>,
    /// What is only answered.
    pub test: Option<PathBuf>,
    /// The column of the (first) text, where it has no usual name.
    pub text: Option<String>,
    /// The column of the second text.
    pub pair: Option<String>,
    /// The column of the answer.
    pub label: Option<String>,
    /// What the answer is; a model's own kind, or else one class, where it is not said.
    pub answers: Option<AnswerType>,
    /// What stands between several labels in one cell, where that is no list.
    pub delimiter: Option<char>,
}

impl Files {
    pub(crate) fn of(&self, split: Split) -> Result<&Path, Error> {
        let (file, flag) = match split {
            Split::Train => (&self.train, "--train-file"),
            Split::Dev => (&self.validation, "--validation-file"),
            Split::Test => (&self.test, "--test-file"),
        };
        file.as_deref().ok_or_else(|| Error::Usage(format!("{flag} is needed here")))
    }

    /// The columns that were named, or those with usual names.
    pub(crate) fn columns(&self, table: &Table) -> Result<Columns, Error> {
        let (text, pair) = self.text_columns(table)?;
        let there = |name: &&&str| table.columns.iter().any(|column| column == **name);
        let label = self.label.clone().or_else(|| LABELS.iter().find(there).map(ToString::to_string));
        let label = label.ok_or_else(|| table.lacks("the answer", "--label-column", &LABELS))?;
        Ok(Columns { text, pair, label })
    }

    /// The columns of texts that were named, or those with usual names.
    pub(crate) fn text_columns(&self, table: &Table) -> Result<(String, Option<String>), Error> {
        let usual = |names: &[&str]| {
            names.iter().find(|name| table.columns.iter().any(|c| c == *name)).map(ToString::to_string)
        };
        let text = self.text.clone().or_else(|| usual(&TEXTS));
        let pair = match (&self.pair, &self.text) {
            (Some(pair), _) => Some(pair.clone()),
            // who names one column means one text
            (None, Some(_)) => None,
            // QNLI's usual names: a question and a sentence
            (None, None) => usual(&PAIRS),
        };
        Ok((text.ok_or_else(|| table.lacks("the text", "--text-column", &TEXTS))?, pair))
    }
}
