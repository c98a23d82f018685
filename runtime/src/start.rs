//! What a starting process tells its children, one JSON line each way.
//!
//! A child binds a free port and prints [`Ready`]; the parent writes [`Start`] to its standard input. When that input ends,
//! the parent is gone and the child ends too.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, stdin};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use cli::coded;
use cli::exit::LOST;
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

const GONE: &str = "standard input ended: the process that started this role is gone, so it ends too";

/// The process that started this one, at the other end of standard input.
pub struct Parent {
    line: mpsc::Receiver<std::io::Result<String>>,
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parent")
    }
}

impl Parent {
    /// Watches standard input from now on. Once the start line has come, this process ends when that input ends, whatever
    /// else it is doing.
    pub fn watch() -> Result<Parent> {
        let (sender, line) = mpsc::channel();
        let watch = move || {
            let mut input = BufReader::new(stdin());
            let mut line = String::new();
            let read = input.by_ref().take(1 << 20).read_line(&mut line);
            // a role that reads its bundle still says what is wrong with it; then it misses its start line
            if matches!(read, Ok(0)) || sender.send(read.map(|_| line)).is_err() {
                return;
            }
            let mut rest = [0; 256];
            while matches!(input.read(&mut rest), Ok(n) if n > 0) {}
            crate::log(&format!("error: {GONE}"));
            std::process::exit(LOST);
        };
        thread::Builder::new().name("standard input".into()).spawn(watch).context("starting a thread")?;
        Ok(Parent { line })
    }

    /// The start line, within the deadline.
    pub fn start(&self, deadline: Duration) -> Result<Start> {
        let line = self.line.recv_timeout(deadline).map_err(|missing| match missing {
            RecvTimeoutError::Timeout => {
                coded(LOST, format!("no start line came on standard input within {deadline:?}"))
            }
            RecvTimeoutError::Disconnected => coded(LOST, GONE),
        })?;
        let line = line.context("reading the start line")?;
        serde_json::from_str(&line).map_err(|e| anyhow!("the start line cannot be read ({:?} error)", e.classify()))
    }
}
