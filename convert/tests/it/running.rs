//! Runs of the program from outside.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::folder::Place;

pub(crate) fn convert(place: &Place, args: &[&str]) -> Output {
    let (student, bundle) = (place.student(), place.bundle());
    Command::new(env!("CARGO_BIN_EXE_convert")).arg(student).arg("-o").arg(bundle).args(args).output().unwrap()
}

pub(crate) fn with_task(place: &Place, args: &[&str]) -> Vec<String> {
    let data_dir = format!("--data_dir={}", place.glue().display());
    ["--calibrate", "--task", "SST-2", &data_dir].iter().chain(args).map(ToString::to_string).collect()
}

/// Over the training texts of SST-2.
pub(crate) fn calibrated(place: &Place, args: &[&str]) -> Output {
    convert(place, &with_task(place, args).iter().map(String::as_str).collect::<Vec<_>>())
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
pub(crate) fn refused(output: &Output, code: i32, words: &[&str]) {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(words.iter().all(|w| message.contains(w)), "expected {words:?} in: {message}");
    assert!(!message.contains("panicked"), "{message}");
}

pub(crate) fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
