//! A run's folder of states to go on from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::adamw::AdamW;
use crate::atomic;
use crate::faults::{bad_file, unwritable};
use crate::state::State;
use crate::weights::Weights;

const STATE: &str = "trainer_state.json";
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
/// The files with the weights and the optimiser's memory.
pub const TENSORS: [&str; 2] = [MODEL, OPTIMIZER];

/// Writes `checkpoint-N` and then removes the older ones. The folder appears whole or not at all.
pub fn write(out: &Path, state: &State, weights: &Weights, optimiser: &mut AdamW) -> Result<()> {
    let name = format!("checkpoint-{}", state.global_step);
    let (folder, temporary) = (out.join(&name), out.join(format!("{name}.tmp")));
    let mut fill = || {
        remove(&temporary)?;
        atomic::make_folder(&temporary)?;
        weights.write(&temporary.join(MODEL), false)?;
        optimiser.write(&temporary.join(OPTIMIZER))?;
        atomic::write_json(&temporary.join(STATE), state)
    };
    if let Err(error) = fill() {
        // What failed half-way must not stay behind; the first error is the one to report.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    let older = all(out)?;
    remove(&folder)?;
    fs::rename(&temporary, &folder).map_err(|error| unwritable("write", &folder, &error.into()))?;
    older.iter().filter(|(_, path)| *path != folder).try_for_each(|(_, path)| remove(path))
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
        let number = name.strip_prefix("checkpoint-").and_then(|number| number.parse::<u64>().ok());
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

/// Takes up the weights of a checkpoint, in place.
pub fn read_weights(folder: &Path, config: &model::Config, weights: &Weights) -> Result<()> {
    weights.assign(&Weights::read_file(&folder.join(MODEL), config)?)
}

/// Takes up the optimiser's memory of a checkpoint.
pub fn read_optimiser(folder: &Path, state: &State, optimiser: &mut AdamW) -> Result<()> {
    optimiser.read(&folder.join(OPTIMIZER), state.stage_step)
}
