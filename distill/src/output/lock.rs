//! The lock that keeps two runs out of one output folder.

use std::path::Path;

use anyhow::Result;
use cli::exit::USAGE;
use cli::{Lock, coded};

use crate::atomic;
use crate::errors::unwritable;

/// The file that a run keeps locked while it works.
pub(super) const LOCK: &str = ".distill.lock";

/// Refuses a folder in which another run works, before the models are read.
pub(super) fn check_free(folder: &Path) -> Result<()> {
    if Lock::is_taken(&folder.join(LOCK)) { Err(taken(folder)) } else { Ok(()) }
}

fn taken(folder: &Path) -> anyhow::Error {
    let cure = "wait for it or stop it, or choose another --output-dir";
    coded(USAGE, format!("another run of distill works in {}; {cure}", folder.display()))
}

/// Makes the folder and locks it for this run; an error where another run has locked it.
pub(super) fn lock(folder: &Path) -> Result<Option<Lock>> {
    atomic::make_folder(folder)?;
    let path = folder.join(LOCK);
    match Lock::take(&path) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(taken(folder)),
        Err(error) => Err(unwritable("lock", &path, &error.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::contents::{Contents, contents, empty};
    use super::*;

    #[test]
    fn a_second_run_is_refused_and_the_lock_is_nobodys_file() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let first = lock(&out).unwrap();
        assert_eq!(contents(&out).unwrap(), Contents::Nothing);
        assert!(check_free(&out).is_err());
        let error = lock(&out).unwrap_err();
        assert_eq!(error.chain().find_map(cli::exit::code_in), Some(USAGE));
        let said = error.to_string();
        assert!(said.contains(&out.display().to_string()) && said.contains("another --output-dir"), "{said}");
        // emptying a folder does not let others in
        fs::create_dir_all(out.join("checkpoint-3/inner")).unwrap();
        fs::write(out.join("trainer_state.json"), "").unwrap();
        assert_eq!(contents(&out).unwrap(), Contents::Run);
        empty(&out).unwrap();
        assert_eq!(contents(&out).unwrap(), Contents::Nothing);
        assert!(lock(&out).is_err());
        drop(first);
        check_free(&out).unwrap();
        lock(&out).unwrap();
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "nothing of it stays");
    }
}
