//! What `infer` and `evaluate` have in common: a deployment on a chosen bundle, texts in, logits out.

use std::fs::File;
use std::mem::replace;
use std::path::PathBuf;
use std::slice;
use std::sync::Arc;

use anyhow::Result;
use bundle::{ClientBundle, Role};
use config::Config;
use datasets::Tokenizer;
use indicatif::ProgressBar;
use local::deployment::{Deployment, INSECURE_LOCAL, this_program};
use local::settings::LocalSettings;
use model::{Bert, Calibrated, Lengths, ProblemType, Sample, Spec, Texts};
use net::TlsIdentity;
use roles::client::{Answer, Client};
use roles::engine::EngineKind;
use roles::memory::{Budget, Needs, hold};
use roles::service::client::open_session;
use roles::service::dial::PeerAddress;
use roles::settings::Settings;
use serde_json::Value;

use crate::options::ModelSource;
use crate::services;
use crate::shipped::choose;

/// Most bytes that a client sends to P1 at once.
const MOST_INPUT_BYTES: usize = 256 << 20;
/// Largest restart probability of a batch of several texts.
const MOST_RESTARTS: f64 = 0.25;

/// What a client knows of its model, and the roles that run it.
pub struct Session {
    roles: Roles,
    /// Scales and series.
    pub spec: Arc<Spec>,
    /// Names of classes.
    pub labels: Vec<String>,
    /// What the logits mean.
    pub problem: ProblemType,
    /// Whether it was taught pairs of texts, where known.
    pub pairs: Option<bool>,
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    /// The student's folder, where known.
    pub student: Option<PathBuf>,
    calibrated: Calibrated<Bert>,
    most_texts: usize,
}

/// The roles of a session: nobody is started or called before it is known that there is memory enough.
struct Roles {
    place: Place,
    settings: LocalSettings,
    bar: ProgressBar,
    state: State,
}

/// Where the other roles are.
enum Place {
    /// On this machine, on this bundle; the lock keeps it from being pruned.
    Here { bundle: PathBuf, _lock: Option<File> },
    /// Services of others.
    Services(Box<Services>),
}

/// Services that this client knows.
struct Services {
    tls: TlsIdentity,
    parties: [PeerAddress; 2],
}

enum State {
    /// The client's part of the bundle, until the roles are started or called.
    Ready(Box<ClientBundle>),
    Running(Box<Deployment>),
    Connected(Box<Client>),
    /// They could not be.
    Failed,
}

impl Roles {
    /// Classifies a batch by the roles, which are started or called where they were not before.
    fn classify(&mut self, batch: &[Sample]) -> Result<Answer> {
        if let State::Ready(_) = self.state
            && let State::Ready(client) = replace(&mut self.state, State::Failed)
        {
            self.state = self.begin(*client)?;
            self.bar.set_message("classifying");
        }
        match &mut self.state {
            State::Running(deployment) => deployment.classify(batch),
            State::Connected(client) => client.classify(batch, &mut || ()),
            State::Ready(_) | State::Failed => anyhow::bail!("the roles could not be started"),
        }
    }

    fn begin(&self, client: ClientBundle) -> Result<State> {
        let Roles { place, settings, bar, .. } = self;
        match place {
            Place::Here { bundle, .. } => {
                bar.set_message("starting the roles");
                let started = Deployment::start_as(client, &this_program()?, bundle, settings)?;
                Ok(State::Running(Box::new(started)))
            }
            Place::Services(services) => {
                bar.set_message("calling the parties");
                let Settings { deadline, engine, lengths, .. } = settings.roles;
                let mut last = String::new();
                // once, however long it lasts
                let mut waiting = |said: &str| {
                    if said != last {
                        bar.suspend(|| cli::log(&format!("note: {said}")));
                        last = said.to_owned();
                    }
                };
                let Services { tls, parties } = &**services;
                let client = open_session(client, (engine, lengths), tls, parties, deadline, &mut waiting)?;
                Ok(State::Connected(Box::new(client)))
            }
        }
    }
}

impl Session {
    /// Reads the client's part of the bundle that the command line asks for.
    pub fn open(source: &ModelSource, bar: &ProgressBar) -> Result<Session> {
        if let Some(config) = source.services.read(&[Role::Client])? {
            return Session::of_services(source, &config, bar);
        }
        let mut settings = source.here.running.settings()?;
        settings.roles.lengths = source.lengths(settings.roles.engine);
        settings.roles.engine.check_student(source.force)?;
        let chosen = choose(&source.here, source.quiet)?;
        // --json says it in its own output
        if !(source.quiet && source.json) {
            bar.suspend(|| cli::log(&format!("note: {INSECURE_LOCAL}")));
        }
        let bundle = Deployment::check(&chosen.bundle)?;
        settings.stock = source.stock()?;
        settings.quiet = source.quiet;
        let place = Place::Here { bundle: chosen.bundle, _lock: chosen.lock };
        Session::on(source, bundle, place, settings, chosen.student, bar)
    }

    /// The client of services.
    fn of_services(source: &ModelSource, config: &Config, bar: &ProgressBar) -> Result<Session> {
        let mut roles = services::flags::settings(config)?;
        roles.lengths = source.lengths(roles.engine);
        roles.engine.check_student(source.force)?;
        let (tls, parties) = (TlsIdentity::read(&config.keys)?, services::flags::parties(config)?);
        let bundle = ClientBundle::open(&config.bundle)?;
        let settings = LocalSettings { threads: config.run.threads, ..LocalSettings::of(roles) };
        let place = Place::Services(Box::new(Services { tls, parties }));
        Session::on(source, bundle, place, settings, None, bar)
    }

