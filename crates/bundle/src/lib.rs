//! The folder between `convert` and `runtime`: one part a role, each with what that role may know and nothing else.
//!
//! | part | files |
//! |---|---|
//! | `party0`, `party1` | `weights.safetensors`: the same masked words `F = W - G(k0) - G(k1)` in both; `seed`: that party's; `manifest.json` |
//! | `dealer` | `seeds`: k0 then k1; `manifest.json`, which holds nothing computed from F: a digest of F would let the dealer test guesses of W |
//! | `client` | `tokenizer.json`, `config.json`, `manifest.json`, and `table.safetensors` where the client embeds |
//!
//! Parts of one bundle carry the same random [`BundleId`] and the same [`spec_digest`]. [`write()`] puts a whole bundle in
//! place or nothing; [`PartyBundle`], [`DealerBundle`] and [`ClientBundle`] read a part and check every byte of it before
//! its first use.

mod alone;
mod error;
mod folder;
mod layout;
mod manifest;
mod open;
mod parts;
mod table;
mod tensors;
mod write;

pub use alone::check_alone;
pub use error::BundleError;
pub use folder::{LeftOver, left_over, remove};
pub use layout::{Embedding, MOST_WORDS, Role, expected_tensors};
pub use manifest::{BundleId, FORMAT, FORMAT_VERSION, spec_digest};
pub use open::{ClientBundle, DealerBundle, PartyBundle};
pub use parts::check_parts;
pub use table::EmbeddingTable;
pub use write::{Contents, WriteOptions, check_folder, write};
