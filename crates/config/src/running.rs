//! How a service runs: waits, memory and engine, what strangers may take of it, and what it logs.

use std::ops::RangeInclusive;
use std::time::Duration;

use cli::memory::{Memory, size};

use crate::origin::{Fault, shown};
use crate::section::Section;

/// A second to a day.
const SECONDS: RangeInclusive<u64> = 1..=86_400;

/// When correlations are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleChoice {
    /// Before the input is asked for.
    Ahead,
    /// While the parties work.
    Stream,
}

/// What evaluates the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// Masked wires.
    Masked,
    /// SecFormer as published.
    Beaver,
}

/// How a role is run (`[run]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunConfig {
    /// Longest wait for another role.
    pub deadline: Duration,
    /// When correlations are made.
    pub schedule: ScheduleChoice,
    /// Threads; 0 is one for each core that the process may use.
    pub threads: u32,
    /// How much memory may be taken.
    pub memory: Memory,
    /// What evaluates the network.
    pub engine: EngineChoice,
    /// Which functions it evaluates. Neither this nor the next two are checked here.
    pub functions: Option<String>,
    /// How products return to their scale.
    pub truncation: Option<String>,
    /// Which sines stand for erf.
    pub sines: Option<String>,
}

/// What others may take of a party (`[limits]`). Other roles have the defaults and no use for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Sessions at once.
    pub sessions: usize,
    /// Sessions that wait for a place; the next is told to come again.
    pub waiting: usize,
    /// Sessions of one client at once.
    pub sessions_per_client: usize,
    /// Connections that have not proved yet who they are.
    pub handshakes: usize,
    /// The same from one address.
    pub handshakes_per_address: usize,
    /// How long a session lasts without a request.
    pub idle: Duration,
    /// How long all roles of a session have to come.
    pub join: Duration,
    /// How long running sessions have to end after SIGTERM.
    pub drain: Duration,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged: this and what is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What went wrong here.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens.
    Info,
    /// What helps to find a fault.
    Debug,
}

/// What a service logs (`[log]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// What a line looks like.
    pub format: LogFormat,
    /// What is logged.
    pub level: LogLevel,
}

impl RunConfig {
    pub(crate) fn read(top: &mut Section) -> Result<RunConfig, Fault> {
        let mut run = top.optional("run")?;
        let memory = match run.take("memory") {
            None => None,
            Some(item) => {
                let text = item.text("6G")?;
                Some(size(&text).map_err(|what| item.fault(format_args!("is \"{}\"; {what}", shown(&text))))?)
            }
        };
        let schedules = [("ahead", ScheduleChoice::Ahead), ("stream", ScheduleChoice::Stream)];
        let engines = [("masked", EngineChoice::Masked), ("beaver", EngineChoice::Beaver)];
        let mut text = |key, example| run.take(key).map(|item| item.text(example)).transpose();
        let (functions, truncation) = (text("functions", "series")?, text("truncation", "dealt")?);
        let sines = text("sines", "published")?;
        Ok(RunConfig {
            deadline: seconds(&mut run, "deadline", 120)?,
            schedule: run.choice("schedule", &schedules)?,
            threads: run.whole("threads", 0, 0..=1024)? as u32,
            memory: Memory { limit: memory },
            engine: run.choice("engine", &engines)?,
            functions,
            truncation,
            sines,
        })
    }
}

impl LimitsConfig {
    pub(crate) fn read(top: &mut Section) -> Result<LimitsConfig, Fault> {
        let mut limits = top.optional("limits")?;
        let mut count = |key, default, range| Ok(limits.whole(key, default, range)? as usize);
        Ok(LimitsConfig {
            sessions: count("sessions", 4, 1..=64)?,
            waiting: count("waiting", 8, 0..=1024)?,
            sessions_per_client: count("sessions_per_client", 2, 1..=64)?,
            handshakes: count("handshakes", 128, 1..=4096)?,
            handshakes_per_address: count("handshakes_per_address", 32, 1..=4096)?,
            idle: seconds(&mut limits, "idle", 300)?,
            join: seconds(&mut limits, "join", 30)?,
            drain: seconds(&mut limits, "drain", 60)?,
        })
    }
}

impl LogConfig {
    pub(crate) fn read(top: &mut Section) -> Result<LogConfig, Fault> {
        let mut log = top.optional("log")?;
        let levels = [
            ("info", LogLevel::Info),
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("debug", LogLevel::Debug),
        ];
        Ok(LogConfig {
            format: log.choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
            level: log.choice("level", &levels)?,
        })
    }
}

fn seconds(section: &mut Section, key: &str, default: u64) -> Result<Duration, Fault> {
    Ok(Duration::from_secs(section.whole(key, default, SECONDS)?))
}
