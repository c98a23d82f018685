//! The dealer of correlated randomness: answers what both parties ask for, once.
//!
//! It sees the plan (lengths), the weights' seeds and the number of restarts; never a text, a weight or an opened word.

use std::fmt;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bundle::{BundleId, DealerBundle};
use cli::coded;
use cli::exit::BUSY;
use model::{Bert, Calibrated, Network, Spec};
use mpc::{DealerEngine, DealtWriter, Party, Run};
use net::{Frame, Header, Link, NetError};
use ring64::{Kernel, Key};
use tracing::info;

use crate::attempt::key;
use crate::engine::EngineKind;
use crate::handshake::{Identity, Known, Peer, call, fresh};
use crate::liveness::{probe, recv_alive};
use crate::memory::{Budget, Needs};
use crate::message::{ControlError, DealRequest, Role, kind, parse, send_bytes};
use crate::settings::Settings;
use crate::start::Start;
use crate::yielding::Yielding;

/// How often an idle dealer probes P1.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// How long is waited for P0's goodbye after P1 has left.
const GOODBYE: Duration = Duration::from_secs(5);

/// Bytes of an agreement's digest in the log: enough to tell it from all others.
const SHOWN: usize = 7;

/// What the dealer holds of a model, for any number of sessions.
pub struct DealerModel {
    id: BundleId,
    spec: Arc<Spec>,
    calibrated: Calibrated<Bert>,
    dealing: Box<dyn DealerEngine<Bert>>,
    engine: EngineKind,
}

impl fmt::Debug for DealerModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DealerModel(redacted)")
    }
}

impl DealerModel {
    /// Makes of the dealer's part of a bundle what the engine deals from.
    pub fn new(bundle: DealerBundle, engine: EngineKind) -> DealerModel {
        let calibrated = bundle.spec.calibrated(bundle.embedding.input_kind());
        let held: Vec<_> = calibrated.network.weights_of_parties().map(|(weight, _)| weight).collect();
        let dealing = engine.private().dealer(calibrated.network.table(), &held, &bundle.seeds, Kernel::detect());
        DealerModel { id: bundle.id, spec: bundle.spec, calibrated, dealing, engine }
    }

    /// The dealer in a session between peers whose keys are pinned.
    pub fn identity(&self, session: [u8; 16]) -> Result<Identity> {
        Identity::pinned(Role::Dealer, session, self.id, &self.spec)
    }
}

/// Deals until the parties say goodbye.
pub fn serve(bundle: DealerBundle, start: &Start, settings: &Settings) -> Result<()> {
    serve_under(draw_root()?, bundle, start, settings)
}

/// The root of all keys of a session's streams: drawn for it and never stored, so that what one session deals can never be dealt
/// again.
pub fn draw_root() -> Result<Key> {
    Ok(Key::from_bytes(fresh().context("no randomness from the operating system")?))
}

/// As [`serve`], under a root that a test knows.
pub fn serve_under(root: Key, bundle: DealerBundle, start: &Start, settings: &Settings) -> Result<()> {
    let model = DealerModel::new(bundle, settings.engine);
    let identity = Identity::new(Role::Dealer, start, model.id, &model.spec)?;
    let deadline = settings.deadline;
    let zero = call(&identity, Role::Party0, start.address(Role::Party0)?, deadline)?;
    let one = call(&identity, Role::Party1, start.address(Role::Party1)?, deadline)?;
    deal(&model, &root, &identity, [zero, one], settings, (&Budget::new(settings.memory), Work::Request))
}

/// What is dealt for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Requests, which take the memory that they need.
    Request,
    /// Packs for the parties' stocks: they wait for memory, and give it back to requests.
    Order,
}

