//! Files that are there whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::lock::hold;

/// What is being written, to be removed where the program ends in the midst of it.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Removes what is being written. The program must end then.
pub fn abandon() {
    if let Some(path) = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // there is nobody left to tell
        let _ = fs::remove_file(path);
    }
}

/// Lets `fill` write a file under another name, makes it durable and renames it.
pub fn write(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = path.file_name().context("a file needs a name")?;
    let (temporary, _held) = temporary(path, name)?;
    let note = |path| *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) = path;
    note(Some(temporary.clone()));
    let attempt = || -> Result<()> {
        fill(&temporary)?;
        File::options().write(true).open(&temporary)?.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))
    };
    let done = attempt();
    note(None);
    // what failed half-way must not stay behind; the first error is the one to report
    done.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Where a file is written before it has its name, and what keeps other processes from writing there too.
fn temporary(path: &Path, name: &OsStr) -> Result<(PathBuf, Option<File>)> {
    let of = |end: &str| {
        let mut name = name.to_os_string();
        name.push(end);
        path.with_file_name(name)
    };
    let usual = of(".tmp");
    // elsewhere a lock would keep this process from writing too
    if !cfg!(unix) {
        return Ok((usual, None));
    }
    match hold(&usual) {
        Ok(Some(file)) => Ok((usual, Some(file))),
        // where it cannot be opened at all, writing will say why
        Ok(None) | Err(_) => Ok((of(&format!(".{}.tmp", std::process::id())), None)),
    }
}

/// Makes the names in a folder durable, where a folder can be opened for that.
pub fn sync_folder(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let text = |text: &'static str| move |temporary: &Path| Ok(fs::write(temporary, text)?);
        write(&path, text("old")).unwrap();
        let failed = write(&path, |temporary| {
            fs::write(temporary, "half")?;
            anyhow::bail!("power cut")
        });
        assert_eq!(failed.unwrap_err().to_string(), "power cut");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write(&path, text("new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[cfg(unix)]
    #[test]
    fn two_that_write_the_same_file_at_once_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, |mine| {
            fs::write(mine, "mine")?;
            write(&path, |theirs| {
                assert_ne!(mine, theirs);
                Ok(fs::write(theirs, "theirs")?)
            })?;
            assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
            assert_eq!(fs::read_to_string(mine).unwrap(), "mine");
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
