//! The client: shares a text with the parties and adds up the two halves of the answer. It alone reads the label.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bundle::ClientBundle;
use cli::coded;
use cli::exit::GATE;
use model::{Bert, Calibrated, Certificate, InputKind, Lengths, Opening, Sample, Spec, Texts, batch_rows, one_hot};
use mpc::{Party, join_outputs, share_input};
use net::Link;
use ring64::Key;

use crate::engine::EngineKind;
use crate::handshake::{Identity, Peer, call_monitored, fresh};
use crate::liveness::Liveness;
use crate::measured::{Measured, measure};
use crate::message::{ControlError, PublicTexts, Refusal, Report, Request, Role, kind, parse, send, send_bytes};
use crate::output::output_shapes;
use crate::start::Start;

/// Bytes of the digest of an agreement before each half of the logits.
const DIGEST: usize = 32;

/// Logits of each text of a batch, and what they cost.
pub struct Answer {
    /// One row a text.
    pub logits: Vec<Vec<f64>>,
    /// Of each text; empty from an engine that does not check itself.
    pub certificates: Vec<Certificate>,
    /// What was public of the texts.
    pub texts: Texts,
    /// Cost.
    pub measured: Measured,
}

impl Answer {
    /// Whether the answer to one text of the batch is one of a run that kept its promises; nothing where it cannot be known.
    /// Logits beyond the spec's range are no answer either.
    pub fn certified(&self, spec: &Spec, at: usize) -> Option<bool> {
        let certificate = *self.certificates.get(at)?;
        let Opening { frac, bits } = spec.logits;
        let most = f64::powi(2.0, bits as i32 - 1 - frac);
        let within = self.logits[at].iter().all(|logit| logit.abs() < most);
        Some(within && certificate.holds())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({} texts, redacted)", self.logits.len())
    }
}

/// A client connected to both parties.
pub struct Client {
    bundle: ClientBundle,
    calibrated: Calibrated<Bert>,
    engine: EngineKind,
    lengths: Lengths,
    parties: [Peer; 2],
    request: u64,
}

impl Client {
    /// Calls both parties, and waits for them as long as they are alive.
    pub fn connect(
        bundle: ClientBundle,
        (engine, lengths): (EngineKind, Lengths),
        start: &Start,
        deadline: Duration,
        liveness: &Liveness,
    ) -> Result<Client> {
        let identity = Identity::new(Role::Client, start, bundle.id, &bundle.spec)?;
        let party = |role| {
            let address = start.address(role)?;
            Ok::<_, anyhow::Error>(call_monitored(liveness, &identity, role, address, deadline)?.link)
        };
        let parties = [party(Role::Party0)?, party(Role::Party1)?];
        Ok(Client::over(bundle, (engine, lengths), parties))
    }

    /// A client of parties that it is connected to already.
    pub fn over(bundle: ClientBundle, (engine, lengths): (EngineKind, Lengths), parties: [Peer; 2]) -> Client {
        let calibrated = bundle.spec.calibrated(bundle.embedding.input_kind());
        Client { bundle, calibrated, engine, lengths, parties, request: 0 }
    }

    /// The client's part of the bundle.
    pub fn bundle(&self) -> &ClientBundle {
        &self.bundle
    }

