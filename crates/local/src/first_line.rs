//! A child's first line on standard output: it is ready.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::LOST;
use roles::message::Role;

use crate::parent::Ready;

/// A role's first line on standard output, which says that it is ready.
pub(crate) struct FirstLine {
    role: Role,
    line: mpsc::Receiver<std::io::Result<String>>,
}

impl FirstLine {
    pub(crate) fn of(role: Role, output: ChildStdout) -> Result<FirstLine> {
        let (sender, line) = mpsc::channel();
        let read = move || {
            let mut line = String::new();
            let read = BufReader::new(output).read_line(&mut line);
            // nobody listens only after the deadline
            let _ = sender.send(read.map(|_| line));
        };
        thread::Builder::new().name(format!("first line of {role}")).spawn(read).context("starting a thread")?;
        Ok(FirstLine { role, line })
    }

    /// Waits for it, so long after all roles were started.
    pub(crate) fn ready(self, deadline: Duration, begin: Instant) -> Result<Ready> {
        let role = self.role;
        let late = |_| coded(LOST, format!("{role} did not get ready within {deadline:?}"));
        let line = self.line.recv_timeout(deadline.saturating_sub(begin.elapsed())).map_err(late)?.unwrap_or_default();
        let ended = |_| coded(LOST, format!("{role} ended before it was ready"));
        let ready: Ready = serde_json::from_str(&line).map_err(ended)?;
        anyhow::ensure!(ready.ready == role, "{role} says that it is {}", ready.ready);
        Ok(ready)
    }
}
