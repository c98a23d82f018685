//! The program over texts of every kind: which are observed, which are compared, and what is said about them.

use std::process::Output;

use bundle::ClientBundle;
use model::ProblemType;
use serde_json::Value;

use crate::folder::{Place, class, examples};
use crate::running::{calibrated, convert, entries, refused, text};

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn over(place: &Place, task: &str, args: &[&str]) -> Output {
    let glue = place.glue().display().to_string();
    convert(place, &[&["--task", task, "--data-dir", &glue], args].concat())
}

/// A file with as many labelled texts, in columns of our own.
fn csv(place: &Place, name: &str, count: usize) -> String {
    let rows = examples(count).into_iter().map(|e| format!("{},{}\n", e.text, ["bad", "good"][class(&e)]));
    place.write(name, format!("review,verdict\n{}", rows.collect::<String>()))
}

#[test]
fn without_calibrate_texts_are_only_compared_on() {
    let place = Place::new();
    let stored: Value =
        serde_json::from_slice(&std::fs::read(place.student().join("calibration.json")).unwrap()).unwrap();
    let only = report(&over(&place, "sst2", &["--json"]));
    assert_eq!(only["calibration_texts"], stored["texts"]);
    assert_eq!(only["comparison"]["samples"], 30);
    let few = ["--json", "--overwrite", "--calibrate", "--calibrate-samples", "5", "--replace-ranges"];
    let observed = report(&over(&place, "sst2", &few));
    assert!(observed["calibration_texts"].as_u64().unwrap() < stored["texts"].as_u64().unwrap());
    assert_ne!(observed["spec_digest"], only["spec_digest"]);
}

/// Calibrating on a few texts more must not take from the others what worked: ranges are widened, unless they are to be replaced.
#[test]
fn calibrating_widens_what_is_stored_and_replacing_is_said_aloud() {
    let place = Place::new();
    let ends = |report: &Value, place: &str| -> Vec<(f64, f64)> {
        let rows = report["rows"].as_array().unwrap().iter().filter(|row| row["place"] == place);
        rows.map(|row| (row["least"].as_f64().unwrap(), row["most"].as_f64().unwrap())).collect()
    };
    let stored = report(&over(&place, "sst2", &["--json"]));
    let three = ["--json", "--overwrite", "--calibrate", "--calibrate-samples", "3"];
    let output = over(&place, "sst2", &three);
    assert!(
        text(&output.stderr).contains("widen those in calibration.json; --replace-ranges"),
        "{}",
        text(&output.stderr)
    );
    let widened = report(&output);
    let replaced = report(&over(&place, "sst2", &[&three[..], &["--replace-ranges"]].concat()));
    let (before, after, alone) = (ends(&stored, "1/sum"), ends(&widened, "1/sum"), ends(&replaced, "1/sum"));
    assert!(before.iter().zip(&after).all(|(b, a)| a.0 <= b.0 && a.1 >= b.1), "{before:?} {after:?}");
    assert!(before.iter().zip(&alone).any(|(b, a)| a.0 > b.0 || a.1 < b.1), "{before:?} {alone:?}");
    refused(&convert(&place, &["--replace-ranges"]), 2, &["--calibrate"]);
}

#[test]
fn files_of_ones_own_are_observed_and_compared_on() {
    let place = Place::answering(&["bad", "good"], None);
    let (train, dev) = (csv(&place, "train.csv", 33), csv(&place, "dev.csv", 12));
    let columns = ["--text-column", "review", "--label-column", "verdict", "--json"];
    let run = |more: &[&str]| convert(&place, &[&columns[..], more].concat());
    let both = report(&run(&["--calibrate", "--train-file", &train, "--validation-file", &dev]));
    assert_eq!(both["comparison"]["samples"], 12);
    let output = run(&["--overwrite", "--calibrate", "--train-file", &train]);
    assert_eq!(report(&output)["comparison"], Value::Null);
    assert!(text(&output.stderr).contains("without --validation-file nothing is compared"), "{}", text(&output.stderr));
    let compared = report(&run(&["--overwrite", "--validation-file", &dev]));
    assert_eq!(compared["comparison"]["same_label"], 12);
    refused(&convert(&place, &["--overwrite", "--validation-file", &dev]), 3, &["`text`", "--text-column", "review"]);
}

