//! What a starting process tells its children, one JSON line each way.
//!
//! A child binds a free port and prints [`Ready`]; the parent writes [`Start`] to its standard input. When that input ends,
//! the parent is gone and the child ends too.

use std::fmt;
use std::io::{BufRead, BufReader, Read, stdin};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use cli::coded;
use cli::exit::LOST;
use roles::message::Role;
use roles::start::Start;
use serde::{Deserialize, Serialize};

/// A child's first line on standard output.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Who.
    pub ready: Role,
    /// Where it listens; 0 for a dealer, which only calls.
    pub port: u16,
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
            cli::log(&format!("error: {GONE}"));
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
