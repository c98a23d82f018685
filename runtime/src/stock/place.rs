//! Where a stock is: that of a party, which its configuration names, or that of one machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bundle::Role;
use clap::Args;
use cli::exit::{BAD_INPUT, STOCK, USAGE};
use cli::{coded, log};
use config::Config;
use stock::{Party, Stock, StockError, StockKey};

use crate::services::flags::ConfigFlags;

/// Which stock.
#[derive(Args)]
pub struct Where {
    /// The stock of the party whose configuration this is; but for `status`, its service must not run.
    #[arg(long, value_name = "FILE", conflicts_with = "stock")]
    pub config: Option<PathBuf>,
    /// A value over that of the configuration, such as stock.folder=/mnt/stock; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "config")]
    pub set: Vec<String>,
    /// The stock of one machine, both parties' in one folder, which protects nothing.
    #[arg(long, value_name = "DIR")]
    pub stock: Option<PathBuf>,
}

/// The stock of one party.
pub(super) struct Place {
    pub(super) party: Party,
    pub(super) folder: PathBuf,
    key: PathBuf,
    /// Nothing where there is no end to it.
    pub(super) quota: Option<u64>,
    /// By what the service of this party is run; nothing where none is.
    pub(super) config: Option<Config>,
}

impl Where {
    /// Whether both parties' stocks are meant, on one machine.
    pub(super) fn is_local(&self) -> bool {
        self.stock.is_some()
    }

    /// The stocks that are there; where there is none, that is an error, and none is made.
    pub(super) fn places(&self) -> Result<Vec<Place>> {
        let named = match (&self.stock, &self.config) {
            (Some(folder), _) => [Party::P0, Party::P1].map(|party| Place::local(folder, party)).into(),
            (None, Some(_)) => vec![self.configured()?],
            (None, None) => return Err(coded(USAGE, "which stock? say --config FILE or --stock DIR")),
        };
        let mut places = Vec::new();
        let mut missing = Vec::new();
        for place in named {
            if Stock::is_in(&place.folder)? {
                places.push(place);
            } else {
                missing.push(format!("there is no stock in {}", place.folder.display()));
            }
        }
        if places.is_empty() {
            return Err(coded(BAD_INPUT, format!("{}; check the path", missing.join(" and "))));
        }
        missing.iter().for_each(|what| log(&format!("warning: {what}, and the other party's is of no use alone")));
        Ok(places)
    }

    fn configured(&self) -> Result<Place> {
        let flags = ConfigFlags { config: self.config.clone(), set: self.set.clone(), check_config: false };
        let Some(config) = flags.read(&[Role::Party0, Role::Party1])? else {
            return Err(coded(USAGE, "which stock? say --config FILE"));
        };
        let Some(stock) = &config.stock else {
            return Err(
                config.fault("stock", "is missing: this party has no stock; write [stock] with folder and quota")
            );
        };
        let party = if config.role == Role::Party0 { Party::P0 } else { Party::P1 };
        let (folder, key) = (stock.folder.clone(), stock.key.clone());
        let quota = Some(stock.quota);
        Ok(Place { party, folder, key, quota, config: Some(config) })
    }
}

impl Place {
    fn local(folder: &Path, party: Party) -> Place {
        let name = name(party);
        let (key, folder) = (folder.join(format!("{name}.key")), folder.join(name));
        Place { party, folder, key, quota: None, config: None }
    }

    /// The role whose stock it is.
    pub(super) fn name(&self) -> &'static str {
        name(self.party)
    }

    /// Opens it. Where its key is gone none is made: a new one does not open it.
    pub(super) fn open(&self) -> Result<Stock> {
        self.try_open()?.map_err(said)
    }

    /// The same; what the ledger has against it is told apart.
    pub(super) fn try_open(&self) -> Result<Result<Stock, StockError>> {
        if !self.has_key() {
            let (key, folder) = (self.key.display(), self.folder.display());
            let cure = "put the key back, or drop the stock (runtime stock drop) and fill it anew";
            return Err(coded(BAD_INPUT, format!("there is no key at {key} for the stock in {folder}; {cure}")));
        }
        let key = StockKey::read_or_create(&self.key)?;
        let opened = Stock::open(&self.folder, key, self.party, self.quota.unwrap_or(u64::MAX));
        if opened.as_ref().is_ok_and(Stock::was_restored) {
            let folder = self.folder.display();
            log(&format!("warning: {folder} is an older copy of itself: all its packs were thrown away"));
        }
        Ok(opened)
    }

    /// Whether its key is where it should be.
    pub(super) fn has_key(&self) -> bool {
        self.key.exists()
    }
}

/// An error of a stock as its operator can use it.
pub(super) fn said(error: StockError) -> anyhow::Error {
    match error {
        StockError::Locked { .. } => coded(STOCK, format!("{error}; if it is this party's service, stop the service")),
        error => error.into(),
    }
}

fn name(party: Party) -> &'static str {
    match party {
        Party::P0 => Role::Party0.name(),
        Party::P1 => Role::Party1.name(),
    }
}
