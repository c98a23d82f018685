//! A computing party: waits for the client's requests, asks the dealer for correlations, computes with the other party.

use std::iter::once;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bundle::PartyBundle;
use cli::coded;
use cli::exit::{GATE, LOST};
use cli::memory::Memory;
use model::{CERTIFICATE_FRAC, InputKind, Spec, Texts};
use mpc::{Agreement, DealtReader, Outcome, OutputShape, Party, mask_outputs};
use net::{Frame, Link, Listener};
use ring64::Key;
use zeroize::Zeroizing;

use crate::attempt::{Computing, Run, Weights, key};
use crate::engine::{Engine, Planned};
use crate::exit::code_of;
use crate::handshake::{Identity, Peer, answer_all, call, fresh, is_timeout, take};
use crate::memory::{Needs, hold};
use crate::message::{ControlError, Demand, Report, Request, Role, kind, parse, send, send_bytes};
use crate::schedule::Schedule;
use crate::settings::Settings;
use crate::start::Start;

/// An attempt restarts with a small probability; so many in a row mean that something else is wrong.
const MOST_ATTEMPTS: u32 = 32;
/// How often an idle party looks whether its peers are still there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long such a look takes.
const GLANCE: Duration = Duration::from_millis(1);

/// Serves requests until the client says goodbye.
pub fn serve(listener: &Listener, bundle: PartyBundle, start: &Start, settings: &Settings) -> Result<()> {
    serve_through(listener, bundle, start, settings, |peer| peer)
}

/// As [`serve`]; `wrap` makes of the link to the other party the one that is used once all roles know each other. Both parties
/// give one that fits the other's: links are slowed down for measuring so.
pub fn serve_through(
    listener: &Listener,
    bundle: PartyBundle,
    start: &Start,
    settings: &Settings,
    wrap: impl FnOnce(Peer) -> Peer,
) -> Result<()> {
    let Settings { deadline, memory, schedule, engine } = *settings;
    let party = if bundle.party == 0 { Party::Zero } else { Party::One };
    let role = if bundle.party == 0 { Role::Party0 } else { Role::Party1 };
    let identity = Identity {
        role,
        token: start.token()?,
        session: start.session()?,
        bundle: *bundle.id.as_bytes(),
        spec: bundle::spec_digest(&bundle.spec),
        nonce: fresh().context("no randomness from the operating system")?,
    };
    let weights = Weights::expand(engine, party, bundle.weights, &bundle.seed);
    drop(bundle.seed);
    let (mut peer, mut known) = match party {
        Party::Zero => {
            let mut known = answer_all(&identity, listener, &[Role::Party1, Role::Dealer, Role::Client], deadline)?;
            (take(&mut known, Role::Party1)?, known)
        }
        Party::One => {
            let peer = call(&identity, Role::Party0, start.address(Role::Party0)?, deadline)?;
            (peer, answer_all(&identity, listener, &[Role::Dealer, Role::Client], deadline)?)
        }
    };
    let dealer = take(&mut known, Role::Dealer)?;
    let client = take(&mut known, Role::Client)?;
    peer.link = wrap(peer.link);
    let output_root = share_output_root(party, &mut peer.link)?;
    let nonces = match party {
        Party::Zero => [identity.nonce, peer.nonce, dealer.nonce],
        Party::One => [peer.nonce, identity.nonce, dealer.nonce],
    };
    // its weights are there already, and count among what is taken
    let hold = match memory.limit {
        Some(_) => hold(&bundle.spec, bundle.embedding.input_kind(), engine, memory),
        None => memory.there().map_or(u64::MAX, |bytes| bytes / 4),
    };
    let mut server = Server {
        party,
        spec: bundle.spec,
        kind: bundle.embedding.input_kind(),
        engine,
        weights,
        identity,
        nonces,
        output_root,
        peer: peer.link,
        dealer: dealer.link,
        client: client.link,
        last_request: 0,
        deadline,
        memory,
        admitted: 0,
        schedule,
        hold,
    };
    server.run()
}

/// P0 draws the root of the keys that mask logits and tells P1. The dealer must not see this link.
fn share_output_root(party: Party, peer: &mut Peer) -> Result<Key> {
    match party {
        Party::Zero => {
            let root = fresh::<32>().context("no randomness from the operating system")?;
            send_bytes(peer, kind::OUTPUT_ROOT, 0, 0, root.to_vec())?;
            Ok(Key::from_bytes(root))
        }
        Party::One => key(peer.expect(kind::OUTPUT_ROOT, 0, 0, 0, Some(32)).map_err(ControlError::from)?),
    }
}

