//! What a service or its client is told: one TOML file, and flags over it.

use std::path::PathBuf;

use anyhow::Result;
use bundle::Role;
use clap::Args;
use cli::coded;
use cli::exit::USAGE;
use config::{Clients as ConfigClients, Config, EngineChoice, ScheduleChoice};
use local::flags::{EngineFlags, EngineName};
use model::Functions;
use mpc::beaver::{Sines, Truncation};
use roles::engine::{EngineKind, sines_name, truncation_name};
use roles::schedule::Schedule;
use roles::service::admission::Bounds;
use roles::service::dial::PeerAddress;
use roles::service::party::ServiceLimits;
use roles::service::roster::{Clients, Roster};
use roles::settings::Settings;

/// Where a role's configuration is.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigFlags {
    /// This role's configuration, for roles on machines of their own (docs/operating.md). Environment variables such as
    /// PRIVATE_BERT_RUN__DEADLINE=30 are read over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A value over that of the configuration, such as run.deadline=30; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "config")]
    pub set: Vec<String>,
    /// Read the configuration, the key and this role's part of the bundle, say what they are, and end.
    #[arg(long, requires = "config")]
    pub check_config: bool,
}

/// Flags that a configuration has values for: beside one they are refused.
pub const CONFIGURED: [&str; 17] = [
    "index",
    "port",
    "core",
    "bundle",
    "model",
    "calibrate",
    "embedding",
    "insecure_local",
    "deadline",
    "limit",
    "schedule",
    "threads",
    "engine",
    "functions",
    "truncation",
    "sines",
    "stock",
];

impl ConfigFlags {
    /// Reads the configuration, if there is to be one, for a command that is one of these roles.
    pub fn read(&self, roles: &[Role]) -> Result<Option<Config>> {
        let Some(path) = &self.config else { return Ok(None) };
        let config = Config::read(path, &self.set, config::variables()?)?;
        if !roles.contains(&config.role) {
            let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
            let (path, names) = (path.display(), names.join(" or "));
            let message = format!("{path} is the configuration of {}; this command is {names}", config.role);
            return Err(coded(USAGE, message));
        }
        Ok(Some(config))
    }
}

/// How a configuration says that a role is run.
pub fn settings(config: &Config) -> Result<Settings> {
    let run = &config.run;
    let schedule = match run.schedule {
        ScheduleChoice::Ahead => Schedule::Ahead,
        ScheduleChoice::Stream => Schedule::Stream,
    };
    Ok(Settings { memory: run.memory, schedule, engine: engine(config)?, ..Settings::within(run.deadline) })
}

fn engine(config: &Config) -> Result<EngineKind> {
    let run = &config.run;
    let engine = match run.engine {
        EngineChoice::Masked => EngineName::Masked,
        EngineChoice::Beaver => EngineName::Beaver,
    };
    let functions = Functions::ALL.map(|functions| (functions.name(), functions));
    let truncations = [Truncation::Local, Truncation::Dealt].map(|how| (truncation_name(how), how));
    let sines = [Sines::Published, Sines::Refitted].map(|which| (sines_name(which), which));
    let flags = EngineFlags {
        engine,
        functions: named(config, "run.functions", run.functions.as_deref(), &functions)?,
        truncation: named(config, "run.truncation", run.truncation.as_deref(), &truncations)?,
        sines: named(config, "run.sines", run.sines.as_deref(), &sines)?,
    };
    flags
        .chosen()
        .map_err(|error| config.fault("run.engine", &format!("does not go with what stands beside it: {error}")))
}

fn named<T: Copy>(config: &Config, key: &str, given: Option<&str>, known: &[(&str, T)]) -> Result<Option<T>> {
    let Some(given) = given else { return Ok(None) };
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == given) {
        return Ok(Some(*value));
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    Err(config.fault(key, &format!("is \"{given}\"; there are {}", names.join(", "))))
}

/// Bounds of a party's service.
pub fn limits(config: &Config) -> ServiceLimits {
    let limits = &config.limits;
    ServiceLimits {
        bounds: Bounds { sessions: limits.sessions, waiting: limits.waiting, per_client: limits.sessions_per_client },
        handshakes: limits.handshakes,
        handshakes_per_address: limits.handshakes_per_address,
        idle: limits.idle,
        join: limits.join,
    }
}

/// Whom a role knows.
pub fn roster(config: &Config) -> Roster {
    let peers = config.peers.iter().map(|(role, peer)| (*role, peer.pins.clone())).collect();
    let clients = match &config.clients {
        Some(ConfigClients { any: true, .. }) => Clients::Any,
        Some(ConfigClients { pins, .. }) => Clients::Listed(pins.clone()),
        None => Clients::Listed(Default::default()),
    };
    Roster { peers, clients }
}

/// Where a role dials another, and how it knows it.
pub fn address(config: &Config, role: Role) -> Result<PeerAddress> {
    let peer = config.peers.get(&role);
    let address = peer.and_then(|peer| peer.address.clone());
    let (Some(peer), Some(address)) = (peer, address) else {
        return Err(config.fault(&format!("peers.{role}"), "has no address to dial"));
    };
    Ok(PeerAddress { role, address, pins: peer.pins.clone() })
}

/// Both parties, for the roles that dial both.
pub fn parties(config: &Config) -> Result<[PeerAddress; 2]> {
    Ok([address(config, Role::Party0)?, address(config, Role::Party1)?])
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, ValueEnum};

    use super::*;

    #[test]
    fn every_flag_that_is_refused_beside_a_configuration_is_a_flag_of_some_command() {
        let command = crate::options::Options::command();
        let known = |id: &str| command.get_subcommands().any(|sub| sub.get_arguments().any(|arg| arg.get_id() == id));
        assert!(CONFIGURED.iter().all(|id| known(id)), "{CONFIGURED:?}");
        assert!(EngineName::value_variants().len() == 2, "a configuration names every engine");
    }
}
