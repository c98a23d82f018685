//! What is printed for models of every kind: from a conversion over real processes to answers and figures.

use std::process::{Command, Output, Stdio};

use crate::folder::{Place, examples, pairs, score};
use crate::outside::runtime;
use datasets::{Label, Metric, Metrics};
use model::Texts;
use serde_json::Value;

/// Converts the student over a task, as `convert` does, and returns the bundle's folder.
fn converted(place: &Place, task: &str) -> String {
    let (student, bundle) = (place.student().display().to_string(), place.bundle().display().to_string());
    let glue = place.glue().display().to_string();
    let line = ["convert", &student, "-o", &bundle, "-q", "--calibrate", "--task", task, "--data-dir", &glue];
    let options = convert::Options::from_args(line.map(Into::into)).unwrap();
    convert::run(&options, &mut Vec::new()).unwrap();
    bundle
}

fn lines(output: &Output) -> Vec<Value> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn object(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(words.iter().all(|word| errors.contains(word)), "expected {words:?} in: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(output.stdout.is_empty());
}

/// Floating-point logits of the pairs.
fn float(place: &Place, count: usize) -> Vec<Vec<f64>> {
    let student = convert::Student::read(&place.student()).unwrap();
    let logits = |sample: &model::Sample| {
        let texts = Texts::new(&[sample.ids.len()], student.shape()).unwrap();
        let row = student.folded.logits(&texts, &sample.ids, &sample.segments).unwrap();
        row.iter().map(|v| f64::from(*v)).collect()
    };
    crate::folder::samples(&student, &pairs(count)).iter().map(logits).collect()
}

#[test]
fn pairs_with_numbers_go_from_conversion_to_answers_and_correlations() {
    let place = Place::answering(&["similarity"], None);
    place.write_pair_tasks(30, 16);
    let bundle = converted(&place, "stsb");
    let expected = float(&place, 16);

    let both: Vec<_> = pairs(3).into_iter().map(|pair| (pair.text, pair.text_pair.unwrap())).collect();
    let mut args = vec!["infer", "--bundle", &bundle];
    both.iter().for_each(|(text, second)| args.extend(["--text", text, "--text-pair", second]));
    let by_flag = lines(&runtime(&place, &args, b""));
    let file: String = both.iter().map(|(text, second)| format!("{text}\t{second}\n")).collect();
    let by_line = lines(&runtime(&place, &["infer", "--bundle", &bundle, "--pairs"], file.as_bytes()));
    for (at, expected) in expected[..3].iter().enumerate() {
        for line in [&by_flag[at], &by_line[at]] {
            assert_eq!((line.as_array().unwrap().len(), &line[0]["label"]), (1, &"similarity".into()));
            assert!((line[0]["score"].as_f64().unwrap() - expected[0]).abs() < 0.02, "{line} for {expected:?}");
        }
    }

    let (student, glue) = (place.student().display().to_string(), place.glue().display().to_string());
    let args = ["evaluate", "--bundle", &bundle, "--student", &student, "--task", "sts-b", "--data-dir", &glue];
    let report = object(&runtime(&place, &[&args[..], &["--json", "-q"]].concat(), b""));
    let truth: Vec<Label> = (0..16).map(|i| Label::Number(score(i))).collect();
    let float = Metrics::of(&[Metric::Pearson, Metric::Spearman], &expected, &truth).named();
    assert_eq!(float.len(), 3);
    for (name, value) in float {
        assert!((report[format!("{name}_float")].as_f64().unwrap() - value).abs() < 1e-9, "{name}: {report}");
        // neighbours in rank may change places
        assert!((report[name].as_f64().unwrap() - value).abs() < 0.05, "{name}: {report}");
    }
    assert!(report["max_logit_diff_float"].as_f64().unwrap() < 0.02);
    for of_classes in ["accuracy", "agreement_float", "labels_differ_float"] {
        assert!(report.get(of_classes).is_none(), "{of_classes}");
    }
    let table = runtime(&place, &[&args[..], &["--max-samples", "4", "-q"]].concat(), b"");
    let table = String::from_utf8(table.stdout).unwrap();
    for row in ["samples ", "pearson ", "pearson_float ", "spearmanr ", "combined_score ", "max_logit_diff_float "] {
        assert!(table.lines().any(|line| line.starts_with(row)), "expected `{row}` in:\n{table}");
    }
}

#[test]
fn mrpc_has_accuracy_and_f1() {
    let place = Place::answering(&["not_equivalent", "equivalent"], None);
    place.write_pair_tasks(30, 18);
    let (model, glue) = (place.student().display().to_string(), place.glue().display().to_string());
    let args = ["--model", &model, "--task", "mrpc", "--data-dir", &glue];
    let report = object(&runtime(&place, &[&["evaluate", "--json"], &args[..]].concat(), b""));
    // counted by hand
    let (mut right, mut both, mut one) = (0, 0, 0);
    for (row, pair) in float(&place, 18).iter().zip(pairs(18)) {
        let (called, is) = (usize::from(row[1] > row[0]), crate::folder::class(&pair));
        right += usize::from(called == is);
        both += called * is;
        one += usize::from(called != is);
    }
    let (accuracy, f1) = (right as f64 / 18.0, 2.0 * both as f64 / (2 * both + one) as f64);
    assert!(accuracy != f1 && f1 > 0.0, "the test shows nothing");
    for (name, value) in [("accuracy", accuracy), ("f1", f1), ("combined_score", (accuracy + f1) / 2.0)] {
        for way in ["_float", "_clear"] {
            assert!((report[format!("{name}{way}")].as_f64().unwrap() - value).abs() < 1e-9, "{name}{way}: {report}");
        }
        assert!(report[name].is_f64(), "{name}: {report}");
    }
    assert_eq!((&report["task"], &report["samples"]), (&"mrpc".into(), &18.into()));
    // a task of numbers, and one of three classes
    let stsb = ["evaluate", "--model", &model, "--task", "stsb", "--data-dir", &glue];
    refused(&runtime(&place, &stsb, b""), 3, &["stsb asks for a number, the model gives one of 2 classes"]);
    let three = place.write("three.csv", "text,label\nw5,0.5\n");
    let own = ["evaluate", "--model", &model, "--validation-file", &three, "--regression"];
    refused(&runtime(&place, &own, b""), 3, &["three asks for a number"]);
}

#[test]
fn labels_in_another_order_follow_the_models_names() {
    let accuracy = |labels: &[&str]| {
        let place = Place::answering(labels, None);
        let (model, glue) = (place.student().display().to_string(), place.glue().display().to_string());
        let args = ["evaluate", "--model", &model, "--task", "sst2", "--data-dir", &glue, "--max-samples", "15"];
        let output = runtime(&place, &[&args[..], &["--json"]].concat(), b"");
        let note = String::from_utf8_lossy(&output.stderr).contains("are taken for sst2's NEGATIVE, POSITIVE");
        (object(&output)["accuracy_float"].as_f64().unwrap(), note)
    };
    let (usual, swapped) = (accuracy(&["NEGATIVE", "POSITIVE"]), accuracy(&["positive", "negative"]));
    // 15 texts: no accuracy is its own opposite
    assert!((usual.0 + swapped.0 - 1.0).abs() < 1e-9, "{usual:?} {swapped:?}");
    assert!(!usual.1 && !swapped.1);
    assert_eq!(accuracy(&["LABEL_0", "LABEL_1"]), (usual.0, true));
}

#[test]
fn files_of_ones_own_are_evaluated_with_columns_by_name() {
    let place = Place::answering(&["bad", "good"], None);
    let model = place.student().display().to_string();
    let name = |i: usize| ["bad", "good"][i % 2];
    let rows = examples(11).into_iter().enumerate();
    let (mut csv, mut jsonl) = ("review,verdict\n".to_string(), String::new());
    for (i, example) in rows {
        csv += &format!("{},{}\n", example.text, name(i));
        jsonl += &serde_json::json!({"verdict": name(i), "review": example.text}).to_string();
        jsonl += "\n";
    }
    let files = [place.write("dev.csv", csv), place.write("dev.jsonl", jsonl)];
    let reports = files.each_ref().map(|file| {
        let args = ["evaluate", "--json", "--model", &model, "--validation-file", file];
        let columns = ["--text-column", "review", "--label_column", "verdict"];
        object(&runtime(&place, &[&args[..], &columns].concat(), b""))
    });
    for key in ["accuracy_float", "f1_float", "samples", "truncated"] {
        assert!(!reports[0][key].is_null() && reports[0][key] == reports[1][key], "{key}: {reports:?}");
    }
    assert_eq!((&reports[0]["task"], &reports[0]["samples"]), (&"dev".into(), &11.into()));
    let unnamed = ["evaluate", "--model", &model, "--validation-file", &files[0]];
    refused(&runtime(&place, &unnamed, b""), 3, &["no column", "--text-column", "review, verdict"]);
    refused(&runtime(&place, &["evaluate", "--model", &model], b""), 2, &["--task", "--validation-file"]);
    let train = ["evaluate", "--model", &model, "--train-file", &files[0]];
    refused(&runtime(&place, &train, b""), 2, &["--validation-file"]);
}

#[test]
fn several_labels_have_a_sigmoid_each() {
    let place = Place::answering(&["toxic", "rude", "kind"], Some("multi_label_classification"));
    let (model, glue) = (place.student().display().to_string(), place.glue().display().to_string());
    let output = runtime(&place, &["infer", "--model", &model, "--text", "w5 w6 w7", "--top-k", "3"], b"");
    let scores = lines(&output).remove(0);
    let json = object(&runtime(&place, &["infer", "--model", &model, "--text", "w5 w6 w7", "--json"], b""));
    assert_eq!(json["problem_type"], "multi_label_classification");
    let logits: Vec<f64> =
        json["results"][0]["logits"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let mut expected: Vec<(f64, &str)> =
        logits.iter().zip(["toxic", "rude", "kind"]).map(|(v, name)| (1.0 / (1.0 + (-v).exp()), name)).collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (line, (score, label)) in scores.as_array().unwrap().iter().zip(&expected) {
        assert_eq!(line["label"], *label);
        assert!((line["score"].as_f64().unwrap() - score).abs() < 0.01, "{line} for {score}");
    }
    assert_eq!(scores.as_array().unwrap().len(), 3);
    let args = ["evaluate", "--model", &model, "--task", "sst2", "--data-dir", &glue];
    refused(&runtime(&place, &args, b""), 3, &["sst2 asks for one of 2 classes", "any of 3 labels"]);
}

#[test]
fn several_labels_are_judged_privately_as_in_clear() {
    let place = Place::answering(&["toxic", "rude", "kind"], Some("multi_label_classification"));
    let model = place.student().display().to_string();
    // every set of the three, a few of them twice; some by number
    let sets = |i: usize| (0..3).filter(|label| i >> label & 1 == 1).collect::<Vec<usize>>();
    let row = |(i, example): (usize, datasets::Example)| {
        let names: Vec<Value> =
            sets(i).into_iter().map(|l| if i < 4 { l.into() } else { ["Toxic", "rude", "kind"][l].into() }).collect();
        serde_json::json!({"text": example.text, "labels": names}).to_string() + "\n"
    };
    let file = place.write("dev.jsonl", examples(12).into_iter().enumerate().map(row).collect::<String>());
    let args = ["evaluate", "--json", "--model", &model, "--validation-file", &file];
    let report = object(&runtime(&place, &args, b""));
    let student = convert::Student::read(&place.student()).unwrap();
    let (mut both, mut either, mut whole) = ([0; 3], [0; 3], 0);
    for (i, sample) in crate::folder::samples(&student, &examples(12)).iter().enumerate() {
        let texts = Texts::new(&[sample.ids.len()], student.shape()).unwrap();
        let row = student.folded.logits(&texts, &sample.ids, &sample.segments).unwrap();
        let row: Vec<f32> = row.iter().copied().collect();
        let is = |label: usize| sets(i).contains(&label);
        for label in 0..3 {
            both[label] += usize::from(row[label] > 0.0 && is(label));
            either[label] += usize::from(row[label] > 0.0) + usize::from(is(label));
        }
        whole += usize::from((0..3).all(|label| (row[label] > 0.0) == is(label)));
    }
    let f1 = |both: usize, either: usize| if either == 0 { 0.0 } else { 2.0 * both as f64 / either as f64 };
    let micro = f1(both.iter().sum(), either.iter().sum());
    let of_each = (0..3).map(|label| f1(both[label], either[label])).sum::<f64>() / 3.0;
    assert!(micro > 0.0 && micro != of_each, "the test shows nothing");
    for (name, value) in [("f1_micro", micro), ("f1_macro", of_each), ("accuracy", whole as f64 / 12.0)] {
        assert!((report[format!("{name}_float")].as_f64().unwrap() - value).abs() < 1e-9, "{name}: {report}");
        assert!(report[name].is_f64() && report[format!("{name}_clear")].is_f64(), "{name}: {report}");
    }
    assert!(report.get("combined_score").is_none());
    let differ = report["labels_differ_float"].as_u64().unwrap();
    assert_eq!(report["agreement_float"].as_f64().unwrap(), 1.0 - differ as f64 / 12.0);
    let one = ["--problem-type", "single_label"];
    let said = &["dev asks for one of some classes", "any of 3 labels"];
    refused(&runtime(&place, &[&args[..], &one].concat(), b""), 3, said);
}

#[test]
fn what_is_too_long_is_cut_with_a_warning_or_refused() {
    let place = Place::new();
    let (model, glue) = (place.student().display().to_string(), place.glue().display().to_string());
    let file = place.write("texts.txt", format!("w5\n{}\n", "w6 ".repeat(15)));
    let args = ["infer", "--model", &model, "--file", &file];
    let output = runtime(&place, &args, b"");
    assert_eq!(lines(&output).len(), 2);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("warning: text 2 has more than 16 tokens"), "{errors}");
    assert!(!errors.contains("text 1"), "{errors}");
    let whole = runtime(&place, &[&args[..], &["--no-truncate"]].concat(), b"");
    refused(&whole, 3, &["text 2 has more than 16 tokens", "--no-truncate"]);
    let args = ["evaluate", "--model", &model, "--task", "sst2", "--data-dir", &glue, "--max-samples", "4", "--json"];
    let output = runtime(&place, &args, b"");
    let cut = examples(4).iter().filter(|e| e.text.split(' ').count() > 14).count();
    assert_eq!(object(&output)["truncated"], cut);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains(&format!("warning: {cut} of 4 validation texts have more than 16 tokens")), "{errors}");
    let whole = runtime(&place, &[&args[..], &["--no_truncate"]].concat(), b"");
    refused(&whole, 3, &["has more than 16 tokens"]);
}

#[cfg(unix)]
#[test]
fn an_output_that_nobody_reads_is_no_panic() {
    let place = Place::new();
    let model = place.student().display().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_runtime"))
        .args(["infer", "--model", &model, "--text", "w5", "--text", "w6"])
        .env("PRIVATE_BERT_CACHE", place.root.path().join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    refused(&child.wait_with_output().unwrap(), 9, &["standard output cannot be written"]);
}
