//! The program as its users meet it, on a tiny model.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::tiny::Fixture;

/// The program on the tiny SST-2.
fn distill(fixture: &Fixture, teacher: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = bare(fixture, teacher, out);
    command.args(["--task", "SST-2", "--data_dir"]).arg(fixture.data()).args(more);
    command
}

/// The program on a tiny model; which texts is not said yet.
pub(crate) fn bare(fixture: &Fixture, teacher: &Path, out: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distill"));
    command.arg("--teacher").arg(teacher).arg("--output-dir").arg(fixture.path(out));
    command.args(["--per-device-train-batch-size", "8", "--learning-rate", "2e-3", "--max-seq-length", "16"]);
    command.args(["--logging-steps", "4", "--eval-steps", "8"]);
    command
}

pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

pub(crate) fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The exit code and what was said on standard error.
pub(crate) fn refusal(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_whole_recipe_leaves_a_folder_that_other_tools_read() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 3, false);
    let more = ["--student-layers", "2", "--num_train_epochs", "6", "--half"];
    let output = succeed(&mut distill(&fixture, &teacher, "out", &more));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("no pooler") && log.contains("stage 2"), "{log}");
    let out = fixture.path("out");
    let config = json(&out.join("config.json"));
    assert_eq!(config["attention_softmax"], "2quad");
    assert_eq!(config["num_hidden_layers"], 2);
    assert_eq!(config["id2label"]["1"], "POSITIVE");
    assert_eq!(config["architectures"][0], "BertForSequenceClassification");
    for name in
        ["tokenizer.json", "vocab.txt", "README.md", "train_results.json", "all_results.json", "trainer_state.json"]
    {
        assert!(out.join(name).is_file(), "{name}");
    }
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.starts_with("---\n") && card.contains("2Quad") && card.contains("also chose the best step"), "{card}");
    let bytes = fs::read(out.join("model.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    let weights = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let weight = weights.tensor("bert.encoder.layer.1.attention.self.query.weight").unwrap();
    assert_eq!((weight.dtype(), weight.shape()), (safetensors::Dtype::F16, &[32, 32][..]));
    let accuracy = json(&out.join("eval_results.json"))["eval_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{accuracy}: {log}");
    let left: Vec<_> = fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.ends_with(".tmp")), "{left:?}");

    // As stored, the folder gives the same accuracy again, and the teacher's folder starts another run.
    let mut command = Command::new(env!("CARGO_BIN_EXE_distill"));
    command.arg("--evaluate-only").arg(&out).args(["--task", "sst2", "--data-dir"]).arg(fixture.data());
    let judged: serde_json::Value =
        serde_json::from_slice(&succeed(command.args(["--max-seq-length", "16"])).stdout).unwrap();
    assert_eq!(judged["accuracy"].as_f64().unwrap(), accuracy);
    let teacher = out.join("teacher");
    let again = succeed(&mut distill(&fixture, &teacher, "again", &["--num-train-epochs", "1"]));
    assert!(!String::from_utf8_lossy(&again.stderr).contains("teacher 8"));
}

