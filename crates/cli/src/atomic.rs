//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

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
    let mut name = path.file_name().context("a file needs a name")?.to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
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
}
