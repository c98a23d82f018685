//! Where a model is: in a folder, or on the hub.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};

/// The folder of a model that is named by its folder or by its id on the hub; from the hub it is fetched first.
pub fn find(name: &Path, revision: Option<&str>, _quiet: bool) -> Result<PathBuf> {
    let shown = name.display();
    if name.is_dir() {
        return match revision {
            Some(_) => Err(coded(USAGE, format!("--revision is for a model on the hub; {shown} is a folder"))),
            None => Ok(name.into()),
        };
    }
    Err(coded(
        BAD_INPUT,
        format!("{shown} is neither a folder nor a model on the hub (such as bert-base-uncased or owner/name)"),
    ))
}
