//! Where a value comes from, and what is wrong with it.

use std::fmt;
use std::path::PathBuf;

use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};

/// Longest piece of a configuration that an error repeats, in characters.
const MOST_SHOWN: usize = 40;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file as a whole: what it lacks.
    File(PathBuf),
    /// A place in a file; line and column count from 1, columns in characters.
    Place(PathBuf, usize, usize),
    /// An environment variable.
    Variable(String),
    /// A key given with `--set`.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Place(path, line, column) => write!(f, "{}:{line}:{column}", path.display()),
            Origin::Variable(name) => write!(f, "environment variable {}", shown(name)),
            Origin::Flag(key) => write!(f, "--set {}", shown(key)),
        }
    }
}

/// What is wrong in a configuration, and where.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {what}")]
pub(crate) struct Fault {
    origin: Origin,
    what: String,
}

impl Fault {
    /// Something wrong at a place.
    pub(crate) fn new(origin: &Origin, what: impl Into<String>) -> Fault {
        Fault { origin: origin.clone(), what: what.into() }
    }

    /// As an error with an exit code: a flag is the command line's, all else is input.
    pub(crate) fn coded(&self) -> anyhow::Error {
        let code = if matches!(self.origin, Origin::Flag(_)) { USAGE } else { BAD_INPUT };
        coded(code, self.to_string())
    }
}

/// A piece of a configuration as errors repeat it: on one line, and short.
pub(crate) fn shown(text: &str) -> String {
    let short: String = text.chars().take(MOST_SHOWN).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", short.escape_debug())
}
