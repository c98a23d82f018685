//! Files that one process at a time may hold. The system lets go of them when that process ends, however it ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A file that says that this process works in its folder; it goes with this value.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock, or nothing where another process has it.
    pub fn take(path: &Path) -> io::Result<Option<Lock>> {
        Ok(hold(path)?.map(|file| Lock { path: path.into(), _file: file }))
    }

    /// Whether a process has the lock now; makes no file.
    pub fn is_taken(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // while it is locked: whoever has opened it meanwhile looks whether it is still there
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens and locks a file, which is made if need be; nothing where it is locked.
pub(crate) fn hold(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            // a file system without locks: it cannot be told whether somebody else is there
            Err(TryLockError::Error(error)) if has_no_locks(&error) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) if is_at(&file, path) => return Ok(Some(file)),
            // its last holder has removed or renamed it
            Ok(()) => {}
        }
    }
}

/// Whether a file system cannot lock: it says so, or as a network's it lacks the server for it (ENOLCK).
fn has_no_locks(error: &io::Error) -> bool {
    const ENOLCK: i32 = 37;
    error.kind() == io::ErrorKind::Unsupported || (cfg!(target_os = "linux") && error.raw_os_error() == Some(ENOLCK))
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(there)) => place(file) == place(there),
        _ => false,
    }
}

/// Elsewhere nobody removes a file that is open.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let lock = Lock::take(&path).unwrap().unwrap();
        assert!(Lock::take(&path).unwrap().is_none() && Lock::is_taken(&path));
        drop(lock);
        assert!(!Lock::is_taken(&path));
        assert!(!path.exists() || cfg!(not(unix)));
        // what a process that was killed has left is not held
        fs::write(&path, "").unwrap();
        assert!(Lock::take(&path).unwrap().is_some());
        assert!(Lock::take(&folder.path().join("no/such/place")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_removed_meanwhile_is_not_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        fs::write(&path, "").unwrap();
        let old = File::open(&path).unwrap();
        assert!(is_at(&old, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&old, &path));
        fs::write(&path, "").unwrap();
        assert!(!is_at(&old, &path));
    }
}
