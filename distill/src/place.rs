//! Where a model is: in a folder, or on the hub.

use std::path::{Path, PathBuf};

use ::checkpoint::{Header, check_headers, read_config};
use anyhow::{Context, Result, ensure};
use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};
use datasets::Tokenizer;
use datasets::hub::{Hub, Part, is_id};

use crate::errors::bad_file;
use crate::preflight::NamedConfig;

/// The folder of a model that is named by its folder or by its name on the hub; from the hub it is fetched first. A model that
/// would be refused, by `suits` or by those who read it, is refused before its weights are fetched.
pub fn find(
    name: &Path,
    revision: Option<&str>,
    quiet: bool,
    suits: &dyn Fn(NamedConfig<'_>) -> Result<usize>,
) -> Result<PathBuf> {
    let shown = name.display();
    if name.is_dir() {
        return match revision {
            Some(_) => Err(coded(USAGE, format!("--revision is for a model on the hub; {shown} is a folder"))),
            None => Ok(::checkpoint::transformer(name)?),
        };
    }
    match name.to_str().filter(|id| is_id(id)) {
        Some(id) => Hub::from_env(quiet)
            .map_err(Into::into)
            .and_then(|hub| hub.model_if(id, revision, &|part| check_part(&part, suits)))
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

/// Checks each part of a model as it arrives, as reading the whole model would.
fn check_part(part: &Part<'_>, suits: &dyn Fn(NamedConfig<'_>) -> Result<usize>) -> Result<()> {
    match *part {
        Part::Config(folder) => suits((folder, &read_config(folder)?)).map(drop),
        Part::Tokenizer(folder) => {
            let config = read_config(folder)?;
            let largest = Tokenizer::load(folder, config.max_position_embeddings)?.largest_id()?.unwrap_or_default();
            let rows = config.vocab_size;
            let what = || format!("its tokenizer has a token {largest} for a table of {rows}");
            ensure!((largest as usize) < rows, bad_file(folder, what()));
            Ok(())
        }
        Part::Headers(folder, headers) => {
            let header = |(name, text): &(String, Vec<u8>)| Header::parse(&folder.join(name), text);
            Ok(check_headers(folder, &headers.iter().map(header).collect::<Result<Vec<_>, _>>()?)?)
        }
    }
}
