//! Signals of a service: what to do is read again, or the service ends.

use std::thread;

use anyhow::{Context, Result};
use bundle::Role;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{error, info, warn};

/// Runs `serve` of a role in a thread of its own. On SIGHUP it calls `reload`, whose errors change nothing; on SIGTERM or Ctrl-C `end`, which
/// waits for what is running and gives how much was cut off. Systemd, where it started this process, is told of each.
pub(super) fn run(
    role: Role,
    serve: impl FnOnce() -> Result<()> + Send + 'static,
    reload: impl Fn() -> Result<()>,
    end: impl FnOnce() -> usize,
) -> Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("watching for signals")?;
    let handle = signals.handle();
    let serving = thread::Builder::new().name("service".into()).spawn(move || {
        let served = serve();
        // without it there is nothing to wait for
        handle.close();
        served
    })?;
    notify(&[NotifyState::Ready]);
    for signal in signals.forever() {
        if signal == SIGHUP {
            notify(&[NotifyState::Reloading]);
            match reload() {
                Ok(()) => info!(%role, "the configuration was read again"),
                Err(fault) => error!(%role, "nothing was changed: {}", cli::describe(&fault)),
            }
            notify(&[NotifyState::Ready]);
            continue;
        }
        notify(&[NotifyState::Stopping]);
        info!(%role, "ending: no new session; waiting for those that run");
        let cut = end();
        if cut > 0 {
            warn!(%role, sessions = cut, "cut off: they ran longer than limits.drain allows");
        }
        break;
    }
    serving.join().map_err(|_| anyhow::anyhow!("the service ended by a fault of its own"))?
}

fn notify(states: &[NotifyState<'_>]) {
    // where nobody asked to be told this does nothing
    if let Err(error) = sd_notify::notify(false, states) {
        warn!(%error, "systemd was not told");
    }
}