/// Deals in one session, until the parties say goodbye.
pub fn deal(
    model: &DealerModel,
    root: &Key,
    identity: &Identity,
    [zero, one]: [Known; 2],
    settings: &Settings,
    (budget, work): (&Budget, Work),
) -> Result<()> {
    let DealerModel { spec, calibrated, dealing, engine, .. } = model;
    let kernel = Kernel::detect();
    let nonces = [zero.nonce, one.nonce, identity.nonce];
    let mut parties = Parties { zero: zero.link, one: one.link, early: None, heard: false };
    let mut last = None;
    while let Some((request, attempt, demands)) = parties.next_demand()? {
        // burnt before use: nothing is ever dealt twice
        if last.is_some_and(|last| last >= (request, attempt)) {
            let reason = format!("asks again for attempt {attempt} of request {request}; it is burnt");
            return Err(refuse(Role::Party0, reason));
        }
        last = Some((request, attempt));
        let demand = &demands[0];
        let texts = demand.texts.texts(spec).map_err(|e| refuse(Role::Party0, e.to_string()))?;
        let plan = engine.plan(calibrated, &texts).context("planning the request")?;
        let needs = Needs::of(calibrated, &texts, &*plan, *engine, settings.schedule, 0)?;
        let reserved = match work {
            Work::Request => budget.reserve(&needs, Role::Dealer)?,
            Work::Order => {
                let (begin, within) = (Instant::now(), parties.zero.deadline());
                let none = "no memory came free beside the requests that are running";
                let mut waiting = || if begin.elapsed() < within { Ok(()) } else { Err(coded(BUSY, none)) };
                budget.reserve_yielding(&needs, Role::Dealer, &mut waiting)?
            }
        };
        if hex::encode(plan.digest()) != demand.plan {
            let reason = "asks for another plan than this dealer's bundle and engine make";
            return Err(refuse(Role::Party0, reason.into()));
        }
        let agreement = identity.agreement(nonces, plan.digest(), request, attempt);
        check_agreement(&demands, &agreement.digest())?;
        let secrets = parties.secrets(request, attempt)?;
        // said before a key leaves: whoever reads the log sees that nothing is dealt twice, whenever this process ends
        let (session, digest) = (hex::encode(&identity.session[..4]), hex::encode(&agreement.digest()[..SHOWN]));
        info!(role = %Role::Dealer, %session, request, attempt, agreement = %digest, "dealing");
        let keys = [Party::Zero, Party::One].map(|party| agreement.stream_key(root, &secrets[party.index()], party));
        send_bytes(&mut parties.zero, kind::KEY, request, attempt, keys[0].as_bytes().to_vec())?;
        send_bytes(&mut parties.one, kind::KEY, request, attempt, keys[1].as_bytes().to_vec())?;
        let mut one = Yielding::new(&mut *parties.one, &reserved);
        let writer = DealtWriter::new(&mut one, request, attempt);
        let batches = slice::from_ref(&texts);
        dealing.deal(&Run { calibrated, batches, request, attempt, kernel }, keys, writer)?;
    }
    Ok(())
}

/// Both parties must hold the same to be agreed as the dealer. Without keys neither can open anything, so nothing is ever opened
/// under two agreements.
fn check_agreement(demands: &[DealRequest; 2], own: &[u8; 32]) -> Result<()> {
    let own = hex::encode(own);
    for (role, demand) in [Role::Party0, Role::Party1].into_iter().zip(demands) {
        if demand.agreement != own {
            let reason = "holds something else to be agreed than this dealer; start all roles anew, together";
            return Err(refuse(role, reason.into()));
        }
    }
    Ok(())
}

struct Parties {
    zero: Peer,
    one: Peer,
    /// What P1 said before P0 did.
    early: Option<Frame>,
    /// Whether P1 has said anything.
    heard: bool,
}

impl Parties {
    /// The next demand of both parties, P0's first, which must ask for the same; none when they say goodbye.
    fn next_demand(&mut self) -> Result<Option<(u64, u32, [DealRequest; 2])>> {
        let Frame { header, payload } = self.next_of_zero()?;
        let early = match self.early.take().map_or_else(|| self.one.recv(), Ok) {
            // a party that took all its correlations from its stock, or was asked for nothing, has nothing to say
            Err(NetError::Lost { .. }) if header.kind == kind::BYE && !self.heard => {
                info!(role = %Role::Dealer, "party1 asked for nothing in this session, and has left it");
                return Ok(None);
            }
            other => other?,
        };
        self.heard = true;
        let same = |h: &Header| (h.kind, h.request, h.attempt);
        if same(&header) != same(&early.header) {
            return Err(refuse(Role::Party1, format!("says {} where party0 says {header}", early.header)));
        }
        match header.kind {
            kind::DEMAND => {}
            kind::BYE => return Ok(None),
            other => return Err(refuse(Role::Party0, format!("sent a frame of kind {other} where a demand is due"))),
        }
        let zero: DealRequest = parse(Role::Party0.name(), "demand", &payload)?;
        let one: DealRequest = parse(Role::Party1.name(), "demand", &early.payload)?;
        if (&zero.texts, &zero.plan) != (&one.texts, &one.plan) {
            return Err(refuse(Role::Party1, "asks for correlations of another plan than party0".into()));
        }
        Ok(Some((header.request, header.attempt, [zero, one])))
    }

