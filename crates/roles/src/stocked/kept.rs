//! What a party keeps in stock: packs for the classes of lengths that its model pads texts to.

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};
use model::{Lengths, SHORTEST_PADDED, Texts};
use mpc::{Party, Planned, Stocking};
use sha2::{Digest, Sha256};
use stock::{Class, Stock, StockError, StockKey};
use tracing::{info, warn};

use super::shared::SharedStock;
use crate::party_model::PartyModel;

/// How often it is looked whether a stock is free.
const LOOK: Duration = Duration::from_millis(20);

/// How long a stock may be looked at by another process before it counts as used by it.
const LOOKED_AT: Duration = Duration::from_secs(2);

/// A class of lengths for which packs are made.
#[derive(Debug)]
pub struct KeptClass {
    /// Tokens that texts are padded to.
    pub tokens: usize,
    /// How the ledger calls it.
    pub class: Class,
    pub(crate) texts: Texts,
    pub(crate) plan: Box<dyn Planned>,
}

/// A party's stock, for the model that it serves.
pub struct PartyStock {
    shared: SharedStock,
    classes: Vec<KeptClass>,
    bundle: [u8; 16],
    format: u32,
    /// Packs of other bundles or releases that were thrown away when it was opened.
    retired: u64,
}

/// Where a party's stock is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockPlace {
    /// Its folder.
    pub folder: PathBuf,
    /// The file of its key, which is made where it is missing.
    pub key: PathBuf,
    /// Most bytes of packs.
    pub quota: u64,
}

impl PartyStock {
    /// Opens the stock of the party that serves `model`.
    pub fn open(place: &StockPlace, model: &PartyModel) -> Result<PartyStock> {
        let owner = match model.party {
            Party::Zero => stock::Party::P0,
            Party::One => stock::Party::P1,
        };
        let stock = opened(place, owner)?;
        if stock.was_restored() {
            let folder = place.folder.display();
            warn!(role = %model.role(), "{folder} is an older copy of itself: all its packs were thrown away; keep it out of backups");
        }
        PartyStock::new(stock, model)
    }

    /// The stock of the party that serves `model`. Packs that this model cannot use are thrown away.
    fn new(stock: Stock, model: &PartyModel) -> Result<PartyStock> {
        let format = stocking(model)?.format();
        let bundle = *model.id.as_bytes();
        let mut classes: Vec<KeptClass> = Vec::new();
        let mut tokens = SHORTEST_PADDED.min(model.spec.shape.positions);
        loop {
            let unpadded =
                "this bundle does not pad texts, so that packs would fit no request; convert the model again";
            let fewest = model.spec.padded.map(|padded| padded.fewest).ok_or_else(|| coded(BAD_INPUT, unpadded))?;
            let texts = model.spec.texts(&[tokens.max(fewest)], Lengths::Padded)?;
            let plan = model.engine.plan(&model.calibrated, &texts).context("planning a class of packs")?;
            let rows = texts.rows();
            let class = Class { bundle, plan: kept_plan(format, &plan.digest()), rows: rows as u32 };
            classes.push(KeptClass { tokens: rows, class, texts, plan });
            if rows >= model.spec.shape.positions {
                break;
            }
            tokens = rows + 1;
        }
        let retired = stock.retire(|class| classes.iter().any(|kept| kept.class == *class))?;
        if retired > 0 {
            info!(role = %model.role(), retired, "packs of another bundle or release were thrown away");
        }
        Ok(PartyStock { shared: SharedStock::new(stock), classes, bundle, format, retired })
    }

    /// The stock itself.
    pub fn stock(&self) -> &Stock {
        self.shared.stock()
    }

    /// The classes that packs can be made for, shortest first.
    pub fn classes(&self) -> &[KeptClass] {
        &self.classes
    }

    /// The class of texts that are padded to so many tokens.
    pub fn of_tokens(&self, tokens: usize) -> Result<&KeptClass> {
        self.classes.iter().find(|kept| kept.tokens == tokens).ok_or_else(|| {
            let known: Vec<String> = self.classes.iter().map(|kept| kept.tokens.to_string()).collect();
            coded(
                USAGE,
                format!("texts are not padded to {tokens} tokens; this model's classes are {}", known.join(", ")),
            )
        })
    }

    /// How the ledger calls what a plan consumes; it may have none of it, nor ever have.
    pub(crate) fn class_of(&self, texts: &Texts, plan: &dyn Planned) -> Class {
        let plan = kept_plan(self.format, &plan.digest());
        Class { bundle: self.bundle, plan, rows: texts.rows() as u32 }
    }

    /// Packs of other bundles or releases that were thrown away when it was opened.
    pub fn retired(&self) -> u64 {
        self.retired
    }

    /// The stock with what comparing it came to last, by which packs are taken.
    pub(crate) fn shared(&self) -> &SharedStock {
        &self.shared
    }
}

/// How an engine prepares correlations for later, or why there is no stock of them.
pub(crate) fn stocking(model: &PartyModel) -> Result<&dyn Stocking<model::Bert>> {
    let none = || coded(USAGE, format!("the engine {} keeps no stock; use masked", model.engine.name()));
    model.weights.stocking().ok_or_else(none)
}

/// Opens a stock at which somebody may just be looking.
fn opened(place: &StockPlace, owner: stock::Party) -> Result<Stock, StockError> {
    let begin = Instant::now();
    loop {
        let key = StockKey::read_or_create(&place.key)?;
        match Stock::open(&place.folder, key, owner, place.quota) {
            Err(StockError::Locked { .. }) if begin.elapsed() < LOOKED_AT => thread::sleep(LOOK),
            other => return other,
        }
    }
}

/// A plan, and how what it consumes is written down.
fn kept_plan(format: u32, plan: &[u8; 32]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(b"private-bert pack");
    digest.update(format.to_le_bytes());
    digest.update(plan);
    digest.finalize().into()
}

impl fmt::Debug for PartyStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartyStock({:?}, redacted)", self.shared.stock())
    }
}
