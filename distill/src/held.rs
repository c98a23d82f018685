//! What an output folder holds, and which run holds it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cli::exit::{UNWRITABLE, USAGE};
use cli::{Lock, coded};

use crate::faults::unwritable;
use crate::output::{ANSWERS, LOG, SHIFTS};
use crate::{atomic, checkpoint};

/// The file that a run keeps locked while it works.
const LOCK: &str = ".distill.lock";
/// What a run can leave before it has a checkpoint. A fine-tuned teacher is not counted: it took long to make.
pub(crate) const BEGINNINGS: [&str; 4] = [LOG, checkpoint::BEST, SHIFTS, ANSWERS];

/// What an output folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing; a folder that is not there holds nothing.
    Nothing,
    /// Only what a run leaves before its first checkpoint.
    Beginning,
    /// A run's state, or a checkpoint.
    Run,
    /// Something else.
    Other,
}

pub(crate) fn held(folder: &Path) -> Result<Held> {
    if !folder.exists() {
        return Ok(Held::Nothing);
    }
    if !folder.is_dir() {
        let folder = folder.display();
        let message = format!("{folder} is a file, where the output folder should be; choose another --output-dir");
        return Err(coded(UNWRITABLE, message));
    }
    let mut held = Held::Nothing;
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name == LOCK {
            continue;
        }
        if name == "trainer_state.json" || name.starts_with("checkpoint-") {
            return Ok(Held::Run);
        }
        let finished = name.strip_suffix(".tmp").unwrap_or(&name);
        let begun = BEGINNINGS.contains(&finished) && held != Held::Other;
        held = if begun { Held::Beginning } else { Held::Other };
    }
    Ok(held)
}

/// Refuses a folder in which another run works, before the models are read.
pub(crate) fn check_free(folder: &Path) -> Result<()> {
    if Lock::is_taken(&folder.join(LOCK)) { Err(taken(folder)) } else { Ok(()) }
}

fn taken(folder: &Path) -> anyhow::Error {
    let cure = "wait for it or stop it, or choose another --output-dir";
    coded(USAGE, format!("another run of distill works in {}; {cure}", folder.display()))
}

/// Makes the folder, and keeps it for this run; another one that works there is in the way.
pub(crate) fn lock(folder: &Path) -> Result<Option<Lock>> {
    atomic::make_folder(folder)?;
    let path = folder.join(LOCK);
    match Lock::take(&path) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(taken(folder)),
        Err(error) => Err(unwritable("lock", &path, &error.into())),
    }
}

/// Removes everything in the folder but its lock; last what shows that a run made it.
pub(crate) fn empty(folder: &Path) -> Result<()> {
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
        assert_eq!(held(&out).unwrap(), Held::Nothing);
        fs::create_dir_all(out.join(LOG)).unwrap();
        fs::write(out.join(checkpoint::BEST), "").unwrap();
        fs::write(out.join("best.safetensors.tmp"), "").unwrap();
        assert_eq!(held(&out).unwrap(), Held::Beginning);
        for (name, what) in [("a.txt", Held::Other), ("checkpoint-4", Held::Run)] {
            fs::write(out.join(name), "").unwrap();
            assert_eq!(held(&out).unwrap(), what);
        }
    }

    #[test]
    fn a_second_run_is_refused_and_the_lock_is_nobodys_file() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let first = lock(&out).unwrap();
        assert_eq!(held(&out).unwrap(), Held::Nothing);
        assert!(check_free(&out).is_err());
        let error = lock(&out).unwrap_err();
        assert_eq!(error.chain().find_map(cli::exit::code_in), Some(USAGE));
        let said = error.to_string();
        assert!(said.contains(&out.display().to_string()) && said.contains("another --output-dir"), "{said}");
        // emptying a folder does not let others in
        fs::create_dir_all(out.join("checkpoint-3/inner")).unwrap();
        fs::write(out.join("trainer_state.json"), "").unwrap();
        assert_eq!(held(&out).unwrap(), Held::Run);
        empty(&out).unwrap();
        assert_eq!(held(&out).unwrap(), Held::Nothing);
        assert!(lock(&out).is_err());
        drop(first);
        check_free(&out).unwrap();
        lock(&out).unwrap();
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "nothing of it stays");
    }
}
