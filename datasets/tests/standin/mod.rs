//! A hub on loopback, for tests of every crate (by `#[path = "../../datasets/tests/standin/mod.rs"] mod standin;`).
//!
//! It speaks what the real hub speaks to `huggingface_hub` and to `datasets::hub`: `/api/{models,datasets}/{id}/revision/{rev}`,
//! `/api/.../tree/{rev}`, `/{id}/resolve/{rev}/{file}`; commits, branches and tags; ETags; large files (safetensors,
//! parquet, bin, h5, msgpack) behind a redirect to a second port that stands for the content network; ranges; old names that
//! redirect to new ones; private and gated repositories. Faults are switched on and off while it runs.
//!
//! ```ignore
//! let hub = StandIn::serve();
//! let commit = hub.add(Kind::Model, "google-bert/bert-base-uncased", "main", &[("config.json", b"{}".to_vec())]);
//! hub.rename("bert-base-uncased", "google-bert/bert-base-uncased");
//! hub.add(Kind::Dataset, "nyu-mll/glue", "main", &[
//!     ("sst2/train-00000-of-00001.parquet", glue::parquet("sst2", &[("a fine film", None, 1.0)])),
//! ]);
//! hub.fault("model.safetensors", 2, Fault::BreakOff(1000));   // twice, after 1000 bytes of the body
//! Command::new(..).env("HF_ENDPOINT", hub.endpoint()).env("HF_HUB_CACHE", folder)..;
//! assert_eq!(hub.seen().iter().filter(|request| request.method == "GET").count(), 1);
//! ```
//!
//! Needs the crates `sha2` and `hex`; `glue` needs `parquet` (features as in datasets/Cargo.toml).
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

pub mod glue;
mod http;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Model,
    Dataset,
}

/// What goes wrong. The last four concern the bodies of files only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status and, perhaps, `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// Not answered at all.
    Silent,
    /// So many bytes a second.
    Slow(u64),
    /// The connection ends after so many bytes.
    BreakOff(u64),
    /// Nothing more comes after so many bytes; the connection stays.
    Stall(u64),
    /// One bit of the body is wrong.
    Corrupt,
    /// The whole file is sent whatever range was asked for.
    IgnoreRange,
}

/// One request, as it was answered.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// What came after `Bearer`.
    pub token: Option<String>,
    /// The first byte asked for.
    pub from: u64,
    pub status: u16,
    /// Bytes of the body that were sent, the piece under way among them.
    pub sent: u64,
    /// Whether it came to the second port, the content network.
    pub content: bool,
}

/// The hub. It ends when dropped.
pub struct StandIn {
    world: Arc<World>,
    addresses: [SocketAddr; 2],
    threads: Vec<JoinHandle<()>>,
}

pub(crate) struct World {
    state: Mutex<State>,
    ended: AtomicBool,
    content: SocketAddr,
}

#[derive(Default)]
pub(crate) struct State {
    repos: BTreeMap<(Kind, String), Repo>,
    names: BTreeMap<String, String>,
    faults: Vec<(String, usize, Fault)>,
    seen: Vec<Seen>,
}

#[derive(Clone, Default)]
pub(crate) struct Repo {
    refs: BTreeMap<String, String>,
    commits: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    private: Option<String>,
    gated: Option<String>,
}

impl StandIn {
    /// Starts an empty hub.
    pub fn serve() -> StandIn {
        let listeners = [0; 2].map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let addresses = [0, 1].map(|n: usize| listeners[n].local_addr().unwrap());
        let world = World { state: Mutex::default(), ended: AtomicBool::new(false), content: addresses[1] };
        let world = Arc::new(world);
        let mut threads = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let world = world.clone();
            threads.push(std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if world.ended() {
                        return;
                    }
                    let world = world.clone();
                    let stream = stream.unwrap();
                    std::thread::spawn(move || http::converse(&world, stream, number == 1));
                }
            }));
        }
        StandIn { world, addresses, threads }
    }

    /// What `HF_ENDPOINT` is set to.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addresses[0])
    }

    /// Adds a commit that a branch or tag points to, and returns its sha. The files are all that the commit has.
    pub fn add(&self, kind: Kind, id: &str, revision: &str, files: &[(&str, Vec<u8>)]) -> String {
        let mut digest = Sha256::new();
        for (name, bytes) in files {
            digest.update(format!("{id} {name} {}\n", bytes.len()));
            digest.update(bytes);
        }
        let commit = hex::encode(digest.finalize())[..40].to_string();
        let files = files.iter().map(|(name, bytes)| (name.to_string(), bytes.clone())).collect();
        let mut state = self.world.state();
        let repo = state.repos.entry((kind, id.into())).or_default();
        repo.commits.insert(commit.clone(), files);
        repo.refs.insert(revision.into(), commit.clone());
        commit
    }

    /// Lets an old name redirect to another one.
    pub fn rename(&self, from: &str, to: &str) {
        self.world.state().names.insert(from.into(), to.into());
    }

    /// Makes a repository invisible to those who do not send this token.
    pub fn hide(&self, kind: Kind, id: &str, token: &str) {
        self.world.state().repos.get_mut(&(kind, id.into())).unwrap().private = Some(token.into());
    }

    /// Lets everybody see a repository, and only those with this token have its files.
    pub fn gate(&self, kind: Kind, id: &str, token: &str) {
        self.world.state().repos.get_mut(&(kind, id.into())).unwrap().gated = Some(token.into());
    }

    /// The next `times` requests whose path holds `part` go wrong. Of several faults the first that fits is taken.
    pub fn fault(&self, part: &str, times: usize, fault: Fault) {
        self.world.state().faults.push((part.into(), times, fault));
    }

    /// Switches all faults off.
    pub fn heal(&self) {
        self.world.state().faults.clear();
    }

    /// Every request since the start, or since `forget`.
    pub fn seen(&self) -> Vec<Seen> {
        self.world.state().seen.clone()
    }

    /// Those that asked for the content of a file whose path holds `part`.
    pub fn bodies(&self, part: &str) -> Vec<Seen> {
        let body =
            |s: &Seen| s.method == "GET" && !s.path.starts_with("/api/") && s.path.contains(part) && s.status < 300;
        self.seen().into_iter().filter(body).collect()
    }

    /// Forgets the requests.
    pub fn forget(&self) {
        self.world.state().seen.clear();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.world.ended.store(true, Ordering::SeqCst);
        for address in self.addresses {
            drop(TcpStream::connect(address));
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

/// Whether the real hub would keep such a file apart from git.
pub(crate) fn is_large(name: &str) -> bool {
    ["safetensors", "parquet", "bin", "h5", "msgpack"].iter().any(|ending| name.ends_with(&format!(".{ending}")))
}

/// What stands in a file's ETag: the sha256 of a large one, a git-like id of another.
pub fn etag(name: &str, bytes: &[u8]) -> String {
    let mut text = hex::encode(Sha256::digest(bytes));
    if !is_large(name) {
        text.truncate(40);
    }
    text
}
