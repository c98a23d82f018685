//! The program from outside: outputs, refusals, exit codes.

use crate::folder::Place;
use crate::outside::runtime;
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn infer_prints_a_list_for_each_text() {
    let place = Place::new();
    let model = place.student().display().to_string();
    let output = runtime(&place, &["infer", "--model", &model, "--text", "w4 w9", "--text", "w7"], b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert!(["NEGATIVE", "POSITIVE"].contains(&line[0]["label"].as_str().unwrap()));
        assert!(line[0]["score"].as_f64().unwrap() >= 0.5);
    }
    assert!(text(&output.stderr).contains("protects nothing"));
    // the second time the bundle is there; texts from standard input, all labels
    let again = runtime(&place, &["infer", "--model", &model, "--top_k", "2"], b"w4 w9\nw7\n");
    assert!(!text(&again.stderr).contains("converting"), "{}", text(&again.stderr));
    let both: Vec<Value> = text(&again.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(both.len(), 2);
    assert_eq!(both[0].as_array().unwrap().len(), 2);
    assert_eq!(both[1][0]["label"], lines[1][0]["label"]);
}

#[test]
fn infer_as_json_says_what_it_cost_and_what_it_protects() {
    let place = Place::new();
    let model = place.student().display().to_string();
    let args = ["infer", "--model", &model, "--embedding", "client", "--json", "-q", "--batch", "2"];
    let output = runtime(&place, &args, b"w4 w9 w12\nw7\nw8 w9\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = object["results"].as_array().unwrap();
    assert_eq!(results.iter().map(|r| r["tokens"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 3, 4]);
    assert!(results.iter().all(|r| r["logits"].as_array().unwrap().len() == 2 && r["label"].is_string()));
    for key in ["rounds", "online_bytes_each_way", "offline_bytes", "restarts"] {
        assert!(object["cost"][key].is_u64(), "{key}");
    }
    for key in ["offline", "online", "total"] {
        assert!(object["seconds"][key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert_eq!(object["security"]["protects"], "nothing");
}

#[test]
fn evaluate_compares_with_float_and_with_clear_fixed_point() {
    let place = Place::new();
    let (model, glue) = (place.student().display().to_string(), place.glue().display().to_string());
    let args = ["evaluate", "--task", "SST-2", "--data-dir", &glue, "--model", &model, "--max-samples", "12", "--json"];
    let output = runtime(&place, &args, b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["samples"], 12);
    assert_eq!(object["agreement_float"], 1.0);
    assert_eq!(object["accuracy"], object["accuracy_float"]);
    assert!(object["max_logit_diff_float"].as_f64().unwrap() < 0.02);
    assert!(object["max_logit_diff_clear"].as_f64().unwrap() < 0.02);
}

#[test]
fn evaluate_puts_its_scores_into_the_students_results() {
    let place = Place::new();
    let (model, glue) = (place.student().display().to_string(), place.glue().display().to_string());
    let file = place.root.path().join("all_results.json");
    let results = file.display().to_string();
    let kept = serde_json::json!({"eval_accuracy": 0.893348623853211, "options": {"task": "sst2", "gold_weight": 0.0}});
    std::fs::write(&file, kept.to_string()).unwrap();
    let args = ["evaluate", "--task", "sst2", "--data-dir", &glue, "--model", &model, "--max-samples", "5", "--json"];
    let output = runtime(&place, &[&args[..], &["--results", &results]].concat(), b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (way, ending) in [("private", ""), ("float", "_float"), ("clear", "_clear")] {
        assert!(report[format!("accuracy{ending}")].is_f64());
        assert_eq!(all[format!("{way}_eval_accuracy")], report[format!("accuracy{ending}")], "{way}");
        assert_eq!(all[format!("{way}_eval_samples")], 5);
    }
    for key in ["restarts", "security", "engine", "functions"] {
        assert!(!report[key].is_null());
        assert_eq!(all[format!("private_eval_{key}")], report[key]);
    }
    for (key, value) in kept.as_object().unwrap() {
        assert_eq!(all[key], *value);
    }
    // what is no object is refused before the work, and left
    std::fs::write(&file, "[1, 2]").unwrap();
    let output = runtime(&place, &[&args[..], &["--results", &results]].concat(), b"");
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("not a JSON object"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "[1, 2]");
}

#[test]
fn evaluate_takes_a_bundle_and_the_student_that_it_was_made_from() {
    let place = Place::new();
    let (model, glue) = (place.student().display().to_string(), place.glue().display().to_string());
    let student = convert::Student::read(&place.student()).unwrap();
    let stored = student.stored_ranges().unwrap();
    // another calibration: other scales, the same model
    let samples = crate::folder::samples(&student, &crate::folder::examples(7));
    let fewer = model::calibrate(&student.folded, &samples, &|| ()).unwrap();
    for (name, ranges, fixed) in [("stored", stored, true), ("fewer", fewer, false)] {
        let bundle = place.root.path().join(name);
        let converted = convert::convert(&student, &ranges).unwrap();
        let options = bundle::WriteOptions { overwrite: false, progress: None };
        convert::write_bundle(&student, &converted, bundle::Embedding::Private, &bundle, options).unwrap();
        let bundle = bundle.display().to_string();
        let args = ["evaluate", "--task=sst2", "--data-dir", &glue, "--bundle", &bundle, "--student", &model];
        let output = runtime(&place, &[&args[..], &["--max-samples", "3", "--json", "-q"]].concat(), b"");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(object["accuracy_float"].is_f64());
        assert_eq!(object["accuracy_clear"].is_f64(), fixed, "{name}");
        assert_eq!(text(&output.stderr).contains("other scales"), !fixed, "{name}");
    }
}

#[test]
fn a_damaged_part_of_a_bundle_is_a_bad_file() {
    let place = Place::new();
    let student = convert::Student::read(&place.student()).unwrap();
    let converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
    let folder = place.bundle();
    let options = bundle::WriteOptions { overwrite: false, progress: None };
    convert::write_bundle(&student, &converted, bundle::Embedding::Private, &folder, options).unwrap();
    std::fs::write(folder.join("party1/seed"), b"short").unwrap();
    let bundle = folder.display().to_string();
    let output = runtime(&place, &["infer", "--bundle", &bundle, "--text", "w4", "--deadline", "5"], b"");
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("party1 ended early") && errors.contains("seed"), "{errors}");
}

#[test]
fn each_mistake_has_a_message_and_an_exit_code() {
    let place = Place::new();
    let model = place.student().display().to_string();
    let glue = place.glue().display().to_string();
    let empty = place.root.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let empty = empty.display().to_string();
    let latin1 = place.write("latin1", b"caf\xe9\n");
    let three = place.write("three", "w4\tw5\nw4\tw5\tw6\n");
    let none = place.write("none", "");
    let cases: [(&[&str], &[u8], i32, &str); 23] = [
        (&["infer", "--model", &model], b"", 2, "no text"),
        (&["infer", "--model", &model, "--text", " "], b"", 2, "text 1 is empty"),
        (&["infer", "--model", &model, "--text", "w4", "--text-pair", ""], b"", 2, "text 1 is empty (--text-pair)"),
        (&["infer", "--model", &model, "--text", "w4", "--text-pair", "w5", "--text-pair", "w6"], b"", 2, "2 times"),
        (&["infer", "--model", &model, "--text", "w4", "--pairs"], b"", 2, "cannot be used with"),
        (&["infer", "--model", &model, "--text-pair", "w4"], b"", 2, "--text <TEXT>"),
        (&["infer", "--model", &model], b"w4\n\nw5\n", 3, "standard input, line 2: expected at least one word"),
        (&["infer", "--model", &model, "--pairs"], b"w4\tw5\nw6\n", 3, "line 2: expected two texts with one tab"),
        (&["infer", "--model", &model, "--pairs", "--file", &three], b"", 3, "three, line 2: expected two texts"),
        (&["infer", "--model", &model], b"w4\n\nw5\n", 3, "line 2: expected at least one word"),
        (&["infer", "--model", &model, "--pairs"], b"w4\t \n", 3, "line 1: expected at least one word in every text"),
        (&["infer", "--model", &model, "--file", &none], b"", 3, "none: no text"),
        (&["infer", "--model", &model, "--text", "w4", "--memory", "1M"], b"", 7, "weights in floating point"),
        (&["infer", "--model", &model], b"caf\xe9", 3, "not UTF-8 at byte 3"),
        (&["infer", "--model", &model, "--file", &latin1], b"", 3, "not UTF-8 at byte 3"),
        (&["infer", "--model", &model, "--file", "/nowhere"], b"", 3, "/nowhere"),
        (&["infer", "--model", &empty, "--text", "w4"], b"", 3, "config.json"),
        (&["infer", "--bundle", &empty, "--text", "w4"], b"", 3, "client"),
        (&["infer", "--text", "w4"], b"", 3, "shipped student"),
        (&["infer", "--bundle", &empty, "--model", &model, "--text", "w4"], b"", 2, "cannot be used with"),
        (&["evaluate", "--task", "sst3", "--data-dir", &glue], b"", 2, "sst3"),
        (&["party", "--index", "0", "--bundle", &empty], b"", 2, "--insecure-local"),
        (&["dealer", "--bundle", &empty], b"", 2, "--insecure-local"),
    ];
    for (args, input, code, message) in cases {
        let output = runtime(&place, args, input);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.contains(message), "{args:?}: {errors}");
        assert!(!errors.contains("panicked"), "{args:?}: {errors}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
