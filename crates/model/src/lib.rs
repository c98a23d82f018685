//! BERT written once, as a function of an engine.
mod config;
pub use config::{AttentionKind, AttentionShift, Config, ConfigError, DEFAULT_ATTENTION_SHIFT};
