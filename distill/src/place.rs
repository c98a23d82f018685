//! Where a model is: in a folder, or on the hub.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};
use datasets::hub::{Hub, is_id};

/// The folder of a model that is named by its folder or by its name on the hub; from the hub it is fetched first.
pub fn find(name: &Path, revision: Option<&str>, quiet: bool) -> Result<PathBuf> {
    let shown = name.display();
    if name.is_dir() {
        return match revision {
            Some(_) => Err(coded(USAGE, format!("--revision is for a model on the hub; {shown} is a folder"))),
            None => Ok(name.into()),
        };
    }
    match name.to_str().filter(|id| is_id(id)) {
        Some(id) => Hub::from_env(quiet)
            .and_then(|hub| hub.model(id, revision))
            .with_context(|| format!("{shown} is not a folder here, so it was looked for on the hub")),
        None => Err(coded(
            BAD_INPUT,
            format!(
                "{shown} is neither a folder (with config.json, model.safetensors, tokenizer.json) nor the name of a model on \
                 the hub (bert-base-uncased, owner/name)"
            ),
        )),
    }
}
