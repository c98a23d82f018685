//! The student in this repository, end to end over three processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use bundle::{Embedding, WriteOptions};
use cli::exit::LOST;
use convert::Student;
use local::deployment::Deployment;
use model::Sample;
use roles::message::Role;
use runtime::exit::code_of;
use runtime::shipped::SHIPPED;
use serde_json::Value;

/// How long a role waits for another. P0, which waits for an input that the client no longer sends, ends only then.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long this test waits for what must happen: it bounds a hang.
const PATIENCE: Duration = Duration::from_secs(300);

fn student() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(SHIPPED)
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_runtime"))
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

/// A sentence said over and over.
fn sample(tokens: usize) -> Sample {
    let words = [101, 1037, 9882, 1010, 25591, 1010, 23182, 3185, 1012, 102];
    Sample { ids: (0..tokens).map(|i| words[i % words.len()]).collect(), segments: vec![0; tokens] }
}

/// Hundredths of a second that a process has computed.
fn computed(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // the fields after the name in parentheses: state is the first, user time the twelfth
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(11);
    fields.and_then(|n| n.parse().ok()).unwrap_or(u64::MAX)
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
}

#[test]
#[ignore = "long: .ci/run runs it by name"]
fn a_party_killed_in_the_middle_of_a_text_ends_the_others() {
    let student = Student::read(&student()).unwrap();
    let converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("bundle");
    let options = WriteOptions { overwrite: false, progress: None };
    convert::write_bundle(&student, &converted, Embedding::Client, &folder, options).unwrap();
    for online in [false, true] {
        let mut deployment = Deployment::start(program(), &folder, DEADLINE).unwrap();
        deployment.classify(&[sample(2)]).unwrap();
        let processes: BTreeMap<_, _> = deployment.processes().into_iter().map(|(r, p)| (r.name(), p)).collect();
        let (victim, dealer) = (processes["party1"], processes["dealer"]);
        let begin = Instant::now();
        let error = if online {
            // P0 gets its input and opens; P1 is gone
            deployment.classify_with(&[sample(64)], &mut || kill(victim)).unwrap_err()
        } else {
            // the dealer is in the middle of what it deals
            let from = computed(dealer);
            let killer = thread::spawn(move || {
                while computed(dealer) < from + 5 {
                    thread::yield_now();
                }
                kill(victim);
            });
            let error = deployment.classify(&[sample(512)]).unwrap_err();
            killer.join().unwrap();
            error
        };
        assert_eq!(code_of(&error), LOST, "{error:#}");
        assert!(format!("{error:#}").starts_with("party1 ended early (signal: 9"), "{error:#}");
        assert!(begin.elapsed() < DEADLINE, "the client noticed, and did not wait for its deadline");
        let noticed = |role: Role| {
            let named = |(by, line): &(Role, String)| *by == role && line.contains("party1");
            deployment.messages().iter().any(named)
        };
        while !(noticed(Role::Party0) && noticed(Role::Dealer)) {
            assert!(begin.elapsed() < PATIENCE, "not all name party1: {:?}", deployment.messages());
            thread::yield_now();
        }
    }
}
