//! A run that is killed at any moment and begun again ends with the same bits.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::program::{bare, succeed};
use crate::tiny::Fixture;

/// Steps of the run below, and its steps between two checkpoints.
const STEPS: u64 = 48;
const SAVE: u64 = 3;

fn command(fixture: &Fixture, teacher: &Path, out: &str, threads: Option<&str>) -> Command {
    let mut command = bare(fixture, teacher, out);
    command.args(["--task", "sst2", "--num-train-epochs", "2", "--logging-steps", "1", "--save-steps", "3"]);
    command.args([
        "--per-device-train-batch-size",
        "4",
        "--gradient-accumulation-steps",
        "2",
        "--save-total-limit",
        "2",
    ]);
    command.args(["--eval-steps", "5", "--data-dir"]).arg(fixture.data());
    command.env_remove("RAYON_NUM_THREADS");
    if let Some(threads) = threads {
        command.env("RAYON_NUM_THREADS", threads);
    }
    command
}

/// Runs the command and kills it so long after its `step`th step, counted in all stages.
fn kill(command: &mut Command, step: u64, pause: Duration) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut logged = lines.map_while(Result::ok).filter(|line| line.ends_with("s a step"));
    assert!(logged.nth(step as usize - 1).is_some(), "the run ended before its step {step}");
    std::thread::sleep(pause);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

fn newest(out: &Path) -> Option<u64> {
    let names = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok()).max()
}

fn files_of_events(out: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(out.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
}

#[test]
fn a_killed_run_begun_again_ends_with_the_same_bits() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    for (threads, whole, parts) in [(Some("1"), "whole-1", "parts-1"), (None, "whole", "parts")] {
        succeed(&mut command(&fixture, &teacher, whole, threads));
        // somewhere between its first checkpoint and its end, and once more between there and its end
        let first = SAVE + 1 + u64::from(nanos) % (STEPS / 2 - SAVE);
        let pause = Duration::from_micros(u64::from(nanos / 64 % 4000));
        eprintln!("killed {pause:?} after step {first}, with {threads:?} threads");
        kill(&mut command(&fixture, &teacher, parts, threads), first, pause);
        let left = newest(&fixture.path(parts)).unwrap();
        assert!(left + SAVE >= first, "checkpoint-{left} after step {first}");
        // it goes on from there; a first kill that came late leaves fewer steps
        let second = 1 + u64::from(nanos / 1024) % STEPS.saturating_sub(left.max(first) + 2 * SAVE).max(1);
        eprintln!("killed again {second} steps after checkpoint-{left}");
        kill(&mut command(&fixture, &teacher, parts, threads), second, pause);
        succeed(&mut command(&fixture, &teacher, parts, threads));
        for name in ["model.safetensors", "teacher/model.safetensors"] {
            let read = |run: &str| fs::read(fixture.path(run).join(name)).unwrap();
            assert!(read(whole) == read(parts), "{name} differs, killed after step {first} and {second} more");
        }
        let half = fs::read_dir(fixture.path(parts)).unwrap().map(|entry| entry.unwrap().path());
        let half: Vec<_> = half.filter(|path| path.to_string_lossy().ends_with(".tmp")).collect();
        assert!(half.is_empty(), "{half:?}");
        // each part wrote a file of events, all in one folder
        let events = files_of_events(&fixture.path(parts));
        assert_eq!(events.len(), 3, "{events:?}");
        assert!(events.iter().all(|path| path.parent() == events[0].parent()), "{events:?}");
    }
}