    /// What each party drew for this attempt: it goes into the key of that party's streams and nowhere else.
    fn secrets(&mut self, request: u64, attempt: u32) -> Result<[Key; 2]> {
        let secret = |link: &mut Peer| key(link.expect(kind::SECRET, request, attempt, 0, Some(32))?);
        Ok([secret(&mut self.zero)?, secret(&mut self.one)?])
    }

    /// Waits for P0 as long as it takes, but not past the loss of P1.
    fn next_of_zero(&mut self) -> Result<Frame> {
        let Parties { zero, one, early, heard } = self;
        let mut probe_one = || {
            if early.is_none() {
                *early = probe(one)?;
            }
            Ok::<_, NetError>(())
        };
        let mut lost_one = None;
        let received = recv_alive(zero, HEARTBEAT, Duration::MAX, |timeout| {
            probe_one().map_err(|lost| {
                lost_one = Some(lost);
                timeout
            })
        });
        match (received, lost_one) {
            (Ok(frame), _) => Ok(frame),
            (Err(_), Some(one)) => {
                // that it never said a word is in order where P0 takes its leave as well
                let goodbye = if *heard { None } else { goodbye_of(zero) };
                goodbye.ok_or_else(|| one.into())
            }
            // a party that is lost takes the other along: both are probed before one is named
            (Err(zero), None) => match probe_one() {
                Ok(()) => Err(zero.into()),
                Err(one) => Err(anyhow::Error::new(one).context(format!("{zero}"))),
            },
        }
    }
}

/// What P0 says next, where it says goodbye.
fn goodbye_of(zero: &mut Peer) -> Option<Frame> {
    let deadline = zero.deadline();
    zero.set_deadline(GOODBYE);
    let received = zero.recv();
    zero.set_deadline(deadline);
    received.ok().filter(|frame| frame.header.kind == kind::BYE)
}

fn refuse(role: Role, reason: String) -> anyhow::Error {
    ControlError::Unexpected { peer: role.to_string(), reason }.into()
}

#[cfg(test)]
mod tests {
    use net::memory_pair;

    use super::*;
    use crate::message::send;

    /// The dealer between both parties, and they.
    fn session() -> (Parties, Peer, Peer) {
        let pair = |name| <[_; 2]>::from(memory_pair("dealer", name)).map(|link| Box::new(link) as Peer);
        let ([zero, party0], [one, party1]) = (pair("party0"), pair("party1"));
        (Parties { zero, one, early: None, heard: false }, party0, party1)
    }

    #[test]
    fn a_party_that_asked_for_nothing_and_left_has_not_failed() {
        // whichever of the two is seen first
        for before in [true, false] {
            let (mut parties, mut party0, party1) = session();
            if before {
                drop(party1);
                send(&mut party0, kind::BYE, 0, 0, &()).unwrap();
            } else {
                send(&mut party0, kind::BYE, 0, 0, &()).unwrap();
                drop(party1);
            }
            assert!(parties.next_demand().unwrap().is_none());
        }
    }

    #[test]
    fn a_party_that_is_lost_after_it_asked_or_while_the_other_asks_has_failed() {
        let (mut parties, mut party0, mut party1) = session();
        send(&mut party1, kind::DEMAND, 1, 0, &()).unwrap();
        drop(party1);
        send(&mut party0, kind::BYE, 0, 0, &()).unwrap();
        assert!(parties.next_demand().is_err());
        let (mut parties, mut party0, party1) = session();
        drop(party1);
        send(&mut party0, kind::DEMAND, 1, 0, &()).unwrap();
        assert!(parties.next_demand().is_err());
        let (mut parties, party0, party1) = session();
        drop((party0, party1));
        assert!(parties.next_demand().is_err());
    }
}
