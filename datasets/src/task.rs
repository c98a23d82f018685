//! The tasks that are known, by name.

use std::fmt;
use std::str::FromStr;

/// A task: what is asked about a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Stanford Sentiment Treebank, two classes.
    Sst2,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// What a model is fitted to.
    Train,
    /// What it is judged by.
    Dev,
}

/// A name that no task has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown task `{name}`; known: {}", known())]
pub struct UnknownTask {
    /// The name as it was given.
    pub name: String,
}

fn known() -> String {
    Task::ALL.map(Task::key).join(", ")
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 1] = [Task::Sst2];

    /// The short name, as in file names: `sst2`.
    pub fn key(self) -> &'static str {
        match self {
            Task::Sst2 => "sst2",
        }
    }

    /// The name of the labels, by class number.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Task::Sst2 => &["NEGATIVE", "POSITIVE"],
        }
    }

    /// The folder's usual name below the GLUE root.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Task::Sst2 => "SST-2",
        }
    }

    /// Whether `name` is a spelling of this task: case and everything but letters and digits do not count.
    pub(crate) fn is_called(self, name: &str) -> bool {
        letters(name) == letters(self.key())
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder())
    }
}

impl FromStr for Task {
    type Err = UnknownTask;

    fn from_str(name: &str) -> Result<Task, UnknownTask> {
        Task::ALL.into_iter().find(|task| task.is_called(name)).ok_or_else(|| UnknownTask { name: name.into() })
    }
}

impl Split {
    /// The file that holds this part.
    pub fn file(self) -> &'static str {
        match self {
            Split::Train => "train.tsv",
            Split::Dev => "dev.tsv",
        }
    }
}

fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_names_the_task() {
        for name in ["sst2", "SST-2", "sst-2", "SST_2", "Sst 2", "SST2"] {
            assert_eq!(name.parse(), Ok(Task::Sst2), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = "imdb".parse::<Task>().unwrap_err();
        assert_eq!(error.to_string(), "unknown task `imdb`; known: sst2");
        assert!("".parse::<Task>().is_err());
    }
}