/// What does not depend on the clock or the folder's name.
#[cfg(unix)]
pub(crate) fn lasting(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    let fleeting = |name: &str| {
        ["logging_dir", "best_model_checkpoint", "seconds"].contains(&name)
            || name.ends_with("_runtime")
            || name.ends_with("_per_second")
    };
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(name, _)| !fleeting(name)).map(|(name, value)| (name, lasting(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(lasting).collect(),
        other => other,
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_taken_up_again_ends_with_the_same_bits() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let more = ["--num-train-epochs", "5", "--logging-steps", "1"];
    succeed(&mut distill(&fixture, &teacher, "whole", &more));
    // Once in each stage, as soon as it logs its third step.
    for mark in ["teacher 3/", "stage 1 3/", "stage 2 3/"] {
        let mut child = distill(&fixture, &teacher, "parts", &more).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut sent = false;
        for line in lines.map(Result::unwrap) {
            if line.starts_with(mark) && !sent {
                let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
                assert!(kill.success());
                sent = true;
            }
        }
        assert!(sent, "{mark} was never logged");
        assert_eq!(child.wait().unwrap().code(), Some(130), "{mark}");
    }
    succeed(&mut distill(&fixture, &teacher, "parts", &more));
    let read = |run: &str| fs::read(fixture.path(run).join("model.safetensors")).unwrap();
    assert!(read("whole") == read("parts"));
    let state = |run: &str| lasting(json(&fixture.path(run).join("trainer_state.json")));
    assert_eq!(state("whole"), state("parts"));
}

#[test]
fn a_checkpoint_of_other_options_or_a_broken_one_is_refused() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, true);
    let more = ["--num-train-epochs", "1"];
    succeed(&mut distill(&fixture, &teacher, "out", &more));
    let output = distill(&fixture, &teacher, "out", &["--num-train-epochs", "2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("other options"));
    let checkpoint = fixture.path("out").join("checkpoint-16");
    fs::write(checkpoint.join("optimizer.safetensors"), "torn").unwrap();
    assert_eq!(distill(&fixture, &teacher, "out", &more).output().unwrap().status.code(), Some(3));
    fs::write(checkpoint.join("trainer_state.json"), "{").unwrap();
    assert_eq!(distill(&fixture, &teacher, "out", &more).output().unwrap().status.code(), Some(3));
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 1, false);
    fs::create_dir(fixture.path("out")).unwrap();
    fs::write(fixture.path("out").join("diary.txt"), "mine").unwrap();
    let output = distill(&fixture, &teacher, "out", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--overwrite-output-dir"));
    assert!(fixture.path("out").join("diary.txt").is_file());
}

#[test]
fn a_teacher_in_the_output_folder_outlives_overwrite_output_dir() {
    let fixture = Fixture::new();
    let teacher = fixture.model("out/teacher", 2, true);
    fs::create_dir(fixture.path("out").join("checkpoint-1")).unwrap();
    for more in [&["--overwrite-output-dir"][..], &["--overwrite_output_dir", "--dry-run"]] {
        let output = distill(&fixture, &teacher, "out", more).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("holds the teacher folder") && text.contains("--output-dir"), "{text}");
        assert!(teacher.join("model.safetensors").is_file());
    }
    // What another run left is emptied.
    let more = ["--num-train-epochs", "1", "--overwrite-output-dir"];
    fs::create_dir_all(fixture.path("new/checkpoint-1")).unwrap();
    fs::write(fixture.path("new/old.txt"), "old").unwrap();
    succeed(&mut distill(&fixture, &teacher, "new", &more));
    assert!(!fixture.path("new/old.txt").exists() && fixture.path("new/model.safetensors").is_file());
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_no_utf8_is_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let fixture = Fixture::new();
    let odd = std::ffi::OsStr::from_bytes(b"no\xffwhere");
    let mut command = distill(&fixture, &fixture.path("teacher"), "out", &[]);
    assert_eq!(command.arg("--student").arg(odd).output().unwrap().status.code(), Some(3));
    let mut command = distill(&fixture, &fixture.path("teacher"), "out", &[]);
    assert_eq!(command.arg(odd).output().unwrap().status.code(), Some(2));
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 1, true);
    let code = |command: &mut Command| command.output().unwrap().status.code();
    assert_eq!(code(&mut distill(&fixture, &teacher, "out", &["--no-such-flag"])), Some(2));
    assert_eq!(code(&mut distill(&fixture, &fixture.path("nowhere"), "out", &[])), Some(3));
    assert_eq!(code(&mut distill(&fixture, &teacher, "out", &["--student-layers", "9"])), Some(2));
    fs::write(fixture.data().join("SST-2/dev.tsv"), "sentence\tlabel\nfine\n").unwrap();
    let output = distill(&fixture, &teacher, "out", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2"));
    fs::write(teacher.join("model.safetensors"), "not a file of tensors").unwrap();
    assert_eq!(code(&mut distill(&fixture, &teacher, "out", &[])), Some(3));
    assert!(!fixture.path("out").join("model.safetensors").exists());
}

#[test]
fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let output = succeed(&mut distill(&fixture, &teacher, "out", &["--dry-run"]));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("stage 1") && text.contains("80 steps"), "{text}");
    assert!(!fixture.path("out").exists());
}