    /// Classifies a batch of tokenised texts; `ready` is called when the parties wait for nothing but the input.
    pub fn classify(&mut self, batch: &[Sample], ready: &mut dyn FnMut()) -> Result<Answer> {
        let begin = Instant::now();
        let spec = self.bundle.spec.clone();
        let tokens: Vec<usize> = batch.iter().map(|s| s.ids.len()).collect();
        let texts = spec.texts(&tokens, self.lengths)?;
        let plan = self.engine.plan(&self.calibrated, &texts)?;
        // all that can be wrong with the input is found before anybody is asked for anything
        let seed = Key::from_bytes(fresh().context("no randomness from the operating system")?);
        let rest = share_input(&seed, &self.input(&texts, batch)?, spec.input_extra);
        self.request += 1;
        let request = self.request;
        for party in &mut self.parties {
            send(party, kind::REQUEST, request, 0, &Request { texts: PublicTexts::of(&texts) })?;
        }
        for party in &mut self.parties {
            await_ready(party, request)?;
        }
        ready();
        let ready = Instant::now();
        send_bytes(&mut self.parties[0], kind::INPUT, request, 0, seed.as_bytes().to_vec())?;
        send_bytes(&mut self.parties[1], kind::INPUT, request, 0, rest)?;
        let answers = [self.receive(Party::Zero, request)?, self.receive(Party::One, request)?];
        check_agreement(&answers)?;
        let [first, second] = &answers;
        let (labels, frac) = (spec.shape.labels, self.engine.logits_frac(&spec));
        let shapes = output_shapes(&spec, &texts, frac, self.engine.certifies());
        let parts = join_outputs([first.half(), second.half()], &shapes)
            .context("a party sent a malformed half of the logits")?;
        let (logits, certificates) = parts.split_at(1);
        let logits: Vec<Vec<f64>> = logits.concat().chunks(labels).map(<[f64]>::to_vec).collect();
        // where there are certificates, logits beyond the range take theirs away from their own text alone; what was run for
        // its cost alone is no answer to begin with
        if !self.engine.certifies() && self.engine.functions().fit_two_quad() {
            check_range(&logits, spec.logits)?;
        }
        let reports = (&first.report, &second.report);
        let measured = measure(&plan.cost(), spec.shape.layers + 2, reports, (ready - begin, ready.elapsed()))?;
        let certificate = |(total, rows): (f64, &usize)| spec.certificate(texts.class(*rows, &spec.shape), total);
        let certificates = certificates.concat().into_iter().zip(texts.lengths()).map(certificate).collect();
        Ok(Answer { logits, certificates, texts, measured })
    }

    /// Says goodbye, so that all roles end.
    pub fn bye(mut self) -> Result<()> {
        for party in &mut self.parties {
            send(party, kind::BYE, 0, 0, &())?;
            party.flush()?;
        }
        Ok(())
    }

    fn receive(&mut self, party: Party, request: u64) -> Result<Half> {
        let link = &mut self.parties[party.index()];
        let frame = link.recv()?;
        let attempt = frame.header.attempt;
        if frame.header.kind == kind::REFUSE && frame.header.request <= request {
            return Err(refused(link.peer(), &frame.payload).into());
        }
        if (frame.header.kind, frame.header.request) != (kind::REPORT, request) {
            let reason = format!("sent a frame of kind {} where a report is due", frame.header.kind);
            return Err(ControlError::Unexpected { peer: link.peer().to_string(), reason }.into());
        }
        let report = parse(link.peer(), "report", &frame.payload)?;
        let output = link.expect(kind::OUTPUT, request, attempt, 0, None)?;
        if output.len() < DIGEST {
            let reason = format!("sent an output of {} bytes, without its agreement", output.len());
            return Err(ControlError::Unexpected { peer: link.peer().to_string(), reason }.into());
        }
        Ok(Half { attempt, report, output })
    }

    /// The input's values at the scale of its wire.
    fn input(&self, texts: &Texts, batch: &[Sample]) -> Result<Vec<u64>> {
        let spec = &self.bundle.spec;
        let kind = self.calibrated.network.kind;
        match (kind, &self.bundle.table) {
            (InputKind::OneHot, _) => {
                let (ids, segments) = batch_rows(&spec.shape, texts, batch)?;
                Ok(one_hot(&spec.shape, texts, &ids, &segments)?.iter().map(|v| *v as u64).collect())
            }
            (InputKind::Embedded, Some(table)) => {
                let frac = spec.input(kind).frac;
                let mut values = Vec::new();
                for (sample, all) in batch.iter().zip(texts.lengths()) {
                    let rows = table.embed(&spec.shape, &sample.ids, &sample.segments);
                    let rows =
                        rows.context("a token is outside the model's vocabulary; use the bundle's own tokenizer")?;
                    let cols = spec.shape.width + usize::from(texts.is_padded());
                    let end = values.len() + all * cols;
                    for row in rows.rows() {
                        for v in row {
                            let word = ring64::encode(f64::from(*v), frac);
                            values.push(word.context("an embedding is not finite; convert the model again")?);
                        }
                        // one token
                        values.extend(texts.is_padded().then_some(1));
                    }
                    values.resize(end, 0);
                }
                Ok(values)
            }
            (InputKind::Embedded, None) => anyhow::bail!("the client's part of the bundle has no embedding table"),
        }
    }
}

