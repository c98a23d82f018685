//! Tasks, examples, tokens, batches and metrics: all that stands between a folder of text files and a model.
//!
//! ```no_run
//! use std::path::Path;
//! use datasets::{Split, Task, Tokenizer};
//!
//! let task: Task = "SST-2".parse()?;
//! let examples = datasets::load(task, Path::new("glue"), Split::Dev)?;
//! let tokenizer = Tokenizer::load(Path::new("model"), 128)?;
//! let tokens = tokenizer.encode(&examples[0].text, examples[0].text_pair.as_deref())?;
//! # Ok::<(), datasets::Error>(())
//! ```

mod batches;
mod error;
mod metrics;
mod task;
mod tokenizer;
mod tsv;

pub use batches::Batches;
pub use error::Error;
pub use metrics::{Metrics, largest};
pub use task::{Split, Task, UnknownTask};
pub use tokenizer::{Encoding, Tokenizer};
pub use tsv::{Example, load};
