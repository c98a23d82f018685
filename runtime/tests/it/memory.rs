//! Memory: what is estimated beforehand against what processes took.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::folder::Place;
use crate::sessions::between::{Moment, Watch, own_folder, stand_before};
use crate::sessions::{DEADLINE, PATIENCE, all_gone, convert, processes, program};
use bundle::{ClientBundle, Embedding};
use cli::exit::MEMORY;
use cli::memory::Memory;
use local::deployment::Deployment;
use local::settings::LocalSettings;
use model::{InputKind, Lengths, Sample, Spec, Texts};
use mpc::masked::Plan;
use roles::engine::EngineKind;
use roles::memory::Needs;
use roles::message::Role;
use roles::message::kind::REFUSE;
use roles::schedule::Schedule;
use roles::settings::Settings;
use runtime::exit::code_of;
use runtime::shipped::SHIPPED;
use serde_json::Value;

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
        .args(["infer", "-q", "--memory", "64G"])
        // many more than are over before the processes are found
        .args(["--text", &text].repeat(if tokens > 100 { 10 } else { 200 }))
        .arg("--bundle")
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

/// What a batch needs where there is memory enough for all correlations.
fn needs(spec: &Spec, embedding: Embedding, texts: &Texts) -> Needs {
    let (calibrated, engine) = (spec.calibrated(embedding.input_kind()), EngineKind::Masked);
    let plan = engine.plan(&calibrated, texts).unwrap();
    Needs::of(&calibrated, texts, &*plan, engine, Schedule::Ahead, u64::MAX).unwrap()
}

/// An estimate is right when it is not below what was measured, and not much above.
fn judge(what: &str, need: u64, peak: u64, wrong: &mut Vec<String>) {
    let (need_mb, peak_mb) = (need / 1_000_000, peak / 1_000_000);
    let line = format!("{what}: estimated {need_mb:4} MB, measured {peak_mb:4} MB, {:.2}", need as f64 / peak as f64);
    eprintln!("{line}");
    if need < peak || need as f64 > 2.2 * peak as f64 + 1e8 {
        wrong.push(line);
    }
}

