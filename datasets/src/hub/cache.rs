//! The cache on disk, laid out as `huggingface_hub` lays it out, so that either finds what the other has fetched:
//! `models--owner--name/{blobs/ETAG, refs/BRANCH, snapshots/COMMIT/FILE -> ../../blobs/ETAG}`.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hf_hub::CacheRepo;

use super::repo::{Repo, is_commit};
use super::{is_safe, warn};
use crate::Error;

/// The part of the cache that belongs to one repository.
///
/// Where what lies is the crate `hf-hub`'s to know; that it is written whole, once and safely is ours to see to.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    layout: Arc<CacheRepo>,
    root: PathBuf,
    locks: PathBuf,
}

/// That an output cannot be written.
pub(super) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Cache { path, source }
}

impl Cache {
    pub(super) fn new(cache: &Path, repo: &Repo<'_>) -> Cache {
        let (root, locks) = (cache.join(repo.folder()), cache.join(".locks").join(repo.folder()));
        Cache { layout: Arc::new(repo.cached(cache)), root, locks }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The commit that a revision is or, when it was last asked for, was.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.into());
        }
        let commit = fs::read_to_string(self.root.join("refs").join(revision)).ok()?.trim().to_string();
        (is_safe(&commit) && !commit.contains('/')).then_some(commit)
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.layout.pointer_path(commit)
    }

    /// A file of a commit, if it is there.
    pub(super) fn file(&self, commit: &str, name: &str) -> Option<PathBuf> {
        // a link to a blob that is gone does not count
        Some(self.snapshot(commit).join(name)).filter(|path| path.is_file())
    }

    /// The files of a commit that are there.
    pub(super) fn names(&self, commit: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut folders = vec![(self.snapshot(commit), String::new())];
        while let Some((folder, start)) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), format!("{start}{}", entry.file_name().to_string_lossy()));
                if path.is_dir() {
                    folders.push((path, format!("{name}/")));
                } else if path.is_file() {
                    names.insert(name);
                }
            }
        }
        names
    }

    /// Where a content lies, by its ETag.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.layout.blob_path(etag)
    }

    /// Keeps other processes, Python's among them, from fetching the same content until the file is dropped.
    pub(super) fn lock(&self, etag: &str) -> Result<File, Error> {
        let path = self.locks.join(format!("{etag}.lock"));
        fs::create_dir_all(&self.locks).map_err(write_error(&self.locks))?;
        let file = File::options().create(true).append(true).open(&path).map_err(write_error(&path))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            warn(&format!("another program fetches the same file; waiting for it ({})", path.display()));
            file.lock().map_err(write_error(&path))?;
        }
        // where a file system has no locks the worst is a file fetched twice
        Ok(file)
    }

    /// Lets a file of a commit point to its content.
    pub(super) fn point(&self, commit: &str, name: &str, etag: &str) -> Result<PathBuf, Error> {
        let path = self.snapshot(commit).join(name);
        // another program was faster
        if path.is_file() {
            return Ok(path);
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(write_error(folder))?;
        }
        let up = "../".repeat(2 + name.matches('/').count());
        let blob = PathBuf::from(format!("{up}blobs/{etag}"));
        // a link that leads nowhere would stand in the way
        if path.is_symlink() {
            let _ = fs::remove_file(&path);
        }
        match link(&blob, &path, &self.blob(etag)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(path),
            Err(e) => Err(write_error(&path)(e)),
            Ok(()) => Ok(path),
        }
    }

    /// Notes which commit a branch or a tag is.
    pub(super) fn refer(&self, revision: &str, commit: &str) -> Result<(), Error> {
        let path = self.root.join("refs").join(revision);
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(write_error(folder))?;
        }
        // whole or not at all, whoever else writes it now, in this process or in another
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        let new = path.with_file_name(format!(".{commit}.{}.{number}.new", std::process::id()));
        fs::write(&new, commit).and_then(|()| fs::rename(&new, &path)).map_err(write_error(&path))
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path, _: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// Links need rights that few have: a copy, as the Python tools make one.
#[cfg(not(unix))]
fn link(_: &Path, path: &Path, blob: &Path) -> io::Result<()> {
    fs::copy(blob, path).map(|_| ())
}
