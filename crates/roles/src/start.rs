//! What a role is given before it meets its peers.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, anyhow};
use ring64::Key;
use serde::{Deserialize, Serialize};

use crate::message::Role;
use crate::stocked::Fill;

/// What a role is given before it meets its peers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// One-time token, in hexadecimal.
    pub token: String,
    /// Random name of the session, in hexadecimal.
    pub session: String,
    /// Addresses of the parties.
    pub peers: BTreeMap<String, String>,
    /// Packs that this deployment is to put into the parties' stocks; then it has no client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fill: Vec<Fill>,
    /// Whether only errors and warnings are said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quiet: bool,
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Start({:?}, redacted)", self.peers)
    }
}

impl Start {
    /// The token.
    pub fn token(&self) -> Result<Key> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&self.token, &mut bytes).map_err(|_| anyhow!("the start line's token is not 32 bytes"))?;
        Ok(Key::from_bytes(bytes))
    }

    /// The session's name.
    pub fn session(&self) -> Result<[u8; 16]> {
        let mut bytes = [0; 16];
        let wrong = |_| anyhow!("the start line's session is not 16 bytes");
        hex::decode_to_slice(&self.session, &mut bytes).map_err(wrong)?;
        Ok(bytes)
    }

    /// The address of a party.
    pub fn address(&self, role: Role) -> Result<&str> {
        self.peers
            .get(role.name())
            .map(String::as_str)
            .with_context(|| format!("the start line has no address of {role}"))
    }
}
