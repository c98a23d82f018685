//! All roles on one machine, as processes of their own. For trying and for measuring: it protects nothing.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bundle::ClientBundle;
use model::Sample;

use crate::client::{Answer, Client};
use crate::exit::{self, LOST, coded};
use crate::handshake::fresh;
use crate::message::Role;
use crate::start::{Ready, Start};

/// The security statement of such a deployment, in one sentence.
pub const INSECURE_LOCAL: &str = "all roles run on this machine under one user: this run protects nothing";

/// Messages of roles that are kept.
const MOST_MESSAGES: usize = 1000;
/// Time between two looks at children that may have ended.
const GLANCE: Duration = Duration::from_millis(2);
/// How long children get to end by themselves.
const FAREWELL: Duration = Duration::from_secs(5);

/// Two parties and a dealer as child processes, with this process as their client.
pub struct Deployment {
    client: Option<Client>,
    children: Vec<Started>,
    messages: Arc<Mutex<Vec<(Role, String)>>>,
}

struct Started {
    role: Role,
    child: Child,
}

impl Deployment {
    /// Starts all roles on a bundle; `program` is `runtime` itself.
    pub fn start(program: &Path, bundle: &Path, deadline: Duration) -> Result<Deployment> {
        let client = ClientBundle::open(&Role::Client.folder(bundle))?;
        let mut deployment = Deployment { client: None, children: Vec::new(), messages: Arc::default() };
        let mut peers = BTreeMap::new();
        let mut outputs = Vec::new();
        for role in [Role::Party0, Role::Party1, Role::Dealer] {
            let (child, output, errors) = spawn(program, role, bundle, deadline)?;
            deployment.children.push(Started { role, child });
            relay(role, errors, deployment.messages.clone())?;
            outputs.push((role, output));
        }
        for (role, output) in outputs {
            let ready = await_ready(role, output, deadline)?;
            if role != Role::Dealer {
                peers.insert(role.name().to_string(), format!("127.0.0.1:{}", ready.port));
            }
        }
        let start = Start { token: hex::encode(fresh::<32>()?), session: hex::encode(fresh::<16>()?), peers };
        let mut line = serde_json::to_string(&start)?;
        line.push('\n');
        for role in &mut deployment.children {
            let input = role.child.stdin.as_mut().context("a child without standard input")?;
            input.write_all(line.as_bytes()).with_context(|| format!("telling {} to start", role.role))?;
            input.flush()?;
        }
        match Client::connect(client, &start, deadline) {
            Ok(client) => deployment.client = Some(client),
            Err(error) => return Err(deployment.explain(error)),
        }
        Ok(deployment)
    }

    /// The client's part of the bundle.
    pub fn bundle(&self) -> Result<&ClientBundle> {
        Ok(self.client.as_ref().context("the deployment has ended")?.bundle())
    }

    /// Classifies a batch.
    pub fn classify(&mut self, batch: &[Sample]) -> Result<Answer> {
        self.classify_with(batch, &mut || ())
    }

    /// Classifies a batch; `ready` is told when the parties wait for nothing but the input.
    pub fn classify_with(&mut self, batch: &[Sample], ready: &mut dyn FnMut()) -> Result<Answer> {
        let client = self.client.as_mut().context("the deployment has ended")?;
        client.classify(batch, ready).map_err(|error| self.explain(error))
    }

    /// What the roles said on standard error, as it came.
    pub fn messages(&self) -> Vec<(Role, String)> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Process numbers of the roles.
    pub fn processes(&self) -> Vec<(Role, u32)> {
        self.children.iter().map(|c| (c.role, c.child.id())).collect()
    }

    /// Ends all roles and waits for them.
    pub fn finish(mut self) -> Result<()> {
        if let Some(client) = self.client.take() {
            client.bye()?;
        }
        let end = Instant::now() + FAREWELL;
        for role in &mut self.children {
            let status = wait_until(&mut role.child, end)?;
            match status {
                Some(status) if status.success() => {}
                Some(status) => return Err(coded(LOST, format!("{} ended with {status}", role.role))),
                None => return Err(coded(LOST, format!("{} did not end within {FAREWELL:?}", role.role))),
            }
        }
        Ok(())
    }

    /// Says which child ended on its own, if one did: that is the reason, the client's error only a consequence.
    fn explain(&mut self, error: anyhow::Error) -> anyhow::Error {
        let end = Instant::now() + Duration::from_millis(500);
        let mut ended = Vec::new();
        while ended.is_empty() && Instant::now() < end {
            for role in &mut self.children {
                if let Ok(Some(status)) = role.child.try_wait() {
                    ended.push((role.role, status));
                }
            }
            thread::sleep(GLANCE);
        }
        // one that was killed from outside, then one that ended for a reason of its own, then those that noticed a loss
        ended.sort_by_key(|(_, status)| match status.code() {
            None => 0,
            Some(LOST) => 2,
            Some(_) => 1,
        });
        match ended.first() {
            Some((role, status)) => {
                let message = format!("{role} ended early ({}): {}", describe(*status), exit::describe(&error));
                coded(status.code().unwrap_or(LOST), message)
            }
            None => error,
        }
    }
}

/// The file of this program, to start the other roles from.
pub fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("finding this program's own file")
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for role in &mut self.children {
            if !matches!(role.child.try_wait(), Ok(Some(_))) {
                // both fail only where the child is gone already
                let _ = role.child.kill();
                let _ = role.child.wait();
            }
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}, see its own message"),
        None => format!("{status}"),
    }
}

fn spawn(program: &Path, role: Role, bundle: &Path, deadline: Duration) -> Result<(Child, ChildStdout, ChildStderr)> {
    let mut command = Command::new(program);
    match role {
        Role::Party0 => command.args(["party", "--index", "0"]),
        Role::Party1 => command.args(["party", "--index", "1"]),
        _ => command.arg("dealer"),
    };
    command.arg("--bundle").arg(role.folder(bundle));
    command.args(["--insecure-local", "--deadline", &deadline.as_secs().max(1).to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {role}"))?;
    let pipes = (child.stdout.take(), child.stderr.take());
    match pipes {
        (Some(output), Some(errors)) => Ok((child, output, errors)),
        _ => anyhow::bail!("{role} was started without pipes"),
    }
}

/// Passes a child's messages on, each line under its name.
fn relay(role: Role, errors: ChildStderr, messages: Arc<Mutex<Vec<(Role, String)>>>) -> Result<()> {
    let run = move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            crate::log(&format!("[{role}] {line}"));
            let mut all = messages.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() < MOST_MESSAGES {
                all.push((role, line));
            }
        }
    };
    thread::Builder::new().name(format!("messages of {role}")).spawn(run).context("starting a thread")?;
    Ok(())
}

fn await_ready(role: Role, output: ChildStdout, deadline: Duration) -> Result<Ready> {
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        // nobody listens only after the deadline
        let _ = sender.send(read.map(|_| line));
    };
    thread::Builder::new().name(format!("first line of {role}")).spawn(read).context("starting a thread")?;
    let line = receiver.recv_timeout(deadline).map_err(|_| coded(LOST, format!("{role} did not get ready in time")))?;
    let ready: Ready =
        serde_json::from_str(&line?).map_err(|_| coded(LOST, format!("{role} ended before it was ready")))?;
    anyhow::ensure!(ready.ready == role, "{role} says that it is {}", ready.ready);
    Ok(ready)
}

fn wait_until(child: &mut Child, end: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(GLANCE);
    }
}
