//! The program from outside: what it writes, what it prints, what it refuses and with which exit code.

use std::fs;
use std::path::Path;
use std::process::Command;

use bundle::{ClientBundle, DealerBundle, Embedding, PartyBundle};
use serde_json::Value;

use crate::folder::{Place, tokenizer};
use crate::running::{calibrated, convert, entries, refused, text, with_task};

#[test]
fn a_student_with_its_calibration_becomes_a_bundle() {
    let place = Place::new();
    let output = convert(&place, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "nothing to say and no progress off a terminal");
    let table = text(&output.stdout);
    for words in
        ["embedding ", "layer 1 ", "output norm 1/sqrt", "GeLU", "tanh", "restart probability", "private embedding"]
    {
        assert!(table.contains(words), "expected `{words}` in:\n{table}");
    }
    let parties = [0, 1].map(|i| PartyBundle::open(&place.bundle().join(format!("party{i}")), i).unwrap());
    let dealer = DealerBundle::open(&place.bundle().join("dealer")).unwrap();
    let client = ClientBundle::open(&place.bundle().join("client")).unwrap();
    assert!(parties.iter().all(|p| p.id == dealer.id && p.spec == dealer.spec) && client.id == dealer.id);
    assert!(table.contains(&format!("id {}", client.id)));
    assert_eq!(client.labels, ["NEGATIVE", "POSITIVE"]);
    // with the special tokens that transformers would add, so that it reads the same wherever it lies
    let student = convert::Student::read(&place.student()).unwrap();
    assert!(fs::read(client.tokenizer_path).unwrap() == student.tokenizer_json);
    assert_eq!(entries(place.root.path()), ["bundle", "glue", "student"]);
}

