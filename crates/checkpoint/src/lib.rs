//! A Hugging Face model's folder: its configuration and its weights, checked and under the names of a bare BERT.
//!
//! [`read_config`] reads `config.json`, [`weight_files`] finds the safetensors files, [`read`] reads them. A RoBERTa comes
//! out as the BERT that computes the same; what is of no known kind is refused by name. [`classifier`] and [`transformer`] find the model in a folder of sentence-transformers. Whether a pooler and a head must be
//! there is not decided here: `distill` draws them, [`model::fold()`] asks for all. [`check_headers`] says of a model whose
//! weights are elsewhere whether they would be read.

mod config;
mod distilbert;
mod error;
mod family;
mod files;
mod head;
mod header;
mod layout;
mod modules;
mod names;
mod plan;
mod tensors;
mod text;

pub use config::read_config;
pub use error::Error;
pub use files::weight_files;
pub use header::Header;
pub use modules::{classifier, transformer};
pub use names::shapes;
pub use plan::check_headers;
pub use tensors::{Read, read, read_file};
