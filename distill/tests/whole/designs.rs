//! Students of every design, and what they are taught beside the recipe.

use std::path::Path;

use candle_core::{DType, Device};

use crate::program::{bare, json, refusal, succeed};
use crate::tiny::World;

/// A run on the tiny SST-2, from a teacher with a head.
fn run(world: &World, out: &str, more: &[&str]) -> String {
    let teacher = world.model("teacher", 2, true);
    let mut command = bare(world, &teacher, out);
    command.args(["--task", "sst2", "--data-dir"]).arg(world.data()).args(["--num-train-epochs", "1"]).args(more);
    String::from_utf8_lossy(&succeed(&mut command).stderr).into_owned()
}

fn config(world: &World, out: &str) -> serde_json::Value {
    json(&world.path(out).join("config.json"))
}

#[test]
fn every_design_is_trained_and_says_what_it_is() {
    let world = World::new();
    let relu = ["--softmax", "2relu", "--gelu", "relu", "--layer-norm", "linear", "--norm-drop", "1"];
    let log = run(&world, "pcf", &relu);
    assert!(log.contains("layer 1 stays without") && log.contains("cannot be run privately"), "{log}");
    let pcf = config(&world, "pcf");
    assert_eq!((&pcf["attention_softmax"], &pcf["hidden_act"]), (&"2relu".into(), &"relu".into()));
    assert_eq!(pcf["linear_layer_norms"], serde_json::json!([1, 0]));
    assert!(!world.path("pcf/calibration.json").exists());
    let card = |out: &str| std::fs::read_to_string(world.path(out).join("README.md")).unwrap();
    let said = ["2ReLU", "`relu`", "layers [1, 0]", "cannot be run privately"];
    assert!(said.iter().all(|words| card("pcf").contains(words)) && !card("pcf").contains("private-inference"));
    // nothing starts from it: whose division is left out has other factors
    let teacher = world.model("teacher", 2, true);
    let mut command = bare(&world, &teacher, "next");
    let command = command.args(["--task", "sst2", "--data-dir"]).arg(world.data());
    let (code, message) = refusal(command.arg("--student").arg(world.path("pcf")));
    assert!(code == 3 && message.contains("whole LayerNorms"), "{code} {message}");
    // a layer goes back unless its score is better than before
    let log = run(&world, "picky", &["--layer-norm", "linear", "--norm-drop", "0"]);
    let without = log.matches("stays without the division").count();
    assert_eq!(without + log.matches("keeps the division").count(), 2, "{log}");
    let layers = config(&world, "picky").get("linear_layer_norms").map_or(0, |layers| layers.as_array().unwrap().len());
    assert_eq!(layers, without);
    run(&world, "mpcformer", &["--gelu", "quad"]);
    assert_eq!(config(&world, "mpcformer")["hidden_act"], "quad");
    run(&world, "plain", &["--softmax", "softmax"]);
    assert_eq!(config(&world, "plain")["attention_softmax"], "softmax");
    assert!(card("plain").contains("attention is softmax") && !card("plain").contains("2quad"));
}

#[test]
fn shifts_are_fitted_for_each_head() {
    let world = World::new();
    run(&world, "fit", &["--attention-shift", "fit"]);
    let rows = config(&world, "fit")["attention_shift"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.as_array().unwrap().iter().all(|c| c.as_f64().unwrap() < 5.0)), "{rows:?}");
    assert!(world.path("fit/calibration.json").is_file());
    run(&world, "three", &["--attention-shift", "3"]);
    assert_eq!(config(&world, "three")["attention_shift"], 3.0);
    // a start keeps its shift unless told otherwise, be it the usual one
    let three = world.path("three");
    let from_three = ["--student", three.to_str().unwrap(), "--stage1-tokens", "0"];
    run(&world, "kept", &from_three);
    assert_eq!(config(&world, "kept")["attention_shift"], 3.0);
    run(&world, "five", &[&from_three[..], &["--attention-shift", "5"]].concat());
    assert_eq!(config(&world, "five")["attention_shift"], 5.0);
}

#[test]
fn what_is_taught_changes_the_student_and_nothing_else_does() {
    let world = World::new();
    let weights = |out: &str| std::fs::read(world.path(out).join("model.safetensors")).unwrap();
    run(&world, "plain", &["--num-train-epochs", "2"]);
    let mut seen = vec![weights("plain")];
    let lessons: [&[&str]; 4] = [
        &["--augment", "0.3"],
        &["--short-texts", "0.5"],
        &["--attention-loss", "weights"],
        &["--stage1-train-embeddings"],
    ];
    for lesson in lessons {
        let more = [&["--num-train-epochs", "2"], lesson].concat();
        run(&world, "one", &[&more[..], &["--overwrite-output-dir"]].concat());
        run(&world, "two", &[&more[..], &["--overwrite-output-dir"]].concat());
        assert_eq!(weights("one"), weights("two"), "{lesson:?}");
        assert!(!seen.contains(&weights("one")), "{lesson:?} does nothing");
        seen.push(weights("one"));
    }
}

#[test]
fn frozen_embeddings_stay_those_of_the_encoder() {
    let world = World::new();
    let encoder = world.model("encoder", 2, false);
    let words = |out: &str, more: &[&str]| {
        let mut command = bare(&world, &encoder, out);
        command.args(["--task", "sst2", "--no-calibration", "--data-dir"]).arg(world.data()).args(more);
        succeed(&mut command);
        let tensors = candle_core::safetensors::load(world.path(out).join("model.safetensors"), &Device::Cpu).unwrap();
        let table = tensors["bert.embeddings.word_embeddings.weight"].to_dtype(DType::F32).unwrap();
        table.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let still = words("still", &["--num-train-epochs", "0"]);
    assert_eq!(words("frozen", &["--num-train-epochs", "1", "--freeze-embeddings"]), still);
    assert_ne!(words("free", &["--num-train-epochs", "1"]), still);
}

#[test]
fn a_budget_of_tokens_decides_the_steps() {
    let world = World::new();
    let none = ["--stage1-tokens", "0", "--stage2-tokens", "0", "--no-calibration"];
    run(&world, "none", &none);
    assert_eq!(json(&world.path("none/all_results.json"))["train_steps"], 0);
    // 64 sentences of a few words, 8 a batch: some eight steps an epoch
    run(&world, "some", &["--stage1-tokens", "0", "--stage2-tokens", "1_000"]);
    let steps = json(&world.path("some/all_results.json"))["train_steps"].as_u64().unwrap();
    assert!((8..40).contains(&steps), "{steps}");
}

#[test]
fn lessons_and_devices_that_are_not_there_are_refused() {
    let world = World::new();
    let teacher = world.model("teacher", 2, true);
    let refused = |more: &[&str]| {
        let mut command = bare(&world, &teacher, "out");
        refusal(command.args(["--task", "sst2", "--data-dir"]).arg(world.data()).args(more))
    };
    let (code, message) = refused(&["--soft-weight", "0"]);
    assert!(code == 2 && message.contains("--gold-weight"), "{message}");
    assert_eq!(refused(&["--attention-shift", "-1"]).0, 2);
    if cfg!(not(feature = "cuda")) {
        let (code, message) = refused(&["--device", "cuda"]);
        assert!(code == 2 && message.contains("--features cuda"), "{message}");
    }
    assert!(!Path::new(&world.path("out")).exists());
}
