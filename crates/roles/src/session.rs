//! A session of a computing party: waits for the client's requests, asks the dealer for correlations, computes with the other
//! party.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::{BUSY, EXHAUSTED, GATE, LOST};
use model::Texts;
use mpc::{Outcome, Party, Planned};
use net::{Frame, Link, NetError};
use ring64::Key;

use crate::attempt::{CLIENT, Serving, key};
use crate::dealer_link::DealerLink;
use crate::exit::code_of;
use crate::handshake::{Identity, Known, Peer, fresh};
use crate::liveness::{probe_silent, recv_alive};
use crate::memory::{Budget, Needs, Reserved};
use crate::message::{Cause, ControlError, Refusal, Report, Request, Role, kind, parse, send, send_bytes};
use crate::party_model::PartyModel;
use crate::settings::Settings;
use crate::stocked::PartyStock;

/// An attempt restarts with a small probability; so many in a row mean that something else is wrong.
const MOST_ATTEMPTS: u32 = 32;
/// How often an idle party probes its peers.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// When a client may come again that met a service which is about to end, or has no memory for its request now, in seconds.
pub(crate) const AGAIN: u32 = 10;
/// How long a client that the session ends for gets to take the reason.
const FAREWELL: Duration = Duration::from_secs(2);

/// All links of a party in a session.
#[derive(Debug)]
pub struct PartyLinks<'a> {
    /// The other party.
    pub peer: Known,
    /// The dealer.
    pub dealer: DealerLink<'a>,
    /// The client.
    pub client: Known,
    /// What the client asked for before all others were there.
    pub early: Option<Frame>,
}

/// What a session runs in.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// How the role is run.
    pub settings: Settings,
    /// Bytes of correlations that stay in memory.
    pub hold: u64,
    /// What the requests of all sessions take.
    pub budget: &'a Budget,
    /// How long a session may last without a request.
    pub idle: Duration,
    /// Whether no request is begun any more.
    pub stop: &'a AtomicBool,
    /// Where packs are taken from, if there is such a thing.
    pub stock: Option<&'a PartyStock>,
}

/// Serves requests until the client says goodbye.
pub fn run(
    model: &PartyModel,
    identity: Identity,
    links: PartyLinks<'_>,
    surroundings: Surroundings<'_>,
) -> Result<()> {
    let PartyLinks { mut peer, dealer, client, early } = links;
    let (output_root, stocked) = open(model.party, surroundings.stock, &mut peer.link)?;
    let nonces = match model.party {
        Party::Zero => [identity.nonce, peer.nonce],
        Party::One => [peer.nonce, identity.nonce],
    };
    let mut client = client.link;
    client.set_limits(CLIENT);
    let surroundings = Surroundings { stock: surroundings.stock.filter(|_| stocked), ..surroundings };
    let mut server = Server {
        model,
        surroundings,
        identity,
        nonces,
        output_root,
        peer: peer.link,
        dealer,
        client,
        early,
        last_request: 0,
        demands: 0,
    };
    server.run()
}

/// P0 draws the root of the keys that mask logits and tells P1, and whether packs are taken in this session. The dealer must not
/// see this link.
fn open(party: Party, stock: Option<&PartyStock>, peer: &mut Peer) -> Result<(Key, bool)> {
    match party {
        Party::Zero => {
            let root = fresh::<32>().context("no randomness from the operating system")?;
            let stocked = stock.is_some_and(|stock| stock.shared().is_reconciled());
            send_bytes(peer, kind::OUTPUT_ROOT, 0, 0, [&root[..], &[u8::from(stocked)]].concat())?;
            Ok((Key::from_bytes(root), stocked))
        }
        Party::One => {
            let mut opening = peer.expect(kind::OUTPUT_ROOT, 0, 0, 0, Some(33)).map_err(ControlError::from)?;
            let stocked = match opening.pop() {
                Some(0) => false,
                Some(1) if stock.is_some() => true,
                _ => {
                    let (peer, reason) = (Role::Party0.to_string(), "takes packs, and this party has no stock".into());
                    return Err(ControlError::Unexpected { peer, reason }.into());
                }
            };
            Ok((key(opening)?, stocked))
        }
    }
}

struct Server<'a> {
    model: &'a PartyModel,
    surroundings: Surroundings<'a>,
    identity: Identity,
    /// Of P0 and P1.
    nonces: [[u8; 32]; 2],
    output_root: Key,
    peer: Peer,
    dealer: DealerLink<'a>,
    client: Peer,
    early: Option<Frame>,
    last_request: u64,
    /// Correlations that the dealer was asked for, in a session that takes packs.
    demands: u64,
}

impl<'a> Server<'a> {
    fn run(&mut self) -> Result<()> {
        let Err(error) = self.requests() else { return Ok(()) };
        let error = self.name_all_lost(error);
        self.tell_client(&error);
        Err(error)
    }

    /// A role that is lost takes others along: says of all that are gone that they are, not only of the one that was
    /// waited for.
    fn name_all_lost(&mut self, error: anyhow::Error) -> anyhow::Error {
        if code_of(&error) != LOST {
            return error;
        }
        let mut lost = Vec::new();
        for link in [Some(&mut self.peer), self.dealer.link(), Some(&mut self.client)].into_iter().flatten() {
            if probe_silent(link).is_err() {
                lost.push(link.peer().to_string());
            }
        }
        if lost.is_empty() { error } else { error.context(format!("lost: {}", lost.join(", "))) }
    }

