//! The walk-throughs of the README and of docs/own-data.md, command by command as they stand there, from a hub to a private answer;
//! the README's once more offline. The hub is ours, on loopback; `bert-base-uncased` on it is tiny.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::folder::{Place, tokenizer};
use crate::programs::{output, program};
use crate::standin::{Kind, StandIn, glue};
use model::{Config, synthetic};
use safetensors::Dtype;
use serde_json::Value;

/// The commands of a page's walk-through.
fn commands(page: &str, marker: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)).unwrap();
    let block = text.split(&format!("<!-- ci: {marker} -->\n```\n")).nth(1).expect("the page has a walk-through");
    let block = block.split("```").next().unwrap();
    let commands: Vec<String> =
        block.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).map(String::from).collect();
    assert!(["distill", "convert", "runtime"].iter().all(|name| commands.iter().any(|c| c.contains(name))));
    commands
}

/// Runs one command of the README: what `cargo run` would build is the program beside this test's.
fn run(line: &str, place: &Path, hub: &str, home: &Path, offline: bool) -> Output {
    let (cargo, rest) = line.split_once(" -- ").expect("cargo run ... -- ...");
    let words: Vec<&str> = cargo.split(' ').collect();
    assert_eq!(words[..3], ["cargo", "run", "--release"], "{line}");
    let name = words[words.iter().position(|word| *word == "-p").unwrap() + 1];
    let mut shell = crate::programs::command(name, place);
    let settings: Vec<_> = shell.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
    shell = Command::new("sh");
    shell.arg("-euc").arg(format!("exec '{}' {rest}", program(name).display())).current_dir(place);
    for (name, value) in settings {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.env("HF_ENDPOINT", hub).env("HF_HOME", home);
    if offline {
        shell.env("HF_HUB_OFFLINE", "1");
    }
    let done = output(&mut shell);
    assert!(done.status.success(), "{line}\n{}", String::from_utf8_lossy(&done.stderr));
    done
}

/// A BERT as `bert-base-uncased` is on the hub: an encoder with a pooler and a head for another task. But tiny.
fn base() -> Vec<(&'static str, Vec<u8>)> {
    let place = Place::without_calibration();
    let config = crate::folder::CONFIG
        .replace("\"attention_softmax\": \"2quad\", \"attention_shift\": 5.0,", "")
        .replace("\"max_position_embeddings\": 16", "\"max_position_embeddings\": 128");
    let mut tensors = synthetic(&Config::from_json(&config).unwrap(), 7);
    tensors.retain(|name, _| !name.starts_with("classifier"));
    let head = ndarray::ArrayD::zeros(ndarray::IxDyn(&[29]));
    tensors.insert("cls.predictions.bias".into(), head);
    place.write_weights(&tensors, Dtype::F32, "bert.");
    let weights = fs::read(place.student().join("model.safetensors")).unwrap();
    let config = config.replace(", \"id2label\": {\"0\": \"NEGATIVE\", \"1\": \"POSITIVE\"}", "");
    vec![
        ("config.json", config.into_bytes()),
        ("tokenizer.json", tokenizer(29).into_bytes()),
        ("model.safetensors", weights),
        ("pytorch_model.bin", b"not fetched".to_vec()),
        ("README.md", b"not fetched".to_vec()),
    ]
}

/// Sentences whose label is that of their one telling word.
fn sentences(count: usize) -> Vec<(String, f32)> {
    let sentence = |i: usize| {
        let others: Vec<String> = (0..i % 6).map(|j| format!("w{}", 10 + (i * 3 + j * 5) % 18)).collect();
        (format!("{} w{}", others.join(" "), 4 + i % 2), (i % 2) as f32)
    };
    (0..count).map(sentence).collect()
}

fn parquet(count: usize) -> Vec<u8> {
    let sentences = sentences(count);
    let rows: Vec<glue::Row<'_>> = sentences.iter().map(|(text, label)| (text.as_str(), None, *label)).collect();
    glue::parquet("sst2", &rows)
}

#[test]
fn the_readmes_commands_go_from_the_hub_to_a_private_answer_and_again_offline() {
    let hub = StandIn::serve();
    hub.add(Kind::Model, "google-bert/bert-base-uncased", "main", &base());
    hub.rename("bert-base-uncased", "google-bert/bert-base-uncased");
    let data = [
        ("sst2/train-00000-of-00001.parquet", parquet(2000)),
        ("sst2/validation-00000-of-00001.parquet", parquet(32)),
        ("mrpc/train-00000-of-00001.parquet", b"not fetched".to_vec()),
    ];
    hub.add(Kind::Dataset, "nyu-mll/glue", "main", &data);
    let (endpoint, home) = (hub.endpoint(), tempfile::tempdir().unwrap());
    walk(&endpoint, home.path(), false);
    for kept in ["config.json", "tokenizer.json", "train-00000", "validation-00000"] {
        assert_eq!(hub.bodies(kept).len(), 1, "{kept}");
    }
    // its beginning is looked at first
    assert_eq!(hub.bodies("model.safetensors").len(), 2);
    for left in ["pytorch_model.bin", "README.md", "mrpc"] {
        assert!(hub.bodies(left).is_empty(), "{left}");
    }
    drop(hub);
    walk(&endpoint, home.path(), true);
}

fn walk(endpoint: &str, home: &Path, offline: bool) {
    let place = tempfile::tempdir().unwrap();
    let mut answers = Vec::new();
    for line in commands("README.md", "walk") {
        let done = run(&line, place.path(), endpoint, home, offline);
        answers.push((line, String::from_utf8(done.stdout).unwrap()));
    }
    let of =
        |what: &str| &answers.iter().find(|(line, _)| line.contains(what)).expect("a command of the walk-through").1;
    let label: Value = serde_json::from_str(of(" infer ").lines().next().unwrap()).unwrap();
    assert!(["NEGATIVE", "POSITIVE"].contains(&label[0]["label"].as_str().unwrap()), "{label}");
    let report: Value = serde_json::from_str(of(" evaluate ")).unwrap();
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!(figure("accuracy") > 0.9 && figure("agreement_float") > 0.9, "{report}");
    assert!(figure("max_logit_diff_float") < 0.05, "{report}");
}

/// A table as docs/own-data.md shows one, with a text in quotes now and then.
fn table(count: usize) -> String {
    let row = |(i, (text, label)): (usize, (String, f32))| {
        let text = if i % 7 == 0 { format!("\"{text}, \"\"w9\"\"\"") } else { text };
        format!("{text},{}\n", ["bad", "good"][label as usize])
    };
    let rows: String = sentences(count).into_iter().enumerate().map(row).collect();
    format!("text,label\n{rows}")
}

#[test]
fn the_page_on_data_of_ones_own_goes_from_a_table_to_private_answers() {
    let hub = StandIn::serve();
    hub.add(Kind::Model, "google-bert/bert-base-uncased", "main", &base());
    hub.rename("bert-base-uncased", "google-bert/bert-base-uncased");
    let (place, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(place.path().join("train.csv"), table(2000)).unwrap();
    fs::write(place.path().join("dev.csv"), table(32)).unwrap();
    fs::write(place.path().join("texts.txt"), "w12 w4\nw5 w17 w11\n").unwrap();
    let mut answers = Vec::new();
    for line in commands("docs/own-data.md", "own-data") {
        answers.push(String::from_utf8(run(&line, place.path(), &hub.endpoint(), home.path(), false).stdout).unwrap());
    }
    let report: Value = serde_json::from_str(&answers[2]).unwrap();
    assert!(report["accuracy"].as_f64().unwrap() > 0.9 && report["labels_differ_float"] == 0, "{report}");
    let labels: Vec<Value> = answers[3].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let labels: Vec<&str> = labels.iter().map(|label| label[0]["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["bad", "good"]);
}
