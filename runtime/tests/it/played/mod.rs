//! Roles played by a test over real connections: what a real role does when another one is not what it should be.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bundle::{ClientBundle, DealerBundle, Embedding, PartyBundle, expected_tensors};
use model::{Bert, Calibrated, InputKind, Network, Sample, Spec, Texts};
use mpc::Planned;
use mpc::masked::{DealerWeights, Plan, deal};
use mpc::{Agreement, DealtWriter, Party, Run};
use net::{Link, Listener};
use ring64::{Kernel, Key};
use roles::handshake::{Identity, Known, Peer, answer_all, call, fresh, take};
use roles::message::{DealRequest, PublicTexts, Role, kind, send, send_bytes};
use roles::settings::Settings;
use roles::start::Start;

use crate::folder::Place;
use crate::sessions::convert;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const PARTIES: [Role; 2] = [Role::Party0, Role::Party1];

/// A bundle, addresses of both parties, and a session's names.
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) spec: Arc<Spec>,
    pub(crate) listeners: [Listener; 2],
    token: [u8; 32],
    session: [u8; 16],
}

impl Stage {
    pub(crate) fn new() -> Stage {
        let place = Place::new();
        convert(&place.student(), Embedding::Client, &place.bundle());
        let spec = ClientBundle::open(&place.bundle().join("client")).unwrap().spec;
        let listeners = [(); 2].map(|()| Listener::loopback(0).unwrap());
        Stage { place, spec, listeners, token: fresh().unwrap(), session: fresh().unwrap() }
    }

    fn part(&self, role: Role) -> PathBuf {
        role.folder(&self.place.bundle())
    }

    pub(crate) fn party(&self, index: usize) -> PartyBundle {
        PartyBundle::open(&self.part(PARTIES[index]), index).unwrap()
    }

    pub(crate) fn dealer(&self) -> DealerBundle {
        DealerBundle::open(&self.part(Role::Dealer)).unwrap()
    }

    pub(crate) fn client(&self) -> ClientBundle {
        ClientBundle::open(&self.part(Role::Client)).unwrap()
    }

    pub(crate) fn start(&self) -> Start {
        let address = |i: usize| (PARTIES[i].name().to_string(), self.address(i));
        let peers = [0, 1].map(address).into();
        Start {
            token: hex::encode(self.token),
            session: hex::encode(self.session),
            peers,
            fill: Vec::new(),
            quiet: false,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::within(DEADLINE)
    }

    fn address(&self, index: usize) -> String {
        self.listeners[index].local_addr().to_string()
    }

    /// A role of this session, for the test to play.
    pub(crate) fn identity(&self, role: Role) -> Identity {
        Identity::new(role, &self.start(), self.client().id, &self.spec).unwrap()
    }

    /// Calls a party in this role.
    pub(crate) fn call(&self, me: &Identity, index: usize) -> Known {
        call(me, PARTIES[index], &self.address(index), DEADLINE).unwrap()
    }

    /// Waits for the only caller of a party that the test plays.
    pub(crate) fn answer(&self, me: &Identity, index: usize, caller: Role) -> Known {
        let mut known = answer_all(me, &self.listeners[index], &[caller], DEADLINE).unwrap();
        take(&mut known, caller).unwrap()
    }

    pub(crate) fn plan(&self, batch: &[Sample]) -> Plan {
        Plan::new(&self.calibrated(), &[texts(&self.spec, batch)]).unwrap()
    }

    fn calibrated(&self) -> Calibrated<Bert> {
        self.spec.calibrated(InputKind::Embedded)
    }

    /// What all roles should hold to be agreed.
    pub(crate) fn agreement(&self, nonces: [[u8; 32]; 3], batch: &[Sample], request: u64, attempt: u32) -> Agreement {
        self.identity(Role::Client).agreement(nonces, self.plan(batch).digest(), request, attempt)
    }

    /// What a dealer that the test plays sends to P1.
    pub(crate) fn deal(&self, batch: &[Sample], keys: [Key; 2], link: &mut dyn Link, request: u64) {
        let (bundle, calibrated, kernel) = (self.dealer(), self.calibrated(), Kernel::detect());
        let held = expected_tensors(&bundle.spec, bundle.embedding).into_iter().map(|(weight, _)| weight);
        let weights = DealerWeights::expand(calibrated.network.table(), held, &bundle.seeds, kernel);
        let batches = [texts(&self.spec, batch)];
        let run = Run { calibrated: &calibrated, batches: &batches, request, attempt: 0, kernel };
        deal(&run, &weights, keys, DealtWriter::new(link, request, 0)).unwrap();
    }
}

pub(crate) fn texts(spec: &Spec, batch: &[Sample]) -> Texts {
    Texts::new(&batch.iter().map(|s| s.ids.len()).collect::<Vec<_>>(), &spec.shape).unwrap()
}

pub(crate) fn sample(tokens: usize) -> Sample {
    Sample { ids: (0..tokens).map(|i| ((i * 5 + 4) % 29) as u32).collect(), segments: vec![0; tokens] }
}

/// What a party asks of the dealer.
pub(crate) fn demand(agreement: &Agreement, batch: &[Sample]) -> DealRequest {
    let lengths = batch.iter().map(|s| s.ids.len()).collect();
    DealRequest {
        texts: PublicTexts::exact(lengths),
        plan: hex::encode(agreement.plan),
        agreement: hex::encode(agreement.digest()),
    }
}

/// Asks the dealer, with the secret that goes with it.
pub(crate) fn ask(link: &mut Peer, demand: &DealRequest, place: (u64, u32), secret: [u8; 32]) {
    send(link, kind::DEMAND, place.0, place.1, demand).unwrap();
    send_bytes(link, kind::SECRET, place.0, place.1, secret.to_vec()).unwrap();
}

pub(crate) fn key(bytes: &[u8]) -> Key {
    Key::from_bytes(bytes.try_into().unwrap())
}

pub(crate) const BOTH: [Party; 2] = [Party::Zero, Party::One];
