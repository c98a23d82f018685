//! Folders of sentence-transformers: a list of modules, of which the first is a Hugging Face folder of its own.

use std::path::{Component, Path, PathBuf};

use model::ConfigError;
use serde::Deserialize;

use crate::config::Said;
use crate::error::Error;
use crate::head::rows_of_head;
use crate::header::headers;
use crate::text::read_text;

const MODULES: &str = "modules.json";
/// What the type of the module ends with that runs a transformer.
const TRANSFORMER: &str = "Transformer";

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Where the transformer of a model is: in the folder, or in the one that its `modules.json` names. A folder of sentence-transformers
/// without a trained head is refused: it gives embeddings.
pub fn classifier(folder: &Path) -> Result<PathBuf, Error> {
    let list = folder.join(MODULES);
    if !list.is_file() {
        return Ok(folder.into());
    }
    let found = transformer(folder)?;
    let said = Said::read(&found)?;
    match rows_of_head(said.family, &said.config, &headers(&found)?) {
        Some(_) => Ok(found),
        None => Err(Error::Embeddings { path: list }),
    }
}

/// The same whether it has a head or not: one can be taught.
pub fn transformer(folder: &Path) -> Result<PathBuf, Error> {
    let list = folder.join(MODULES);
    if !list.is_file() {
        return Ok(folder.into());
    }
    let wrong = |problem: String| Error::Modules { path: list.clone(), problem };
    let modules: Vec<Module> =
        serde_json::from_str(&read_text(&list)?).map_err(|e| wrong(ConfigError::from(e).to_string()))?;
    let kinds = || modules.iter().map(|module| module.kind.as_str()).collect::<Vec<_>>().join(", ");
    let last = |kind: &str| kind.rsplit('.').next().is_some_and(|name| name == TRANSFORMER);
    let Some(module) = modules.iter().find(|module| last(&module.kind)) else {
        return Err(wrong(format!("none of its modules is a {TRANSFORMER}; there are: {}", kinds())));
    };
    let path = Path::new(&module.path);
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(wrong(format!("`path` of its {TRANSFORMER} leaves the folder")));
    }
    Ok(folder.join(path))
}
