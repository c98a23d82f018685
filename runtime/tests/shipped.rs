//! The student in this repository, end to end over three processes.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bundle::{Embedding, WriteOptions};
use convert::Student;
use model::{Float, Plan, Sample, Texts};
use net::HEADER_LEN;
use runtime::deployment::Deployment;
use runtime::shipped::SHIPPED;
use serde_json::Value;

fn student() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(SHIPPED)
}

#[test]
fn a_plainly_positive_and_a_plainly_negative_sentence_get_their_labels() {
    let cache = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runtime"))
        .args(["infer", "--text", "a gorgeous , witty , seductive movie .", "--text", "a dull and lifeless film ."])
        .env("PRIVATE_BERT_CACHE", cache.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let labels: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((&labels[0][0]["label"], &labels[1][0]["label"]), (&"POSITIVE".into(), &"NEGATIVE".into()));
    assert!(labels.iter().all(|l| l[0]["score"].as_f64().unwrap() > 0.9));
}

/// Any words will do for the cost; for the values, a sentence said over and over.
fn sample(tokens: usize) -> Sample {
    let words = [101, 1037, 9882, 1010, 25591, 1010, 23182, 3185, 1012, 102];
    Sample { ids: (0..tokens).map(|i| words[i % words.len()]).collect(), segments: vec![0; tokens] }
}

#[test]
fn every_length_costs_what_was_planned_and_gives_the_float_logits() {
    let student = Student::read(&student()).unwrap();
    let converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
    let root = tempfile::tempdir().unwrap();
    for (embedding, lengths) in [(Embedding::Private, [1, 17, 128]), (Embedding::Client, [2, 17, 512])] {
        let folder = root.path().join(format!("{embedding:?}"));
        let options = WriteOptions { overwrite: false, progress: None };
        convert::write_bundle(&student, &converted, embedding, &folder, options).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_runtime"));
        let mut deployment = Deployment::start(program, &folder, Duration::from_secs(120)).unwrap();
        for tokens in lengths {
            let sample = sample(tokens);
            let answer = deployment.classify(std::slice::from_ref(&sample)).unwrap();
            let texts = Texts::new(&[tokens], student.shape()).unwrap();
            let cost = Plan::new(&converted.spec, &texts, embedding.input_kind()).unwrap().cost();
            let (measured, attempts) = (answer.measured, u64::from(answer.measured.restarts) + 1);
            if attempts == 1 {
                // an attempt that restarts stops half-way: whole ones only can be compared
                let online = cost.opened_bytes + cost.rounds * HEADER_LEN;
                assert_eq!(measured.online_bytes_each_way, online as u64, "{tokens} tokens");
                assert_eq!(measured.rounds, cost.rounds as u64, "{tokens} tokens");
            }
            let dealt = cost.dealt_bytes + 64 + (mpc::deal_frames(cost.dealt_bytes) + 2) * HEADER_LEN;
            assert_eq!(measured.offline_bytes, attempts * dealt as u64, "{tokens} tokens");
            assert!(cost.restart_probability < 0.2, "{tokens} tokens: {}", cost.restart_probability);
            assert!(cost.rounds <= 16 * student.shape().layers + 8);
            let float = Float::new(&student.folded, ()).logits(&texts, &sample.ids, &sample.segments).unwrap();
            for (private, float) in answer.logits[0].iter().zip(&float) {
                assert!((private - f64::from(*float)).abs() < 0.05, "{tokens} tokens: {private} for {float}");
            }
        }
        deployment.finish().unwrap();
    }
}
