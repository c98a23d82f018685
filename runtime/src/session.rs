//! What `infer` and `evaluate` have in common: a deployment on a chosen bundle, texts in, logits out.

use std::fs::File;
use std::mem::replace;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use bundle::ClientBundle;
use datasets::Tokenizer;
use indicatif::ProgressBar;
use local::deployment::{Deployment, INSECURE_LOCAL, this_program};
use local::settings::LocalSettings;
use model::{Bert, Calibrated, ProblemType, Sample, Spec, Texts};
use roles::client::Answer;
use roles::engine::EngineKind;
use roles::memory::{Needs, hold};
use roles::settings::Settings;

use crate::options::ModelSource;
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

/// The roles of a session: nobody is started before it is known that there is memory enough.
struct Roles {
    bundle: PathBuf,
    settings: LocalSettings,
    bar: ProgressBar,
    state: State,
    /// Keeps the bundle from being pruned.
    _lock: Option<File>,
}

enum State {
    /// The client's part of the bundle, until the roles are started.
    Ready(Box<ClientBundle>),
    Running(Box<Deployment>),
    /// They could not be started.
    Failed,
}

impl Roles {
    /// The roles, started where they were not before.
    fn running(&mut self) -> Result<&mut Deployment> {
        let Roles { bundle, settings, bar, state, .. } = self;
        if let State::Ready(_) = state
            && let State::Ready(client) = replace(state, State::Failed)
        {
            bar.set_message("starting the roles");
            let started = Deployment::start_as(*client, &this_program()?, bundle, settings)?;
            *state = State::Running(Box::new(started));
            bar.set_message("classifying");
        }
        match state {
            State::Running(deployment) => Ok(deployment),
            State::Ready(_) | State::Failed => anyhow::bail!("the roles could not be started"),
        }
    }
}

impl Session {
    /// Reads the client's part of the bundle that the command line asks for.
    pub fn open(source: &ModelSource, bar: &ProgressBar) -> Result<Session> {
        let settings = source.running.settings()?;
        settings.roles.engine.check_student(source.force)?;
        let chosen = choose(source)?;
        // --json says it in its own output
        if !(source.quiet && source.json) {
            bar.suspend(|| cli::log(&format!("note: {INSECURE_LOCAL}")));
        }
        let bundle = Deployment::check(&chosen.bundle)?;
        let (spec, labels, problem) = (bundle.spec.clone(), bundle.labels.clone(), bundle.problem);
        let pairs = bundle.config.text_pair();
        let tokenizer = Tokenizer::read(&bundle.tokenizer_path, spec.shape.positions)?;
        let (student, most_texts) = (chosen.student, source.batch as usize);
        let calibrated = spec.calibrated(bundle.embedding.input_kind());
        let state = State::Ready(Box::new(bundle));
        let roles = Roles { bundle: chosen.bundle, settings, bar: bar.clone(), state, _lock: chosen.lock };
        Ok(Session { roles, spec, labels, problem, pairs, tokenizer, student, calibrated, most_texts })
    }

    /// Classifies one of the [`batches`](Self::batches); the first time, all roles are started.
    pub fn classify(&mut self, batch: &[Sample]) -> Result<Answer> {
        self.roles.running()?.classify(batch)
    }

    /// What evaluates the network.
    pub fn engine(&self) -> EngineKind {
        self.roles.settings.roles.engine
    }

    /// Ends all roles and waits for them.
    pub fn finish(self) -> Result<()> {
        match self.roles.state {
            State::Running(deployment) => deployment.finish(),
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
            let texts = Texts::new(&[sample.ids.len()], &self.spec.shape)?;
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

    /// A batch as it is, or halved until there is memory enough for each piece.
    fn fitting<'a>(&self, batch: &'a [Sample], batches: &mut Vec<&'a [Sample]>) -> Result<()> {
        let lengths: Vec<usize> = batch.iter().map(|s| s.ids.len()).collect();
        let Settings { memory, schedule, engine, .. } = self.roles.settings.roles;
        let fits = Texts::new(&lengths, &self.spec.shape).map_err(Into::into).and_then(|texts| {
            let plan = engine.plan(&self.calibrated, &texts)?;
            let hold = hold(&self.calibrated.network, engine, memory);
            Needs::of(&self.calibrated, &texts, &*plan, engine, schedule, hold)?.check(memory)
        });
        match fits {
            Ok(()) => batches.push(batch),
            Err(_) if batch.len() > 1 => {
                let (first, second) = batch.split_at(batch.len() / 2);
                self.fitting(first, batches)?;
                self.fitting(second, batches)?;
            }
            Err(refusal) => return Err(refusal.context(format!("a text of {} tokens", lengths[0]))),
        }
        Ok(())
    }
}
