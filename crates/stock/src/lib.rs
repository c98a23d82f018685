//! The durable store of packs: correlations that a dealer made ahead, each spent once, whatever crashes.
//!
//! A *pack* is what one attempt at one text consumes. The dealer gives each party its half; a [`Stock`] keeps the halves of
//! one party, sealed, until they are taken. Using one twice would show what it masks, so all here serves one rule: *a pack
//! is written down as burnt, durably, before a byte of it is given out, and never comes back*.
//!
//! ```text
//! P0  reserve ─ writer … finish ─┐                                  ┌─ burn ─▶ Pack
//!                                ├─▶ available ─ reconcile (orphans)┤
//! P1  accept ── writer … finish ─┘                                  └─ discarded
//! ```
//!
//! | on the disk | |
//! |---|---|
//! | `ledger.redb` | which packs are available, which are gone and why; authenticated (`ledger.rs`, `tables.rs`) |
//! | `packs/` | one sealed file a pack (`sealed.rs`), which cannot be told from random bytes |
//! | `lock` | locked by the one process that works here |
//! | beside the key | how far the ledger has come, so that an older copy of this folder is found out (`anchor.rs`) |
//!
//! Who may take a pack follows from two ledgers: [`State`] is what the parties tell each other of theirs when they connect,
//! [`taking`] how they take one together. Neither knows how messages travel. Keep the folder out of backups and snapshots:
//! a restored side is found out ([`State`]), and so are two, but not where their machines were restored whole to one moment.

mod anchor;
mod backend;
mod class;
mod error;
mod folder;
mod hook;
mod key;
mod ledger;
mod pack;
mod rows;
mod sealed;
mod shared;
mod state;
mod stock;
mod tables;
pub mod taking;
mod upkeep;
mod writer;

pub use class::{Binding, Class, Party};
pub use error::{Discard, Fate, Room, StockError};
#[cfg(feature = "testing")]
pub use hook::{Point, Watch};
pub use key::StockKey;
pub use pack::Pack;
pub use state::{
    Boot, Boots, ClassState, Greeting, Lineage, MOST_BOOTS, MOST_CLASSES, MOST_RANGES, Restored, State, Verdict,
};
pub use stock::{Counter, MOST_ORDERED, Reconciled, Stock};
pub use upkeep::{ClassGauge, Gauges, Verified};
pub use writer::PackWriter;