struct Server {
    party: Party,
    spec: Arc<Spec>,
    kind: InputKind,
    engine: Engine,
    weights: Weights,
    identity: Identity,
    nonces: [[u8; 32]; 3],
    output_root: Key,
    peer: Peer,
    dealer: Peer,
    client: Peer,
    last_request: u64,
    deadline: Duration,
    memory: Memory,
    /// The largest need that was found to be there.
    admitted: u64,
    schedule: Schedule,
    /// Bytes of correlations that stay in memory.
    hold: u64,
}

impl Server {
    fn run(&mut self) -> Result<()> {
        self.requests().map_err(|error| self.name_all_lost(error))
    }

    /// A role that is lost takes others along: says of all that are gone that they are, not only of the one that was
    /// waited for.
    fn name_all_lost(&mut self, error: anyhow::Error) -> anyhow::Error {
        if code_of(&error) != LOST {
            return error;
        }
        let mut lost = Vec::new();
        for link in [&mut self.peer, &mut self.dealer, &mut self.client] {
            if still_there(link, self.deadline).is_err() {
                lost.push(link.peer().to_string());
            }
        }
        if lost.is_empty() { error } else { error.context(format!("lost: {}", lost.join(", "))) }
    }

    fn requests(&mut self) -> Result<()> {
        loop {
            let Frame { header, payload } = self.next_request()?;
            match header.kind {
                kind::REQUEST => {
                    let request: Request = parse(Role::Client.name(), "request", &payload)?;
                    self.classify(header.request, &request)?;
                }
                kind::BYE => {
                    send(&mut self.dealer, kind::BYE, 0, 0, &())?;
                    return Ok(self.dealer.flush()?);
                }
                other => return Err(unexpected(format!("sent a frame of kind {other} where a request is due"))),
            }
        }
    }

