//! `runtime bench` as its users run it, on the smallest shape.
#![cfg(feature = "bench")]

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::programs::{command, output};
use bundle::ClientBundle;
use model::Texts;
use mpc::Planned;
use mpc::deal_frames;
use mpc::masked::Plan;
use net::HEADER_LEN;
use serde_json::Value;

fn bench(root: &Path, args: &[&str]) -> Output {
    output(command("runtime", root).arg("bench").args(args))
}

fn object(done: &Output) -> Value {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The plan of the only bundle in the cache.
fn plan(root: &Path, lengths: &[usize]) -> Plan {
    let mut bundles = fs::read_dir(root.join("cache")).unwrap();
    let client = bundles.next().unwrap().unwrap().path().join("client");
    assert!(bundles.next().is_none());
    let ClientBundle { spec, embedding, .. } = ClientBundle::open(&client).unwrap();
    let texts = Texts::new(lengths, &spec.shape).unwrap();
    Plan::new(&spec.calibrated(embedding.input_kind()), &[texts]).unwrap()
}

#[test]
fn a_model_is_measured_and_costs_what_its_plan_says() {
    let root = tempfile::tempdir().unwrap();
    let args = ["model", "--model", "tiny", "--tokens", "9", "--batch", "2", "--repeat", "2", "--json"];
    let done = bench(root.path(), &args);
    assert!(String::from_utf8_lossy(&done.stderr).contains("drawing weights for tiny"));
    // an attempt that restarts, which is rare, cannot be held against the plan
    let again = (0..8).map(|_| object(&bench(root.path(), &args)));
    let found = [object(&done)].into_iter().chain(again).find(|found| found["restarts"] == 0);
    let found = found.expect("restarts in nine runs in a row");

    let cost = plan(root.path(), &[9, 9]).cost();
    let headers = (cost.frames * HEADER_LEN) as u64;
    assert_eq!(found["rounds"], cost.rounds);
    assert_eq!(found["online_bytes_each_way"], cost.opened_bytes as u64 + headers);
    let frames = (deal_frames(cost.dealt_bytes) + 2) * HEADER_LEN;
    assert_eq!(found["offline_bytes"], cost.dealt_bytes + 2 * 32 + frames);

    for key in ["online_seconds", "offline_seconds", "plain_seconds", "predicted_seconds"] {
        assert!(found[key].as_f64().unwrap() > 0.0, "{key}: {}", found[key]);
    }
    for role in ["party0", "party1", "dealer"] {
        let peak = &found["peak_rss_bytes"][role];
        assert!(if cfg!(target_os = "linux") { peak.as_u64().unwrap() > 1 << 20 } else { peak.is_null() }, "{role}");
    }
    assert!(found["layers"].is_array());
    let said = ["model", "embedding", "schedule", "link"].map(|key| found[key].as_str().unwrap());
    assert_eq!(said, ["tiny", "private", "ahead", "none"]);
    let counted = ["tokens", "batch", "layers_run", "repeats"].map(|key| found[key].as_u64().unwrap());
    assert_eq!(counted, [9, 2, 2, 2]);
    assert_eq!(found["security"]["protects"], "nothing");

    // the second time the weights are there
    let done = bench(root.path(), &["model", "--model", "tiny", "--tokens", "5", "--repeat", "1"]);
    assert!(done.status.success() && !String::from_utf8_lossy(&done.stderr).contains("drawing weights"));
    let table = String::from_utf8(done.stdout).unwrap();
    assert!(table.starts_with("tiny, secformer design, 2 layers, 1 x 5 tokens, private embedding"), "{table}");
}

/// The sum of a key over the operations of a run.
fn over_operations(run: &Value, key: &str) -> f64 {
    run["operations"].as_object().unwrap().values().map(|row| row[key].as_f64().unwrap()).sum()
}

#[test]
fn secformers_table_is_measured_for_both_engines_by_operation() {
    let root = tempfile::tempdir().unwrap();
    let args = ["table3", "--model", "tiny", "--layers", "1", "--tokens", "5", "--json", "--quiet"];
    let found = object(&bench(root.path(), &args));
    assert_eq!((&found["layers_run"], &found["layers"], &found["extrapolated"]), (&1.into(), &1.into(), &false.into()));
    let length = &found["lengths"][0];
    let runs = length["runs"].as_array().unwrap();
    let named = |run: &Value| ["engine", "functions"].map(|key| run[key].as_str().unwrap().to_string());
    let expected = [["masked", "series"], ["beaver", "secformer"], ["beaver", "mpcformer"], ["beaver", "exact"]];
    assert_eq!(runs.iter().map(named).collect::<Vec<_>>(), expected);
    for run in runs {
        let operations: Vec<_> = run["operations"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(operations, ["GeLU", "LayerNorm", "Others", "Softmax"]);
        for key in ["seconds", "online_bytes_both_ways", "rounds", "dealt_bytes"] {
            let (sum, total) = (over_operations(run, key), run["total"][key].as_f64().unwrap());
            assert!(total > 0.0 && (sum - total).abs() < 1e-9 * total, "{key}: {sum} of {total}");
        }
        assert_eq!(run["total"]["secformer_bytes_both_ways"].is_null(), run["engine"] == "masked");
        assert_eq!((&run["schedule"], &run["security"]["protects"]), (&"ahead".into(), &"nothing".into()));
        assert_eq!(run["taught"], run["functions"] == "series" || run["functions"] == "secformer");
    }
    for key in ["online_bytes", "rounds"] {
        assert!(length["secformer_over_masked"][key].as_f64().unwrap() > 1.0, "{key}");
    }
    let published = &length["as_published"];
    assert!(
        published["planned_gigabytes"]["GeLU"].as_f64().unwrap() > 0.0 && published["published_gigabytes"].is_null()
    );

    // two layers of two: nothing is left to extrapolate
    let args = ["table3", "--model", "tiny", "--tokens", "3,4", "--shape-check", "--quiet"];
    let done = bench(root.path(), &args);
    let table = String::from_utf8(done.stdout).unwrap();
    assert!(table.contains("## tiny, 2 layers, 4 tokens") && table.contains("| beaver, exact | Total |"), "{table}");
    assert!(!table.contains("Extrapolated"), "{table}");
}

#[test]
fn a_slow_link_takes_as_long_as_predicted() {
    let root = tempfile::tempdir().unwrap();
    let link = ["--link", "30ms,100mbit", "--embedding", "client", "--layers", "1", "--quiet"];
    let args = ["model", "--model", "tiny", "--tokens", "9", "--repeat", "3", "--json"];
    // other processes may be busy meanwhile, so one run of ten is enough: delays that were paid twice would be seen in each
    let soon = (0..10).any(|_| {
        let found = object(&bench(root.path(), &[&args[..], &link].concat()));
        assert_eq!((&found["link"], &found["layers_run"]), (&"30ms,100mbit".into(), &1.into()));
        let waiting = plan(root.path(), &[9]).seconds(30e-3, 100e6 / 8.0, 0.0);
        let [predicted, online] = ["predicted_seconds", "online_seconds"].map(|key| found[key].as_f64().unwrap());
        // nor does one party alone pay them
        assert!(waiting < predicted && waiting < online, "waiting {waiting}, predicted {predicted}, online {online}");
        eprintln!("waiting {waiting}, predicted {predicted}, online {online}");
        online < 1.7 * predicted
    });
    assert!(soon, "no run took less than 1.7 times what was predicted");
}

#[test]
fn the_network_in_the_clear_and_the_kernels_are_measured_alone() {
    let root = tempfile::tempdir().unwrap();
    let args = ["plain", "--model", "tiny", "--tokens", "9", "--repeat", "2", "--threads", "2", "--json"];
    let found = object(&bench(root.path(), &args));
    assert!(found["plain_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!((&found["model"], &found["threads"]), (&"tiny".into(), &2.into()));
    let found = object(&bench(root.path(), &["kernels", "--repeat", "1", "--json"]));
    assert!(!found["kernels"].as_array().unwrap().is_empty());
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let wrong: [(&[&str], &str); 7] = [
        (&["model", "--model", "bert-huge"], "bert-base"),
        (&["model", "--model", "tiny", "--layers", "3"], "tiny has 2 layers"),
        (&["model", "--model", "tiny", "--tokens", "513"], "1..=512"),
        (&["model", "--model", "tiny", "--tokens", "512", "--batch", "33"], "at most 16384 go together"),
        (&["model", "--model", "tiny", "--link", "dsl"], "none, lan, wan"),
        (&["plain", "--model", "tiny", "--layers", "0"], "--layers"),
        (&["table3", "--model", "tiny", "--layers", "1", "--shape-check"], "two layers at least"),
    ];
    for (args, why) in wrong {
        let done = bench(root.path(), args);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(why), "{args:?}: {said}");
    }
    assert!(!root.path().join("cache").exists());
}
