//! Roles as services of different operators, each told what to do by one file.

pub mod dealer;
pub mod doctor;
pub mod flags;
pub mod keys;
mod logs;
pub mod own;
pub mod party;
mod signals;
mod stock;

use std::io::Write;

use anyhow::Result;
use bundle::{ClientBundle, Role};
use model::Lengths;
use net::{Pin, TlsIdentity};
use roles::engine::EngineKind;
use roles::service::dial::PeerAddress;
use serde_json::{Value, json};

/// What a run over services protects, and what that rests on.
pub fn security((engine, lengths): (EngineKind, Lengths), client: &Pin, parties: &[PeerAddress; 2]) -> Value {
    let [zero, one] = parties.each_ref().map(|party| party.address.as_str());
    json!({
        "deployment": "services",
        "protects": "the text and the answer from party0, party1 and the dealer; the weights that they hold from each of them",
        "assumes": "roles follow the protocol, and no two of party0, party1 and the dealer collude",
        "client": client,
        "party0": zero,
        "party1": one,
        "protocol": engine.protocol(),
        "public": engine.public(lengths),
    })
}

/// `--check-config` of a client: whether it was asked for.
pub fn check_client(flags: &flags::ConfigFlags, out: &mut dyn Write) -> Result<bool> {
    if !flags.check_config {
        return Ok(false);
    }
    if let Some(config) = flags.read(&[Role::Client])? {
        flags::settings(&config)?;
        let (tls, bundle) = (TlsIdentity::read(&config.keys)?, ClientBundle::open(&config.bundle)?);
        writeln!(out, "client: the configuration is right; key {}, bundle {}", tls.pin(), bundle.id)?;
        out.flush()?;
    }
    Ok(true)
}
