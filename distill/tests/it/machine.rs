//! What the machine gives: memory, room on a disk.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{bare, refusal, succeed};
use crate::tiny::{self, Fixture};

/// A run on a model that is large enough to be measured, with full texts.
fn middling(fixture: &Fixture) -> Command {
    let words = "a film and plot ".repeat(40);
    for (part, count) in [("train", 32), ("dev", 8)] {
        let rows: String = (0..count).map(|i| format!("{words}\t{}\n", i % 2)).collect();
        fixture.write(&format!("full/{part}.tsv"), &format!("sentence\tlabel\n{rows}"));
    }
    let mut config = tiny::config(3);
    (config.hidden_size, config.intermediate_size, config.max_position_embeddings) = (256, 1024, 128);
    config.initializer_range = 0.02;
    let teacher = fixture.write_model("middling", &config, false);
    let mut command = bare(fixture, &teacher, "out");
    // the estimate depends on the number of threads
    command.env("RAYON_NUM_THREADS", "2");
    command.args(["--task", "sst2", "--max-seq-length", "128", "--per-device-train-batch-size", "16"]);
    command.args(["--num-train-epochs", "1", "--data-dir"]).arg(fixture.path("full"));
    command
}

/// The most memory that a program used at any time, in bytes.
#[cfg(target_os = "linux")]
fn peak(command: &mut Command) -> f64 {
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut most = 0.0f64;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        most = most.max(kilobytes.unwrap_or(0.0) * 1024.0);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    most
}

#[cfg(target_os = "linux")]
#[test]
fn too_little_memory_is_refused_with_what_a_run_needs_indeed() {
    let fixture = Fixture::new();
    let (code, said) = refusal(middling(&fixture).args(["--memory", "1M"]));
    assert_eq!(code, 7, "{said}");
    assert!(said.contains("AdamW's moments") && said.contains("--per-device-train-batch-size (now 16)"), "{said}");
    assert!(!fixture.path("out").exists());
    let number = said.split_once("about ").and_then(|(_, rest)| rest.split_once(' ')).unwrap();
    let unit = if number.1.starts_with("GB") { 1e9 } else { 1e6 };
    let estimate = number.0.parse::<f64>().unwrap() * unit;
    let peak = peak(&mut middling(&fixture));
    eprintln!("estimated {:.0} MB, measured {:.0} MB", estimate / 1e6, peak / 1e6);
    assert!((1.0..2.2).contains(&(estimate / peak)), "estimated {estimate:.0}, measured {peak:.0}");
}

/// The same command under a shell that lets no file grow beyond 50 blocks.
#[cfg(unix)]
fn on_a_full_disk(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 50; exec \"$0\" \"$@\""]).arg(command.get_program());
    shell.args(command.get_args());
    shell
}

#[cfg(unix)]
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[cfg(unix)]
#[test]
fn a_full_disk_has_its_exit_code_and_leaves_nothing_half_written() {
    let fixture = Fixture::new();
    let on_sst2 = |name: &str, out: &str| {
        let mut command = bare(&fixture, &fixture.path(name), out);
        command.args(["--task", "sst2", "--num-train-epochs", "1", "--data-dir"]).arg(fixture.data());
        command
    };
    // The first file of a teacher is its best weights, of a student its first checkpoint.
    fixture.model("encoder", 2, false);
    fixture.model("teacher", 2, true);
    let firsts = [("encoder", "one", "best.safetensors"), ("teacher", "two", "checkpoint-8.tmp/model.safetensors")];
    for (name, out, wrote) in firsts {
        let (code, said) = refusal(&mut on_a_full_disk(&on_sst2(name, out)));
        assert_eq!(code, 9, "{said}");
        let cure = "make room or allow it, or choose another --output-dir";
        assert!(said.contains(&format!("{wrote}: ")) && said.contains(cure), "{said}");
        assert_eq!(files(&fixture.path(out)), ["runs"], "{said}");
    }
    // what ended before its first checkpoint begins anew
    fixture.write("two/best.safetensors", "half");
    succeed(&mut on_sst2("teacher", "two"));
}

#[test]
fn an_output_that_cannot_be_made_has_its_exit_code() {
    let fixture = Fixture::new();
    let teacher = fixture.model("teacher", 1, true);
    fixture.write("file", "mine");
    let mut command = bare(&fixture, &teacher, "file/out");
    let (code, said) = refusal(command.args(["--task", "sst2", "--data-dir"]).arg(fixture.data()));
    assert_eq!(code, 9, "{said}");
    assert!(said.contains("cannot make the folder") && said.contains("file/out"), "{said}");
    assert_eq!(fs::read_to_string(fixture.path("file")).unwrap(), "mine");
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_nobody_can_take_has_its_exit_code() {
    let fixture = Fixture::new();
    let teacher = fixture.model("teacher", 1, true);
    let mut command = bare(&fixture, &teacher, "out");
    command.args(["--task", "sst2", "--dry-run", "--data-dir"]).arg(fixture.data());
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(9));
}
