//! A role that is killed or stalled, at every phase of a session, and a session that is killed or stopped itself: whoever is
//! left ends, says who was lost, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::folder::Place;
use crate::sessions::between::{Moment, Told, Watch, kill, own_folder, stand_before};
use crate::sessions::{DEADLINE, PATIENCE, all_gone, convert};
use bundle::{ClientBundle, Embedding};
use cli::exit::LOST;
use local::deployment::Deployment;
use model::{Sample, Texts};
use mpc::DEAL_CHUNK;
use mpc::Planned;
use mpc::kind::{DEAL, OPEN};
use mpc::masked::Plan;
use roles::message::kind::{DEMAND, HELLO, INPUT, KEY, OUTPUT, OUTPUT_ROOT, READY, REPORT, REQUEST, SECRET};
use runtime::exit::code_of;

const ROLES: [&str; 3] = ["party0", "party1", "dealer"];

struct Model {
    place: Place,
    bundle: PathBuf,
}

impl Model {
    fn new() -> Model {
        let place = Place::new();
        let bundle = place.bundle();
        convert(&place.student(), Embedding::Client, &bundle);
        Model { place, bundle }
    }

    fn root(&self) -> &Path {
        self.place.root.path()
    }
}

/// So many texts that the dealer sends more than one frame.
fn batch() -> Vec<Sample> {
    let text = |i: usize| (0..16).map(|j| ((i * 7 + j * 5) % 29) as u32).collect();
    (0..48).map(|i| Sample { ids: text(i), segments: vec![0; 16] }).collect()
}

/// A deployment all of whose frames pass by a watch.
struct Watched {
    told: Told,
    deployment: anyhow::Result<Deployment>,
    begin: Instant,
}

impl Watched {
    fn start(told: Told, watch: &Arc<Watch>, victim: &str, fault: &str) -> Watched {
        let ports = ["party0", "party1"].map(|role| stand_before(role, &told, watch));
        let program = told.stand_in(ports, victim, fault);
        let begin = Instant::now();
        let deployment = Deployment::start(&program, &told.folder.join("bundle"), DEADLINE);
        Watched { told, deployment, begin }
    }

    /// Classifies until something goes wrong, or all went well, and checks how it ended.
    fn lost(self, victim: &str, place: &str, killed: impl Fn() -> bool) {
        let end = |mut deployment: Deployment| {
            for _ in 0..2 {
                deployment.classify(&batch())?;
            }
            deployment.finish()
        };
        let error = self.deployment.and_then(end).expect_err(place);
        assert!(killed(), "{place}: {error:#}");
        assert_eq!(code_of(&error), LOST, "{place}: {error:#}");
        let named = format!("{victim} ended early (signal: 9");
        assert!(format!("{error:#}").starts_with(&named), "{place}: {error:#}");
        assert!(self.begin.elapsed() < PATIENCE, "{place}: {:?}", self.begin.elapsed());
        assert_eq!(all_gone(&self.told.folder), Ok(()), "{place}");
    }
}

/// One frame of each phase, in the order of a session.
fn moments(rounds: u32) -> Vec<(&'static str, Moment)> {
    let moment = |from, to, kind, step| Moment { from, to, kind, step };
    vec![
        ("the parties' handshake", moment("party1", "party0", HELLO, 0)),
        ("the dealer's handshake", moment("dealer", "party0", HELLO, 0)),
        ("the client's handshake", moment("client", "party1", HELLO, 0)),
        ("the answer to a handshake", moment("party0", "client", HELLO, 0)),
        ("the end of the handshakes", moment("party0", "party1", OUTPUT_ROOT, 0)),
        ("the request", moment("client", "party0", REQUEST, 0)),
        ("the demand", moment("party0", "dealer", DEMAND, 0)),
        ("the fresh secret", moment("party1", "dealer", SECRET, 0)),
        ("the keys", moment("dealer", "party0", KEY, 0)),
        ("the begin of dealing", moment("dealer", "party1", DEAL, 0)),
        ("the midst of dealing", moment("dealer", "party1", DEAL, 1)),
        ("waiting for the input", moment("party0", "client", READY, 0)),
        ("half of the input", moment("client", "party1", INPUT, 0)),
        ("the first round", moment("party0", "party1", OPEN, 0)),
        ("the midst of the rounds", moment("party1", "party0", OPEN, rounds / 2)),
        ("the last round", moment("party0", "party1", OPEN, rounds - 1)),
        ("the report", moment("party0", "client", REPORT, 0)),
        ("half of the output", moment("party1", "client", OUTPUT, 0)),
    ]
}

#[test]
#[ignore = "long: .ci/run runs it by name"]
fn a_role_killed_at_any_frame_is_named_and_the_others_end() {
    let model = Model::new();
    let spec = ClientBundle::open(&model.bundle.join("client")).unwrap().spec;
    let lengths: Vec<_> = batch().iter().map(|s| s.ids.len()).collect();
    let texts = Texts::new(&lengths, &spec.shape).unwrap();
    let cost = Plan::new(&spec.calibrated(Embedding::Client.input_kind()), &[texts]).unwrap().cost();
    assert!(cost.dealt_bytes > 2 * DEAL_CHUNK, "{} bytes are dealt", cost.dealt_bytes);
    let all = |victim: &'static str| {
        for (number, (place, moment)) in moments(cost.rounds as u32).into_iter().enumerate() {
            let told = own_folder(model.root(), &format!("{victim}-{number}"), &model.bundle);
            let files = told.clone();
            let watch = Watch::new(moment, move || kill(files.process(victim)));
            let session = Watched::start(told, &watch, "", "");
            session.lost(victim, &format!("{victim} at {place}"), || watch.fired());
        }
    };
    thread::scope(|scope| ROLES.map(|victim| scope.spawn(move || all(victim))).map(|t| t.join().unwrap()));
}

#[test]
fn a_role_killed_before_it_is_ready_or_before_it_is_told_to_start_is_named() {
    let model = Model::new();
    let never = Moment { from: "", to: "", kind: 0, step: 0 };
    for victim in ROLES {
        let ready = format!("printf '{{\"ready\":\"{victim}\",\"port\":1}}\\n'; kill -9 $$");
        // between the start line and the first call
        let told_to_start = format!("printf '{{\"ready\":\"{victim}\",\"port\":1}}\\n'; read line; kill -9 $$");
        for (number, fault) in ["kill -9 $$", &ready, &told_to_start].into_iter().enumerate() {
            let told = own_folder(model.root(), &format!("{victim}-{number}"), &model.bundle);
            let session = Watched::start(told, &Watch::new(never, || ()), victim, fault);
            session.lost(victim, &format!("{victim}: {fault}"), || true);
        }
    }
}

#[test]
fn a_role_killed_between_texts_is_named_and_the_others_end() {
    let model = Model::new();
    let never = Moment { from: "", to: "", kind: 0, step: 0 };
    for victim in ROLES {
        let told = own_folder(model.root(), victim, &model.bundle);
        let mut session = Watched::start(told.clone(), &Watch::new(never, || ()), "", "");
        session.deployment.as_mut().unwrap().classify(&batch()[..1]).unwrap();
        kill(told.process(victim));
        session.lost(victim, &format!("{victim} between texts"), || true);
    }
    assert!(fs::read_dir(model.root()).unwrap().count() > 3);
}
