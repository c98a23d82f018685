//! What a service logs: lines on standard error, for people or as JSON. Never a text, a weight, a share, a key or a logit.

use std::io::stderr;

use anyhow::{Result, anyhow};
use config::{LogConfig, LogFormat, LogLevel};
use tracing::Level;

/// Logs as a configuration says, from now on.
pub(super) fn begin(log: &LogConfig) -> Result<()> {
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
    begun.map_err(|error| anyhow!("logging cannot begin: {error}"))
}
