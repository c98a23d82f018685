//! `runtime cache`: what it lists, what it removes, and what it never touches.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::folder::{Place, examples};
use crate::programs::{command, output, tree};
use cli::exit::UNWRITABLE;
use serde_json::Value;

/// A world with a bundle in its cache, converted on first use.
fn place() -> (Place, PathBuf) {
    let place = Place::new();
    let mut infer = command("runtime", place.root.path());
    let done = output(infer.args(["infer", "-q", "--model", "student", "--text", "a fine film"]));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let bundles: Vec<PathBuf> =
        fs::read_dir(place.root.path().join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let bundle = bundles.into_iter().next().unwrap();
    (place, bundle)
}

fn cache(place: &Place, args: &[&str]) -> String {
    let done = output(command("runtime", place.root.path()).arg("cache").args(args));
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn states(place: &Place) -> Vec<String> {
    let listed: Value = serde_json::from_str(&cache(place, &["list", "--json"])).unwrap();
    let entries = listed["bundles"].as_array().unwrap().iter();
    entries.map(|entry| entry["state"].as_str().unwrap().to_string()).collect()
}

#[test]
fn bundles_are_listed_with_what_they_are_good_for() {
    let (place, bundle) = place();
    let name = bundle.file_name().unwrap().to_str().unwrap().to_string();
    let listed: Value = serde_json::from_str(&cache(&place, &["list", "--json"])).unwrap();
    let entry = &listed["bundles"][0];
    assert_eq!((entry["name"].as_str(), entry["state"].as_str()), (Some(name.as_str()), Some("usable")));
    // both parties' weights are one file, counted once
    let weights = fs::metadata(bundle.join("party0/weights.safetensors")).unwrap().len();
    let all: u64 = tree(&bundle).values().sum();
    assert_eq!(entry["bytes"].as_u64(), Some(all - weights));
    assert!(entry["model"].as_str().unwrap().contains(" layers of "), "{entry}");
    let text = cache(&place, &["list"]);
    assert!(text.contains(&name) && text.contains("1 bundle in "), "{text}");
    fs::remove_file(bundle.join("dealer/seeds")).unwrap();
    assert_eq!(states(&place), ["broken"]);
}

#[test]
fn pruning_removes_what_no_run_would_take_and_the_rest_where_asked() {
    let (place, bundle) = place();
    let beside = |name: String| {
        let path = bundle.with_file_name(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let name = bundle.file_name().unwrap().to_str().unwrap().to_string();
    let old = beside(format!("{}-v1.1.1", name.rsplit_once('-').unwrap().0));
    let broken = beside(name.replacen(&name[..4], "0000", 1));
    let abandoned = beside(format!(".{name}.partial-0123456789abcdef"));
    let growing = beside(format!(".{name}.partial-fedcba9876543210"));
    let lock = File::open(&growing).unwrap();
    lock.lock().unwrap();
    // of others, and of a bundle beside which nothing of ours lies
    let foreign = ["notes", "v1", ".notes.partial-0123456789abcdef"].map(|name| beside(name.into()));
    let mut listed = states(&place);
    listed.sort();
    assert_eq!(listed, ["abandoned", "being written", "broken", "of another version", "usable"]);

    let told = cache(&place, &["prune", "--dry-run"]);
    assert!(told.contains("would be removed in all: 3 bundles") && old.exists() && broken.exists(), "{told}");
    assert!(cache(&place, &["prune"]).contains("removed in all: 3 bundle"));
    assert!([&old, &broken, &abandoned].iter().all(|path| !path.exists()));
    assert!(bundle.exists() && growing.exists() && foreign.iter().all(|path| path.exists()));

    assert!(cache(&place, &["prune", "--older-than", "30"]).contains("removed in all: 0 bundle"));
    let month = SystemTime::now() - Duration::from_secs(31 * 24 * 60 * 60);
    File::open(&bundle).unwrap().set_modified(month).unwrap();
    // a run that has it open keeps it
    let used = File::open(&bundle).unwrap();
    used.lock_shared().unwrap();
    assert!(cache(&place, &["prune", "--all"]).contains("is in use and stays"));
    drop(used);
    assert!(cache(&place, &["prune", "--older-than", "30"]).contains("removed in all: 1 bundle"));
    assert!(!bundle.exists() && growing.exists() && foreign.iter().all(|path| path.exists()));
    drop(lock);
}

#[test]
fn a_use_counts_and_an_empty_cache_is_none() {
    let (place, bundle) = place();
    let before = SystemTime::now() - Duration::from_secs(90 * 24 * 60 * 60);
    File::open(&bundle).unwrap().set_modified(before).unwrap();
    let mut again = command("runtime", place.root.path());
    assert!(output(again.args(["infer", "-q", "--model", "student", "--text", "a fine film"])).status.success());
    assert!(cache(&place, &["prune", "--older-than", "30"]).contains("removed in all: 0 bundle"));
    assert!(cache(&place, &["prune", "--all"]).contains("removed in all: 1 bundle"));
    assert!(states(&place).is_empty());
    fs::remove_dir_all(place.root.path().join("cache")).unwrap();
    assert!(cache(&place, &["list"]).contains("0 bundles in "));
    // a file where the folder should be
    fs::write(place.root.path().join("cache"), "").unwrap();
    let done = output(command("runtime", place.root.path()).args(["cache", "list"]));
    assert_eq!(done.status.code(), Some(UNWRITABLE));
}

/// An ordinary model with texts beside it: `texts.txt`, and the same in another file.
fn ordinary() -> Place {
    let place = Place::without_calibration();
    place.edit("config.json", "\"attention_softmax\": \"2quad\", \"attention_shift\": 5.0,", "");
    let texts: String = examples(60).into_iter().map(|example| example.text + "\n").collect();
    place.write("texts.txt", &texts);
    place
}

fn classified(place: &Place, args: &[&str]) -> (Option<i32>, String) {
    let done = output(command("runtime", place.root.path()).args(["infer", "--model", "student"]).args(args));
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn an_ordinary_model_is_converted_on_first_use_with_texts_and_again_with_others() {
    let place = ordinary();
    let bundles = || states(&place).len();
    let (code, said) = classified(&place, &["--text", "w4 w9"]);
    assert!(code == Some(3) && said.contains("say --calibrate FILE"), "{said}");
    let with_texts = |file: &str| {
        let (code, said) = classified(&place, &["--calibrate", file, "--text", "w4 w9 w12"]);
        assert_eq!(code, Some(0), "{said}");
        said.contains("(first use)")
    };
    assert!(with_texts("texts.txt") && !with_texts("texts.txt"));
    // the bundle is one of these texts, under whatever name
    fs::copy(place.root.path().join("texts.txt"), place.root.path().join("same.txt")).unwrap();
    assert!(!with_texts("same.txt"));
    assert_eq!(bundles(), 1);
    place.write("texts.txt", "w4 w5 w6\nw7 w8\nw9 w10 w11 w12\n".repeat(20));
    assert!(with_texts("texts.txt"));
    assert_eq!(bundles(), 2);
}

#[test]
fn an_ordinary_model_is_evaluated_on_first_use_beside_floating_point() {
    let place = ordinary();
    let mut evaluate = command("runtime", place.root.path());
    evaluate.args(["evaluate", "--json", "-q", "--model", "student", "--calibrate", "texts.txt"]);
    evaluate.args(["--max-samples", "12"]);
    let done = output(evaluate.args(["--task", "sst2", "--data-dir", "glue"]));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&report["samples"], &report["answered"]), (&Value::from(12), &Value::from(12)));
    assert!(report["max_logit_diff_float"].as_f64().unwrap() < 0.02, "{report}");
}