#[test]
#[ignore = "long: .ci/run runs it by name"]
fn the_estimate_is_never_below_what_is_taken_and_not_far_above() {
    let root = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (embedding, lengths) in [(Embedding::Private, &[17, 128, 512][..]), (Embedding::Client, &[128])] {
        let folder = root.path().join(embedding.to_string());
        convert(&student(), embedding, &folder);
        let spec = ClientBundle::open(&folder.join("client")).unwrap().spec;
        for tokens in lengths {
            let texts = Texts::new(&[*tokens], &spec.shape).unwrap();
            let needs = needs(&spec, embedding, &texts);
            for (role, peak) in measured(&folder, *tokens) {
                judge(&format!("{embedding} {tokens:3} tokens, {role}"), needs.role(role), peak, &mut wrong);
            }
        }
        // many short texts together, padded: other sizes, in other pieces
        let (count, tokens, lengths) = (16, 20, Lengths::Padded);
        let needs = needs(&spec, embedding, &spec.texts(&[tokens; 16], lengths).unwrap());
        let sample = Sample { ids: vec![1012; tokens], segments: vec![0; tokens] };
        let memory = Memory { limit: Some(64 << 30) };
        let settings = LocalSettings::of(Settings { memory, lengths, ..Settings::within(DEADLINE) });
        let mut deployment = Deployment::start_with(program(), &folder, &settings).unwrap();
        deployment.classify(&vec![sample; count]).unwrap();
        for (role, process) in deployment.processes() {
            let what = format!("{embedding} {count} x {tokens} tokens, {role}");
            judge(&what, needs.role(role), peak(process), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A bundle of a tiny student, and what a batch of so many of its longest texts needs.
struct Tiny {
    place: Place,
    spec: Arc<Spec>,
}

impl Tiny {
    fn new() -> Tiny {
        let place = Place::new();
        convert(&place.student(), Embedding::Client, &place.bundle());
        let spec = ClientBundle::open(&place.bundle().join("client")).unwrap().spec;
        Tiny { place, spec }
    }

    fn texts(&self, count: usize) -> Texts {
        Texts::new(&vec![16; count], &self.spec.shape).unwrap()
    }

    fn needs(&self, count: usize) -> Needs {
        needs(&self.spec, Embedding::Client, &self.texts(count))
    }

    fn together(&self, count: usize) -> u64 {
        Role::ALL.into_iter().map(|role| self.needs(count).role(role)).sum()
    }

    /// `infer` on so many texts in one batch, if there is memory enough.
    fn infer(&self, count: usize, memory: u64) -> Output {
        let text = ["w5"; 14].join(" ");
        let mut infer = Command::new(program());
        infer.args(["infer", "-q", "--json", "--exact-lengths", "--batch", "8", "--memory", &memory.to_string()]);
        infer.args(["--deadline", &DEADLINE.as_secs().to_string()]);
        for _ in 0..count {
            infer.args(["--text", &text]);
        }
        infer.arg("--bundle").arg(self.place.bundle()).output().unwrap()
    }
}

#[test]
fn a_batch_that_does_not_fit_is_split_and_a_text_that_does_not_fit_is_refused() {
    let tiny = Tiny::new();
    let rounds = Plan::new(&tiny.spec.calibrated(InputKind::Embedded), &[tiny.texts(1)]).unwrap().rounds.len() as u64;
    assert!(tiny.together(8) > tiny.together(4) && tiny.together(4) > tiny.together(1));
    for (allowed, batches) in [(8, 1), (4, 2), (3, 4), (1, 8)] {
        let output = tiny.infer(8, tiny.together(allowed));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(object["results"].as_array().unwrap().len(), 8);
        // a restart repeats rounds, or some of them
        let (got, restarts) =
            (object["cost"]["rounds"].as_u64().unwrap(), object["cost"]["restarts"].as_u64().unwrap());
        assert!((batches..=batches + restarts).contains(&got.div_ceil(rounds)), "{got} rounds, {restarts} restarts");
    }
    let begin = Instant::now();
    let output = tiny.infer(2, tiny.together(1) - 1);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(MEMORY), "{errors}");
    for part in [
        "error: a text of 16 tokens: not enough memory: about ",
        "party0 ",
        "party1 ",
        "dealer ",
        "client ",
        "--memory",
        "--schedule stream",
    ] {
        assert!(errors.contains(part), "expected `{part}` in: {errors}");
    }
    assert!(output.stdout.is_empty() && begin.elapsed() < PATIENCE);
}

#[test]
fn a_role_refuses_what_it_has_no_memory_for() {
    let tiny = Tiny::new();
    let sample = Sample { ids: vec![5; 16], segments: vec![0; 16] };
    for victim in ["party0", "party1", "dealer"] {
        let told = own_folder(tiny.place.root.path(), victim, &tiny.place.bundle());
        let refusal = Watch::new(Moment { from: victim, to: "client", kind: REFUSE, step: 0 }, || ());
        let ports = ["party0", "party1"].map(|role| stand_before(role, &told, &refusal));
        // a limit that the starting process knows nothing of
        let program = told.stand_in(ports, victim, "set -- \"$@\" --memory 1M");
        let mut deployment = Deployment::start(&program, &told.folder.join("bundle"), DEADLINE).unwrap();
        let error = deployment.classify(std::slice::from_ref(&sample)).unwrap_err();
        assert_eq!(code_of(&error), MEMORY, "{victim}: {error:#}");
        let said = format!("{victim} ended early (exit code 7): not enough memory: about ");
        assert!(format!("{error:#}").starts_with(&said), "{victim}: {error:#}");
        // the dealer does not know the client; what stands between may see the frame later than the role's end is seen
        let late = Instant::now() + PATIENCE;
        while victim != "dealer" && !refusal.fired() && Instant::now() < late {
            sleep(Duration::from_millis(10));
        }
        assert_eq!(refusal.fired(), victim != "dealer");
        drop(deployment);
        assert_eq!(all_gone(&told.folder), Ok(()));
    }
}
