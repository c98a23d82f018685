//! Memory: what is estimated beforehand against what processes took.
#![allow(clippy::unwrap_used)]

mod roles;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bundle::{ClientBundle, Embedding};
use model::Texts;
use roles::{convert, processes, program};
use runtime::memory::Needs;
use runtime::message::Role;
use runtime::shipped::SHIPPED;

fn student() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(SHIPPED)
}

/// The most memory that a process ever had, in bytes.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    1024 * line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
}

/// Peaks of all roles once a text of so many tokens was classified: while the next one is, so that all are there still.
fn measured(bundle: &Path, tokens: usize) -> [(Role, u64); 4] {
    // every word is one token, beside the two that begin and end a text
    let text = vec!["movie"; tokens - 2].join(" ");
    let mut infer = Command::new(program())
        .args(["infer", "-q", "--text", &text, "--text", &text, "--bundle"])
        .arg(bundle)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(infer.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let all = processes(bundle);
    let of = |role: Role| {
        let part = match role {
            Role::Client => " infer ".to_string(),
            role => format!("/{role} "),
        };
        peak(all.iter().find(|p| p.line.contains(&part)).unwrap().id)
    };
    let peaks = Role::ALL.map(|role| (role, of(role)));
    infer.kill().unwrap();
    infer.wait().unwrap();
    peaks
}

#[test]
fn the_estimate_is_never_below_what_is_taken_and_not_far_above() {
    let root = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (embedding, lengths) in [(Embedding::Private, &[17, 128, 512][..]), (Embedding::Client, &[128])] {
        let folder = root.path().join(embedding.to_string());
        convert(&student(), embedding, &folder);
        let spec = ClientBundle::open(&folder.join("client")).unwrap().spec;
        for tokens in lengths {
            let texts = Texts::new(&[*tokens], &spec.shape).unwrap();
            let needs = Needs::of(&spec, embedding, &texts).unwrap();
            for (role, peak) in measured(&folder, *tokens) {
                let need = needs.role(role);
                let line = format!(
                    "{embedding} {tokens:3} tokens, {role}: estimated {:4} MB, measured {:4} MB, {:.2}",
                    need / 1_000_000,
                    peak / 1_000_000,
                    need as f64 / peak as f64
                );
                eprintln!("{line}");
                if need < peak || need > 2 * peak + 100_000_000 {
                    wrong.push(line);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
