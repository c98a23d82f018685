//! The output folder: which it is, what it must not be, and how a run begins in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use cli::exit::USAGE;
use cli::{Lock, coded};
use serde_json::Value;

use crate::events::Events;
use crate::faults::{bad_file, unwritable};
use crate::held::{self, BEGINNINGS, Held, held};
use crate::inputs::{self, Inputs};
use crate::options::Options;
use crate::parallel::World;
use crate::state::State;
use crate::training::Run;
use crate::{atomic, checkpoint};

/// `--output-dir`, or outputs/TASK-STUDENT.
pub fn folder(options: &Options) -> PathBuf {
    let start = options.student.as_deref().or(options.teacher.as_deref()).unwrap_or(Path::new("student"));
    let name = start.file_name().unwrap_or_default().to_string_lossy();
    let layers = options.student_layers.map(|n| format!("-l{n}")).unwrap_or_default();
    let texts = options.data.source().map_or("texts".into(), |source| source.name());
    let default = || Path::new("outputs").join(format!("{texts}-{name}{layers}"));
    options.output_dir.clone().unwrap_or_else(default)
}

/// The folder of the teacher that a run fine-tunes.
pub const TEACHER: &str = "teacher";
/// The file with the shifts that a run has fitted.
pub const SHIFTS: &str = "attention_shift.json";
/// The file with the teacher's answers.
pub const ANSWERS: &str = "teacher_logits.safetensors";
/// What the names of files with students of fewer divisions begin with.
pub const NORMS: &str = "norms-";
/// The folder of the log for TensorBoard.
pub const LOG: &str = "runs";
/// Refuses an output that would harm what the run reads, or that `--overwrite-output-dir` must not empty. Changes nothing.
pub fn check(options: &Options) -> Result<()> {
    let out = folder(options);
    let place = cli::resolve(&out).map_err(|error| unwritable("make the folder", &out, &error.into()))?;
    held::check_free(&out)?;
    let data = &options.data;
    let inputs = [
        ("teacher folder", &options.teacher),
        ("student folder", &options.student),
        ("data folder", &data.data_dir),
        ("training file", &data.train_file),
        ("validation file", &data.validation_file),
        ("test file", &options.trainer.test_file),
        ("recipe", &options.config),
    ];
    for (name, input) in inputs {
        // What is not here is a model on the hub, or will be refused.
        let Some(input) = input.as_ref().filter(|path| path.exists()) else { continue };
        let input_place = cli::resolve(input).map_err(|error| bad_file(input, error))?;
        let relation = if place == input_place {
            "is"
        } else if input_place.starts_with(&place) {
            "holds"
        } else if options.overwrite_output_dir && place.starts_with(&input_place) {
            "lies inside"
        } else {
            continue;
        };
        let (out, input) = (out.display(), input.display());
        let also = if relation == "lies inside" { "" } else { " or move that out of it" };
        let message = format!("the output folder {out} {relation} the {name} {input}, which this run reads");
        return Err(coded(USAGE, format!("{message}; choose another --output-dir{also}")));
    }
    if empties(options) && held(&out)? == Held::Other {
        let what = "was not made by a run (it holds neither trainer_state.json nor checkpoint-*) and is left alone";
        let cure = "empty it yourself or choose another --output-dir";
        return Err(coded(USAGE, format!("--overwrite-output-dir: {} {what}; {cure}", out.display())));
    }
    Ok(())
}

/// Beside the options, what decides a run's numbers.
const WORLD_SIZE: &str = "WORLD_SIZE";

