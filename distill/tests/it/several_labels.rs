//! Any number of labels a text: taught, judged, answered and kept. In this process, so that no other build's program runs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use distill::options::Options;
use distill::parallel::Launch;
use distill::pipeline;
use serde_json::{Value, json};

use crate::program::json;
use crate::tiny::Fixture;

const GOOD: [&str; 4] = ["fine", "warm", "great", "lovely"];
const BAD: [&str; 4] = ["dull", "cold", "awful", "bleak"];

/// Texts with words of praise, of blame, of both, or of neither: so are their labels.
fn rows(count: usize, shift: usize) -> Vec<(String, Vec<&'static str>)> {
    let row = |i: usize| {
        let (praised, blamed) = (i % 2 == 1, i / 2 % 2 == 1);
        let mut words = vec![["a", "film", "plot", "and"][i / 4 % 4]; 1 + i % 3];
        words.extend(praised.then_some(GOOD[(i / 3 + shift) % 4]));
        words.extend(blamed.then_some(BAD[(i / 5 + shift) % 4]));
        let labels = [(blamed, "blame"), (praised, "praise")];
        (words.join(" "), labels.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect())
    };
    (0..count).map(row).collect()
}

/// The same as json lines and as csv with a mark between labels.
fn files(fixture: &Fixture) -> [PathBuf; 2] {
    let jsonl: Vec<String> =
        rows(256, 0).into_iter().map(|(text, labels)| json!({"text": text, "labels": labels}).to_string()).collect();
    let csv: Vec<String> =
        rows(24, 1).into_iter().map(|(text, labels)| format!("{text},{}", labels.join("|"))).collect();
    let csv = format!("text,labels\n{}\n", csv.join("\n"));
    [fixture.write("moods.jsonl", &jsonl.join("\n")), fixture.write("dev.csv", &csv)]
}

fn options(fixture: &Fixture, teacher: &Path, out: &str, more: &[&str]) -> Options {
    let [train, dev] = files(fixture);
    let mut args: Vec<OsString> = vec!["distill".into(), "-q".into()];
    for (flag, path) in [
        ("--teacher", teacher),
        ("--output-dir", &fixture.path(out)),
        ("--train-file", &train),
        ("--validation-file", &dev),
    ] {
        args.extend([flag.into(), path.into()]);
    }
    let fixed =
        "--per-device-train-batch-size 8 --learning-rate 2e-3 --max-seq-length 16 --logging-steps 4 --eval-steps 8";
    args.extend(fixed.split(' ').chain(more.iter().copied()).map(OsString::from));
    Options::from_args(args).unwrap()
}

fn refusal<T>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.err().unwrap())
}

#[test]
fn any_number_of_labels_is_taught_and_judged() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let test = fixture.write("test.jsonl", "{\"text\":\"a plot\"}\n{\"text\":\"a a fine dull\"}\n");
    let test = test.display().to_string();
    let several = ["--problem-type", "multi_label", "--label-delimiter", "|"];
    let more = ["--num-train-epochs", "8", "--gold-weight", "0.5", "--test-file", &test];
    pipeline::run(&options(&fixture, &teacher, "out", &[&several[..], &more].concat()), &Launch::alone()).unwrap();
    let out = fixture.path("out");
    for folder in [out.clone(), out.join("teacher")] {
        let config = json(&folder.join("config.json"));
        assert_eq!(config["problem_type"], "multi_label_classification");
        assert_eq!(config["id2label"], json!({"0": "blame", "1": "praise"}));
    }
    let results = json(&out.join("eval_results.json"));
    for name in ["eval_f1_micro", "eval_f1_macro", "eval_accuracy", "teacher_eval_f1_micro"] {
        assert!(results[name].as_f64().unwrap() > 0.8, "{name}: {results}");
    }
    assert!(results.get("eval_combined_score").is_none());
    let log = json(&out.join("trainer_state.json"))["log_history"].as_array().unwrap().clone();
    let teachers = log.iter().filter(|entry| entry["stage"] == "teacher");
    let losses: Vec<f64> = teachers.filter_map(|entry| entry["loss"].as_f64()).collect();
    // half of all labels hold: who knows nothing loses log 2 a label
    assert!((losses[0] - 2f64.ln()).abs() < 0.3 && losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
    for part in ["soft", "gold"] {
        let last = log.iter().rev().find_map(|entry| entry[part].as_f64()).unwrap();
        assert!(last < 0.5 * 2f64.ln(), "{part}: {last}");
    }
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("binary cross-entropy of each label") && card.contains("- type: f1_micro"), "{card}");
    let told = fs::read_to_string(out.join("predict_results_moods.txt")).unwrap();
    assert_eq!(told, "index\tprediction\n0\t[]\n1\t[\"blame\",\"praise\"]\n");

    // its teacher's head stays, and a stored folder is judged without a word of what it answers
    let kept = options(&fixture, &out.join("teacher"), "again", &several);
    assert!(pipeline::describe(&kept, &Launch::alone()).unwrap().contains("teacher: has a head for the task"));
    let judging = options(&fixture, &teacher, "unused", &several[2..]);
    let judged: Value = pipeline::evaluate_folder(&judging, &out).unwrap();
    assert_eq!(judged["f1_micro"], results["eval_f1_micro"]);
}

#[test]
fn several_labels_are_refused_where_nobody_said_so() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 1, false);
    let said = refusal(pipeline::describe(&options(&fixture, &teacher, "out", &[]), &Launch::alone()));
    assert!(
        said.contains("moods.jsonl, line 1: expected a label") && said.contains("--problem-type multi_label"),
        "{said}"
    );
    let alone = options(&fixture, &teacher, "out", &["--problem-type", "multi_label_classification"]);
    let said = refusal(pipeline::describe(&alone, &Launch::alone()));
    assert!(said.contains("dev.csv, line 2: expected labels of blame or praise") && said.contains("[]"), "{said}");
}
