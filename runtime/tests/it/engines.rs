//! SecFormer's engine over real processes, beside masked wires, on a tiny model.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use crate::folder::Place;
use crate::sessions::stand_in::stand_in;
use crate::sessions::{DEADLINE, convert, program};
use bundle::{ClientBundle, Embedding};
use cli::exit::{BAD_INPUT, REFUSED, USAGE};
use local::deployment::Deployment;
use local::settings::LocalSettings;
use model::{Functions, InputKind, Operation, Sample, Spec, Texts};
use mpc::Planned;
use mpc::beaver::{Options, Truncation};
use net::HEADER_LEN;
use roles::client::Answer;
use roles::engine::EngineKind;
use roles::measured::Measured;
use roles::schedule::Schedule;
use roles::settings::Settings;
use runtime::exit::code_of;
use serde_json::Value;

/// A bundle of a tiny student.
struct Tiny {
    place: Place,
    spec: Arc<Spec>,
    embedding: Embedding,
}

impl Tiny {
    fn new(embedding: Embedding) -> Tiny {
        let place = Place::new();
        convert(&place.student(), embedding, &place.bundle());
        let spec = ClientBundle::open(&place.bundle().join("client")).unwrap().spec;
        Tiny { place, spec, embedding }
    }

    fn folder(&self) -> PathBuf {
        self.place.bundle()
    }

    fn kind(&self) -> InputKind {
        self.embedding.input_kind()
    }

    fn classify(&self, settings: &Settings, batch: &[Sample]) -> Answer {
        let mut deployment = Deployment::start_with(program(), &self.folder(), &LocalSettings::of(*settings)).unwrap();
        // an attempt that restarts, which is rare, cannot be held against a plan
        let answer = (0..8).map(|_| deployment.classify(batch).unwrap()).find(|answer| answer.measured.restarts == 0);
        deployment.finish().unwrap();
        answer.expect("eight restarts in a row")
    }

    fn plan(&self, engine: EngineKind, batch: &[Sample]) -> Box<dyn Planned> {
        let lengths: Vec<_> = batch.iter().map(|s| s.ids.len()).collect();
        engine.plan(&self.spec.calibrated(self.kind()), &Texts::new(&lengths, &self.spec.shape).unwrap()).unwrap()
    }

    fn infer(&self, flags: &[&str]) -> Output {
        let mut infer = Command::new(program());
        infer.args(["infer", "-q", "--text", "w5 w6 w7"]).args(flags).arg("--bundle").arg(self.folder());
        infer.output().unwrap()
    }
}

fn sample(tokens: usize, step: usize) -> Sample {
    Sample { ids: (0..tokens).map(|i| ((i * step + 4) % 29) as u32).collect(), segments: vec![0; tokens] }
}

fn settings(engine: EngineKind) -> Settings {
    Settings { engine, ..Settings::within(DEADLINE) }
}

/// What was measured is what was planned: in all, and for each operation.
fn assert_planned(measured: &Measured, plan: &dyn Planned) {
    assert_eq!(measured.restarts, 0);
    let cost = plan.cost();
    assert_eq!(measured.rounds, cost.rounds as u64);
    assert_eq!(measured.online_bytes_each_way, (cost.opened_bytes + cost.frames * HEADER_LEN) as u64);
    // beside the dealt stream, a key of 32 bytes to each party
    let frames = mpc::deal_frames(cost.dealt_bytes) + 2;
    assert_eq!(measured.offline_bytes, (cost.dealt_bytes + 2 * 32 + frames * HEADER_LEN) as u64);
    let mut dealt = 0;
    for operation in Operation::ALL {
        let (part, cost) = (&measured.operations[operation.index()], plan.cost_of(operation));
        assert_eq!((part.rounds, part.bytes), (cost.rounds as u64, cost.opened_bytes as u64), "{operation:?}");
        assert!(part.compute_seconds > 0.0 && part.rounds > 0, "{operation:?}");
        dealt += cost.dealt_bytes;
    }
    assert_eq!(dealt, cost.dealt_bytes);
}

