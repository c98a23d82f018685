//! All roles on one machine, as processes of their own. For trying and for measuring: it protects nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bundle::{ClientBundle, check_parts};
use model::Sample;
use roles::client::{Answer, Client};
use roles::handshake::fresh;
use roles::message::Role;
use roles::settings::Settings;
use roles::start::Start;
use roles::stocked::Fill;

use crate::children::Children;
use crate::settings::LocalSettings;

/// The security statement of such a deployment, in one sentence.
pub const INSECURE_LOCAL: &str = "all roles run on this machine under one user: this run protects nothing";

/// How long children get to end by themselves.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Two parties and a dealer as child processes, with this process as their client.
pub struct Deployment {
    client: Option<Client>,
    children: Children,
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deployment({:?})", self.processes())
    }
}

impl Deployment {
    /// Checks that the parts of a bundle are there and belong together, and reads the client's.
    pub fn check(bundle: &Path) -> Result<ClientBundle> {
        check_parts(bundle)?;
        Ok(ClientBundle::open(&Role::Client.folder(bundle))?)
    }

    /// Starts all roles on a bundle, whose parts must belong together; `program` is `runtime` itself.
    pub fn start(program: &Path, bundle: &Path, deadline: Duration) -> Result<Deployment> {
        Deployment::start_with(program, bundle, &LocalSettings::within(deadline))
    }

    /// As [`start`](Self::start), with all settings; no role may take more memory than they all may together.
    pub fn start_with(program: &Path, bundle: &Path, settings: &LocalSettings) -> Result<Deployment> {
        Deployment::start_as(Deployment::check(bundle)?, program, bundle, settings)
    }

    /// As [`start_with`](Self::start_with), for a client whose part of the bundle is read already.
    pub fn start_as(
        client: ClientBundle,
        program: &Path,
        bundle: &Path,
        settings: &LocalSettings,
    ) -> Result<Deployment> {
        let children = Children::new(program, bundle, settings);
        match run(&children, client, settings) {
            Ok(client) => Ok(Deployment { client: Some(client), children }),
            Err(error) => Err(children.explain(error)),
        }
    }

    /// Puts packs into the stocks that the settings name, and waits until all are there.
    pub fn fill(program: &Path, bundle: &Path, settings: &LocalSettings, fill: Vec<Fill>) -> Result<()> {
        check_parts(bundle)?;
        let children = Children::new(program, bundle, settings);
        match start(&children, settings, fill) {
            // however long it takes: a role that is silent for longer than its deadline ends the others
            Ok(_) => children.shutdown(Duration::MAX),
            Err(error) => Err(children.explain(error)),
        }
    }

    /// The client's part of the bundle.
    pub fn bundle(&self) -> Result<&ClientBundle> {
        Ok(self.client.as_ref().context("the deployment has ended")?.bundle())
    }

    /// Classifies a batch.
    pub fn classify(&mut self, batch: &[Sample]) -> Result<Answer> {
        self.classify_with(batch, &mut || ())
    }

    /// Classifies a batch; `ready` is called when the parties wait for nothing but the input.
    pub fn classify_with(&mut self, batch: &[Sample], ready: &mut dyn FnMut()) -> Result<Answer> {
        let client = self.client.as_mut().context("the deployment has ended")?;
        client.classify(batch, ready).map_err(|error| self.children.explain(error))
    }

    /// What the roles said on standard error, as it came.
    pub fn messages(&self) -> Vec<(Role, String)> {
        self.children.messages()
    }

    /// Process numbers of the roles.
    pub fn processes(&self) -> Vec<(Role, u32)> {
        self.children.processes()
    }

    /// Ends all roles and waits for them.
    pub fn finish(mut self) -> Result<()> {
        if let Some(client) = self.client.take() {
            client.bye().map_err(|error| self.children.explain(error))?;
        }
        self.children.shutdown(SHUTDOWN)
    }
}

/// Starts the roles and connects to both parties.
fn run(children: &Children, client: ClientBundle, settings: &LocalSettings) -> Result<Client> {
    let Settings { deadline, engine, lengths, .. } = settings.roles;
    let start = start(children, settings, Vec::new())?;
    Client::connect(client, (engine, lengths), &start, deadline, &children.liveness())
}

/// Starts the roles and tells them where they find each other.
fn start(children: &Children, settings: &LocalSettings, fill: Vec<Fill>) -> Result<Start> {
    let deadline = settings.roles.deadline;
    let roles = [Role::Party0, Role::Party1, Role::Dealer];
    // all start before any is waited for
    let lines = roles.into_iter().map(|role| children.start(role)).collect::<Result<Vec<_>>>()?;
    let mut peers = BTreeMap::new();
    let begin = Instant::now();
    for (role, line) in roles.into_iter().zip(lines) {
        let ready = line.ready(deadline, begin)?;
        if role != Role::Dealer {
            peers.insert(role.name().to_string(), format!("127.0.0.1:{}", ready.port));
        }
    }
    let (token, session) = (hex::encode(fresh::<32>()?), hex::encode(fresh::<16>()?));
    let start = Start { token, session, peers, fill, quiet: settings.quiet };
    let mut line = serde_json::to_string(&start)?;
    line.push('\n');
    children.tell(&line)?;
    Ok(start)
}

/// The file of this program, to start the other roles from.
pub fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("finding this program's own file")
}
