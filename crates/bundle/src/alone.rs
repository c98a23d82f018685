//! Whether a role has its own part only: with two of them it could undo the masks of weights.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::BundleError;
use crate::layout::{CONFIG, MANIFEST, Role, SEED, SEEDS, TABLE, TOKENIZER, WEIGHTS};

/// Refuses the folder of a role's part from which this process finds, and can read, the part of another role: beside it, as
/// `convert` writes them, or within it.
pub fn check_alone(folder: &Path, own: Role) -> Result<(), BundleError> {
    // a link to the folder has neighbours at both of its ends
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let beside = [folder.parent(), real.parent()].into_iter().flatten();
    let places: Vec<&Path> = beside.chain([folder]).collect();
    for other in Role::ALL.into_iter().filter(|other| *other != own) {
        let not_alone = |found| Err(BundleError::NotAlone { folder: folder.to_path_buf(), own, other, found });
        // its files among this role's own
        let foreign = secrets(other).iter().filter(|file| !secrets(own).contains(file));
        if let Some(found) = readable(folder, foreign) {
            return not_alone(found);
        }
        for part in places.iter().map(|place| other.folder(place)) {
            // this role's own part may be in a folder of another name
            let itself = part.canonicalize().is_ok_and(|part| part == real);
            if let Some(found) = readable(&part, &ALL).filter(|_| !itself) {
                return not_alone(found);
            }
        }
    }
    Ok(())
}

const ALL: [&str; 7] = [MANIFEST, WEIGHTS, SEED, SEEDS, CONFIG, TOKENIZER, TABLE];

/// Files of a role's part that not every role may read.
fn secrets(role: Role) -> &'static [&'static str] {
    match role {
        Role::Party0 | Role::Party1 => &[SEED, WEIGHTS],
        Role::Dealer => &[SEEDS],
        Role::Client => &[TABLE],
    }
}

/// The first of these files that can be opened. They are opened by name: a folder that may be entered need not be listed.
fn readable<'a>(folder: &Path, files: impl IntoIterator<Item = &'a &'static str>) -> Option<PathBuf> {
    files.into_iter().map(|file| folder.join(file)).find(|path| path.is_file() && File::open(path).is_ok())
}
