//! Checkpoints: folders with a run's state, its weights and its optimiser's moments.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::adamw::AdamW;
use crate::atomic;
use crate::errors::{bad_file, unwritable};
use crate::state::State;
use crate::weights::Weights;

/// What a checkpoint's name begins with; its step follows.
pub(crate) const PREFIX: &str = "checkpoint-";
/// The suffix of a checkpoint that is still being written.
const PARTIAL: &str = ".tmp";
/// The file that says where a run stands.
pub(crate) const STATE: &str = "trainer_state.json";
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
/// The files with the weights and the optimiser's memory.
pub const TENSORS: [&str; 2] = [MODEL, OPTIMIZER];
/// The file with the best weights of a stage.
pub const BEST: &str = "best.safetensors";

/// Writes `checkpoint-N`, which appears whole or not at all, and when it is durable removes others, the oldest first, until
/// `limit` are left.
pub fn write(out: &Path, limit: usize, state: &State, weights: &Weights, optimiser: &mut AdamW) -> Result<()> {
    let name = format!("{PREFIX}{}", state.global_step);
    let (folder, temporary) = (out.join(&name), out.join(format!("{name}{PARTIAL}")));
    let mut fill = || {
        sweep(out)?;
        atomic::make_folder(&temporary)?;
        weights.write(&temporary.join(MODEL), false)?;
        optimiser.write(&temporary.join(OPTIMIZER))?;
        if state.trainer.best_model_checkpoint.is_some() {
            keep_best(out, &temporary)?;
        }
        atomic::write_json(&temporary.join(STATE), state)
    };
    if let Err(error) = fill() {
        // What failed half-way must not stay behind; the first error is the one to report.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    remove(&folder)?;
    fs::rename(&temporary, &folder).map_err(|error| unwritable("write", &folder, &error.into()))?;
    cli::atomic::sync_folder(out).map_err(|error| unwritable("write", &folder, &error))?;
    rotate(out, &folder, limit)
}

/// The best weights of a stage, in a run's folder or in a checkpoint.
pub fn best(folder: &Path) -> PathBuf {
    folder.join(BEST)
}

/// Puts the best weights of the run into a checkpoint. A link is enough: a file is replaced, but never changed.
fn keep_best(out: &Path, checkpoint: &Path) -> Result<()> {
    let (from, to) = (best(out), best(checkpoint));
    fs::hard_link(&from, &to)
        .or_else(|_| fs::copy(&from, &to).map(drop))
        .map_err(|error| unwritable("write", &to, &error.into()))
}

/// Puts a checkpoint's best weights back into the run's folder, because the run may have written others since.
pub fn read_best(checkpoint: &Path, out: &Path, state: &State) -> Result<()> {
    match state.trainer.best_model_checkpoint {
        Some(_) => atomic::copy(&best(checkpoint), &best(out)),
        None => Ok(()),
    }
}

/// Leaves `newest` and the `limit - 1` others with the largest numbers.
fn rotate(out: &Path, newest: &Path, limit: usize) -> Result<()> {
    let others: Vec<PathBuf> = all(out)?.into_iter().map(|(_, path)| path).filter(|path| path != newest).collect();
    let surplus = (others.len() + 1).saturating_sub(limit.max(1));
    others[..surplus].iter().try_for_each(|path| remove(path))
}

/// Removes what a run that was killed left half-written.
fn sweep(out: &Path) -> Result<()> {
    let is_partial = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(PREFIX) && name.ends_with(PARTIAL)
    };
    for path in fs::read_dir(out)?.map(|entry| entry.map(|entry| entry.path())) {
        let path = path?;
        if is_partial(&path) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a folder that may not be there.
pub fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).map_err(|error| unwritable("remove", folder, &error.into()))
}

/// The newest checkpoint in a run's folder.
pub fn newest(out: &Path) -> Result<Option<PathBuf>> {
    Ok(all(out)?.pop().map(|(_, path)| path))
}

fn all(out: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    if !out.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix(PREFIX).and_then(|number| number.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| path.join(STATE).is_file()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The state a checkpoint holds.
pub fn read_state(folder: &Path) -> Result<State> {
    let path = folder.join(STATE);
    let text = fs::read_to_string(&path).map_err(|e| bad_file(&path, e))?;
    serde_json::from_str(&text).map_err(|e| bad_file(&path, e))
}

/// Reads the weights of a checkpoint, in place.
pub fn read_weights(folder: &Path, config: &model::Config, weights: &Weights) -> Result<()> {
    weights.assign(&Weights::read_file(&folder.join(MODEL), config)?)
}

/// Reads the optimiser's moments of a checkpoint.
pub fn read_optimiser(folder: &Path, state: &State, optimiser: &mut AdamW) -> Result<()> {
    optimiser.read(&folder.join(OPTIMIZER), state.stage_step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ones_and_the_one_just_written_stay() {
        let root = tempfile::tempdir().unwrap();
        let make = |step: u64| {
            let folder = root.path().join(format!("{PREFIX}{step}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(STATE), "{}").unwrap();
            folder
        };
        let left = || all(root.path()).unwrap().into_iter().map(|(step, _)| step).collect::<Vec<_>>();
        for (step, limit, wanted) in
            [(9, 2, &[9][..]), (90, 2, &[9, 90]), (100, 2, &[90, 100]), (110, 3, &[90, 100, 110]), (120, 1, &[120])]
        {
            rotate(root.path(), &make(step), limit).unwrap();
            assert_eq!(left(), wanted);
        }
        // a run that was resumed from an older one goes on beside what is newer
        rotate(root.path(), &make(50), 2).unwrap();
        assert_eq!(left(), [50, 120]);
        fs::create_dir(root.path().join("checkpoint-60.tmp")).unwrap();
        sweep(root.path()).unwrap();
        assert_eq!((left(), root.path().join("checkpoint-60.tmp").exists()), (vec![50, 120], false));
    }
}
