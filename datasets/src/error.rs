//! What can go wrong between a folder and tokens.

use std::path::PathBuf;

use crate::task::{Task, UnknownTask};

/// Why a data set or a tokenizer cannot be used. No text of a data set is ever told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The task's name is not known.
    #[error(transparent)]
    Task(#[from] UnknownTask),
    /// The flags do not say where examples come from.
    #[error("{0}")]
    Usage(String),
    /// No folder below the given one holds the task's file.
    #[error("no such part of {task} in {}; looked for {}", .folder.display(), .looked.join(", "))]
    NotFound {
        /// The folder that was given.
        folder: PathBuf,
        /// The task.
        task: Task,
        /// Every place that was tried, relative to `folder`.
        looked: Vec<String>,
    },
    /// A file cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {message}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A table lacks a column.
    #[error("{}: no column `{name}`; there are: {columns}", .path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        name: String,
        /// Those that are there.
        columns: String,
    },
    /// A line of a table is not what it should be.
    #[error("{}, line {line}: expected {expected}, got {got}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What should stand there.
        expected: String,
        /// In which way what stands there is something else; never the text itself.
        got: String,
    },
    /// A row of a file that has no lines is not what it should be.
    #[error("{}, row {row}: expected {expected}, got {got}", .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row's number, from 1.
        row: usize,
        /// What should stand there.
        expected: String,
        /// In which way what stands there is something else; never the text itself.
        got: String,
    },
    /// A text does not fit the model, and must not be cut.
    #[error("text {text} has more than {most} tokens; shorten it, or leave out --no-truncate to have its end cut off")]
    TooLong {
        /// The text's number, from 1.
        text: usize,
        /// The most tokens a text may have.
        most: usize,
    },
    /// Nothing is left of a text.
    #[error(
        "text {text} is empty{}: nothing is left of it when the tokenizer has taken out what it does not read (control and \
         zero-width characters, U+FFFD); give every text at least one word",
        if *.second { " in its second half" } else { "" }
    )]
    Nothing {
        /// The text's number, from 1.
        text: usize,
        /// Whether it is the second one of a pair.
        second: bool,
    },
    /// The model answers another kind of question.
    #[error("{name} asks for {asked}, the model gives {given}; give a model that was trained for {name}")]
    Target {
        /// The data set.
        name: String,
        /// What it asks for.
        asked: String,
        /// What the model gives.
        given: String,
    },
    /// The tokenizer's file is not one, or it failed on a text.
    #[error("{}: {message}", .path.display())]
    Tokenizer {
        /// The tokenizer's file.
        path: PathBuf,
        /// What the tokenizer said.
        message: String,
    },
    /// The hub cannot be reached, refuses, or lacks what was asked for.
    #[error("{0}")]
    Hub(String),
    /// The cache of the hub's files cannot be written.
    #[error("cannot write {}: {source}; free some space or permit it, or set HF_HUB_CACHE to another folder", .path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl Error {
    /// The exit code of a program that ends with this error.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Task(_) | Error::Usage(_) => cli::exit::USAGE,
            Error::Hub(_) => cli::exit::HUB,
            Error::Cache { .. } => cli::exit::UNWRITABLE,
            _ => cli::exit::BAD_INPUT,
        }
    }
}
