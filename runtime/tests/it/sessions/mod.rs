//! What tests of whole sessions share: a bundle of a tiny student, and a look at the processes of a session.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod between;
pub(crate) mod stand_in;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bundle::{Embedding, WriteOptions};
use convert::Student;

/// The deadline of sessions that must end for another reason: long after a test has lost its patience.
pub(crate) const DEADLINE: Duration = Duration::from_secs(600);
/// How long a test waits for what must happen. Nothing takes nearly as long, on a busy machine neither; it bounds a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_runtime"))
}

/// Converts a student into a new folder.
pub(crate) fn convert(student: &Path, embedding: Embedding, folder: &Path) {
    let student = Student::read(student).unwrap();
    let converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
    let options = WriteOptions { overwrite: false, progress: None };
    convert::write_bundle(&student, &converted, embedding, folder, options).unwrap();
}

/// A process of a session: its number and its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) line: String,
}

/// Processes that compute still and have `mark` in their command line, this one excepted.
pub(crate) fn processes(mark: &Path) -> Vec<Process> {
    let mark = mark.display().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let found = ids.filter_map(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        (line.contains(&mark) && id != std::process::id() && lives(id)).then_some(Process { id, line })
    });
    found.collect()
}

/// Whether a process exists and is more than a zombie, which nobody waited for yet.
pub(crate) fn lives(process: u32) -> bool {
    match fs::read_to_string(format!("/proc/{process}/stat")) {
        Ok(stat) => !matches!(stat.rsplit(") ").next().and_then(|rest| rest.chars().next()), Some('Z' | 'X') | None),
        Err(_) => false,
    }
}

/// Waits until no process of a session is left.
pub(crate) fn all_gone(mark: &Path) -> Result<(), Vec<Process>> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = processes(mark);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(left);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal.
pub(crate) fn signal(name: &str, process: impl std::fmt::Display) {
    assert!(try_signal(name, &process), "kill -{name} {process}");
}

/// Sends a signal; false if the process is gone.
pub(crate) fn try_signal(name: &str, process: impl std::fmt::Display) -> bool {
    let mut command = Command::new("kill");
    command.arg(format!("-{name}")).arg("--").arg(process.to_string()).stderr(Stdio::null());
    command.status().unwrap().success()
}

/// What lies in a folder, hidden entries too.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|e| e.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    }
}

/// Copies a folder with what is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
