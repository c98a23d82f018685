//! `runtime doctor`: whether this role could do its work, and if not, the first thing that is in its way.

mod stock;

use std::io::Write;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use bundle::{ClientBundle, DealerBundle, PartyBundle, Role, check_alone};
use clap::Args;
use cli::coded;
use cli::exit::{BAD_INPUT, LOST, REFUSED};
use cli::memory::human;
use config::Config;
use net::{TlsIdentity, Validity};
use roles::handshake::{Identity, fresh};
use roles::service::dial::PeerAddress;
use roles::service::examine::{Examined, examine};
use roles::service::status::Status;
use serde::Serialize;
use serde_json::json;

use super::flags::{ConfigFlags, address, settings};
use super::own::{self, REACH};
use crate::exit::code_of;

/// A certificate that ends sooner is warned of.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Clocks that differ by more are warned of, in milliseconds.
const SKEW: i64 = 5_000;
/// Descriptors of a service beside its sessions, and of each session.
const DESCRIPTORS: (u64, u64) = (64, 16);
/// Bytes of free disk below which it is warned, where correlations wait that have no room in memory.
const DISK: u64 = 1 << 30;

/// `runtime doctor`.
#[derive(Args)]
pub struct Doctor {
    /// Of which role.
    #[command(flatten)]
    pub config: ConfigFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Fail,
    Warn,
    Ok,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
struct Check {
    check: String,
    state: State,
    detail: String,
    /// The exit code that a failure asks for.
    #[serde(skip)]
    code: i32,
}

/// What is known of this role, and what was found so far.
struct Examination {
    checks: Vec<Check>,
    /// What this role's own service says, where it runs.
    own: Option<Status>,
}

impl Examination {
    fn say(&mut self, check: impl Into<String>, state: State, detail: impl Into<String>) {
        self.checks.push(Check { check: check.into(), state, detail: detail.into(), code: BAD_INPUT });
    }

    fn fail(&mut self, check: impl Into<String>, error: &anyhow::Error) {
        let (detail, code) = (cli::describe(error), code_of(error));
        self.checks.push(Check { check: check.into(), state: State::Fail, detail, code });
    }
}

/// Checks all that can be checked from here. What fails comes first; the exit code is that of the first failure.
pub fn run(options: &Doctor, out: &mut dyn Write) -> Result<()> {
    let Some(config) = options.config.read(&Role::ALL)? else {
        return Err(coded(cli::exit::USAGE, "which role? say --config FILE"));
    };
    let mut found = Examination { checks: Vec::new(), own: None };
    settings(&config)?;
    found.say("configuration", State::Ok, format!("{} of {}", config.path.display(), config.role));
    let tls = key(&config, &mut found);
    let own = bundle(&config, &mut found);
    machine(&config, &mut found);
    if let (Some(tls), Some(own)) = (tls, own) {
        peers(&config, &tls, &own, &mut found);
    }
    stock::check(&config, &mut found);
    // the order in which they were found, but what is in the way first
    found.checks.sort_by_key(|check| check.state);
    let failed = found.checks.iter().find(|check| check.state == State::Fail);
    if options.json {
        let mut report = json!({ "role": config.role, "ok": failed.is_none(), "checks": found.checks });
        if let Some(stock) = found.own.as_ref().and_then(|status| status.stock.as_ref()) {
            report["stock"] = json!(stock);
        }
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        for Check { check, state, detail, .. } in &found.checks {
            let state = match state {
                State::Fail => "FAIL",
                State::Warn => "warn",
                State::Ok => "ok  ",
            };
            writeln!(out, "{state}  {check}: {detail}")?;
        }
    }
    out.flush()?;
    match failed {
        None => Ok(()),
        Some(Check { check, code, .. }) => Err(coded(*code, format!("{check}: see above"))),
    }
}

fn key(config: &Config, found: &mut Examination) -> Option<TlsIdentity> {
    match TlsIdentity::read(&config.keys) {
        Ok(tls) => {
            let (state, detail) = holds(tls.validity());
            found.say("key", state, format!("{}, {detail}", tls.pin()));
            Some(tls)
        }
        Err(error) => {
            found.fail("key", &error.into());
            None
        }
    }
}

/// Whether a certificate holds, and how long.
fn holds(validity: Validity) -> (State, String) {
    match validity.not_after.duration_since(SystemTime::now()) {
        Ok(left) => {
            let days = left.as_secs() / (24 * 60 * 60);
            let state = if left < SOON { State::Warn } else { State::Ok };
            (state, format!("holds for {days} more days"))
        }
        Err(_) => (State::Fail, "its certificate has expired; runtime keys rotate makes a new one".into()),
    }
}

fn bundle(config: &Config, found: &mut Examination) -> Option<Identity> {
    let opened = || -> Result<Identity> {
        let (role, folder) = (config.role, &config.bundle);
        let (id, spec) = match role {
            Role::Party0 | Role::Party1 => {
                check_alone(folder, role)?;
                let part = PartyBundle::open(folder, usize::from(role == Role::Party1))?;
                (part.id, part.spec)
            }
            Role::Dealer => {
                check_alone(folder, role)?;
                let part = DealerBundle::open(folder)?;
                (part.id, part.spec)
            }
            Role::Client => {
                let part = ClientBundle::open(folder)?;
                (part.id, part.spec)
            }
        };
        Identity::pinned(role, fresh()?, id, &spec)
    };
    match opened() {
        Ok(own) => {
            let name = hex::encode(own.bundle);
            found.say("bundle", State::Ok, format!("{name}, spec {}", &hex::encode(own.spec)[..16]));
            Some(own)
        }
        Err(error) => {
            found.fail("bundle", &error);
            None
        }
    }
}

/// What the machine has.
fn machine(config: &Config, found: &mut Examination) {
    match fresh::<32>() {
        Ok(_) => found.say("entropy", State::Ok, "the operating system gives randomness"),
        Err(error) => found.say("entropy", State::Fail, format!("no randomness from the operating system: {error}")),
    }
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let need = DESCRIPTORS.0 + DESCRIPTORS.1 * config.limits.sessions as u64 + config.limits.handshakes as u64;
        let (state, there) = match limit {
            Some(limit) if limit < need => (State::Warn, limit.to_string()),
            Some(limit) => (State::Ok, limit.to_string()),
            None => (State::Ok, "any number".into()),
        };
        found.say(
            "descriptors",
            state,
            format!("{there} may be open, about {need} are needed (LimitNOFILE, ulimit -n)"),
        );
        let folder = std::env::temp_dir();
        match rustix::fs::statvfs(&folder) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                let state = if free < DISK { State::Warn } else { State::Ok };
                found.say("disk", state, format!("{} free in {}", human(free), folder.display()));
            }
            Err(error) => found.say("disk", State::Warn, format!("{}: {error}", folder.display())),
        }
    }
}

