//! One role's configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bundle::Role;

use crate::address::listened;
use crate::clients::{self, Clients};
use crate::keys::within;
use crate::layers::{lay_flags, lay_variables};
use crate::origin::{Fault, Origin};
use crate::peers::{self, Peer, Pins, the};
use crate::running::{LimitsConfig, LogConfig, RunConfig};
use crate::section::Section;
use crate::source::text_of;
use crate::stock::StockConfig;
use crate::tree::{Table, Value, parse};

/// A configuration is a few lines.
const MOST_MIB: u64 = 1;

/// What one role is told. All of it was checked, but for what lies at its paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// Who this is.
    pub role: Role,
    /// The folder of this role's part of a bundle.
    pub bundle: PathBuf,
    /// The folder of its key and certificate.
    pub keys: PathBuf,
    /// Where a party listens; nothing at the others, which only dial.
    pub listen: Option<SocketAddr>,
    /// Whom it knows, two roles.
    pub peers: BTreeMap<Role, Peer>,
    /// Which clients may ask a party; nothing at the others.
    pub clients: Option<Clients>,
    /// How it is run.
    pub run: RunConfig,
    /// What others may take of a party.
    pub limits: LimitsConfig,
    /// Its stock of correlations; nothing at a party that has none, and at the others.
    pub stock: Option<StockConfig>,
    /// What it logs.
    pub log: LogConfig,
    /// Where each value that was given stands, by its key.
    origins: BTreeMap<String, Origin>,
}

impl Config {
    /// Reads a file, lays over it those variables of `env` that begin with [`PREFIX`](crate::PREFIX), and over them `sets`, each
    /// `key.path=value`. What is wrong has an exit code: `USAGE` for a flag, `BAD_INPUT` for all else.
    pub fn read(
        path: &Path,
        sets: &[String],
        env: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Config> {
        let read = || {
            let whole = Origin::File(path.to_path_buf());
            let text = text_of(path, MOST_MIB).map_err(|what| Fault::new(&whole, what))?;
            let mut table = parse(path, &text)?;
            lay_variables(&mut table, env)?;
            lay_flags(&mut table, sets)?;
            Config::of(path, table, whole)
        };
        read().map_err(|fault: Fault| fault.coded())
    }

    /// An error about the value of a key, such as `run.functions`, that names where it was given.
    pub fn fault(&self, key: &str, what: &str) -> anyhow::Error {
        let whole = Origin::File(self.path.clone());
        Fault::new(self.origins.get(key).unwrap_or(&whole), format!("`{key}` {what}")).coded()
    }

    fn of(path: &Path, table: Table, whole: Origin) -> Result<Config, Fault> {
        let mut origins = BTreeMap::new();
        note(&table, "", &mut origins);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut top = Section::new("", table, whole)?;
        let roles = Role::ALL.map(|role| (role.name(), role));
        let cure = "write role = \"party0\", \"party1\", \"dealer\" or \"client\"";
        let role = top.need("role", cure)?.choice(&roles)?;
        let is_party = matches!(role, Role::Party0 | Role::Party1);
        if !is_party {
            let who = the(role);
            top.refuse("listen", &format!("{who} only dials out"))?;
            top.refuse("clients", &format!("no client calls {who}"))?;
            top.refuse("limits", &format!("nobody calls {who}, and limits are for callers"))?;
            top.refuse("stock", &format!("{who} keeps no correlations; the parties do"))?;
        }
        let mut place = |key: &str, what: &str| {
            let example = format!("{key}/{role}");
            let cure = format!("name the folder of {what}: {key} = \"{example}\"");
            Ok::<_, Fault>(folder.join(top.need(key, &cure)?.text(&example)?))
        };
        let bundle = place("bundle", "this role's part of the bundle")?;
        let keys = place("keys", "its key, made by `runtime keys new`")?;
        let mut pins = Pins::default();
        let (mut listen, mut allowed) = (None, None);
        if is_party {
            let cure = format!("{role} is called by others: write listen = \"0.0.0.0:7100\"");
            listen = Some(listened(&top.need("listen", &cure)?)?);
        }
        let peers = peers::read(role, &mut top, &mut pins)?;
        if is_party {
            allowed = Some(clients::read(&mut top, folder, &mut pins)?);
        }
        let stock = StockConfig::read(role, &mut top, folder, &keys)?;
        Ok(Config {
            path: path.to_path_buf(),
            role,
            bundle,
            keys,
            listen,
            peers,
            clients: allowed,
            run: RunConfig::read(&mut top)?,
            limits: LimitsConfig::read(&mut top)?,
            stock,
            log: LogConfig::read(&mut top)?,
            origins,
        })
    }
}

/// Takes note of where each value stands.
fn note(table: &Table, name: &str, origins: &mut BTreeMap<String, Origin>) {
    for (key, entry) in table {
        let name = within(name, key);
        match &entry.node.value {
            Value::Table(table) => note(table, &name, origins),
            _ => drop(origins.insert(name, entry.node.origin.clone())),
        }
    }
}
