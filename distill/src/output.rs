//! The output folder: which it is, what it must not be, and how a run begins in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use cli::exit::USAGE;
use cli::{Lock, coded};
use serde_json::Value;

use crate::digests::InputDigests;
use crate::errors::{bad_file, unwritable};
use crate::events::Events;
use crate::options::Options;
use crate::parallel::ProcessGroup;
use crate::state::State;
use crate::training::Run;

mod contents;
mod lock;
mod resume;
pub(crate) mod settings;

use contents::{Contents, contents};
use resume::take_up;

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
/// The file with the teacher's logits for the training set.
pub const TEACHER_LOGITS: &str = "teacher_logits.safetensors";
/// The prefix of files with students some of whose LayerNorms do not divide.
pub const NORMS: &str = "norms-";
/// The folder of the log for TensorBoard.
pub const LOG: &str = "runs";

/// Refuses an output that would harm what the run reads, or that `--overwrite-output-dir` must not empty. Changes nothing.
pub fn check(options: &Options) -> Result<()> {
    let out = folder(options);
    let place = cli::resolve(&out).map_err(|error| unwritable("make the folder", &out, &error.into()))?;
    lock::check_free(&out)?;
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
        // A path that does not exist names a model on the hub, or is refused later.
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
    if empties(options) && contents(&out)? == Contents::Other {
        let what = "was not made by a run (it holds neither trainer_state.json nor checkpoint-*) and is left alone";
        let cure = "empty it yourself or choose another --output-dir";
        return Err(coded(USAGE, format!("--overwrite-output-dir: {} {what}; {cure}", out.display())));
    }
    Ok(())
}

/// Begins a run in the output folder, or resumes the one there if it has the same inputs. Rank 0 does that and tells the
/// others where the run stands.
pub fn begin(options: &Options, group: ProcessGroup, inputs: InputDigests) -> Result<Run> {
    let (out, group) = (folder(options), Rc::new(group));
    let (lock, (resume, state)) = match group.leads() {
        true => {
            check(options)?;
            let (new, lock) = (!out.exists(), lock_unless_refused(options)?);
            match take_up(options, group.size(), inputs) {
                Ok(taken) => (lock, taken),
                Err(error) => {
                    drop(lock);
                    if new {
                        // a failure to remove the folder must not hide the error
                        let _ = fs::remove_dir(&out);
                    }
                    return Err(error);
                }
            }
        }
        false => (None, (None, State::new(Value::Null))),
    };
    let (resume, state) = match group.size() {
        1 => (resume, state),
        _ => {
            let said = group.broadcast(serde_json::to_vec(&(resume.is_some(), state))?)?;
            let (resumed, state): (bool, State) =
                serde_json::from_slice(&said).context("rank 0's state of the run is not understood")?;
            // Where the checkpoint is, only rank 0 need know.
            (resumed.then(|| resume.unwrap_or_default()), state)
        }
    };
    let events = Events::new(out.join(&state.logging_dir), resume.is_some().then_some(state.global_step));
    Ok(Run { out, resume, state, group, events, _lock: lock })
}

/// Keeps other runs out of the folder. A folder that will be refused because of what it holds stays as it is.
fn lock_unless_refused(options: &Options) -> Result<Option<Lock>> {
    let out = folder(options);
    match contents(&out)? {
        Contents::Other if options.resume_from_checkpoint.is_none() => Ok(None),
        _ => lock::lock(&out),
    }
}

/// Whether the run empties its folder; a checkpoint to resume from takes precedence.
fn empties(options: &Options) -> bool {
    options.overwrite_output_dir && options.resume_from_checkpoint.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // Where nothing is emptied, an output inside or beside the teacher's folder does no harm.
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
        let inputs = |train: &str| InputDigests::from([("training texts".to_string(), train.to_string())]);
        let start = |more: &[&str], train: &str| begin(&args(more), ProcessGroup::alone(), inputs(train));
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
        // emptying the folder would remove the recipe that the run reads
        let recipe = root.join("out/mine.toml");
        fs::write(&recipe, "").unwrap();
        let more = ["--overwrite-output-dir", "--config", recipe.to_str().unwrap()];
        assert!(verdict(root, names, &more).unwrap_err().contains("holds the recipe"));
    }
}
