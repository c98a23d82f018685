//! Roles as services: three operators and their clients, each a process with a folder, a key and a configuration of its own.

mod chaos;
mod doctor;
mod hosts;
mod joining;
mod lifecycle;
mod raw;
mod secrets;
mod stock_faults;
mod stock_status;
mod stocked;
mod strangers;

use std::fs;
use std::path::PathBuf;
use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use bundle::{ClientBundle, Embedding, Role};
use model::{Lengths, Sample};
use net::TlsIdentity;
use roles::client::Client;
use roles::engine::EngineKind;
use roles::handshake::{Identity, Peer, fresh};
use roles::message::Purpose;
use trials::asking::{difference, samples};
use trials::deployment::{Deployment, Plan};

use crate::folder::Place;
use crate::programs::{command, output};
use crate::sessions::{PATIENCE, convert, program};

/// Words that the tiny student's tokenizer knows.
const TEXT: &str = "w4 w9 w17 w5";
/// How far two answers to one text may be apart: their last bits are drawn anew each time.
const NEAR: f64 = 0.05;

/// A tiny student's services, laid out and not started yet.
pub(crate) struct World {
    place: Place,
    pub(crate) services: Deployment,
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// It ended with this code and said all these words on standard error.
    #[track_caller]
    pub(crate) fn ended(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let missing: Vec<_> = words.iter().filter(|words| !self.err.contains(**words)).collect();
        assert!(missing.is_empty(), "{missing:?} not said: {self:?}");
    }
}

impl World {
    /// Services on loopback with so many clients; lines of TOML for the parties, and for all roles.
    pub(crate) fn new(clients: usize, parties: &str, all: &str) -> World {
        let mut plan = Plan::loopback(clients).unwrap();
        (plan.parties, plan.all) = (parties.into(), all.into());
        World::of(plan)
    }

    pub(crate) fn of(plan: Plan) -> World {
        let place = Place::new();
        convert(&place.student(), Embedding::Private, &place.bundle());
        let root = place.root.path().join("roles");
        let services = Deployment::lay_out(&root, program(), &place.bundle(), plan).unwrap();
        World { place, services }
    }

    /// The same, all started and connected.
    pub(crate) fn started(clients: usize, parties: &str, all: &str) -> World {
        let mut world = World::new(clients, parties, all);
        world.services.start_all().unwrap();
        world.services.ready(PATIENCE).unwrap();
        world
    }

    /// A path beside the roles' folders.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.root.path().join(name)
    }

    /// Runs `runtime` to its end.
    pub(crate) fn runtime(&self, args: &[&str]) -> Said {
        let done = output(command("runtime", self.place.root.path()).args(args));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Said { code: done.status.code(), out: text(&done.stdout), err: text(&done.stderr) };
        assert!(!said.err.contains("panicked"), "{said:?}");
        said
    }

    /// Has a role's `command` run under its configuration, with values over it.
    pub(crate) fn configured(&self, words: &[&str], name: &str, sets: &[&str]) -> Said {
        let config = self.services.config(name).display().to_string();
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = words.iter().copied().chain(["--config", &config]).chain(sets).collect();
        self.runtime(&args)
    }

    /// Has a client ask for the label of one text.
    pub(crate) fn infer(&self, client: usize, sets: &[&str]) -> Said {
        self.configured(&["infer", "--text", TEXT], &format!("client{client}"), sets)
    }

    /// Has a client ask, which must be answered.
    #[track_caller]
    pub(crate) fn works(&self, client: usize) {
        let said = self.infer(client, &[]);
        assert!(said.code == Some(0) && said.out.contains("label"), "{said:?}");
    }

    /// The text as the model takes it.
    pub(crate) fn sample(&self) -> Sample {
        samples(&self.place.bundle().join("client"), &[TEXT]).unwrap().remove(0)
    }

    /// Changes the configuration of a role.
    #[track_caller]
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.services.config(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`: {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// A mark in the log of a service.
    pub(crate) fn mark(&self, role: Role) -> Mark {
        let path = self.services.log(role);
        let seen = lines(&path).len();
        Mark { path, seen }
    }

    /// Who a client is in a session, and its key.
    pub(crate) fn client(&self, name: &str, session: [u8; 16]) -> (TlsIdentity, Identity) {
        let folder = self.services.folder(name);
        let client = ClientBundle::open(&self.services.folder("client0").join("bundle")).unwrap();
        let me = Identity::pinned(Role::Client, session, client.id, &client.spec).unwrap();
        (TlsIdentity::read(&folder.join("keys")).unwrap(), me)
    }

    /// Opens a session of this id at one party by hand.
    pub(crate) fn link(
        &self,
        client: usize,
        session: [u8; 16],
        party: usize,
        waiting: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Peer> {
        let (tls, me) = self.client(&format!("client{client}"), session);
        let to = self.services.address(party)?;
        let link = to.connect(&tls, PATIENCE)?;
        Ok(to.greet(&me, link, &me.hello(to.role, Purpose::Session), PATIENCE, waiting)?.link)
    }

    /// Opens a session of this id at both parties by hand.
    pub(crate) fn open(
        &self,
        client: usize,
        session: [u8; 16],
        waiting: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Client> {
        let links = [self.link(client, session, 0, waiting)?, self.link(client, session, 1, waiting)?];
        let folder = self.services.folder(&format!("client{client}"));
        Ok(Client::over(ClientBundle::open(&folder.join("bundle"))?, (EngineKind::default(), Lengths::Exact), links))
    }

    /// Opens a session that stays open.
    pub(crate) fn hold(&self, client: usize) -> Held {
        let session = fresh().unwrap();
        let client = self.open(client, session, &mut |_| ()).unwrap();
        Held { session, client, sample: self.sample(), first: None }
    }
}

/// An open session that is asked again and again.
pub(crate) struct Held {
    pub(crate) session: [u8; 16],
    pub(crate) client: Client,
    sample: Sample,
    first: Option<Vec<Vec<f64>>>,
}

impl Held {
    /// Asks for the same text: the answer must be the same.
    pub(crate) fn ask(&mut self) -> anyhow::Result<()> {
        let answer = self.client.classify(slice::from_ref(&self.sample), &mut || ())?;
        let first = self.first.get_or_insert_with(|| answer.logits.clone());
        assert!(difference(first, &answer.logits) < NEAR, "another answer to the same text");
        Ok(())
    }
}

/// A place in the log of a service.
pub(crate) struct Mark {
    path: PathBuf,
    seen: usize,
}

impl Mark {
    /// Lines since then.
    pub(crate) fn lines(&self) -> Vec<String> {
        lines(&self.path).split_off(self.seen)
    }

    /// Lines since then about something that is amiss.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let amiss = |line: &String| line.contains("WARN") || line.contains("ERROR") || line.contains("panicked");
        self.lines().into_iter().filter(amiss).collect()
    }

    /// Waits until so many lines have these words.
    #[track_caller]
    pub(crate) fn wait(&self, words: &str, count: usize) {
        let found = || self.lines().iter().filter(|line| line.contains(words)).count() >= count;
        assert!(soon(found), "{}: `{words}` not logged {count} times: {:#?}", self.path.display(), self.lines());
    }
}

fn lines(path: &PathBuf) -> Vec<String> {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // one that is being written is not there yet
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(String::from).collect()
}

/// Whether something comes true before the patience of a test ends.
pub(crate) fn soon(mut is_true: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !is_true() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}
