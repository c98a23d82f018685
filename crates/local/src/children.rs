//! The other roles as child processes: started, monitored, ended. None outlives this process.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::{LOST, MEMORY};
use roles::liveness::Liveness;
use roles::message::Role;
use roles::schedule::Schedule;
use roles::settings::Settings;

use crate::ending;
use crate::exited::{aborted, code_of, describe};
use crate::first_line::FirstLine;
use crate::flags::spelt;
use crate::settings::LocalSettings;

/// Messages of roles that are kept.
const MOST_MESSAGES: usize = 1000;
/// The allocator's setting for how many milliseconds a role keeps memory that it does not use; one that is set in our own
/// environment holds.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";
/// Time between two polls of children that may have ended.
const POLL: Duration = Duration::from_millis(2);
/// How long a child gets to end where something else says that it must have.
const SETTLE: Duration = Duration::from_secs(2);

/// Every child of this process, for its end by a signal.
static RUNNING: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

type Shared = Arc<Mutex<Vec<Started>>>;
type Messages = Arc<Mutex<Vec<(Role, String)>>>;

/// How a role's last words begin: they are printed with the reason of the whole run, not as they come.
const LAST_WORDS: &str = "error: ";

/// What a program says before an allocation that failed aborts it.
const STARVED: &str = "memory allocation of ";

/// Children of one deployment. They are killed when this goes, if they did not end before.
pub(crate) struct Children {
    program: PathBuf,
    bundle: PathBuf,
    settings: LocalSettings,
    started: Shared,
    messages: Messages,
}

struct Started {
    role: Role,
    child: Child,
    ended: Option<ExitStatus>,
    relay: Option<JoinHandle<()>>,
}

impl Children {
    pub(crate) fn new(program: &Path, bundle: &Path, settings: &LocalSettings) -> Children {
        let (program, bundle, settings) = (program.to_path_buf(), bundle.to_path_buf(), settings.clone());
        let children = Children { program, bundle, settings, started: Arc::default(), messages: Arc::default() };
        lock(&RUNNING).push(children.started.clone());
        children
    }

    /// Starts a role on its part of the bundle; its first line is read from what this returns.
    pub(crate) fn start(&self, role: Role) -> Result<FirstLine> {
        let mut command = Command::new(&self.program);
        let index = match role {
            Role::Party0 => Some(0),
            Role::Party1 => Some(1),
            _ => None,
        };
        let LocalSettings { roles, threads, link, cores, ref stock, .. } = self.settings;
        let Settings { deadline, memory, schedule, engine, .. } = roles;
        match index {
            Some(index) => command.args(["party", "--index", &index.to_string(), "--link", &link.to_string()]),
            None => command.arg("dealer"),
        };
        if let (Some(folder), Some(_)) = (stock, index) {
            command.arg("--stock").arg(folder);
        }
        if let Some((cores, index)) = cores.zip(index) {
            command.args(["--core", &cores[index].to_string()]);
        }
        command.arg("--bundle").arg(role.folder(&self.bundle));
        command.args(["--insecure-local", "--deadline", &deadline.as_secs().max(1).to_string()]);
        command.args(["--schedule", &schedule.to_string(), "--threads", &threads.to_string()]);
        command.args(spelt(engine));
        if let Some(limit) = memory.limit {
            command.args(["--memory", &limit.to_string()]);
        }
        // what a request frees the next one takes again: only an idle role gives memory back to the system
        if std::env::var_os(PURGE_DELAY).is_none() {
            let milliseconds = match schedule {
                Schedule::Ahead => 10_000,
                // here memory counts for more, and what is freed is taken again much sooner
                Schedule::Stream => 1000,
            };
            command.env(PURGE_DELAY, milliseconds.to_string());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C on a terminal is for this process; the roles end with it
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().with_context(|| format!("starting {role}"))?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let mut started = Started { role, child, ended: None, relay: None };
        started.relay = errors.map(|errors| relay(role, errors, self.messages.clone())).transpose()?;
        lock(&self.started).push(started);
        let output = output.with_context(|| format!("{role} was started without standard output"))?;
        FirstLine::of(role, output)
    }

    /// Gives every role its start line.
    pub(crate) fn tell(&self, line: &str) -> Result<()> {
        for started in lock(&self.started).iter_mut() {
            let input = started.child.stdin.as_mut().context("a child without standard input")?;
            let sent = input.write_all(line.as_bytes()).and_then(|()| input.flush());
            sent.map_err(|e| coded(LOST, format!("telling {} to start: {e}", started.role)))?;
        }
        Ok(())
    }

    /// Roles are alive while none has ended.
    pub(crate) fn liveness(&self) -> Liveness {
        let started = self.started.clone();
        Liveness::monitored(move || !poll(&mut lock(&started)))
    }

    /// What the roles said on standard error, as it came.
    pub(crate) fn messages(&self) -> Vec<(Role, String)> {
        lock(&self.messages).clone()
    }

    /// Process numbers of the roles.
    pub(crate) fn processes(&self) -> Vec<(Role, u32)> {
        lock(&self.started).iter().map(|s| (s.role, s.child.id())).collect()
    }

    /// Says which child ended on its own, if one did: that is the reason, the client's error only a consequence. Others that
    /// ended for reasons of their own are named as well; who only noticed a loss is not.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        // one that was killed from outside, then one that ended for a reason of its own, then those that noticed a loss
        let order = |status: ExitStatus| match status.code() {
            None => 0,
            Some(0) => 3,
            Some(LOST) => 2,
            Some(_) => 1,
        };
        let reason = |started: &[Started]| started.iter().any(|s| s.ended.is_some_and(|status| order(status) < 2));
        let end = Instant::now() + SETTLE;
        let mut started = lock(&self.started);
        // others may notice a loss before the system has done with the one that was lost
        while !(poll(&mut started) && reason(&started)) && Instant::now() < end {
            drop(started);
            thread::sleep(POLL);
            started = lock(&self.started);
        }
        let first = (0..started.len()).filter_map(|at| started[at].ended.map(|status| (at, status)));
        let Some((first, status)) = first.min_by_key(|(_, status)| order(*status)) else { return error };
        for (at, one) in started.iter_mut().enumerate() {
            let Some(own) = one.ended.filter(|status| at == first || order(*status) < 2) else { continue };
            // all that it said is read, so that its own reason can be given
            if let Some(relay) = one.relay.take() {
                let _ = relay.join();
            }
            let role = one.role;
            // where a signal is ending this process it killed them, and there is nothing to explain
            let printed = at != first && !ending::begun();
            if let (true, Some(words)) = (printed, self.last_words(role)) {
                cli::log(&format!("[{role}] {LAST_WORDS}{words} ({})", describe(own)));
            }
        }
        let role = started[first].role;
        let starved =
            aborted(status) && lock(&self.messages).iter().any(|(by, line)| *by == role && line.contains(STARVED));
        let code = if starved { MEMORY } else { code_of(status) };
        let why = self.last_words(role).unwrap_or_else(|| match starved {
            true => "the system refused it memory; give it more, or shorter texts".into(),
            false => cli::describe(&error),
        });
        coded(code, format!("{role} ended early ({}): {why}", describe(status)))
    }

