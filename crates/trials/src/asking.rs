//! Clients of a trial: texts, what is right for them, and one session after the other.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bundle::ClientBundle;
use datasets::Tokenizer;
use model::Sample;
use net::TlsIdentity;
use roles::client::Client;
use roles::engine::EngineKind;
use roles::exit::code_of;
use roles::service::client::open_session;
use roles::service::dial::PeerAddress;

use crate::deployment::Deployment;

/// What a client of a trial knows.
#[derive(Clone)]
pub struct Asker {
    tls: TlsIdentity,
    parties: [PeerAddress; 2],
    folder: std::path::PathBuf,
    deadline: Duration,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// With logits, a row a text, after so many seconds.
    Answered(Vec<Vec<f64>>, f64),
    /// With an error of this code.
    Failed(i32, String),
}

impl Asker {
    /// A client of a deployment, by its number.
    pub fn new(deployment: &Deployment, client: usize, deadline: Duration) -> Result<Asker> {
        let folder = deployment.folder(&format!("client{client}"));
        let tls = TlsIdentity::read(&folder.join("keys"))?;
        let parties = [deployment.address(0)?, deployment.address(1)?];
        Ok(Asker { tls, parties, folder: folder.join("bundle"), deadline })
    }

    /// Opens a session.
    pub fn open(&self) -> Result<Client> {
        let bundle = ClientBundle::open(&self.folder)?;
        open_session(bundle, EngineKind::default(), &self.tls, &self.parties, self.deadline, &mut |_| ())
    }

    /// Asks for one text in a session of its own.
    pub fn ask(&self, sample: &Sample) -> Ended {
        let begin = Instant::now();
        let asked = || -> Result<Vec<Vec<f64>>> {
            let mut client = self.open()?;
            let spec = client.bundle().spec.clone();
            let batch = std::slice::from_ref(sample);
            let answer = client.classify(batch, &mut || ())?;
            ensure!(answer.certified(&spec, batch, 0) == Some(true), "the answer is not certified");
            // the answer is there: a goodbye that is not heard takes nothing from it
            let _ = client.bye();
            Ok(answer.logits)
        };
        match asked() {
            Ok(logits) => Ended::Answered(logits, begin.elapsed().as_secs_f64()),
            Err(error) => Ended::Failed(code_of(&error), cli::describe(&error)),
        }
    }
}

/// Tokenises texts as the bundle of a client does.
pub fn samples(bundle: &Path, texts: &[impl AsRef<str>]) -> Result<Vec<Sample>> {
    let client = ClientBundle::open(bundle)?;
    let shape = &client.spec.shape;
    let tokenizer = Tokenizer::read(&client.tokenizer_path, shape.positions)?;
    let sample = |text: &str| {
        let encoding = tokenizer.encode(text, None)?;
        Ok(Sample::new(encoding.ids, encoding.type_ids, shape)?)
    };
    texts.iter().map(|text| sample(text.as_ref())).collect()
}

/// The lines of a file.
pub fn lines(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect())
}

/// The largest difference of two answers.
pub fn difference(one: &[Vec<f64>], other: &[Vec<f64>]) -> f64 {
    let pairs = one.iter().flatten().zip(other.iter().flatten());
    pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
}