/// The parties that this role dials; of a party, its own service, which knows who is connected to it.
fn peers(config: &Config, tls: &TlsIdentity, own: &Identity, found: &mut Examination) {
    for role in [Role::Party0, Role::Party1] {
        if role == config.role {
            let Some(to) = own::address(config, tls) else { continue };
            match examine(tls, own, &to, REACH) {
                Ok(examined) => {
                    service("this service", &examined, own, found);
                    found.own = Some(examined.status);
                }
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    match code_of(&error) {
                        LOST => found.say("this service", State::Warn, format!("not running ({error}); runtime party")),
                        _ => found.fail("this service", &error),
                    }
                }
            }
        } else if let Ok(to) = address(config, role) {
            match examine(tls, own, &to, REACH) {
                Ok(examined) => peer(&to, &examined, own, found),
                Err(error) => found.fail(role.name(), &error.into()),
            }
        }
    }
}

/// A party that was reached from another role.
fn peer(to: &PeerAddress, examined: &Examined, own: &Identity, found: &mut Examination) {
    let name = to.role.name();
    found.say(name, State::Ok, format!("reached at {}, key {}", to.address, examined.pin));
    let (state, detail) = holds(examined.validity);
    found.say(format!("{name} certificate"), state, detail);
    let ahead = examined.ahead;
    let state = if ahead.abs() > SKEW { State::Warn } else { State::Ok };
    let way = if ahead < 0 { "behind" } else { "ahead of" };
    let seconds = (ahead.abs() as f64) / 1e3;
    found.say(format!("{name} clock"), state, format!("{seconds:.3} s {way} ours"));
    service(name, examined, own, found);
    let mega = |bytes: f64| bytes * 8.0 / 1e6;
    let detail = format!(
        "{:.2} ms round trip, {:.0} Mbit/s there, {:.0} Mbit/s back",
        examined.round_trip.as_secs_f64() * 1e3,
        mega(examined.bandwidth_to),
        mega(examined.bandwidth_from)
    );
    found.say(format!("{name} link"), State::Ok, detail);
}

/// What a party says of its service.
fn service(name: &str, examined: &Examined, own: &Identity, found: &mut Examination) {
    let status = &examined.status;
    let wrong = |found: &mut Examination, what: &str, detail: String| {
        found.checks.push(Check { check: format!("{name} {what}"), state: State::Fail, detail, code: REFUSED });
    };
    let bundle = "has another one; give all roles parts of one conversion";
    if status.bundle != hex::encode(own.bundle) {
        wrong(found, "bundle", bundle.into());
    } else if status.spec != hex::encode(own.spec) {
        wrong(found, "spec", bundle.into());
    } else {
        found.say(format!("{name} bundle"), State::Ok, "the same conversion as ours");
    }
    if status.missing.is_empty() {
        let busy = format!("{} sessions run, {} wait; all roles are connected", status.sessions, status.waiting);
        let state = if status.ending { State::Warn } else { State::Ok };
        found.say(format!("{name} state"), state, if status.ending { format!("{busy}; it is ending") } else { busy });
    } else {
        let names: Vec<&str> = status.missing.iter().map(|role| role.name()).collect();
        let detail = format!("not connected to it: {}; look at their doctor and logs", names.join(", "));
        let check = format!("{name} state");
        found.checks.push(Check { check, state: State::Fail, detail, code: LOST });
    }
}
