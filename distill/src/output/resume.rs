//! From which checkpoint a run goes on, and what the output folder must hold for that.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use cli::coded;
use cli::exit::USAGE;
use serde_json::Value;

use super::contents::{BEGINNINGS, Contents, contents, empty};
use super::{LOG, NORMS, SHIFTS, TEACHER, TEACHER_LOGITS, empties, folder, settings};
use crate::digests::{self, InputDigests};
use crate::errors::{bad_file, unwritable};
use crate::options::Options;
use crate::state::State;
use crate::{atomic, checkpoint};

/// The checkpoint to go on from and its state, or the beginning of a run in a folder that is cleared for it.
pub(super) fn take_up(options: &Options, processes: usize, inputs: InputDigests) -> Result<(Option<PathBuf>, State)> {
    let out = folder(options);
    let settings = settings::of(options, processes)?;
    let Some(from) = find_checkpoint(options, &out)? else {
        clear_beginnings(&out)?;
        atomic::make_folder(&out)?;
        return Ok((None, State { inputs, ..State::new(settings) }));
    };
    let state = checkpoint::read_state(&from)?;
    check_unchanged(&from, &state, &settings, &inputs)?;
    if !options.quiet {
        cli::log(&format!("taking up {} after step {} of {}", from.display(), state.stage_step, state.stage.name()));
    }
    // The output need not be the folder that the checkpoint lies in, and may not exist yet.
    atomic::make_folder(&out)?;
    copy_companions(from.parent().unwrap_or(Path::new("..")), &out)?;
    Ok((Some(from), state))
}

/// The checkpoint that the options ask for, or the newest one; none where the run begins anew. With
/// `--overwrite-output-dir` the folder is emptied here.
fn find_checkpoint(options: &Options, out: &Path) -> Result<Option<PathBuf>> {
    match &options.resume_from_checkpoint {
        Some(Some(folder)) => Ok(Some(folder.clone())),
        Some(None) => match checkpoint::newest(out)? {
            Some(folder) => Ok(Some(folder)),
            None => {
                let message = format!("--resume-from-checkpoint: there is no checkpoint in {}", out.display());
                Err(coded(USAGE, message))
            }
        },
        None if empties(options) => {
            if contents(out)? == Contents::Run {
                empty(out)?;
            }
            Ok(None)
        }
        None => checkpoint::newest(out),
    }
}

/// Refuses to go on with other options, texts or models than the run was begun with.
fn check_unchanged(from: &Path, state: &State, settings: &Value, inputs: &InputDigests) -> Result<()> {
    let path = from.join("trainer_state.json");
    if state.settings != *settings {
        let message = format!(
            "the run was begun with other options: {}",
            settings::changes(&state.settings, settings, ["was", "is now"])
        );
        let cure = "give those again, another --output-dir, or --overwrite-output-dir";
        return Err(bad_file(&path, format!("{message}; {cure}")));
    }
    if state.inputs != *inputs {
        let what = match state.inputs.is_empty() {
            true => {
                "it was written by an earlier release, which did not note what texts and models the run was begun with"
                    .into()
            }
            false => format!("since the run was begun, {}", digests::changes(&state.inputs, inputs)),
        };
        let cure = "choose another --output-dir, or begin anew with --overwrite-output-dir";
        return Err(bad_file(&path, format!("{what}; {cure}")));
    }
    Ok(())
}

/// Removes what a run that was killed before its first checkpoint left; refuses a folder that holds anything else. Logs
/// stay, because they may also be of other runs.
fn clear_beginnings(out: &Path) -> Result<()> {
    match contents(out)? {
        Contents::Nothing => Ok(()),
        Contents::Beginning => {
            for name in BEGINNINGS.into_iter().filter(|name| *name != LOG) {
                let path = out.join(name);
                if path.exists() {
                    fs::remove_file(&path).map_err(|error| unwritable("remove", &path, &error.into()))?;
                }
            }
            Ok(())
        }
        Contents::Run | Contents::Other => {
            let cure = "choose another --output-dir or pass --overwrite-output-dir";
            Err(coded(USAGE, format!("{} is not empty and has no checkpoint; {cure}", out.display())))
        }
    }
}

