//! Real processes over real sockets, on a tiny model.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::folder::Place;
use bundle::{Contents, Embedding, EmbeddingTable, WriteOptions};
use cli::exit::{BAD_INPUT, LOST};
use convert::{Converted, Student};
use local::deployment::Deployment;
use local::parent::Ready;
use model::{InputKind, Sample, Texts};
use mpc::Planned;
use mpc::masked::Plan;
use net::HEADER_LEN;
use roles::handshake::{Identity, call, fresh};
use roles::message::Role;
use runtime::exit::code_of;

/// The deadline of sessions that must end for another reason: long after a test has lost its patience.
const DEADLINE: Duration = Duration::from_secs(600);
/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(120);
/// The deadline of a party that is waited for until it gives up.
const GIVEN_UP: Duration = Duration::from_secs(15);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_runtime"))
}

struct Tiny {
    place: Place,
    student: Student,
    converted: Converted,
}

impl Tiny {
    fn new() -> Tiny {
        let place = Place::new();
        let student = Student::read(&place.student()).unwrap();
        let converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
        Tiny { place, student, converted }
    }

    fn bundle(&self, name: &str, embedding: Embedding) -> PathBuf {
        let folder = self.place.root.path().join(name);
        let table = (embedding == Embedding::Client).then(|| EmbeddingTable::of(&self.converted.folded));
        let contents = Contents {
            spec: &self.converted.spec,
            quantised: &self.converted.quantised,
            embedding,
            config_json: &self.student.config_json,
            tokenizer_json: &self.student.tokenizer_json,
            table: table.as_ref(),
        };
        bundle::write(&folder, &contents, WriteOptions { overwrite: false, progress: None }).unwrap();
        folder
    }

    fn assert_close(&self, sample: &Sample, logits: &[f64]) {
        let texts = Texts::new(&[sample.ids.len()], self.student.shape()).unwrap();
        let float = self.student.folded.logits(&texts, &sample.ids, &sample.segments).unwrap();
        for (private, float) in logits.iter().zip(&float) {
            assert!((private - f64::from(*float)).abs() < 0.02, "private {private}, float {float}");
        }
    }
}

fn sample(tokens: usize, step: usize) -> Sample {
    Sample { ids: (0..tokens).map(|i| ((i * step + 4) % 29) as u32).collect(), segments: vec![0; tokens] }
}

#[test]
fn private_logits_are_the_float_ones_and_cost_what_was_planned() {
    let tiny = Tiny::new();
    for embedding in [Embedding::Private, Embedding::Client] {
        let folder = tiny.bundle(&format!("{embedding:?}"), embedding);
        let mut deployment = Deployment::start(program(), &folder, DEADLINE).unwrap();
        let batches: [&[Sample]; 4] =
            [&[sample(1, 5)], &[sample(16, 3)], &[sample(7, 2)], &[sample(3, 1), sample(12, 7)]];
        for batch in batches {
            // an attempt that restarts, which is rare, cannot be held against the plan; its answer counts all the same
            let answer = (0..8).find_map(|_| {
                let answer = deployment.classify(batch).unwrap();
                for (sample, logits) in batch.iter().zip(&answer.logits) {
                    tiny.assert_close(sample, logits);
                }
                (answer.measured.restarts == 0).then_some(answer)
            });
            let answer = answer.expect("eight restarts in a row");
            let lengths: Vec<_> = batch.iter().map(|s| s.ids.len()).collect();
            let texts = Texts::new(&lengths, tiny.student.shape()).unwrap();
            let cost = Plan::new(&tiny.converted.spec.calibrated(embedding.input_kind()), &[texts]).unwrap().cost();
            let measured = answer.measured;
            assert_eq!(measured.rounds, cost.rounds as u64);
            assert_eq!(measured.online_bytes_each_way, (cost.opened_bytes + cost.frames * HEADER_LEN) as u64);
            // beside the dealt stream, a key of 32 bytes to each party
            let frames = mpc::deal_frames(cost.dealt_bytes) + 2;
            assert_eq!(measured.offline_bytes, (cost.dealt_bytes + 2 * 32 + frames * HEADER_LEN) as u64);
        }
        deployment.finish().unwrap();
    }
}

#[test]
fn a_flagged_opening_restarts_the_text_with_fresh_correlations() {
    let mut tiny = Tiny::new();
    // declare ranges so wide that an opening wraps now and then; what they hold stays the same
    let mut spec = (*tiny.converted.spec).clone();
    for norm in &mut spec.norms {
        norm.normal.bits += 18;
    }
    tiny.converted.spec = spec.into();
    let folder = tiny.bundle("wide", Embedding::Client);
    let sample = sample(9, 4);
    let texts = Texts::new(&[9], tiny.student.shape()).unwrap();
    let planned =
        Plan::new(&tiny.converted.spec.calibrated(InputKind::Embedded), &[texts]).unwrap().cost().restart_probability;
    assert!((0.05..0.9).contains(&planned), "restart probability {planned}");
    let mut deployment = Deployment::start(program(), &folder, DEADLINE).unwrap();
    let (mut restarts, mut runs) = (0, 0);
    while restarts < 3 && runs < 400 {
        let answer = deployment.classify(std::slice::from_ref(&sample)).unwrap();
        tiny.assert_close(&sample, &answer.logits[0]);
        restarts += answer.measured.restarts;
        runs += 1;
    }
    assert!(restarts >= 3, "{restarts} restarts in {runs} runs, planned probability {planned}");
    deployment.finish().unwrap();
}

