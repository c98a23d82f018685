//! What a service is told: one TOML file a role, over it environment variables, over them flags.
//!
//! A service reads its [`Config`] once when it starts and again on SIGHUP. Whatever is wrong in one is refused before anything
//! listens: a key that is unknown or of no use to this role, a number out of range, a pin that two roles share. Each error
//! names its place: line and column of the file, the variable, or the flag. Nothing in a configuration is a secret; the keys
//! lie in a folder that it names.
//!
//! - `PRIVATE_BERT_RUN__DEADLINE=30` sets `run.deadline`: levels are parted by two underscores.
//! - `--set run.deadline=30` does the same, and goes before the variable; of two for one key the later counts.
//! - Paths are relative to the folder of the file, also those of variables and flags.

mod address;
mod clients;
mod config;
mod keys;
mod layers;
mod origin;
mod peers;
mod running;
mod section;
mod source;
mod stock;
mod tree;

pub use clients::Clients;
pub use config::Config;
pub use layers::{PREFIX, UNRELATED, variables};
pub use peers::Peer;
pub use running::{EngineChoice, LimitsConfig, LogConfig, LogFormat, LogLevel, RunConfig, ScheduleChoice};
pub use stock::{Marks, Refill, StockConfig};
