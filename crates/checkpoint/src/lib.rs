//! A Hugging Face model's folder: its configuration and its weights, checked and under the names of a bare BERT.
//!
//! [`read_config`] reads `config.json`, [`weight_files`] finds the safetensors files, [`read`] reads them. A RoBERTa comes
//! out as the BERT that computes the same; what is of no known kind is refused by name. Which tensors must be there is not
//! decided here: `distill` draws poolers and heads, [`model::fold()`] asks for all.

mod config;
mod error;
mod family;
mod files;
mod names;
mod tensors;

pub use config::read_config;
pub use error::Error;
pub use files::weight_files;
pub use names::shapes;
pub use tensors::{read, read_file};