fn gone(process: u32) -> bool {
    let end = Instant::now() + PATIENCE;
    let status = PathBuf::from(format!("/proc/{process}/stat"));
    loop {
        // a child that nobody waited for yet is a zombie: it computes no more
        match std::fs::read_to_string(&status) {
            Ok(text) if !text.contains(") Z ") => {}
            _ => return true,
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_role_ends_the_others_and_is_named() {
    let tiny = Tiny::new();
    let folder = tiny.bundle("bundle", Embedding::Client);
    let others = |killed| [Role::Party0, Role::Party1, Role::Dealer].into_iter().filter(move |r| *r != killed);
    for killed in [Role::Party0, Role::Party1, Role::Dealer] {
        let mut deployment = Deployment::start(program(), &folder, DEADLINE).unwrap();
        deployment.classify(&[sample(3, 1)]).unwrap();
        let processes: BTreeMap<_, _> = deployment.processes().into_iter().map(|(r, p)| (r.name(), p)).collect();
        let status = Command::new("kill").args(["-9", &processes[killed.name()].to_string()]).status().unwrap();
        assert!(status.success());
        let error = deployment.classify(&[sample(5, 1)]).unwrap_err();
        assert_eq!(code_of(&error), LOST, "{error:#}");
        assert!(format!("{error:#}").starts_with(&format!("{killed} ended early (signal: 9")), "{error:#}");
        for (role, process) in &processes {
            assert!(gone(*process), "{role} goes on after {killed} was killed");
        }
        let end = Instant::now() + PATIENCE;
        let named = |messages: &[(Role, String)], other| {
            messages.iter().any(|(role, line)| *role == other && line.contains(killed.name()))
        };
        while !others(killed).all(|other| named(&deployment.messages(), other)) {
            assert!(Instant::now() < end, "not all name {killed}: {:?}", deployment.messages());
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_role_ends_when_the_process_that_started_it_is_gone() {
    let tiny = Tiny::new();
    let folder = tiny.bundle("bundle", Embedding::Client);
    for started in [false, true] {
        let (mut child, mut input, _) = party_zero(&folder, DEADLINE);
        if started {
            writeln!(input, "{}", start_line(&fresh().unwrap(), &fresh().unwrap())).unwrap();
        }
        // what the system does with the pipe of a parent that is killed
        drop(input);
        assert!(gone(child.id()), "the party goes on, started: {started}");
        assert!(!child.wait().unwrap().success());
    }
}

/// P0 alone, waiting for its start line.
fn party_zero(bundle: &Path, deadline: Duration) -> (Child, ChildStdin, Ready) {
    let mut child = Command::new(program())
        .args(["party", "--index", "0", "--insecure-local", "--deadline", &deadline.as_secs().to_string(), "--bundle"])
        .arg(bundle.join("party0"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let input = child.stdin.take().unwrap();
    (child, input, serde_json::from_str(&line).unwrap())
}

fn start_line(token: &[u8; 32], session: &[u8; 16]) -> String {
    let (token, session) = (hex::encode(token), hex::encode(session));
    format!("{{\"token\":\"{token}\",\"session\":\"{session}\",\"peers\":{{}}}}")
}

#[test]
fn parts_of_two_conversions_do_not_work_together() {
    let tiny = Tiny::new();
    let (one, other) = (tiny.bundle("one", Embedding::Client), tiny.bundle("other", Embedding::Client));
    std::fs::remove_dir_all(one.join("party1")).unwrap();
    std::fs::rename(other.join("party1"), one.join("party1")).unwrap();
    let error = Deployment::start(program(), &one, DEADLINE).map(|_| ()).unwrap_err();
    assert_eq!(code_of(&error), BAD_INPUT, "{error:#}");
    assert!(format!("{error:#}").contains("party1: the bundle id"), "{error:#}");
}

#[test]
fn a_caller_without_the_token_is_turned_away() {
    let tiny = Tiny::new();
    let folder = tiny.bundle("bundle", Embedding::Client);
    let (mut child, mut input, ready) = party_zero(&folder, GIVEN_UP);
    let (token, session) = (fresh::<32>().unwrap(), fresh::<16>().unwrap());
    writeln!(input, "{}", start_line(&token, &session)).unwrap();
    let bundle = bundle::ClientBundle::open(&folder.join("client")).unwrap();
    let identity = |token: [u8; 32]| Identity {
        role: Role::Client,
        token: Some(ring64::Key::from_bytes(token)),
        session,
        bundle: *bundle.id.as_bytes(),
        spec: bundle::spec_digest(&bundle.spec),
        nonce: [0; 32],
    };
    let address = format!("127.0.0.1:{}", ready.port);
    let error = call(&identity([0; 32]), Role::Party0, &address, DEADLINE).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("token"), "{error}");
    assert!(!error.contains(&hex::encode(token)));
    call(&identity(token), Role::Party0, &address, DEADLINE).unwrap();
    // nobody else calls: the party gives up after its deadline
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(LOST));
}
