//! Folders of models as people's tools write them: what is read, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod configs;
mod distilbert;
mod folder;
mod heads;
mod modules;
mod mpnet;
mod prefixes;
mod roberta;
mod weights;
