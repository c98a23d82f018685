//! Files that are there whole or not at all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use safetensors::View;

use crate::faults::{bad_file, unwritable};

/// What is being written, to be removed where the program ends in the midst of it.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Removes what is being written. The program must end then.
pub fn abandon() {
    if let Some(path) = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // there is nobody left to tell
        let _ = fs::remove_file(path);
    }
}

/// Writes a file under another name, makes it durable and renames it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |temporary| Ok(fs::write(temporary, bytes)?))
}

/// Copies a file.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(|error| bad_file(from, error))?;
    write_with(to, |temporary| Ok(std::io::copy(&mut source, &mut File::create(temporary)?).map(drop)?))
}

/// Writes a safetensors file, one tensor after the other.
pub fn write_tensors<'a, V: View>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, V)>,
    metadata: (&str, String),
) -> Result<()> {
    let metadata = HashMap::from([(metadata.0.to_string(), metadata.1)]);
    write_with(path, |temporary| Ok(safetensors::serialize_to_file(tensors, Some(metadata), temporary)?))
}

/// Like [`write()`], for what `fill` writes to the place it is given.
fn write_with(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
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
    done.map_err(|error| {
        // What failed half-way must not stay behind; the first error is the one to report.
        let _ = fs::remove_file(&temporary);
        unwritable("write", path, &error)
    })
}

/// Makes the names in a folder durable, where a folder can be opened for that.
pub fn sync_folder(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| unwritable("make the folder", path, &error.into()))
}

/// Writes a value as indented JSON.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |temporary| {
            fs::write(temporary, b"half")?;
            anyhow::bail!("power cut")
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
