//! What a party holds of a model, for any number of sessions.

use std::fmt;
use std::sync::Arc;

use bundle::{BundleId, PartyBundle};
use model::{Bert, Calibrated, Network, Spec};
use mpc::{Party, PartyEngine};
use ring64::Kernel;

use crate::engine::EngineKind;
use crate::handshake::Identity;
use crate::memory::hold;
use crate::message::Role;
use crate::settings::Settings;

/// What a party holds of a model, for any number of sessions.
pub struct PartyModel {
    /// Which party.
    pub(crate) party: Party,
    /// Random name of the bundle.
    pub(crate) id: BundleId,
    pub(crate) spec: Arc<Spec>,
    pub(crate) calibrated: Calibrated<Bert>,
    pub(crate) weights: Box<dyn PartyEngine<Bert>>,
    pub(crate) engine: EngineKind,
}

impl fmt::Debug for PartyModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartyModel({}, redacted)", self.role())
    }
}

impl PartyModel {
    /// Makes of a party's part of a bundle what the engine computes with.
    pub fn new(bundle: PartyBundle, engine: EngineKind) -> PartyModel {
        let party = if bundle.party == 0 { Party::Zero } else { Party::One };
        let calibrated = bundle.spec.calibrated(bundle.embedding.input_kind());
        let table = calibrated.network.table();
        let weights = engine.private().party(party, table, bundle.weights, &bundle.seed, Kernel::detect());
        PartyModel { party, id: bundle.id, spec: bundle.spec, calibrated, weights, engine }
    }

    /// Which role.
    pub fn role(&self) -> Role {
        match self.party {
            Party::Zero => Role::Party0,
            Party::One => Role::Party1,
        }
    }

    /// This party in a session between peers whose keys are pinned.
    pub fn identity(&self, session: [u8; 16]) -> anyhow::Result<Identity> {
        Identity::pinned(self.role(), session, self.id, &self.spec)
    }

    /// Bytes of correlations that stay in memory, where so many sessions run at the same time.
    pub fn hold(&self, settings: &Settings, sessions: u64) -> u64 {
        let all = match settings.memory.limit {
            Some(_) => hold(&self.calibrated.network, self.engine, settings.memory),
            // its weights are there already, and count among what is taken
            None => settings.memory.there().map_or(u64::MAX, |bytes| bytes / 4),
        };
        all / sessions.max(1)
    }
}