/// The output folder, new or taken up with the same inputs: by rank 0, from which the others hear how far the run is.
pub fn begin(options: &Options, world: World, inputs: Inputs) -> Result<Run> {
    let (out, world) = (folder(options), Rc::new(world));
    let (lock, (resume, state)) = match world.leads() {
        true => {
            check(options)?;
            let (new, lock) = (!out.exists(), lock(options)?);
            match take_up(options, world.size(), inputs) {
                Ok(taken) => (lock, taken),
                Err(error) => {
                    drop(lock);
                    if new {
                        // what was made for nothing; the error is the one to report
                        let _ = fs::remove_dir(&out);
                    }
                    return Err(error);
                }
            }
        }
        false => (None, (None, State::new(Value::Null))),
    };
    let (resume, state) = match world.size() {
        1 => (resume, state),
        _ => {
            let said = world.broadcast(serde_json::to_vec(&(resume.is_some(), state))?)?;
            let (resumed, state): (bool, State) =
                serde_json::from_slice(&said).context("rank 0's state of the run is not understood")?;
            // Where the checkpoint is, only rank 0 need know.
            (resumed.then(|| resume.unwrap_or_default()), state)
        }
    };
    let events = Events::new(out.join(&state.logging_dir), resume.is_some().then_some(state.global_step));
    Ok(Run { out, resume, state, world, events, _lock: lock })
}

/// Keeps other runs out of the folder. One that will be refused because of what it holds stays as it is.
fn lock(options: &Options) -> Result<Option<Lock>> {
    let out = folder(options);
    match held(&out)? {
        Held::Other if options.resume_from_checkpoint.is_none() => Ok(None),
        _ => held::lock(&out),
    }
}

/// Finds the checkpoint to go on from, or clears the folder.
fn take_up(options: &Options, processes: usize, inputs: Inputs) -> Result<(Option<PathBuf>, State)> {
    let out = folder(options);
    let mut settings = serde_json::to_value(options)?;
    if let (Some(settings), true) = (settings.as_object_mut(), processes > 1) {
        settings.insert(WORLD_SIZE.into(), processes.into());
    }
    let resume = match &options.resume_from_checkpoint {
        Some(Some(folder)) => Some(folder.clone()),
        Some(None) => match checkpoint::newest(&out)? {
            Some(folder) => Some(folder),
            None => {
                let message = format!("--resume-from-checkpoint: there is no checkpoint in {}", out.display());
                return Err(coded(USAGE, message));
            }
        },
        None if empties(options) => {
            if held(&out)? == Held::Run {
                held::empty(&out)?;
            }
            None
        }
        None => checkpoint::newest(&out)?,
    };
    if let Some(folder) = resume {
        let state = checkpoint::read_state(&folder)?;
        if state.settings != settings {
            let path = folder.join("trainer_state.json");
            let message = format!(
                "the run was begun with other options: {}",
                changes(&state.settings, &settings, ["was", "is now"])
            );
            let cure = "give those again, another --output-dir, or --overwrite-output-dir";
            return Err(bad_file(&path, format!("{message}; {cure}")));
        }
        if state.inputs != inputs {
            let what = match state.inputs.is_empty() {
                true => "it was written by an earlier release, which did not note what texts and models the run was begun with".into(),
                false => format!("since the run was begun, {}", inputs::changes(&state.inputs, &inputs)),
            };
            let cure = "choose another --output-dir, or begin anew with --overwrite-output-dir";
            return Err(bad_file(&folder.join("trainer_state.json"), format!("{what}; {cure}")));
        }
        if !options.quiet {
            cli::log(&format!(
                "taking up {} after step {} of {}",
                folder.display(),
                state.stage_step,
                state.stage.name()
            ));
        }
        // another folder than the one that the checkpoint lies in may be new
        atomic::make_folder(&out)?;
        bring(folder.parent().unwrap_or(Path::new("..")), &out)?;
        return Ok((Some(folder), state));
    }
    match held(&out)? {
        Held::Nothing => {}
        // a run that was killed before its first checkpoint begins anew; logs may be of others too, and stay
        Held::Beginning => {
            for name in BEGINNINGS.into_iter().filter(|name| *name != LOG) {
                let path = out.join(name);
                if path.exists() {
                    fs::remove_file(&path).map_err(|error| unwritable("remove", &path, &error.into()))?;
                }
            }
        }
        Held::Run | Held::Other => {
            let cure = "choose another --output-dir or pass --overwrite-output-dir";
            return Err(coded(USAGE, format!("{} is not empty and has no checkpoint; {cure}", out.display())));
        }
    }
    atomic::make_folder(&out)?;
    Ok((None, State { inputs, ..State::new(settings) }))
}

