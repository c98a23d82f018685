//! What a service logs: lines on standard error, for people or as JSON. Never a text, a weight, a share, a key or a logit.

use std::io::stderr;
use std::panic;

use anyhow::{Result, anyhow};
use bundle::Role;
use config::{LogConfig, LogFormat, LogLevel};
use tracing::{Level, error};

/// Logs as a configuration says, from now on. A panic is a line too: where it was, and nothing of what it was about, which may be
/// somebody's secret.
pub(super) fn begin(log: &LogConfig, role: Role) -> Result<()> {
    let level = match log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(stderr).with_ansi(false).with_target(false);
    let begun = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    begun.map_err(|error| anyhow!("logging cannot begin: {error}"))?;
    panic::set_hook(Box::new(move |fault| {
        let at = fault.location().map(ToString::to_string);
        error!(%role, at, "a fault of this program: what this thread did ends, the service goes on; please report it");
    }));
    Ok(())
}
