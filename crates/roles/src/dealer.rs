//! The dealer of correlated randomness: answers what both parties ask for, once.
//!
//! It sees the plan (lengths), the weights' seeds and the number of restarts; never a text, a weight or an opened word.

use std::fmt;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bundle::{BundleId, DealerBundle};
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

/// How often an idle dealer probes P1.
const HEARTBEAT: Duration = Duration::from_millis(500);

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
    deal(&model, &root, &identity, [zero, one], settings, &Budget::new(settings.memory))
}

/// Deals in one session, until the parties say goodbye.
pub fn deal(
    model: &DealerModel,
    root: &Key,
    identity: &Identity,
    [zero, one]: [Known; 2],
    settings: &Settings,
    budget: &Budget,
) -> Result<()> {
    let DealerModel { spec, calibrated, dealing, engine, .. } = model;
    let kernel = Kernel::detect();
    let nonces = [zero.nonce, one.nonce, identity.nonce];
    let mut parties = Parties { zero: zero.link, one: one.link, early: None };
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
        let _reserved = budget.reserve(&needs, Role::Dealer)?;
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
        let writer = DealtWriter::new(&mut parties.one, request, attempt);
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
}

impl Parties {
    /// The next demand of both parties, P0's first, which must ask for the same; none when they say goodbye.
    fn next_demand(&mut self) -> Result<Option<(u64, u32, [DealRequest; 2])>> {
        let Frame { header, payload } = self.next_of_zero()?;
        let early = self.early.take().map_or_else(|| self.one.recv(), Ok)?;
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
        let Parties { zero, one, early } = self;
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
            (Err(_), Some(one)) => Err(one.into()),
            // a party that is lost takes the other along: both are probed before one is named
            (Err(zero), None) => match probe_one() {
                Ok(()) => Err(zero.into()),
                Err(one) => Err(anyhow::Error::new(one).context(format!("{zero}"))),
            },
        }
    }
}

fn refuse(role: Role, reason: String) -> anyhow::Error {
    ControlError::Unexpected { peer: role.to_string(), reason }.into()
}