    /// Waits for the client as long as it takes, but not past the loss of another role.
    fn next_request(&mut self) -> Result<Frame> {
        loop {
            self.client.set_deadline(HEARTBEAT);
            match self.client.recv() {
                Ok(frame) => {
                    self.client.set_deadline(self.deadline);
                    return Ok(frame);
                }
                Err(error) if is_timeout(&error) => {
                    still_there(&mut self.peer, self.deadline)?;
                    still_there(&mut self.dealer, self.deadline)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn classify(&mut self, request: u64, asked: &Request) -> Result<()> {
        if request <= self.last_request {
            let last = self.last_request;
            return Err(unexpected(format!("asked for request {request} after {last}; a request is served once")));
        }
        self.last_request = request;
        let texts = Texts::new(&asked.lengths, &self.spec.shape).map_err(|e| unexpected(e.to_string()))?;
        let plan = Planned::new(self.engine, &self.spec, &texts, self.kind).context("planning the request")?;
        self.admit(request, &texts, &plan)?;
        let mut batch = Batch { request, texts: &texts, plan: &plan, input: None, report: Report::default() };
        for attempt in 0..MOST_ATTEMPTS {
            let agreement = self.identity.agreement(self.nonces, plan.digest(), request, attempt);
            match self.attempt(&mut batch, &agreement)? {
                Outcome::Restart => batch.report.restarts += 1,
                Outcome::Logits { share, frac, certificates } => {
                    return self.answer(batch, &agreement, (share, frac), &certificates);
                }
            }
        }
        let planned = plan.cost().restart_probability;
        let message = format!(
            "request {request} restarted {MOST_ATTEMPTS} times in a row, planned are {:.0} % of attempts; give fewer texts a \
             batch, or convert again with --calibrate on texts like these",
            100.0 * planned
        );
        Err(coded(GATE, message))
    }

    /// Refuses a request that takes more memory than there is, before anything is asked for it. The session ends with it:
    /// the other roles may have begun.
    fn admit(&mut self, request: u64, texts: &Texts, plan: &Planned) -> Result<()> {
        let needs = Needs::of(&self.spec, self.kind, texts, plan, self.schedule, self.hold)?;
        let Err(refusal) = needs.check_role(self.identity.role, self.memory, &mut self.admitted) else { return Ok(()) };
        // how much there is is not the client's to know
        send(
            &mut self.client,
            kind::REFUSE,
            request,
            0,
            &"not enough memory for this request; give shorter or fewer texts",
        )?;
        self.client.flush()?;
        Err(refusal)
    }

    /// One attempt with fresh correlations: a key and, at P1, the dealt stream. The dealer gives them to parties only that
    /// agree with it, and so with each other.
    fn attempt(&mut self, batch: &mut Batch<'_>, agreement: &Agreement) -> Result<Outcome> {
        let Server { party, spec, kind, weights, peer, dealer, client, schedule, hold, .. } = self;
        let Batch { request, texts, plan, input, report } = batch;
        let (request, number, begin, before) = (*request, agreement.attempt, Instant::now(), dealer.counters());
        let (lengths, plan_digest) = (texts.lengths().to_vec(), hex::encode(agreement.plan));
        let demand = Demand { lengths, plan: plan_digest, agreement: hex::encode(agreement.digest()) };
        send(dealer, kind::DEMAND, request, number, &demand)?;
        let secret = Zeroizing::new(fresh::<32>().context("no randomness from the operating system")?);
        send_bytes(dealer, kind::SECRET, request, number, secret.to_vec())?;
        let key = key(dealer.expect(kind::KEY, request, number, 0, Some(32))?)?;
        let (party, kind, schedule, hold) = (*party, *kind, *schedule, *hold);
        let run = Run { party, spec, texts, kind, request, number, schedule, hold, begin };
        let dealt = match party {
            Party::Zero => None,
            Party::One => Some(DealtReader::new(dealer, request, number, plan.cost().dealt_bytes)),
        };
        let outcome = run.attempt(weights, key, dealt, Computing { client, peer, input, report });
        report.offline_bytes += dealer.counters().since(before).bytes_received;
        outcome
    }

    /// Report and half of the output, each under the digest of what was agreed: the client adds only what belongs together.
    fn answer(
        &mut self,
        batch: Batch<'_>,
        agreement: &Agreement,
        (share, frac): (Vec<u64>, i32),
        certificates: &[u64],
    ) -> Result<()> {
        let (digest, (request, attempt)) = (agreement.digest(), (agreement.request, agreement.attempt));
        let shapes = output_shapes(&self.spec, batch.texts, frac, !certificates.is_empty());
        let shares = once(share).chain(certificates.iter().map(|word| vec![*word]));
        let half = mask_outputs(self.party, agreement.output_key(&self.output_root), shares.zip(shapes).collect());
        let report = Report { agreement: hex::encode(digest), ..batch.report };
        send(&mut self.client, kind::REPORT, request, attempt, &report)?;
        Ok(send_bytes(&mut self.client, kind::OUTPUT, request, attempt, [&digest[..], &half].concat())?)
    }
}

/// One request on its way, over all attempts.
struct Batch<'a> {
    request: u64,
    texts: &'a Texts,
    plan: &'a Planned,
    /// This party's share of the input, once it was asked for.
    input: Option<Vec<u64>>,
    report: Report,
}

/// How the output is opened to the client: the logits of all texts, and where they come with certificates each text's own.
pub fn output_shapes(spec: &Spec, texts: &Texts, frac: i32, certified: bool) -> Vec<OutputShape> {
    let kept = frac.min(spec.logits.frac);
    let logits = OutputShape { count: spec.shape.labels * texts.len(), drop: (frac - kept) as u32, frac: kept };
    let certificate = |tokens: &usize| {
        let frac = spec.certificate_frac(*tokens);
        OutputShape { count: 1, drop: (CERTIFICATE_FRAC - frac) as u32, frac }
    };
    let certificates = texts.lengths().iter().filter(|_| certified).map(certificate);
    once(logits).chain(certificates).collect()
}

/// Looks whether a role that should be silent is still connected.
fn still_there(link: &mut Peer, deadline: Duration) -> Result<()> {
    link.set_deadline(GLANCE);
    let seen = link.recv();
    link.set_deadline(deadline);
    match seen {
        Err(error) if is_timeout(&error) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(frame) => {
            let peer = link.peer().to_string();
            let reason = format!("sent a frame of kind {} while nothing was asked of it", frame.header.kind);
            Err(ControlError::Unexpected { peer, reason }.into())
        }
    }
}

fn unexpected(reason: String) -> anyhow::Error {
    ControlError::Unexpected { peer: Role::Client.to_string(), reason }.into()
}