    /// The client learns that its session has ended, and whether it makes sense to come again; not more of the reason than that.
    fn tell_client(&mut self, error: &anyhow::Error) {
        let refusal = match code_of(error) {
            BUSY => Refusal::busy(error.to_string(), AGAIN),
            LOST => Refusal { reason: error.to_string(), cause: Cause::Lost },
            EXHAUSTED => Refusal { reason: error.to_string(), cause: Cause::Exhausted },
            _ => Refusal::new("the session ended by an error that the log of this role names"),
        };
        self.client.set_deadline(FAREWELL);
        let told = send(&mut self.client, kind::REFUSE, self.last_request, 0, &refusal);
        // where the client itself is gone there is nobody to tell
        let _ = told.and_then(|()| Ok(self.client.flush()?));
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
                    let Some(dealer) = self.dealer.link() else { return Ok(()) };
                    send(dealer, kind::BYE, 0, 0, &())?;
                    return Ok(dealer.flush()?);
                }
                other => return Err(unexpected(format!("sent a frame of kind {other} where a request is due"))),
            }
        }
    }

    /// Waits for the client as long as it may take, but not past the loss of another role nor the end of the service.
    fn next_request(&mut self) -> Result<Frame> {
        let Server { client, peer, dealer, surroundings, early, .. } = self;
        if let Some(early) = early.take() {
            return Ok(early);
        }
        let received = recv_alive(client, HEARTBEAT, surroundings.idle, |_| {
            probe_silent(peer)?;
            dealer.link().map_or(Ok(()), |dealer| probe_silent(dealer))?;
            match surroundings.stop.load(Ordering::Relaxed) {
                true => Err(coded(BUSY, "this service is ending")),
                false => Ok(()),
            }
        });
        received.map_err(|error| match error.downcast_ref() {
            Some(NetError::Timeout { waited, .. }) => {
                coded(BUSY, format!("no request came for {} s; open another session", waited.as_secs()))
            }
            _ => error,
        })
    }

    fn classify(&mut self, request: u64, asked: &Request) -> Result<()> {
        if request <= self.last_request {
            let last = self.last_request;
            return Err(unexpected(format!("asked for request {request} after {last}; a request is served once")));
        }
        self.last_request = request;
        let model = self.model;
        let texts = asked.texts.texts(&model.spec).map_err(|e| unexpected(e.to_string()))?;
        let plan = model.engine.plan(&model.calibrated, &texts).context("planning the request")?;
        let _reserved = self.admit(request, &texts, &*plan)?;
        let mut run = Serving {
            party: model.party,
            spec: &model.spec,
            calibrated: &model.calibrated,
            weights: &*model.weights,
            schedule: self.surroundings.settings.schedule,
            hold: self.surroundings.hold,
            output_root: &self.output_root,
            request,
            texts: &texts,
            plan: &*plan,
            client: &mut self.client,
            peer: &mut self.peer,
            input: None,
            report: Report::default(),
        };
        let [zero, one] = self.nonces;
        for attempt in 0..MOST_ATTEMPTS {
            let begin = Instant::now();
            // the third is the dealer's; of a pack it is in what it was ordered under
            let agree = |third| self.identity.agreement([zero, one, third], plan.digest(), request, attempt);
            let taken = match self.surroundings.stock {
                Some(stock) => run.take(stock, &agree([0; 32]))?,
                None => None,
            };
            let (outcome, agreement) = match taken {
                Some(pack) => {
                    let agreement = agree(pack.order());
                    (run.attempt_with(pack, &agreement, begin)?, agreement)
                }
                None => {
                    let dealer = self.dealer.get()?;
                    let agreement = agree(dealer.nonce);
                    let mut asked = agreement;
                    if self.surroundings.stock.is_some() {
                        self.demands += 1;
                        (asked.request, asked.attempt) = (self.demands, 0);
                    }
                    (run.attempt(&mut dealer.link, attempt, &asked)?, agreement)
                }
            };
            match outcome {
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
    fn admit(&mut self, request: u64, texts: &Texts, plan: &dyn Planned) -> Result<Reserved<'a>> {
        let PartyModel { calibrated, engine, .. } = self.model;
        let Surroundings { settings, hold, budget, .. } = self.surroundings;
        let needs = Needs::of(calibrated, texts, plan, *engine, settings.schedule, hold)?;
        let refusal = match budget.reserve(&needs, self.identity.role) {
            Err(refusal) if code_of(&refusal) != BUSY => refusal,
            other => return other,
        };
        // how much there is is not the client's to know
        let told = Refusal::new("not enough memory for this request; give shorter or fewer texts");
        send(&mut self.client, kind::REFUSE, request, 0, &told)?;
        self.client.flush()?;
        Err(refusal)
    }
}

fn unexpected(reason: String) -> anyhow::Error {
    ControlError::Unexpected { peer: Role::Client.to_string(), reason }.into()
}
