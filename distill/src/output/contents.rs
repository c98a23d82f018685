//! What an output folder holds: nothing, the beginning of a run, a run, or something else.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::UNWRITABLE;

use super::lock::LOCK;
use super::{LOG, SHIFTS, TEACHER_LOGITS};
use crate::checkpoint;
use crate::errors::unwritable;

/// What a run can leave before its first checkpoint, and a new one may remove. A fine-tuned teacher is not listed, because it
/// took long to make.
pub(super) const BEGINNINGS: [&str; 4] = [LOG, checkpoint::BEST, SHIFTS, TEACHER_LOGITS];

/// What an output folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Nothing; a folder that is not there holds nothing.
    Nothing,
    /// Only what a run leaves before its first checkpoint.
    Beginning,
    /// A run's state, or a checkpoint.
    Run,
    /// Something else.
    Other,
}

/// Says what a folder holds, from the names in it.
pub(super) fn contents(folder: &Path) -> Result<Contents> {
    if !folder.exists() {
        return Ok(Contents::Nothing);
    }
    if !folder.is_dir() {
        let folder = folder.display();
        let message = format!("{folder} is a file, where the output folder should be; choose another --output-dir");
        return Err(coded(UNWRITABLE, message));
    }
    let mut found = Contents::Nothing;
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name == LOCK {
            continue;
        }
        if name == "trainer_state.json" || name.starts_with("checkpoint-") {
            return Ok(Contents::Run);
        }
        let finished = name.strip_suffix(".tmp").unwrap_or(&name);
        let begun = BEGINNINGS.contains(&finished) && found != Contents::Other;
        found = if begun { Contents::Beginning } else { Contents::Other };
    }
    Ok(found)
}

/// Removes everything in the folder but its lock. What shows that a run made the folder goes last, so that an interrupted
/// removal can be repeated.
pub(super) fn empty(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> =
        entries.map_err(|error| unwritable("empty", folder, &error.into()))?.iter().map(fs::DirEntry::path).collect();
    let is = |path: &Path, start: &str| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
    paths.retain(|path| !is(path, LOCK));
    paths.sort_by_key(|path| is(path, checkpoint::STATE) || is(path, checkpoint::PREFIX));
    for path in paths {
        let removed =
            if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| unwritable("remove", &path, &error.into()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_leaves_before_its_first_checkpoint_is_told_from_what_others_left() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        assert_eq!(contents(&out).unwrap(), Contents::Nothing);
        fs::create_dir_all(out.join(LOG)).unwrap();
        fs::write(out.join(checkpoint::BEST), "").unwrap();
        fs::write(out.join("best.safetensors.tmp"), "").unwrap();
        assert_eq!(contents(&out).unwrap(), Contents::Beginning);
        for (name, what) in [("a.txt", Contents::Other), ("checkpoint-4", Contents::Run)] {
            fs::write(out.join(name), "").unwrap();
            assert_eq!(contents(&out).unwrap(), what);
        }
    }
}
