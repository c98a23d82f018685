//! Every kind of task: pairs, numbers, files of one's own, a teacher with an order of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::{bare, json, refusal, succeed};
use crate::tiny::{self, Fixture, labelled};

fn glue(command: &mut Command, task: &str, fixture: &Fixture) -> String {
    let output = succeed(command.args(["--task", task, "--num-train-epochs", "8", "--data-dir"]).arg(fixture.data()));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn score(out: &Path, name: &str) -> f64 {
    json(&out.join("eval_results.json"))[name].as_f64().unwrap()
}

/// What `--evaluate-only` prints.
fn evaluated(out: &Path, fixture: &Fixture, task: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distill"));
    command.arg("--evaluate-only").arg(out).args(["--max-seq-length", "16", "--task", task, "--data-dir"]);
    serde_json::from_slice(&succeed(command.arg(fixture.data())).stdout).unwrap()
}

#[test]
fn a_pair_is_judged_by_accuracy_and_f1() {
    let fixture = Fixture::new().with_pairs();
    let teacher = fixture.model("encoder", 2, false);
    let log = glue(&mut bare(&fixture, &teacher, "out"), "mrpc", &fixture);
    let out = fixture.path("out");
    assert!(score(&out, "eval_accuracy") > 0.9, "{log}");
    assert!(score(&out, "eval_f1") > 0.9 && score(&out, "teacher_eval_combined_score") > 0.9, "{log}");
    assert!(log.contains(", f1 "), "{log}");
    let config = json(&out.join("config.json"));
    assert_eq!(config["problem_type"], "single_label_classification");
    assert_eq!(config["id2label"]["0"], "not_equivalent");
    let state = json(&out.join("trainer_state.json"));
    let last = state["log_history"].as_array().unwrap().iter().rfind(|entry| entry.get("eval_f1").is_some()).unwrap();
    let mean = (last["eval_accuracy"].as_f64().unwrap() + last["eval_f1"].as_f64().unwrap()) / 2.0;
    assert!((last["eval_combined_score"].as_f64().unwrap() - mean).abs() < 1e-9);
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    for part in ["| accuracy | combined_score | f1 |", "- type: f1", "name: GLUE MRPC", "config: mrpc"] {
        assert!(card.contains(part), "{part} in {card}");
    }
    let judged = evaluated(&out, &fixture, "mrpc");
    assert_eq!((&judged["task"], &judged["samples"]), (&"mrpc".into(), &24.into()));
    assert_eq!(judged["f1"].as_f64().unwrap(), score(&out, "eval_f1"));
}

#[test]
fn a_number_is_learned_and_judged_by_its_correlations() {
    let fixture = Fixture::new().with_numbers();
    let teacher = fixture.model("encoder", 2, false);
    let mut command = bare(&fixture, &teacher, "out");
    let log = glue(command.args(["--soft-weight", "1", "--gold-weight", "0.5"]), "sts-b", &fixture);
    let out = fixture.path("out");
    assert!(score(&out, "eval_pearson") > 0.9 && score(&out, "eval_spearmanr") > 0.85, "{log}");
    let config = json(&out.join("config.json"));
    assert_eq!(config["problem_type"], "regression");
    assert_eq!(config["id2label"], serde_json::json!({"0": "LABEL_0"}));
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("mean squared error from the teacher's number") && card.contains("- type: spearmanr"));
    let judged = evaluated(&out, &fixture, "stsb");
    assert_eq!(judged["pearson"].as_f64().unwrap(), score(&out, "eval_pearson"));
    // A model that gives a number does not tell classes, and says so.
    let mut command = Command::new(env!("CARGO_BIN_EXE_distill"));
    command.arg("--evaluate-only").arg(&out).args(["--max-seq-length", "16", "--task", "sst2", "--data-dir"]);
    let (code, said) = refusal(command.arg(fixture.data()));
    assert_eq!(code, 3);
    assert!(said.contains("sst2 asks for one of 2 classes, the model gives a number"), "{said}");
}

/// Texts with classes of their own names, as csv or json lines.
fn own(fixture: &Fixture) -> (PathBuf, PathBuf) {
    let names = ["poor", "rich"];
    let mut csv = String::from("id,review,stars\n");
    for (i, (text, label)) in labelled(64, 0).enumerate() {
        csv += &format!("{i},\"{text}, {text}\",{}\n", names[label]);
    }
    let row = |(text, label): (String, usize)| serde_json::json!({"review": text, "stars": names[label]}).to_string();
    let jsonl: Vec<String> = labelled(24, 1).map(row).collect();
    (fixture.write("mood.csv", &csv), fixture.write("dev.jsonl", &jsonl.join("\n")))
}

