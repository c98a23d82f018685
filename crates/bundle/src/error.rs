//! What can be wrong with a bundle.

use std::io;
use std::path::{Path, PathBuf};

use crate::layout::Role;

/// Why a bundle cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file or folder cannot be read.
    #[error("{}: {source}{}", .path.display(), read_cure(.source.kind()))]
    Read {
        /// File or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file or folder cannot be written; nothing half-written is left behind.
    #[error("cannot write {}: {source}; {}", .path.display(), write_cure(.source.kind()))]
    Write {
        /// File or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {what} is {got}; expected {expected}; {cure}", .path.display())]
    Mismatch {
        /// File.
        path: PathBuf,
        /// Which part of it.
        what: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        got: String,
        /// What to do.
        cure: &'static str,
    },
    /// A file is not in its format at all.
    #[error("{}: not {expected}: {message}; {cure}", .path.display())]
    Malformed {
        /// File.
        path: PathBuf,
        /// The format it should have.
        expected: &'static str,
        /// What its reader said.
        message: String,
        /// What to do.
        cure: &'static str,
    },
    /// The folder to write is there already.
    #[error("{} exists and is not empty; name another folder, or say --overwrite", .path.display())]
    Exists {
        /// Folder.
        path: PathBuf,
    },
    /// The folder to overwrite is not a bundle; nobody meant to delete it.
    #[error("{} is not a bundle (it holds `{got}`); only a bundle is overwritten, name another folder", .path.display())]
    NotABundle {
        /// Folder.
        path: PathBuf,
        /// Something that no bundle holds.
        got: String,
    },
    /// A role can read what another one must not share with it.
    #[error(
        "{}: {own} can read {} too, of {other}'s part; two parts in one hand undo the masks: keep each part on a \
         machine of its own, or at least readable by its own user only; without --config, --insecure-local runs it all the \
         same, which protects nothing",
        .folder.display(), .found.display()
    )]
    NotAlone {
        /// The role's own part.
        folder: PathBuf,
        /// The role.
        own: Role,
        /// Whose part it can read.
        other: Role,
        /// A file of that part.
        found: PathBuf,
    },
    /// What should be written does not fit together.
    #[error("cannot write the bundle: {what} is {got}; expected {expected}")]
    Contents {
        /// Which part.
        what: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        got: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Entropy(getrandom::Error),
    /// The caller stopped the writing; nothing is left behind.
    #[error("writing the bundle was stopped; nothing was left behind")]
    Stopped,
}

/// What to do about a file that was damaged on its way.
pub(crate) const COPY_AGAIN: &str = "copy this part of the bundle again, or make a new one: convert STUDENT -o BUNDLE";
/// What to do about a part in the wrong place.
pub(crate) const OWN_PART: &str =
    "give each role its own part of one bundle, or make a new one: convert STUDENT -o BUNDLE";
/// What to do about another format.
pub(crate) const CONVERT_AGAIN: &str = "convert the student again with this release: convert STUDENT -o BUNDLE";

impl BundleError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
        let path = path.to_path_buf();
        move |source| BundleError::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
        let path = path.to_path_buf();
        move |source| BundleError::Write { path, source }
    }

    pub(crate) fn mismatch(
        path: &Path,
        what: impl ToString,
        expected: impl ToString,
        got: impl ToString,
        cure: &'static str,
    ) -> BundleError {
        let (what, expected, got) = (what.to_string(), expected.to_string(), shorten(&got.to_string()));
        BundleError::Mismatch { path: path.to_path_buf(), what, expected, got, cure }
    }

    pub(crate) fn malformed(path: &Path, expected: &'static str, message: impl ToString) -> BundleError {
        let message = shorten(&message.to_string());
        BundleError::Malformed { path: path.to_path_buf(), expected, message, cure: COPY_AGAIN }
    }

    pub(crate) fn contents(what: impl ToString, expected: impl ToString, got: impl ToString) -> BundleError {
        BundleError::Contents { what: what.to_string(), expected: expected.to_string(), got: shorten(&got.to_string()) }
    }
}

/// What to do about a file that cannot be read.
fn read_cure(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => {
            "; copy this part of the bundle again, or make a new one: convert STUDENT -o BUNDLE"
        }
        _ => "",
    }
}

/// What to do about a place that cannot be written to.
fn write_cure(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, or name a folder on another disk"
        }
        io::ErrorKind::FileTooLarge => {
            "this file system or this user's limits allow no file so large: name another folder"
        }
        _ => "name a folder that you may write to",
    }
}

/// A damaged file may hold names of any length.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}