fn largest_difference(one: &Answer, other: &Answer) -> f64 {
    let pairs = one.logits.iter().flatten().zip(other.logits.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn label(logits: &[f64]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap()
}

#[test]
fn secformer_on_shares_answers_as_masked_wires_do_and_costs_what_was_planned() {
    for embedding in [Embedding::Private, Embedding::Client] {
        let tiny = Tiny::new(embedding);
        let batch = [sample(9, 5), sample(16, 3)];
        let masked = tiny.classify(&settings(EngineKind::Masked), &batch);
        assert_planned(&masked.measured, &*tiny.plan(EngineKind::Masked, &batch));
        let published = Options::of(Functions::SecFormer);
        let dealt = Options { truncation: Truncation::Dealt, ..published };
        for (options, schedule) in [
            (published, Schedule::Ahead),
            (published, Schedule::Stream),
            (dealt, Schedule::Ahead),
            (Options::of(Functions::Series), Schedule::Ahead),
        ] {
            let engine = EngineKind::Beaver(options);
            let answer = tiny.classify(&Settings { schedule, ..settings(engine) }, &batch);
            assert_planned(&answer.measured, &*tiny.plan(engine, &batch));
            let difference = largest_difference(&answer, &masked);
            eprintln!("{embedding}, {options:?}, {schedule}: logits differ by {difference:.4}");
            assert!(difference < 0.1, "{options:?}: {difference}");
            for (shared, masked) in answer.logits.iter().zip(&masked.logits) {
                assert_eq!(label(shared), label(masked));
            }
        }
    }
}

#[test]
fn reports_say_which_engine_made_them() {
    let tiny = Tiny::new(Embedding::Private);
    let object = |flags: &[&str]| -> Value {
        let done = tiny.infer(flags);
        assert!(done.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    };
    let masked = object(&["--json"]);
    assert_eq!((&masked["engine"], &masked["functions"]), (&"masked".into(), &"series".into()));
    assert!(masked["truncation"].is_null() && masked["security"]["protocol"].as_str().unwrap().starts_with("masked"));
    // the engine alone means SecFormer's functions
    let beaver = object(&["--engine", "beaver", "--json"]);
    let said = ["engine", "functions", "truncation", "sines"].map(|key| beaver[key].as_str().unwrap());
    assert_eq!(said, ["beaver", "secformer", "local", "published"]);
    let protocol = beaver["security"]["protocol"].as_str().unwrap();
    assert!(protocol.contains("additive shares") && !protocol.contains("masked"), "{protocol}");
    assert!(!beaver["security"]["public"].as_array().unwrap().contains(&"restarts".into()));
    assert_eq!(masked["results"][0]["label"], beaver["results"][0]["label"]);
    assert!(beaver["cost"]["rounds"].as_u64().unwrap() > 5 * masked["cost"]["rounds"].as_u64().unwrap());
}

#[test]
fn engines_and_functions_that_do_not_go_together_are_refused() {
    let tiny = Tiny::new(Embedding::Private);
    let refused: [(&[&str], i32, &[&str]); 6] = [
        (&["--functions", "secformer"], USAGE, &["the masked engine evaluates series only; add --engine beaver"]),
        (&["--truncation", "dealt"], USAGE, &["--truncation is beaver's", "--engine beaver"]),
        (&["--sines", "refitted"], USAGE, &["--sines is beaver's"]),
        (&["--engine", "spu"], USAGE, &["masked, beaver"]),
        (
            &["--engine", "beaver", "--functions", "mpcformer"],
            BAD_INPUT,
            &["quadratic GeLU", "2Quad and GeLU", "--force"],
        ),
        (
            &["--engine", "beaver", "--functions", "exact"],
            BAD_INPUT,
            &["softmax and GeLU", "2Quad and GeLU", "--force"],
        ),
    ];
    for (flags, code, says) in refused {
        let done = tiny.infer(flags);
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(code), "{flags:?}: {errors}");
        assert!(says.iter().all(|part| errors.contains(part)) && done.stdout.is_empty(), "{flags:?}: {errors}");
    }
    for functions in ["mpcformer", "exact"] {
        let done = tiny.infer(&["--engine", "beaver", "--functions", functions, "--force"]);
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{functions}: {errors}");
        assert!(errors.contains("warning: --functions") && !done.stdout.is_empty(), "{errors}");
    }
}

#[test]
fn a_role_that_runs_something_else_is_noticed() {
    let tiny = Tiny::new(Embedding::Client);
    let settings = settings(EngineKind::Beaver(Options::of(Functions::SecFormer)));
    for (victim, reason) in [("party1", "another plan than party0"), ("dealer", "another plan than this dealer's")] {
        let folder = tiny.place.root.path().join(victim);
        fs::create_dir(&folder).unwrap();
        // another truncation than the others'
        let program = stand_in(&folder, None, victim, r#"set -- "${@/#local/dealt}""#);
        let mut deployment = Deployment::start_with(&program, &tiny.folder(), &LocalSettings::of(settings)).unwrap();
        let error = deployment.classify(&[sample(5, 3)]).unwrap_err();
        assert_eq!(code_of(&error), REFUSED, "{victim}: {error:#}");
        assert!(format!("{error:#}").contains(reason), "{victim}: {error:#}");
    }
}