#[test]
fn files_of_ones_own_are_learned_from_with_columns_of_any_name() {
    let fixture = Fixture::new();
    let (train, dev) = own(&fixture);
    let teacher = fixture.model("encoder", 2, false);
    let with = |out: &str, columns: &[&str]| {
        let mut command = bare(&fixture, &teacher, out);
        command.arg("--train-file").arg(&train).arg("--validation-file").arg(&dev).args(["--num-train-epochs", "6"]);
        command.args(columns);
        command
    };
    let log = succeed(&mut with("out", &["--text_column", "review", "--label_column", "stars"]));
    let out = fixture.path("out");
    assert!(score(&out, "eval_accuracy") > 0.8, "{}", String::from_utf8_lossy(&log.stderr));
    assert_eq!(json(&out.join("config.json"))["id2label"], serde_json::json!({"0": "poor", "1": "rich"}));
    assert_eq!(json(&out.join("all_results.json"))["task"], "mood");
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("name: \"mood\"") && !card.contains("- glue"), "{card}");

    let (code, said) = refusal(&mut with("new", &["--label-column", "stars"]));
    assert_eq!(code, 3);
    assert!(said.contains("no column `text`") && said.contains("--text-column"), "{said}");
    let bad = fixture
        .write("bad.jsonl", "{\"review\": \"fine\", \"stars\": \"rich\"}\n{\"review\": \"a\", \"stars\": \"so so\"}\n");
    let mut command = with("new", &["--text-column", "review", "--label-column", "stars", "--validation-file"]);
    let (code, said) = refusal(command.arg(bad));
    assert_eq!(code, 3);
    assert!(said.contains("line 2: expected a label of poor or rich, or from 0 to 1"), "{said}");
    assert!(!fixture.path("new").exists());
}

/// A teacher of the tiny SST-2 with its head's rows exchanged and its names with them, or with `names`.
fn exchanged(fixture: &Fixture, teacher: &Path, name: &str, names: [&str; 2]) -> PathBuf {
    let folder = fixture.path(name);
    fs::create_dir_all(&folder).unwrap();
    for file in ["tokenizer.json", "config.json"] {
        fs::copy(teacher.join(file), folder.join(file)).unwrap();
    }
    let mut config = json(&folder.join("config.json"));
    config["id2label"] = serde_json::json!({"0": names[0], "1": names[1]});
    config["label2id"] = serde_json::json!({names[0]: 0, names[1]: 1});
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let device = candle_core::Device::Cpu;
    let mut tensors = candle_core::safetensors::load(teacher.join("model.safetensors"), &device).unwrap();
    let rows = candle_core::Tensor::new(&[1u32, 0], &device).unwrap();
    for part in ["classifier.weight", "classifier.bias"] {
        tensors.insert(part.into(), tensors[part].index_select(&rows, 0).unwrap());
    }
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
    folder
}

#[test]
fn a_teachers_own_order_of_classes_decides() {
    let fixture = Fixture::new();
    let encoder = fixture.model("encoder", 2, false);
    glue(&mut bare(&fixture, &encoder, "out"), "sst2", &fixture);
    let teacher = fixture.path("out/teacher");
    let turned = exchanged(&fixture, &teacher, "turned", ["positive", "negative"]);
    assert_eq!(evaluated(&turned, &fixture, "sst2")["accuracy"], evaluated(&teacher, &fixture, "sst2")["accuracy"]);
    let log = glue(&mut bare(&fixture, &turned, "again"), "sst2", &fixture);
    assert!(score(&fixture.path("again"), "eval_accuracy") > 0.9, "{log}");
    assert!(!log.contains("teacher 4/") && !log.contains("warning: "), "{log}");
    assert_eq!(json(&fixture.path("again").join("config.json"))["id2label"]["0"], "positive");

    // Without names the rows are taken in the task's order, with a warning: here that is the wrong one.
    let unnamed = exchanged(&fixture, &teacher, "unnamed", ["LABEL_0", "LABEL_1"]);
    let wrong = evaluated(&unnamed, &fixture, "sst2")["accuracy"].as_f64().unwrap();
    assert!(wrong < 0.1, "{wrong}");
    let mut command = bare(&fixture, &unnamed, "dry");
    let log = glue(command.arg("--dry-run"), "sst2", &fixture);
    assert!(log.contains("calls its classes LABEL_0, LABEL_1, not as sst2 does"), "{log}");
}

