//! Students of every design, and what they are taught beside the recipe.

use std::path::Path;

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
}

#[test]
fn other_words_and_attention_weights_change_the_student_and_nothing_else_does() {
    let world = World::new();
    let weights = |out: &str| std::fs::read(world.path(out).join("model.safetensors")).unwrap();
    let more = ["--augment", "0.3", "--attention-loss", "weights"];
    run(&world, "one", &more);
    run(&world, "two", &more);
    run(&world, "plain", &[]);
    assert_eq!(weights("one"), weights("two"));
    assert_ne!(weights("one"), weights("plain"));
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
