//! Students of every design, and what they are taught beside the recipe.

use std::path::Path;

use candle_core::{DType, Device};

use crate::program::{bare, json, refusal, succeed};
use crate::tiny::Fixture;

/// A run on the tiny SST-2, from a teacher with a head.
fn run(fixture: &Fixture, out: &str, more: &[&str]) -> String {
    let teacher = fixture.model("teacher", 2, true);
    let mut command = bare(fixture, &teacher, out);
    command.args(["--task", "sst2", "--data-dir"]).arg(fixture.data()).args(["--num-train-epochs", "1"]).args(more);
    String::from_utf8_lossy(&succeed(&mut command).stderr).into_owned()
}

fn config(fixture: &Fixture, out: &str) -> serde_json::Value {
    json(&fixture.path(out).join("config.json"))
}

#[test]
fn every_design_is_trained_and_says_what_it_is() {
    let fixture = Fixture::new();
    let relu = ["--softmax", "2relu", "--gelu", "relu", "--layer-norm", "linear", "--norm-drop", "1"];
    let log = run(&fixture, "pcf", &relu);
    assert!(log.contains("layer 1 stays without"), "{log}");
    let pcf = config(&fixture, "pcf");
    assert_eq!((&pcf["attention_softmax"], &pcf["hidden_act"]), (&"2relu".into(), &"relu".into()));
    assert_eq!(pcf["linear_layer_norms"], serde_json::json!([1, 0]));
    assert!(fixture.path("pcf/calibration.json").exists());
    let card = |out: &str| std::fs::read_to_string(fixture.path(out).join("README.md")).unwrap();
    let said = ["2ReLU", "`relu`", "layers [1, 0]", "run on shares", "private-inference"];
    assert!(said.iter().all(|words| card("pcf").contains(words)) && !card("pcf").contains("2quad"));
    // nothing starts from it: whose division is left out has other factors
    let teacher = fixture.model("teacher", 2, true);
    let mut command = bare(&fixture, &teacher, "next");
    let command = command.args(["--task", "sst2", "--data-dir"]).arg(fixture.data());
    let (code, message) = refusal(command.arg("--student").arg(fixture.path("pcf")));
    assert!(code == 3 && message.contains("whole LayerNorms"), "{code} {message}");
    // a layer goes back unless its score is better than before
    let log = run(&fixture, "picky", &["--layer-norm", "linear", "--norm-drop", "0"]);
    let without = log.matches("stays without the division").count();
    assert_eq!(without + log.matches("keeps the division").count(), 2, "{log}");
    let layers =
        config(&fixture, "picky").get("linear_layer_norms").map_or(0, |layers| layers.as_array().unwrap().len());
    assert_eq!(layers, without);
    run(&fixture, "mpcformer", &["--gelu", "quad"]);
    assert_eq!(config(&fixture, "mpcformer")["hidden_act"], "quad");
    run(&fixture, "plain", &["--softmax", "softmax"]);
    assert_eq!(config(&fixture, "plain")["attention_softmax"], "softmax");
    assert!(card("plain").contains("attention is softmax") && !card("plain").contains("2quad"));
}

#[test]
fn shifts_are_fitted_for_each_head() {
    let fixture = Fixture::new();
    run(&fixture, "fit", &["--attention-shift", "fit"]);
    let rows = config(&fixture, "fit")["attention_shift"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.as_array().unwrap().iter().all(|c| c.as_f64().unwrap() < 5.0)), "{rows:?}");
    assert!(fixture.path("fit/calibration.json").is_file());
    run(&fixture, "three", &["--attention-shift", "3"]);
    assert_eq!(config(&fixture, "three")["attention_shift"], 3.0);
    // a start keeps its shift unless told otherwise, be it the usual one
    let three = fixture.path("three");
    let from_three = ["--student", three.to_str().unwrap(), "--stage1-tokens", "0"];
    run(&fixture, "kept", &from_three);
    assert_eq!(config(&fixture, "kept")["attention_shift"], 3.0);
    run(&fixture, "five", &[&from_three[..], &["--attention-shift", "5"]].concat());
    assert_eq!(config(&fixture, "five")["attention_shift"], 5.0);
}

#[test]
fn what_is_taught_changes_the_student_and_nothing_else_does() {
    let fixture = Fixture::new();
    let weights = |out: &str| std::fs::read(fixture.path(out).join("model.safetensors")).unwrap();
    run(&fixture, "plain", &["--num-train-epochs", "2"]);
    let mut seen = vec![weights("plain")];
    let objectives: [&[&str]; 4] = [
        &["--augment", "0.3"],
        &["--short-texts", "0.5"],
        &["--attention-loss", "weights"],
        &["--stage1-train-embeddings"],
    ];
    for objective in objectives {
        let more = [&["--num-train-epochs", "2"], objective].concat();
        run(&fixture, "one", &[&more[..], &["--overwrite-output-dir"]].concat());
        run(&fixture, "two", &[&more[..], &["--overwrite-output-dir"]].concat());
        assert_eq!(weights("one"), weights("two"), "{objective:?}");
        assert!(!seen.contains(&weights("one")), "{objective:?} does nothing");
        seen.push(weights("one"));
    }
}

#[test]
fn frozen_embeddings_stay_those_of_the_encoder() {
    let fixture = Fixture::new();
    let encoder = fixture.model("encoder", 2, false);
    let words = |out: &str, more: &[&str]| {
        let mut command = bare(&fixture, &encoder, out);
        command.args(["--task", "sst2", "--no-calibration", "--data-dir"]).arg(fixture.data()).args(more);
        succeed(&mut command);
        let tensors =
            candle_core::safetensors::load(fixture.path(out).join("model.safetensors"), &Device::Cpu).unwrap();
        let table = tensors["bert.embeddings.word_embeddings.weight"].to_dtype(DType::F32).unwrap();
        table.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let still = words("still", &["--num-train-epochs", "0"]);
    assert_eq!(words("frozen", &["--num-train-epochs", "1", "--freeze-embeddings"]), still);
    assert_ne!(words("free", &["--num-train-epochs", "1"]), still);
}

#[test]
fn a_budget_of_tokens_decides_the_steps() {
    let fixture = Fixture::new();
    let none = ["--stage1-tokens", "0", "--stage2-tokens", "0", "--no-calibration"];
    run(&fixture, "none", &none);
    assert_eq!(json(&fixture.path("none/all_results.json"))["train_steps"], 0);
    // 64 sentences of a few words, 8 a batch: some eight steps an epoch
    run(&fixture, "some", &["--stage1-tokens", "0", "--stage2-tokens", "1_000"]);
    let steps = json(&fixture.path("some/all_results.json"))["train_steps"].as_u64().unwrap();
    assert!((8..40).contains(&steps), "{steps}");
}

#[test]
fn objectives_and_devices_that_are_not_there_are_refused() {
    let fixture = Fixture::new();
    let teacher = fixture.model("teacher", 2, true);
    let refused = |more: &[&str]| {
        let mut command = bare(&fixture, &teacher, "out");
        refusal(command.args(["--task", "sst2", "--data-dir"]).arg(fixture.data()).args(more))
    };
    let (code, message) = refused(&["--soft-weight", "0"]);
    assert!(code == 2 && message.contains("--gold-weight"), "{message}");
    assert_eq!(refused(&["--attention-shift", "-1"]).0, 2);
    if cfg!(not(feature = "cuda")) {
        let (code, message) = refused(&["--device", "cuda"]);
        assert!(code == 2 && message.contains("--features cuda"), "{message}");
    }
    assert!(!Path::new(&fixture.path("out")).exists());
}