    /// The reason that a role gave for its end.
    fn last_words(&self, role: Role) -> Option<String> {
        let messages = lock(&self.messages);
        let own = messages.iter().rev().filter(|(by, _)| *by == role);
        own.filter_map(|(_, line)| line.strip_prefix(LAST_WORDS)).map(String::from).next()
    }

    /// Waits until all have ended by themselves, as they were asked to.
    pub(crate) fn shutdown(&self, within: Duration) -> Result<()> {
        let begin = Instant::now();
        loop {
            let mut started = lock(&self.started);
            poll(&mut started);
            if let Some(role) = started.iter().find(|s| s.ended.is_some_and(|e| !e.success())).map(|s| s.role) {
                drop(started);
                return Err(self.explain(coded(LOST, format!("{role} did not take its leave"))));
            }
            let Some(late) = started.iter().find(|s| s.ended.is_none()).map(|s| s.role) else { return Ok(()) };
            if begin.elapsed() >= within {
                return Err(coded(LOST, format!("{late} did not end within {within:?} of its goodbye")));
            }
            drop(started);
            thread::sleep(POLL);
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        kill(&mut lock(&self.started));
        lock(&RUNNING).retain(|other| !Arc::ptr_eq(other, &self.started));
    }
}

/// Kills every child of this process, before it ends by a signal.
pub(crate) fn kill_all() {
    for children in lock(&RUNNING).iter() {
        kill(&mut lock(children));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether any child has ended.
fn poll(started: &mut [Started]) -> bool {
    for one in started.iter_mut().filter(|s| s.ended.is_none()) {
        one.ended = one.child.try_wait().ok().flatten();
    }
    started.iter().any(|s| s.ended.is_some())
}

fn kill(started: &mut [Started]) {
    poll(started);
    for one in started.iter_mut().filter(|s| s.ended.is_none()) {
        // both fail only where the child is gone already
        let _ = one.child.kill();
        let _ = one.child.wait();
    }
}

/// Passes a child's messages on, each line under its name.
fn relay(role: Role, errors: ChildStderr, messages: Messages) -> Result<JoinHandle<()>> {
    let run = move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            if !ending::begun() && !line.starts_with(LAST_WORDS) {
                cli::log(&format!("[{role}] {line}"));
            }
            let mut all = lock(&messages);
            if all.len() < MOST_MESSAGES {
                all.push((role, line));
            }
        }
    };
    thread::Builder::new().name(format!("messages of {role}")).spawn(run).context("starting a thread")
}
