//! Clients of a trial: texts, what is right for them, and one session after the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bundle::ClientBundle;
use datasets::Tokenizer;
use model::{Lengths, Sample};
use net::TlsIdentity;
use roles::client::Client;
use roles::engine::EngineKind;
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
    lengths: Lengths,
}

impl Asker {
    /// A client of a deployment, by its number.
    pub fn new(deployment: &Deployment, client: usize, deadline: Duration) -> Result<Asker> {
        let folder = deployment.folder(&format!("client{client}"));
        let tls = TlsIdentity::read(&folder.join("keys"))?;
        let parties = [deployment.address(0)?, deployment.address(1)?];
        Ok(Asker { tls, parties, folder: folder.join("bundle"), deadline, lengths: Lengths::Exact })
    }

    /// The same client, whose texts are padded: only such find packs in stock.
    pub fn padded(self) -> Asker {
        Asker { lengths: Lengths::Padded, ..self }
    }

    /// Opens a session.
    pub fn open(&self) -> Result<Client> {
        self.open_waiting(&mut |_| ())
    }

    /// The client's part of the bundle.
    pub fn bundle(&self) -> Result<ClientBundle> {
        Ok(ClientBundle::open(&self.folder)?)
    }

    /// Opens a session; `waiting` is told what keeps us waiting.
    pub fn open_waiting(&self, waiting: &mut dyn FnMut(&str)) -> Result<Client> {
        let bundle = self.bundle()?;
        open_session(bundle, (EngineKind::default(), self.lengths), &self.tls, &self.parties, self.deadline, waiting)
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

/// The lengths that these texts are padded to, by the bundle of a client.
pub fn classes(bundle: &Path, samples: &[Sample]) -> Result<BTreeSet<usize>> {
    let client = ClientBundle::open(bundle)?;
    Ok(samples.iter().map(|sample| client.spec.shape.padded_length(sample.ids.len())).collect())
}

/// A text of so many tokens, made of others: what stands before and behind each of them is there once.
pub fn long(samples: &[Sample], tokens: usize) -> Result<Sample> {
    let inner = samples.iter().filter_map(|sample| sample.ids.get(1..sample.ids.len() - 1)).flatten();
    let first = samples.first().and_then(|sample| Some((*sample.ids.first()?, *sample.ids.last()?)));
    let (first, last) = first.context("no texts to make a long one of")?;
    let mut ids = vec![first];
    ids.extend(inner.cycle().take(tokens.saturating_sub(2)));
    ids.push(last);
    ensure!(ids.len() == tokens, "no text of {tokens} tokens can be made of these");
    Ok(Sample { segments: vec![0; ids.len()], ids })
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
