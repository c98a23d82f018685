//! Files that are bad and outputs that cannot be written, each with its exit code.

use std::fmt::Display;
use std::path::Path;

use anyhow::Error;
use cli::coded;
use cli::exit::{BAD_INPUT, UNWRITABLE};

/// A file or folder that cannot be used, and why.
pub fn bad_file(path: &Path, what: impl Display) -> Error {
    coded(BAD_INPUT, format!("{}: {what}", path.display()))
}

/// An output that could not be written, made or removed, as `what` says.
pub fn unwritable(what: &str, path: &Path, error: &Error) -> Error {
    let cure = "make room or allow it, or choose another --output-dir";
    coded(UNWRITABLE, format!("cannot {what} {}: {}; {cure}", path.display(), cli::describe(error)))
}