#[test]
fn sentences_give_ranges_and_a_comparison() {
    let place = Place::without_calibration();
    let output = calibrated(&place, &["--calibrate_samples", "25", "--embedding", "client"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let last = text(&output.stdout).lines().last().unwrap();
    assert!(last.starts_with("-[ok] all logits close (atol 2e-2), max diff "), "{last}");
    assert!(last.ends_with("30 of 30 labels equal"), "{last}");
    let client = ClientBundle::open(&place.bundle().join("client")).unwrap();
    assert_eq!(client.embedding, Embedding::Client);
    assert!(client.table.is_some());
}

#[test]
fn json_is_one_object_that_says_everything() {
    let place = Place::without_calibration();
    let output = calibrated(&place, &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let client = ClientBundle::open(&place.bundle().join("client")).unwrap();
    assert_eq!(report["id"], client.id.to_string());
    assert_eq!(report["embedding"], "private");
    assert_eq!(report["comparison"]["samples"], 30);
    assert!(report["comparison"]["max_difference"].as_f64().unwrap() < 2e-2);
    // two layers of eleven values, and three of each of their two heads
    assert_eq!(report["rows"].as_array().unwrap().len(), 2 + 2 * (11 + 2 * 3) + 2);
    for row in report["rows"].as_array().unwrap() {
        assert!(row["headroom"].as_f64().unwrap() > 0.0, "{row}");
        // what is fitted holds below what was seen too, by the factor that it must be held
        let positive = row["place"].as_str().unwrap().contains("1/");
        assert_eq!(row["headroom_below"].as_f64().is_some_and(|bits| bits > 0.5), positive, "{row}");
    }
    // each class, and the shortest padded one
    assert_eq!(report["comparison"]["certificates"].as_array().unwrap().len(), model::TOKEN_CLASSES + 1);
    let costs = report["cost"].as_array().unwrap();
    assert_eq!(costs.len(), 2, "16 positions: one token count, as it is and padded");
    for (cost, padded) in costs.iter().zip([false, true]) {
        assert_eq!((&cost["tokens"], &cost["rounds"]), (&Value::from(16), &Value::from(37)));
        assert_eq!(cost["padded"], padded);
    }
    assert!(costs[0]["dealer_bytes"].as_u64() < costs[1]["dealer_bytes"].as_u64());
    assert!(report["padded_from"].as_u64().is_some_and(|from| (2..=9).contains(&from)), "{report}");
    let gelu = report["rows"].as_array().unwrap().iter().find(|r| r["place"] == "GeLU").unwrap();
    let columns = gelu["series"].as_array().unwrap().iter().map(|s| s["columns"].as_u64().unwrap());
    assert_eq!(columns.sum::<u64>(), 48);
}

#[test]
fn quiet_leaves_out_the_table() {
    let place = Place::new();
    let output = convert(&place, &["-q"]);
    assert_eq!(text(&output.stdout).lines().count(), 1, "{}", text(&output.stdout));
}

#[test]
fn a_softmax_model_is_not_converted_without_texts() {
    let place = Place::new();
    place.edit("config.json", "\"attention_softmax\": \"2quad\",", "");
    refused(&convert(&place, &[]), 3, &["its attention is softmax", "add --texts FILE", "--calibrate"]);
}

/// Every activation and LayerNorms that do not divide: converted on the same texts, and named in the report.
#[test]
fn students_of_other_functions_become_bundles_and_the_report_names_them() {
    const SHIFT: &str = "\"attention_shift\": 5.0";
    for (more, place, layers) in [
        ("\"hidden_act\": \"relu\", \"linear_layer_norms\": [1]", "ReLU", 2),
        ("\"hidden_act\": \"quad\", \"pooler_act\": \"relu\"", "quadratic", 2),
    ] {
        let folder = Place::without_calibration();
        folder.edit("config.json", SHIFT, &format!("\"attention_shift\": 12.0, {more}"));
        let output = calibrated(&folder, &["--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = report["rows"].as_array().unwrap();
        let of_layers = rows.iter().filter(|row| row["place"] == place && row["layer"] != "pooler");
        assert_eq!(of_layers.count(), layers, "{report}");
        let roots = rows.iter().filter(|row| row["place"].as_str().unwrap().ends_with("1/sqrt")).count();
        assert_eq!(roots, if more.contains("linear") { 3 } else { 5 });
        assert!(rows.iter().all(|row| row["headroom"].as_f64().unwrap() > 0.0), "{report}");
        assert!(report["padded_from"].is_u64());
        let client = ClientBundle::open(&folder.bundle().join("client")).unwrap();
        assert!(client.spec.shape.is_of(&client.config));
    }
}

#[test]
fn a_student_without_ranges_is_refused_with_both_cures() {
    let place = Place::without_calibration();
    refused(&convert(&place, &[]), 3, &["no calibration.json", "--calibrate --task TASK", "distill"]);
    assert!(!place.bundle().exists());
}

#[test]
fn ranges_that_do_not_fit_are_refused_with_layer_value_and_limit() {
    let place = Place::new();
    let path = place.student().join("calibration.json");
    let good: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let with = |edit: fn(&mut Value)| {
        let mut changed = good.clone();
        edit(&mut changed);
        fs::write(&path, changed.to_string()).unwrap();
        convert(&place, &[])
    };
    refused(&with(|r| r["layers"][1]["gelu"][3] = 900.0.into()), 4, &["layer 1", "GeLU", "1260.5", "limit is 124"]);
    let wide = with(|r| r["norms"][2]["square_sum"]["lo"] = 1e-4.into());
    refused(&wide, 4, &["layer 0 output LayerNorm", "relative error", "limit is 0.004"]);
    refused(&with(|r| drop(r["layers"].as_array_mut().unwrap().pop())), 3, &["number of layers is 1; expected 2"]);
    refused(&with(|r| r["version"] = 9.into()), 3, &["version is 9; expected 2"]);
    refused(&with(|r| drop(r.as_object_mut().unwrap().remove("pooler"))), 3, &["calibration.json", "pooler"]);
    assert!(!place.bundle().exists());
}

#[test]
fn a_bad_file_is_named_with_what_was_expected() {
    let place = Place::new();
    let student = place.student();
    let keep = |name: &str| (student.join(name), fs::read(student.join(name)).unwrap());
    let kept = ["config.json", "tokenizer.json", "model.safetensors", "calibration.json"].map(keep);
    for (path, whole) in &kept {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
        refused(&convert(&place, &[]), 3, &[name]);
        fs::remove_file(path).unwrap();
        refused(&convert(&place, &[]), 3, &[name]);
        fs::write(path, whole).unwrap();
    }
    place.edit("config.json", "\"hidden_size\": 24", "\"hidden_size\": 25");
    refused(&convert(&place, &[]), 3, &["config.json", "num_attention_heads", "divisor"]);
    place.edit("config.json", "\"hidden_size\": 25", "\"hidden_size\": 24");
    fs::write(student.join("tokenizer.json"), tokenizer(30)).unwrap();
    refused(&convert(&place, &[]), 3, &["tokenizer.json", "largest token id is 29", "`vocab_size` of 29"]);
}

#[test]
fn a_bundle_is_not_overwritten_unless_asked_and_nothing_else_ever() {
    let place = Place::new();
    assert!(convert(&place, &["-q"]).status.success());
    let id = || DealerBundle::open(&place.bundle().join("dealer")).unwrap().id;
    let first = id();
    refused(&convert(&place, &[]), 2, &["exists and is not empty", "--overwrite"]);
    assert_eq!(id(), first);
    assert!(convert(&place, &["-q", "--overwrite"]).status.success());
    assert_ne!(id(), first);
    fs::write(place.bundle().join("notes.txt"), "mine").unwrap();
    refused(&convert(&place, &["--overwrite"]), 2, &["is not a bundle", "notes.txt"]);
    assert_eq!(entries(place.root.path()), ["bundle", "glue", "student"]);
}

#[test]
fn an_output_that_touches_the_student_is_wrong_usage() {
    let place = Place::new();
    let run = |output: &Path| {
        let program = env!("CARGO_BIN_EXE_convert");
        Command::new(program).arg(place.student()).arg("-o").arg(output).arg("--overwrite").output().unwrap()
    };
    let before = entries(&place.student());
    refused(&run(&place.student()), 2, &["is the student's folder"]);
    refused(&run(&place.student().join("bundle")), 2, &["lies in the student's folder"]);
    refused(&run(place.root.path()), 2, &["holds the student's folder"]);
    assert_eq!(entries(&place.student()), before);
    refused(&convert(&place, &["--calibrate"]), 2, &["--texts FILE", "--task TASK", "--train-file"]);
    refused(&convert(&place, &["--calibrate", "--validation-file", "d.csv"]), 2, &["--train-file"]);
    refused(&convert(&place, &["--train-file", "t.csv"]), 2, &["--calibrate", "--validation-file"]);
    refused(&convert(&place, &["--calibrate", "--task", "imdb"]), 2, &["unknown task `imdb`"]);
    refused(&convert(&place, &["--embedding", "public"]), 2, &["private", "client"]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_conversion_leaves_nothing_behind() {
    use std::time::{Duration, Instant};
    let place = Place::without_calibration();
    place.write_task(100_000, 1);
    let args = with_task(&place, &["--calibrate-samples", "100000"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_convert"))
        .arg(place.student())
        .arg("-o")
        .arg(place.bundle())
        .args(args)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = format!("/proc/{}/status", child.id());
    // bit 1 of the caught signals is that of an interrupt
    let listens = |text: &str| {
        let caught = text.lines().find_map(|l| l.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).unwrap_or(0) & 2 != 0
    };
    while !listens(&fs::read_to_string(&status).unwrap_or_default()) {
        assert!(Instant::now() < deadline, "the program never listened for an interrupt");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the program did not stop");
        std::thread::yield_now();
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(entries(place.root.path()), ["glue", "student"]);
}
