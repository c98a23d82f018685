//! The program where memory, disk or output end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::folder::Place;
use crate::running::{convert, entries, refused, text};

const NAMES: [&str; 2] = ["glue", "student"];

#[test]
fn more_memory_than_there_is_is_refused_before_weights_are_read() {
    let place = Place::new();
    fs::write(place.student().join("model.safetensors"), "not read").unwrap();
    let words = [
        "not enough memory: about ",
        "weights in floating point",
        "1 MB allowed by --memory",
        "use a machine with more memory",
    ];
    refused(&convert(&place, &["--memory", "1M"]), 7, &words);
    assert_eq!(entries(place.root.path()), NAMES);
    refused(&convert(&place, &["--memory", "2T"]), 3, &["model.safetensors"]);
    refused(&convert(&place, &["--memory", "much"]), 2, &["6G, 800M"]);
}

/// What a run says that it needs, and the most memory that it had at once; in bytes.
#[cfg(target_os = "linux")]
fn needed_and_used(student: &Path, texts: &[&str]) -> (u64, u64) {
    let place = tempfile::tempdir().unwrap();
    let mut needed = 0;
    loop {
        // as much as was asked for, and what rounding took
        let limit = format!("{}M", needed / 1_000_000 + 1);
        let mut child = Command::new(env!("CARGO_BIN_EXE_convert"))
            .arg(student)
            .arg("-o")
            .arg(place.path().join("bundle"))
            .args(["-q", "--memory", &limit])
            .args(texts)
            .env("RAYON_NUM_THREADS", "2")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut used = 0;
        while child.try_wait().unwrap().is_none() {
            let now = fs::read_to_string(&status).unwrap_or_default();
            let line = now.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            used = line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(used).max(used);
            std::thread::sleep(Duration::from_millis(1));
        }
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            return (needed, used * 1024);
        }
        refused(&output, 7, &["not enough memory: about "]);
        let need = text(&output.stderr).split("about ").nth(1).unwrap();
        let need: u64 = need.split(" MB needed").next().unwrap().parse().unwrap();
        assert!(need * 1_000_000 > needed, "refused with as much as was asked for");
        needed = need * 1_000_000;
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "long: .ci/run runs it by name"]
fn no_less_is_asked_for_than_is_used_and_not_far_more_than_twice_that() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/sst2-minilm-l4-2quad");
    let small = Place::new();
    let vocabulary = fs::read_to_string(shipped.join("vocab.txt")).unwrap();
    let words: Vec<&str> = vocabulary.lines().filter(|word| word.chars().all(char::is_alphabetic)).collect();
    let line = |i: usize| {
        let of = |j: usize| words[(i * 104_729 + j * 7919) % words.len()];
        format!("{}\t{}\n", (0..600).map(of).collect::<Vec<_>>().join(" "), i % 2)
    };
    let lines = small.write("long.tsv", format!("text\tlabel\n{}", (0..6).map(line).collect::<String>()));
    let texts = ["--calibrate", "--train-file", &lines, "--validation-file", &lines];
    for (student, texts) in [(shipped.clone(), &[][..]), (small.student(), &[]), (shipped, &texts)] {
        let (needed, used) = needed_and_used(&student, texts);
        println!("{} {texts:?}: {needed} bytes asked for, {used} used", student.display());
        let ratio = needed as f64 / used as f64;
        assert!((1.0..2.2).contains(&ratio), "{}: {needed} asked for, {used} used", student.display());
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let place = Place::new();
    // a write beyond the limit fails as it does on a full disk, once the signal for it is ignored
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_convert")])
        .arg(place.student())
        .arg("-o")
        .arg(place.bundle())
        .output()
        .unwrap();
    refused(&output, 9, &["bundle", "cannot write", "File too large"]);
    assert_eq!(entries(place.root.path()), NAMES);
    assert!(output.stdout.is_empty());
}

#[test]
fn an_output_below_a_file_cannot_be_written() {
    let place = Place::new();
    fs::write(place.bundle(), "mine").unwrap();
    let run = |output: &Path| {
        Command::new(env!("CARGO_BIN_EXE_convert")).arg(place.student()).arg("-o").arg(output).output().unwrap()
    };
    refused(&run(&place.bundle().join("inner")), 9, &["bundle/inner", "Not a directory"]);
    refused(&run(&place.bundle()), 9, &["bundle"]);
    assert_eq!(fs::read(place.bundle()).unwrap(), b"mine");
}

#[cfg(unix)]
#[test]
fn an_output_that_nobody_reads_is_no_panic() {
    let place = Place::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_convert"))
        .arg(place.student())
        .arg("-o")
        .arg(place.bundle())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    refused(&child.wait_with_output().unwrap(), 9, &["standard output cannot be written"]);
}
