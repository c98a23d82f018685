//! An input file that is not what it should be: the program ends with its own exit code.

use std::fmt;
use std::path::Path;

/// A file that cannot be used, and why.
#[derive(Debug)]
pub struct BadFile(String);

impl BadFile {
    /// Names the file and what is wrong with it.
    pub fn new(path: &Path, what: impl fmt::Display) -> BadFile {
        BadFile(format!("{}: {what}", path.display()))
    }
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadFile {}
