//! Tasks, examples, tokens, batches and metrics: all that stands between a file of texts and a model.
//!
//! ```no_run
//! use std::path::Path;
//! use datasets::{Source, Split, Task, Tokenizer};
//!
//! let task: Task = "SST-2".parse()?;
//! let source = Source::Glue { task, folder: Some("glue".into()) };
//! let target = source.target(None)?;
//! let examples = source.load(Split::Dev, &target)?.examples;
//! let tokenizer = Tokenizer::load(Path::new("model"), 128)?;
//! let tokens = tokenizer.encode(&examples[0].text, examples[0].text_pair.as_deref())?;
//! # Ok::<(), datasets::Error>(())
//! ```

mod batches;
mod discover;
mod encoding;
mod error;
mod example;
mod files;
mod flags;
#[cfg(feature = "hub")]
pub mod hub;
mod labels;
mod metrics;
mod multilabel;
mod ratio;
mod reading;
mod source;
mod spelling;
mod table;
mod target;
mod task;
mod tokenizer;
mod unlabelled;
mod unusual;

pub use batches::Batches;
pub use encoding::{Empty, Encoded, encode_all};
pub use error::Error;
pub use example::{Example, Loaded};
pub use files::Files;
pub use flags::{AnswerType, DataFlags, Length};
pub use metrics::{Metric, Metrics, largest};
pub use multilabel::chosen;
pub use source::Source;
pub use target::{Fit, Label, Target};
pub use task::{Split, Task, UnknownTask};
pub use tokenizer::{Encoding, Tokenizer};
pub use unlabelled::{Text, Unlabelled};
pub use unusual::unusual_texts;

use std::path::PathBuf;

/// Files beside a `tokenizer.json` by which transformers may read it as another tokenizer than it says.
pub const BESIDE_TOKENIZER: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];
/// The words of BERT's tokenizers from the time before `tokenizer.json`, one a line.
pub const VOCABULARY: &str = "vocab.txt";

/// The files of a task's part, from the hub or its cache.
#[cfg(feature = "hub")]
fn hub_files(task: Task, split: Split, quiet: bool) -> Result<Vec<PathBuf>, Error> {
    hub::Hub::from_env(quiet)?.glue(task, split)
}

/// The files of a task's part, from the hub or its cache.
#[cfg(not(feature = "hub"))]
fn hub_files(_: Task, _: Split, _: bool) -> Result<Vec<PathBuf>, Error> {
    Err(Error::Usage("--data-dir is needed: this program was built without the hub (`--features hub`)".into()))
}