    fn on(
        source: &ModelSource,
        bundle: ClientBundle,
        place: Place,
        settings: LocalSettings,
        student: Option<PathBuf>,
        bar: &ProgressBar,
    ) -> Result<Session> {
        let (spec, labels, problem) = (bundle.spec.clone(), bundle.labels.clone(), bundle.problem);
        let pairs = bundle.config.text_pair();
        let tokenizer = Tokenizer::read(&bundle.tokenizer_path, spec.shape.positions)?;
        let calibrated = spec.calibrated(bundle.embedding.input_kind());
        let roles = Roles { place, settings, bar: bar.clone(), state: State::Ready(Box::new(bundle)) };
        let most_texts = source.batch as usize;
        Ok(Session { roles, spec, labels, problem, pairs, tokenizer, student, calibrated, most_texts })
    }

    /// Classifies one of the [`batches`](Self::batches); the first time, all roles are started or called.
    pub fn classify(&mut self, batch: &[Sample]) -> Result<Answer> {
        self.roles.classify(batch)
    }

    /// The security model of the protocol, and what this deployment makes of it.
    pub fn security(&self) -> Value {
        match &self.roles.place {
            Place::Here { .. } => local::report::security(self.engine(), self.lengths()),
            Place::Services(services) => {
                services::security((self.engine(), self.lengths()), &services.tls.pin(), &services.parties)
            }
        }
    }

    /// What evaluates the network.
    pub fn engine(&self) -> EngineKind {
        self.roles.settings.roles.engine
    }

    /// What of the lengths of texts is public.
    pub fn lengths(&self) -> Lengths {
        self.roles.settings.roles.lengths
    }

    /// Ends the session; roles on this machine are waited for.
    pub fn finish(self) -> Result<()> {
        match self.roles.state {
            State::Running(deployment) => deployment.finish(),
            State::Connected(client) => client.bye(),
            State::Ready(_) | State::Failed => Ok(()),
        }
    }

    /// Refuses single texts where the model was taught pairs, and the other way round.
    pub fn check_pairs<'a>(&self, seconds: impl Iterator<Item = Option<&'a str>>, cure: &str) -> Result<()> {
        let Some(pairs) = self.pairs else { return Ok(()) };
        for (at, second) in seconds.enumerate() {
            if second.is_some() != pairs {
                let (taught, given) = if pairs { ("pairs of texts", "one") } else { ("single texts", "two") };
                let message = format!("the model was taught {taught}, and number {} is {given}; {cure}", at + 1);
                return Err(cli::coded(cli::exit::USAGE, message));
            }
        }
        Ok(())
    }

    /// Splits texts into batches, in order: as many together as was asked for, where neither the input nor the
    /// probability of a restart grows too large, nor the memory that the roles need. Refuses a text that needs too much
    /// alone.
    pub fn batches<'a>(&self, samples: &'a [Sample]) -> Result<Vec<&'a [Sample]>> {
        let mut batches = Vec::new();
        let (mut start, mut bytes, mut restarts) = (0, 0, 0.0);
        for (at, sample) in samples.iter().enumerate() {
            let texts = self.texts(slice::from_ref(sample))?;
            let risk = self.engine().plan(&self.calibrated, &texts)?.cost().restart_probability;
            let size = 8 * self.calibrated.input_count(&texts);
            let full =
                at - start == self.most_texts || bytes + size > MOST_INPUT_BYTES || restarts + risk > MOST_RESTARTS;
            if full && at > start {
                self.fitting(&samples[start..at], &mut batches)?;
                (start, bytes, restarts) = (at, 0, 0.0);
            }
            (bytes, restarts) = (bytes + size, restarts + risk);
        }
        if start < samples.len() {
            self.fitting(&samples[start..], &mut batches)?;
        }
        Ok(batches)
    }

    /// What is public of a batch.
    fn texts(&self, batch: &[Sample]) -> Result<Texts> {
        let tokens: Vec<usize> = batch.iter().map(|sample| sample.ids.len()).collect();
        Ok(self.spec.texts(&tokens, self.lengths())?)
    }

    /// A batch as it is, or halved until there is memory enough for each piece.
    fn fitting<'a>(&self, batch: &'a [Sample], batches: &mut Vec<&'a [Sample]>) -> Result<()> {
        let Settings { memory, schedule, engine, .. } = self.roles.settings.roles;
        let fits = self.texts(batch).and_then(|texts| {
            let plan = engine.plan(&self.calibrated, &texts)?;
            let hold = hold(&self.calibrated.network, engine, memory);
            let needs = Needs::of(&self.calibrated, &texts, &*plan, engine, schedule, hold)?;
            match self.roles.place {
                Place::Here { .. } => needs.check(memory),
                // what the parties have they say themselves
                Place::Services(_) => Budget::new(memory).reserve(&needs, Role::Client).map(drop),
            }
        });
        match fits {
            Ok(()) => batches.push(batch),
            Err(_) if batch.len() > 1 => {
                let (first, second) = batch.split_at(batch.len() / 2);
                self.fitting(first, batches)?;
                self.fitting(second, batches)?;
            }
            Err(refusal) => {
                let tokens = batch.first().map_or(0, |sample| sample.ids.len());
                return Err(refusal.context(format!("a text of {tokens} tokens")));
            }
        }
        Ok(())
    }
}
