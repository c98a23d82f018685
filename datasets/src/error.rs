//! What can go wrong between a folder and tokens.

use std::path::PathBuf;

use crate::task::UnknownTask;

/// Why a data set or a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The task's name is not known.
    #[error(transparent)]
    Task(#[from] UnknownTask),
    /// No folder below the given one holds the task's file.
    #[error("no {file} of {task} in {}; looked for {}", .folder.display(), .looked.join(", "))]
    NotFound {
        /// The folder that was given.
        folder: PathBuf,
        /// The task's usual name.
        task: &'static str,
        /// The file that was looked for.
        file: &'static str,
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
    /// The tokenizer's file is not one, or it failed on a text.
    #[error("{}: {message}", .path.display())]
    Tokenizer {
        /// The tokenizer's file.
        path: PathBuf,
        /// What the tokenizer said.
        message: String,
    },
}