/// Which settings differ, with both values and a word for each: `--seed was 42, is now 43`.
pub(crate) fn changes(before: &Value, now: &Value, words: [&str; 2]) -> String {
    let none = serde_json::Map::new();
    let (before, now) = (before.as_object().unwrap_or(&none), now.as_object().unwrap_or(&none));
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let shown = |value: Option<&Value>| value.map_or("nothing".to_string(), Value::to_string);
    let change = |name: &String| {
        let (was, is) = (before.get(name), now.get(name));
        let flag = || if name == WORLD_SIZE { name.clone() } else { format!("--{}", name.replace('_', "-")) };
        (was != is).then(|| format!("{} {} {}, {} {}", flag(), words[0], shown(was), words[1], shown(is)))
    };
    names.into_iter().filter_map(change).collect::<Vec<_>>().join(", ")
}

/// Whether the run would empty its folder: a checkpoint to take up goes before that.
fn empties(options: &Options) -> bool {
    options.overwrite_output_dir && options.resume_from_checkpoint.is_none()
}

/// Copies what a run has beside its checkpoints and needs after one, where another folder goes on from a checkpoint. What
/// that folder has of another run gives way.
fn bring(from: &Path, out: &Path) -> Result<()> {
    let place = |path: &Path| cli::resolve(path).map_err(|error| bad_file(path, error));
    if place(from)? == place(out)? {
        return Ok(());
    }
    give_way(out)?;
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

/// Removes what another run has left beside its checkpoints: a run that is taken up here would take it for its own.
fn give_way(out: &Path) -> Result<()> {
    for entry in fs::read_dir(out).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let removed = match &*name {
            TEACHER if path.is_dir() => fs::remove_dir_all(&path),
            SHIFTS | ANSWERS => fs::remove_file(&path),
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
        for name in [SHIFTS, ANSWERS, "teacher/config.json", "card.md"] {
            fs::write(out.join(name), "of another run").unwrap();
        }
        bring(&from, &out).unwrap();
        let left = |name: &str| fs::read_to_string(out.join(name)).ok();
        assert_eq!(left("norms-1.safetensors"), Some(from.to_str().unwrap().to_string()));
        assert!(
            [SHIFTS, ANSWERS, "norms-2.safetensors", "teacher/config.json"].iter().all(|name| left(name).is_none())
        );
        assert!(left("card.md").is_some());
    }

    /// What [`check`] says about a teacher, an output and data under `root`.
    fn verdict(root: &Path, [teacher, out, data]: [&str; 3], more: &[&str]) -> Result<(), String> {
        let of = |name: &str| root.join(name).into_os_string();
        let mut args: Vec<std::ffi::OsString> = vec!["distill".into(), "--task".into(), "sst2".into()];
        for (flag, name) in [("--teacher", teacher), ("--output-dir", out), ("--data-dir", data)] {
            args.extend([flag.into(), of(name)]);
        }
        args.extend(more.iter().map(Into::into));
        check(&Options::from_args(args).unwrap()).map_err(|e| e.to_string())
    }

    const OVER: &[&str] = &["--overwrite-output-dir"];

    #[test]
    fn an_output_that_is_holds_or_lies_inside_an_input_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for name in ["out/teacher", "glue/SST-2", "out/checkpoint-3"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let refusal = |names, more| verdict(root, names, more).unwrap_err();
        let holds = refusal(["out/teacher", "out", "glue"], OVER);
        assert!(holds.contains("holds the teacher folder") && holds.contains("move that out of it"), "{holds}");
        assert!(refusal(["out", "out/../out/.", "glue"], &[]).contains("is the teacher folder"));
        assert!(refusal(["out", "out/new/next", "glue"], OVER).contains("lies inside the teacher folder"));
        assert!(refusal(["out", "glue/new/../SST-2/x", "glue"], OVER).contains("lies inside the data folder"));
        assert!(refusal(["elsewhere", "glue", "glue/SST-2"], OVER).contains("holds the data folder"));
        // Nothing of the teacher's is in danger where nothing is emptied, or beside it.
        verdict(root, ["out", "out/next", "glue"], &[]).unwrap();
        verdict(root, ["out/teacher", "out2", "glue"], OVER).unwrap();
        let student = root.join("out/checkpoint-3");
        let more = ["--overwrite-output-dir", "--student", student.to_str().unwrap()];
        assert!(refusal(["elsewhere", "out", "glue"], &more).contains("holds the student folder"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_an_input_is_that_input() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("teacher")).unwrap();
        std::os::unix::fs::symlink(root.join("teacher"), root.join("link")).unwrap();
        assert!(verdict(root, ["teacher", "link", "glue"], OVER).unwrap_err().contains("is the teacher folder"));
        assert!(verdict(root, ["link", "teacher/x", "glue"], OVER).unwrap_err().contains("lies inside"));
    }

    #[test]
    fn a_run_is_taken_up_with_the_same_inputs_only_and_by_one_process() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let args = |more: &[&str]| {
            let mut args: Vec<std::ffi::OsString> = ["distill", "--task", "sst2", "--teacher"].map(Into::into).into();
            args.extend([
                root.path().join("teacher").into(),
                "--output-dir".into(),
                out.clone().into(),
                "--quiet".into(),
            ]);
            args.extend(more.iter().map(Into::into));
            Options::from_args(args).unwrap()
        };
        let inputs = |train: &str| Inputs::from([("training texts".to_string(), train.to_string())]);
        let start = |more: &[&str], train: &str| begin(&args(more), World::alone(), inputs(train));
        let refused = |more: &[&str], train: &str| {
            let error = start(more, train).unwrap_err();
            (error.chain().find_map(cli::exit::code_in), error.to_string())
        };
        let first = start(&[], "1").unwrap();
        assert!(first.resume.is_none() && first.state.inputs == inputs("1"));
        for more in [&[][..], OVER] {
            let (code, said) = refused(more, "1");
            assert!(code == Some(USAGE) && said.contains("another run of distill works in"), "{said}");
        }
        let write = |state: &State| {
            fs::create_dir_all(out.join("checkpoint-4")).unwrap();
            fs::write(out.join("checkpoint-4/trainer_state.json"), serde_json::to_vec(state).unwrap()).unwrap();
        };
        write(&first.state);
        drop(first);
        assert!(start(&[], "1").unwrap().resume.is_some());
        let (code, said) = refused(&[], "2");
        assert_eq!(code, Some(cli::exit::BAD_INPUT));
        assert!(
            said.contains("since the run was begun, the training texts changed; choose another --output-dir"),
            "{said}"
        );
        // as earlier releases wrote them
        write(&State::new(serde_json::to_value(args(&[])).unwrap()));
        assert!(refused(&[], "1").1.contains("earlier release"));
        let again = start(OVER, "2").unwrap();
        assert!(again.resume.is_none() && !out.join("checkpoint-4").exists());
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
        bring(&out, &out.join("../out")).unwrap();
        bring(&from, &out).unwrap();
        for name in [SHIFTS, "norms-1.safetensors", "teacher/config.json"] {
            assert_eq!(fs::read_to_string(out.join(name)).unwrap(), "its", "{name}");
        }
    }

    #[test]
    fn only_the_folder_of_a_run_is_emptied() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let names = ["teacher", "out", "glue"];
        verdict(root, names, OVER).unwrap();
        fs::create_dir_all(root.join("out")).unwrap();
        verdict(root, names, OVER).unwrap();
        fs::write(root.join("out/diary.txt"), "mine").unwrap();
        let refusal = verdict(root, names, OVER).unwrap_err();
        assert!(refusal.contains("left alone") && refusal.contains("out"), "{refusal}");
        fs::write(root.join("out/trainer_state.json"), "{}").unwrap();
        verdict(root, names, OVER).unwrap();
        // a recipe that the run is told by would go with it
        let recipe = root.join("out/mine.toml");
        fs::write(&recipe, "").unwrap();
        let more = ["--overwrite-output-dir", "--config", recipe.to_str().unwrap()];
        assert!(verdict(root, names, &more).unwrap_err().contains("holds the recipe"));
    }
}