#[test]
fn pairs_and_numbers_are_converted_too() {
    let place = Place::answering(&["LABEL_0"], None);
    place.write_pair_tasks(25, 20);
    let output = over(&place, "stsb", &["--calibrate"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let last = text(&output.stdout).lines().last().unwrap();
    assert!(last.starts_with("-[ok] all logits close") && last.ends_with(", 20 texts"), "{last}");
    let json = report(&over(&place, "stsb", &["--calibrate", "--json", "--overwrite"]));
    assert!(json["comparison"].get("same_label").is_none(), "{json}");
    let client = ClientBundle::open(&place.bundle().join("client")).unwrap();
    assert_eq!((client.problem, client.labels), (ProblemType::Regression, vec!["LABEL_0".to_string()]));
    refused(&over(&place, "mrpc", &["--overwrite"]), 3, &["mrpc asks for one of 2 classes, the model gives a number"]);

    let place = Place::answering(&["not_equivalent", "equivalent"], None);
    place.write_pair_tasks(25, 20);
    assert_eq!(report(&over(&place, "mrpc", &["--calibrate", "--json"]))["comparison"]["same_label"], 20);
    refused(&over(&place, "stsb", &["--overwrite"]), 3, &["stsb asks for a number, the model gives one of 2 classes"]);
}

#[test]
fn several_labels_are_equal_where_all_are() {
    let place = Place::answering(&["toxic", "rude", "kind"], Some("multi_label_classification"));
    let texts = examples(20).into_iter().map(|e| format!("{}\trude\n", e.text)).collect::<String>();
    let dev = place.write("dev.tsv", format!("text\tlabel\n{texts}"));
    let json = report(&convert(&place, &["--json", "--validation-file", &dev]));
    assert_eq!(json["comparison"]["same_label"], 20);
    let client = ClientBundle::open(&place.bundle().join("client")).unwrap();
    assert_eq!((client.problem, client.labels.len()), (ProblemType::MultiLabel, 3));
}

#[test]
fn what_is_cut_off_is_counted_or_refused() {
    let place = Place::new();
    let long = |count| examples(count).iter().filter(|e| e.text.split(' ').count() > 14).count();
    let output = calibrated(&place, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for (all, kind) in [(40, "training"), (30, "validation")] {
        let warning = format!("warning: {} of {all} {kind} texts have more than 16 tokens", long(all));
        assert!(text(&output.stderr).contains(&warning), "expected {warning} in: {}", text(&output.stderr));
    }
    let first = examples(40).iter().position(|e| e.text.split(' ').count() > 14).unwrap() + 1;
    let output = calibrated(&place, &["--no-truncate", "--overwrite"]);
    refused(&output, 3, &[&format!("text {first} has more than 16 tokens"), "--no-truncate"]);
    assert_eq!(entries(place.root.path()), ["bundle", "glue", "student"]);
}

/// An ordinary model, whose attention is softmax.
fn ordinary() -> Place {
    let place = Place::without_calibration();
    place.edit("config.json", "\"attention_softmax\": \"2quad\", \"attention_shift\": 5.0,", "");
    place
}

fn lines(count: usize) -> String {
    examples(count).into_iter().map(|e| e.text + "\n").collect()
}

#[test]
fn texts_without_answers_fit_an_ordinary_model_and_every_tenth_is_compared_on() {
    let place = ordinary();
    let texts = place.write("texts.txt", lines(120));
    let output = convert(&place, &["--json", "--texts", &texts]);
    let json = report(&output);
    assert_eq!(json["comparison"]["samples"], 12);
    assert!(json["comparison"]["max_difference"].as_f64().unwrap() < 2e-2, "{json}");
    assert!(!text(&output.stderr).contains("some hundreds"), "{}", text(&output.stderr));
    assert!(ClientBundle::open(&place.bundle().join("client")).is_ok());
    // labelled texts to compare on go before those that would be left out
    let judged = over(&place, "sst2", &["--json", "--overwrite", "--texts", &texts]);
    assert_eq!(report(&judged)["comparison"]["samples"], 30);
}

#[test]
fn a_table_of_texts_is_observed_as_its_lines_are() {
    let place = Place::new();
    let texts = place.write("texts.txt", lines(40));
    let json = report(&convert(&place, &["--json", "--texts", &texts]));
    let table = place.write("rows.csv", format!("review\n{}", lines(40)));
    let of_table = convert(&place, &["--json", "--overwrite", "--texts", &table, "--text-column", "review"]);
    assert_eq!(report(&of_table)["spec_digest"], json["spec_digest"]);
}

#[test]
fn a_few_texts_are_taken_with_a_warning() {
    let place = Place::new();
    let few = place.write("few.txt", lines(9));
    let output = convert(&place, &["--json", "--texts", &few]);
    assert_eq!(report(&output)["comparison"]["samples"], 9, "too few to leave any out");
    assert!(text(&output.stderr).contains("widen those in calibration.json"), "{}", text(&output.stderr));
    let place = ordinary();
    let few = place.write("few.txt", lines(30));
    let output = convert(&place, &["--texts", &few]);
    assert!(
        text(&output.stderr).contains("few.txt holds 30 texts; softmax is fitted to them"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn texts_that_cannot_be_meant_are_refused_by_their_line() {
    let place = Place::new();
    let run = |text: &str| {
        let file = place.write("texts.txt", text);
        convert(&place, &["--texts", &file])
    };
    refused(&run("w4\n\nw5\n"), 3, &["texts.txt, line 2", "at least one word"]);
    refused(&run("w4\nw5\tw6\n"), 3, &["texts.txt, line 2", "two with one tab between", "got a tab"]);
    refused(&run("w4\nw5\n\u{200b}\n"), 3, &["texts.txt", "text 3 is empty"]);
    place.edit("config.json", "\"vocab_size\"", "\"text_pair\": true, \"vocab_size\"");
    refused(&run("w4\nw5\n"), 3, &["texts.txt", "taught pairs of texts", "single texts"]);
    assert_eq!(entries(place.root.path()), ["glue", "student", "texts.txt"]);
}