/// Waits until a party waits for nothing but the input, or refuses the request.
fn await_ready(party: &mut Peer, request: u64) -> Result<(), ControlError> {
    let frame = party.recv()?;
    let peer = party.peer().to_string();
    match (frame.header.kind, frame.header.request) {
        (kind::READY, of) if of == request => parse(&peer, "ready", &frame.payload),
        // one that came before we asked is about the session
        (kind::REFUSE, of) if of <= request => Err(refused(&peer, &frame.payload)),
        _ => Err(ControlError::Unexpected { peer, reason: format!("sent {} where it should be ready", frame.header) }),
    }
}

/// Why a party refuses, as an error.
fn refused(peer: &str, payload: &[u8]) -> ControlError {
    parse::<Refusal>(peer, "refusal", payload).map_or_else(|unreadable| unreadable, |refusal| refusal.error(peer))
}

/// What a party answers.
struct Half {
    attempt: u32,
    report: Report,
    /// The digest of what was agreed, then half of the logits; not shorter than the digest.
    output: Vec<u8>,
}

impl Half {
    fn half(&self) -> &[u8] {
        &self.output[DIGEST..]
    }
}

/// Refuses halves that were not computed under one agreement: their sum would be uniform words, or the difference of two masks.
fn check_agreement(answers: &[Half; 2]) -> Result<()> {
    let unexpected =
        |role: Role, reason: String| Err(ControlError::Unexpected { peer: role.to_string(), reason }.into());
    let [zero, one] = answers;
    if zero.attempt != one.attempt {
        let reason = format!(
            "answers attempt {}, party0 attempt {}: such halves do not belong together",
            one.attempt, zero.attempt
        );
        return unexpected(Role::Party1, reason);
    }
    for (role, answer) in [Role::Party0, Role::Party1].into_iter().zip(answers) {
        if answer.report.agreement != hex::encode(&answer.output[..DIGEST]) {
            return unexpected(role, "reports on another agreement than that of its half of the logits".into());
        }
    }
    if zero.report.agreement != one.report.agreement {
        let reason =
            "answers under another agreement than party0: such halves do not belong together; start all roles anew";
        return unexpected(Role::Party1, reason.into());
    }
    Ok(())
}

/// Refuses logits beyond what the spec says of them: halves that do not add up to an answer are uniform words.
fn check_range(logits: &[Vec<f64>], range: Opening) -> Result<()> {
    let limit = f64::from(range.bits as i32 - 1 - range.frac).exp2();
    let Some(text) = logits.iter().position(|logits| !logits.iter().all(|logit| logit.abs() < limit)) else {
        return Ok(());
    };
    // the values themselves are no answer, and what they are must not be taken for one
    let message = format!(
        "text {} of its batch has logits beyond {limit}, which this model does not give: the answer is wrong and is not shown; try \
         again, and where it stays so, have the model converted again with --calibrate on texts like this one",
        text + 1
    );
    Err(coded(GATE, message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn tokens_and_answers_do_not_print() {
        let token = Key::from_bytes([0xab; 32]);
        let (session, bundle, spec, nonce) = ([1; 16], [2; 16], [3; 32], [4; 32]);
        let identity = Identity { role: Role::Client, token: Some(token), session, bundle, spec, nonce };
        let start = Start {
            token: hex::encode([0xab; 32]),
            session: hex::encode(session),
            peers: BTreeMap::new(),
            fill: Vec::new(),
            quiet: false,
        };
        let config = r#"{"vocab_size":9,"hidden_size":4,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
            "max_position_embeddings":5}"#;
        let shape = model::Shape::of(&model::Config::from_json(config).unwrap());
        let (texts, measured) = (Texts::new(&[3], &shape).unwrap(), Measured::default());
        let answer = Answer { logits: vec![vec![1234.5]], certificates: Vec::new(), texts, measured };
        for printed in [format!("{identity:?}"), format!("{start:?}"), format!("{answer:?}")] {
            let secrets = ["abab", "171, 171", "ABAB", "1234"];
            assert!(printed.contains("redacted") && secrets.iter().all(|s| !printed.contains(s)), "{printed}");
        }
    }
}