#[test]
fn a_head_for_another_task_is_drawn_anew() {
    let fixture = Fixture::new().with_numbers();
    let teacher = fixture.model("classifier", 2, true);
    let mut command = bare(&fixture, &teacher, "out");
    let log = glue(command.arg("--dry-run"), "stsb", &fixture);
    assert!(log.contains("(NEGATIVE, POSITIVE) does not answer stsb (a number): a new one is drawn"), "{log}");
    let output = succeed(command.args(["--task", "stsb", "--data-dir"]).arg(fixture.data()));
    assert!(String::from_utf8_lossy(&output.stdout).contains("teacher: 8 epochs"));
}

/// What a dry run with these flags says: the exit code and standard error.
fn tried(fixture: &Fixture, teacher: &Path, task: &str, more: &[&str]) -> (i32, String) {
    let mut command = bare(fixture, teacher, "dry");
    refusal(command.args(["--dry-run", "--task", task, "--data-dir"]).arg(fixture.data()).args(more))
}

#[test]
fn long_texts_are_cut_with_a_warning_or_refused() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 1, false);
    let long = format!("sentence\tlabel\na fine film\t1\n{}\t0\n", "a dull film ".repeat(9));
    fixture.write("glue/SST-2/dev.tsv", &long);
    let (code, said) = tried(&fixture, &teacher, "sst2", &[]);
    assert_eq!(code, 0);
    assert!(said.contains("warning: 1 of 2 texts to judge by are cut to 16 tokens"), "{said}");
    let (code, said) = tried(&fixture, &teacher, "sst2", &["--no-truncate"]);
    assert_eq!(code, 3);
    assert!(said.contains("of the texts to judge by: text 2 has more than 16 tokens"), "{said}");
    // Without the flag the model's own length decides.
    let (code, said) = tried(&fixture, &teacher, "sst2", &["--max-seq-length", "33"]);
    assert_eq!(code, 2);
    assert!(said.contains("--max-seq-length is 33") && said.contains("reads 32 tokens at most"), "{said}");
    assert_eq!(tried(&fixture, &teacher, "sst2", &["--max-seq-length", "0"]).0, 2);
    assert_eq!(tried(&fixture, &teacher, "sst3", &[]).0, 2);
    fixture.write("glue/SST-2/dev.tsv", "sentence\tlabel\n\t1\n");
    let (code, said) = tried(&fixture, &teacher, "sst2", &[]);
    assert!(code == 3 && said.contains("line 2: expected a text in column `sentence`, got nothing"), "{said}");
    fs::write(fixture.data().join("SST-2/dev.tsv"), b"sentence\tlabel\nf\xffne\t1\n").unwrap();
    let (code, said) = tried(&fixture, &teacher, "sst2", &[]);
    assert!(code == 3 && said.contains("dev.tsv: not UTF-8"), "{said}");
}

#[test]
fn pairs_need_a_model_with_two_segments() {
    let fixture = Fixture::new().with_pairs();
    let mut config = tiny::config(1);
    config.type_vocab_size = 1;
    let teacher = fixture.write_model("single", &config, true);
    let (code, said) = tried(&fixture, &teacher, "mrpc", &[]);
    assert_eq!(code, 3);
    assert!(said.contains("single: has 1 segments (type_vocab_size), the texts to learn from have 2"), "{said}");
    assert_eq!(tried(&fixture, &teacher, "sst2", &[]).0, 0);
}

#[test]
fn a_vocabulary_alone_is_a_tokenizer() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    fs::remove_file(teacher.join("tokenizer.json")).unwrap();
    let log = glue(bare(&fixture, &teacher, "out").args(["--quiet"]), "sst2", &fixture);
    let out = fixture.path("out");
    assert!(score(&out, "eval_accuracy") > 0.9, "{log}");
    assert!(out.join("tokenizer.json").is_file() && out.join("teacher/tokenizer.json").is_file());
    assert_eq!(evaluated(&out, &fixture, "sst2")["accuracy"].as_f64().unwrap(), score(&out, "eval_accuracy"));
    // With --quiet there are warnings only.
    assert!(log.lines().all(|line| line.starts_with("warning: ")) && log.contains("no pooler"), "{log}");
}
