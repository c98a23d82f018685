//! The functions of the fuzz targets over their corpus, and over damaged copies of it: a look in passing where the fuzzers
//! themselves (`fuzz/`, docs/testing.md) look long.

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library for the fuzzers")]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use bundle::Embedding;
use net::testing::frame_bytes;
use net::{Frame, Header};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roles::handshake::Identity;
use roles::message::{Cause, DealRequest, PublicTexts, Purpose, Refusal, Report, Request, Role, kind};

use crate::folder::Place;
use crate::sessions::convert;

type Target = (&'static str, fn(&[u8]), usize);

/// With how many damaged copies of each file.
const TARGETS: [Target; 5] = [
    ("frame", targets::frame, 2000),
    ("control", targets::control, 2000),
    ("manifest", targets::manifest, 60),
    ("weights", targets::weights, 60),
    ("config", targets::config, 500),
];

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// A copy with a few bytes changed, a piece cut out or one said twice.
fn damaged(bytes: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    for _ in 0..random.random_range(1..4) {
        if copy.is_empty() {
            return copy;
        }
        let (from, length) = (random.random_range(0..copy.len()), random.random_range(1..32));
        let to = (from + length).min(copy.len());
        match random.random_range(0..4) {
            0 => copy[from] = random.next_u32() as u8,
            1 => copy[from] ^= 1 << random.random_range(0..8),
            2 => drop(copy.drain(from..to)),
            _ => {
                let piece = copy[from..to].to_vec();
                copy.splice(from..from, piece);
            }
        }
    }
    copy
}

#[test]
fn nothing_that_comes_from_outside_brings_a_role_down() {
    let mut random = ChaCha8Rng::seed_from_u64(15);
    for (name, target, copies) in TARGETS {
        let mut files: Vec<PathBuf> = fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 2, "{name}: the corpus is missing");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            target(&bytes);
            for _ in 0..copies {
                target(&damaged(&bytes, &mut random));
            }
        }
    }
}

#[test]
#[ignore = "writes the corpus of the fuzz targets"]
fn write_the_corpus() {
    let place = Place::new();
    convert(&place.student(), Embedding::Client, &place.bundle());
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(corpus(target).join(name), bytes).unwrap();
    };
    let part = |role: &str, name: &str| fs::read(place.bundle().join(role).join(name)).unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/part");
    fs::create_dir_all(&kept).unwrap();
    fs::write(kept.join("manifest.json"), part("party0", "manifest.json")).unwrap();
    // of a student that nobody uses; its seed masks nothing
    fs::write(kept.join("seed"), part("party0", "seed")).unwrap();
    write("manifest", "dealer", &part("dealer", "manifest.json"));
    write("manifest", "party1", &part("party1", "manifest.json"));
    let weights = part("party0", "weights.safetensors");
    write("weights", "whole", &weights);
    write("weights", "header", &weights[..weights.len().min(4096)]);
    for role in ["party0", "party1", "dealer", "client"] {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(format!("{role}.toml"));
        let mut text = fs::read_to_string(example).unwrap();
        for (digit, name) in ["PARTY0", "PARTY1", "DEALER", "CLIENT"].iter().enumerate() {
            text = text.replace(&format!("pb1-{name}"), &format!("pb1-{}", digit.to_string().repeat(64)));
        }
        write("config", role, text.as_bytes());
    }
    let me =
        Identity { role: Role::Client, token: None, session: [1; 16], bundle: [2; 16], spec: [3; 32], nonce: [4; 32] };
    let messages = [
        ("hello", serde_json::to_vec(&me.hello(Role::Party0, Purpose::Session)).unwrap()),
        ("refusal", serde_json::to_vec(&Refusal { reason: "no".into(), cause: Cause::Busy(3) }).unwrap()),
        ("request", serde_json::to_vec(&Request { texts: PublicTexts::exact(vec![1, 20, 300]) }).unwrap()),
        ("demand", {
            let (plan, agreement) = ("ab".repeat(32), "cd".repeat(32));
            serde_json::to_vec(&DealRequest { texts: PublicTexts::exact(vec![7]), plan, agreement }).unwrap()
        }),
        ("report", serde_json::to_vec(&Report { parts: vec![Default::default(); 2], ..Report::default() }).unwrap()),
    ];
    for (name, bytes) in &messages {
        write("control", name, bytes);
        let frame = Frame::new(Header::new(kind::HELLO, 0, 0, 0), bytes.clone());
        write("frame", name, &frame_bytes(frame, 0).unwrap());
    }
    let two = [frame_bytes(Frame::new(Header::new(kind::BYE, 0, 0, 0), vec![]), 0).unwrap(), {
        frame_bytes(Frame::new(Header::new(kind::REQUEST, 1, 0, 0), vec![5; 300]), 1).unwrap()
    }];
    write("frame", "two", &two.concat());
}
