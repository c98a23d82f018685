//! The client of two services.

use std::time::Duration;

use anyhow::{Context, Result};
use bundle::ClientBundle;
use model::Lengths;
use net::{Link, TlsIdentity};

use crate::client::Client;
use crate::engine::EngineKind;
use crate::handshake::{Identity, fresh};
use crate::message::{Purpose, Role};
use crate::service::dial::PeerAddress;

/// Opens a session at both parties, P0 first: it decides who is admitted when, so that no two clients wait for one another.
/// `waiting` is told what keeps us waiting.
pub fn open_session(
    bundle: ClientBundle,
    engine: (EngineKind, Lengths),
    tls: &TlsIdentity,
    parties: &[PeerAddress; 2],
    deadline: Duration,
    waiting: &mut dyn FnMut(&str),
) -> Result<Client> {
    let session = fresh().context("no randomness from the operating system")?;
    let me = Identity::pinned(Role::Client, session, bundle.id, &bundle.spec)?;
    let mut open = |to: &PeerAddress| {
        let link = to.connect_waiting(tls, deadline, waiting)?;
        let hello = me.hello(to.role, Purpose::Session);
        let mut queued = |said: &str| waiting(&format!("{} lets us wait: {said}", to.role));
        let mut known = to.greet(&me, link, &hello, deadline, &mut queued)?;
        known.link.set_deadline(deadline);
        Ok::<_, anyhow::Error>(known.link)
    };
    let parties = [open(&parties[0])?, open(&parties[1])?];
    Ok(Client::over(bundle, engine, parties))
}
