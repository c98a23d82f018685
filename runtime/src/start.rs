//! What a starting process tells its children, one JSON line each way.
//!
//! A child binds a free port and prints [`Ready`]; the parent writes [`Start`] to its standard input. When that input ends,
//! the parent is gone and the child ends too.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, stdin};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use ring64::Key;
use serde::{Deserialize, Serialize};

use crate::message::Role;

/// A child's first line on standard output.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Who.
    pub ready: Role,
    /// Where it listens; 0 for a dealer, which only calls.
    pub port: u16,
}

/// The parent's line on a child's standard input.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// One-time token, in hexadecimal.
    pub token: String,
    /// Random name of the session, in hexadecimal.
    pub session: String,
    /// Addresses of the parties.
    pub peers: BTreeMap<String, String>,
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

/// Reads the start line within the deadline, and ends this process when standard input ends.
pub fn await_start(deadline: Duration) -> Result<Start> {
    let (sender, receiver) = mpsc::channel();
    let watch = move || {
        let mut input = BufReader::new(stdin());
        let mut line = String::new();
        let read = input.by_ref().take(1 << 20).read_line(&mut line);
        let sent = sender.send(read.map(|_| line));
        if sent.is_ok() {
            let mut rest = [0; 256];
            while matches!(input.read(&mut rest), Ok(n) if n > 0) {}
        }
        // nobody is left to answer to
        std::process::exit(crate::exit::OTHER);
    };
    thread::Builder::new().name("standard input".into()).spawn(watch).context("starting a thread")?;
    let line = receiver.recv_timeout(deadline).context("no start line came on standard input")?;
    let line = line.context("reading the start line")?;
    serde_json::from_str(&line).map_err(|e| anyhow!("the start line cannot be read ({:?} error)", e.classify()))
}
