//! A computing party: waits for the client's requests, asks the dealer for correlations, computes with the other party.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bundle::PartyBundle;
use cli::coded;
use cli::exit::{GATE, LOST};
use model::{Bert, Calibrated, Network, Spec, Texts};
use mpc::{Outcome, Party, PartyEngine, Planned};
use net::{Frame, Link, Listener};
use ring64::{Kernel, Key};

use crate::attempt::{Serving, key};
use crate::exit::code_of;
use crate::handshake::{Identity, Peer, answer_all, call, fresh, take};
use crate::liveness::{probe_silent, recv_alive};
use crate::memory::{Needs, hold};
use crate::message::{ControlError, Report, Request, Role, kind, parse, send, send_bytes};
use crate::settings::Settings;
use crate::start::Start;

/// An attempt restarts with a small probability; so many in a row mean that something else is wrong.
const MOST_ATTEMPTS: u32 = 32;
/// How often an idle party probes its peers.
const HEARTBEAT: Duration = Duration::from_secs(1);

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
    let Settings { deadline, memory, engine, .. } = *settings;
    let party = if bundle.party == 0 { Party::Zero } else { Party::One };
    let role = if bundle.party == 0 { Role::Party0 } else { Role::Party1 };
    let identity = Identity::new(role, start, bundle.id, &bundle.spec)?;
    let calibrated = bundle.spec.calibrated(bundle.embedding.input_kind());
    let table = calibrated.network.table();
    let weights = engine.private().party(party, table, bundle.weights, &bundle.seed, Kernel::detect());
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
        Some(_) => hold(&calibrated.network, engine, memory),
        None => memory.there().map_or(u64::MAX, |bytes| bytes / 4),
    };
    let mut server = Server {
        party,
        spec: bundle.spec,
        calibrated,
        settings: *settings,
        weights,
        identity,
        nonces,
        output_root,
        peer: peer.link,
        dealer: dealer.link,
        client: client.link,
        last_request: 0,
        admitted: 0,
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
    calibrated: Calibrated<Bert>,
    settings: Settings,
    weights: Box<dyn PartyEngine<Bert>>,
    identity: Identity,
    nonces: [[u8; 32]; 3],
    output_root: Key,
    peer: Peer,
    dealer: Peer,
    client: Peer,
    last_request: u64,
    /// The largest need that was found to be there.
    admitted: u64,
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
            if probe_silent(link).is_err() {
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
        let Server { client, peer, dealer, .. } = self;
        recv_alive(client, HEARTBEAT, Duration::MAX, |_| {
            probe_silent(peer)?;
            Ok(probe_silent(dealer)?)
        })
    }

    fn classify(&mut self, request: u64, asked: &Request) -> Result<()> {
        if request <= self.last_request {
            let last = self.last_request;
            return Err(unexpected(format!("asked for request {request} after {last}; a request is served once")));
        }
        self.last_request = request;
        let texts = Texts::new(&asked.lengths, &self.spec.shape).map_err(|e| unexpected(e.to_string()))?;
        let plan = self.settings.engine.plan(&self.calibrated, &texts).context("planning the request")?;
        self.admit(request, &texts, &*plan)?;
        let mut run = Serving {
            party: self.party,
            spec: &self.spec,
            calibrated: &self.calibrated,
            weights: &*self.weights,
            schedule: self.settings.schedule,
            hold: self.hold,
            output_root: &self.output_root,
            request,
            texts: &texts,
            plan: &*plan,
            client: &mut self.client,
            peer: &mut self.peer,
            input: None,
            report: Report::default(),
        };
        for attempt in 0..MOST_ATTEMPTS {
            let agreement = self.identity.agreement(self.nonces, plan.digest(), request, attempt);
            match run.attempt(&mut self.dealer, &agreement)? {
                Outcome::Restart => run.report.restarts += 1,
                Outcome::Outputs(outputs) => {
                    let output = outputs.into_iter().next().context("the engine gave no output for the batch")?;
                    return run.answer(&agreement, output);
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
    fn admit(&mut self, request: u64, texts: &Texts, plan: &dyn Planned) -> Result<()> {
        let Settings { engine, schedule, .. } = self.settings;
        let needs = Needs::of(&self.calibrated, texts, plan, engine, schedule, self.hold)?;
        let Err(refusal) = needs.check_role(self.identity.role, self.settings.memory, &mut self.admitted) else {
            return Ok(());
        };
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
}

fn unexpected(reason: String) -> anyhow::Error {
    ControlError::Unexpected { peer: Role::Client.to_string(), reason }.into()
}
