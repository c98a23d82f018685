//! Clients under chaos: sessions of one to three texts, one after the other, whatever comes of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use model::Sample;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use roles::client::Client;
use roles::exit::code_of;

use crate::asking::Asker;

/// Most texts of a session.
const MOST_TEXTS: usize = 3;
/// The longest pause after a failure, in milliseconds.
const MOST_PAUSE: u64 = 1500;

/// A text, and what is right for it.
#[derive(Clone, Debug)]
pub(super) struct Text {
    sample: Sample,
    pub(super) logits: Vec<f64>,
}

/// How far the trial is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    answers: AtomicUsize,
    kills: AtomicUsize,
    ended: AtomicBool,
}

impl Progress {
    pub(super) fn answered(&self, answers: usize) {
        self.answers.fetch_add(answers, Ordering::Relaxed);
    }

    pub(super) fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    pub(super) fn killed(&self) {
        self.kills.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn kills(&self) -> usize {
        self.kills.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// A session, as its client saw it.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) answers: Vec<Answered>,
    pub(super) failure: Option<Failure>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answered {
    /// What came.
    pub(super) logits: Vec<f64>,
    /// What is right.
    pub(super) right: Vec<f64>,
    pub(super) certified: bool,
    /// Attempts whose correlations came from the stock.
    pub(super) stocked: u32,
}

/// Why a session ended before its time.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: i32,
    pub(super) message: String,
    /// Since the session or the request was asked for, or a party said that we wait in its queue.
    pub(super) seconds: f64,
}

/// What an undisturbed run says of each text.
pub(super) fn reference(asker: &Asker, samples: &[Sample]) -> Result<Vec<Text>> {
    let mut client = asker.open()?;
    let spec = client.bundle().spec.clone();
    let mut texts = Vec::new();
    for sample in samples {
        let batch = std::slice::from_ref(sample);
        let answer = client.classify(batch, &mut || ())?;
        ensure!(answer.certified(&spec, 0) == Some(true), "text {} is not certified", texts.len() + 1);
        let Some(logits) = answer.logits.into_iter().next() else { bail!("no logits") };
        texts.push(Text { sample: sample.clone(), logits });
    }
    client.bye()?;
    Ok(texts)
}

/// Asks on until the trial ends.
pub(super) fn ask_on(
    asker: &Asker,
    texts: &[Text],
    mut generator: ChaCha8Rng,
    progress: &Progress,
    ended: &Sender<Session>,
) {
    while !progress.ended() {
        let count = generator.random_range(1..=MOST_TEXTS);
        let chosen: Vec<Text> = (0..count).map(|_| texts[generator.random_range(0..texts.len())].clone()).collect();
        let session = session(asker, &chosen);
        let failed = session.failure.is_some();
        // nobody listens any more once the trial has failed
        if ended.send(session).is_err() {
            return;
        }
        if failed {
            thread::sleep(Duration::from_millis(generator.random_range(0..MOST_PAUSE)));
        }
    }
}

/// One session for these texts, a request each.
pub(super) fn session(asker: &Asker, texts: &[Text]) -> Session {
    let mut session = Session::default();
    let mut since = Instant::now();
    if let Err(error) = ask(asker, texts, &mut session.answers, &mut since) {
        let seconds = since.elapsed().as_secs_f64();
        session.failure = Some(Failure { code: code_of(&error), message: cli::describe(&error), seconds });
    }
    session
}

fn ask(asker: &Asker, texts: &[Text], answers: &mut Vec<Answered>, since: &mut Instant) -> Result<()> {
    let mut client = asker.open_waiting(&mut |_| *since = Instant::now())?;
    for text in texts {
        *since = Instant::now();
        answers.push(request(&mut client, text)?);
    }
    // the answers are there: a goodbye that is not heard takes nothing from them
    let _ = client.bye();
    Ok(())
}

fn request(client: &mut Client, text: &Text) -> Result<Answered> {
    let spec = client.bundle().spec.clone();
    let batch = std::slice::from_ref(&text.sample);
    let answer = client.classify(batch, &mut || ())?;
    let certified = answer.certified(&spec, 0) == Some(true);
    let stocked = answer.measured.stocked;
    Ok(Answered { logits: answer.logits.concat(), right: text.logits.clone(), certified, stocked })
}