/// Copies the files that a resumed run reads beside its checkpoint, where the checkpoint lies in another folder than the
/// output. The output's own files of that kind belong to another run and are removed first.
fn copy_companions(from: &Path, out: &Path) -> Result<()> {
    let place = |path: &Path| cli::resolve(path).map_err(|error| bad_file(path, error));
    if place(from)? == place(out)? {
        return Ok(());
    }
    remove_companions(out)?;
    let teacher = from.join(TEACHER);
    let mut names = vec![PathBuf::from(SHIFTS)];
    for (folder, start) in [(from, ""), (teacher.as_path(), TEACHER)] {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let name = entry?.file_name();
            if start == TEACHER || name.to_string_lossy().starts_with(NORMS) {
                names.push(Path::new(start).join(name));
            }
        }
    }
    for name in names.iter().filter(|name| from.join(name).is_file()) {
        let to = out.join(name);
        atomic::make_folder(to.parent().unwrap_or(out))?;
        atomic::copy(&from.join(name), &to)?;
    }
    Ok(())
}

/// Removes the files that another run left beside its checkpoints, because a run that resumes here would read them as its own.
fn remove_companions(out: &Path) -> Result<()> {
    for entry in fs::read_dir(out).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let removed = match &*name {
            TEACHER if path.is_dir() => fs::remove_dir_all(&path),
            SHIFTS | TEACHER_LOGITS => fs::remove_file(&path),
            name if name.starts_with(NORMS) => fs::remove_file(&path),
            _ => continue,
        };
        removed.map_err(|error| unwritable("remove", &path, &error.into()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_run_left_gives_way_to_what_is_brought() {
        let root = tempfile::tempdir().unwrap();
        let (from, out) = (root.path().join("from"), root.path().join("out"));
        for (folder, names) in
            [(&from, &["norms-1.safetensors"][..]), (&out, &["norms-1.safetensors", "norms-2.safetensors"])]
        {
            fs::create_dir_all(folder.join(TEACHER)).unwrap();
            names.iter().for_each(|name| fs::write(folder.join(name), folder.to_str().unwrap()).unwrap());
        }
        for name in [SHIFTS, TEACHER_LOGITS, "teacher/config.json", "card.md"] {
            fs::write(out.join(name), "of another run").unwrap();
        }
        copy_companions(&from, &out).unwrap();
        let left = |name: &str| fs::read_to_string(out.join(name)).ok();
        assert_eq!(left("norms-1.safetensors"), Some(from.to_str().unwrap().to_string()));
        assert!(
            [SHIFTS, TEACHER_LOGITS, "norms-2.safetensors", "teacher/config.json"]
                .iter()
                .all(|name| left(name).is_none())
        );
        assert!(left("card.md").is_some());
    }

    #[test]
    fn what_another_run_left_gives_way_to_what_a_checkpoint_needs() {
        let root = tempfile::tempdir().unwrap();
        let (from, out) = (root.path().join("from"), root.path().join("out"));
        for (folder, text) in [(&from, "its"), (&out, "another's")] {
            fs::create_dir_all(folder.join(TEACHER)).unwrap();
            for name in [SHIFTS, "norms-1.safetensors", "teacher/config.json"] {
                fs::write(folder.join(name), text).unwrap();
            }
        }
        copy_companions(&out, &out.join("../out")).unwrap();
        copy_companions(&from, &out).unwrap();
        for name in [SHIFTS, "norms-1.safetensors", "teacher/config.json"] {
            assert_eq!(fs::read_to_string(out.join(name)).unwrap(), "its", "{name}");
        }
    }
}
