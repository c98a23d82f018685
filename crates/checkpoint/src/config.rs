//! `config.json`: which kind of model it is, and its shape as a BERT.

use std::io::ErrorKind;
use std::path::Path;

use model::{Config, ConfigError};
use serde::Deserialize;

use crate::error::Error;
use crate::family::Family;

/// Reads `config.json`. The configuration of a RoBERTa comes out as that of the BERT that computes the same.
pub fn read_config(folder: &Path) -> Result<Config, Error> {
    let text = read_text(folder)?;
    let family = family_of(folder, &text)?;
    let wrong = |problem| Error::Config { folder: folder.into(), problem };
    let mut config: Config = serde_json::from_str(&text).map_err(|e| wrong(e.into()))?;
    refuse_extras(&config).map_err(wrong)?;
    family.make_bert(&mut config).map_err(wrong)?;
    config.check().map_err(wrong)?;
    Ok(config)
}

/// The kind of model that a folder holds.
pub(crate) fn read_family(folder: &Path) -> Result<Family, Error> {
    family_of(folder, &read_text(folder)?)
}

fn read_text(folder: &Path) -> Result<String, Error> {
    let path = folder.join("config.json");
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(Error::NoConfig { folder: folder.into() }),
        Err(problem) => return Err(Error::Io { path, problem }),
    };
    String::from_utf8(bytes).map_err(|_| Error::NotText { path })
}

/// What says the kind, read before everything else: models of other kinds have other keys.
#[derive(Deserialize)]
struct Kind {
    model_type: Option<String>,
    #[serde(default)]
    pad_token_id: serde_json::Value,
}

fn family_of(folder: &Path, text: &str) -> Result<Family, Error> {
    let kind: Kind =
        serde_json::from_str(text).map_err(|e| Error::Config { folder: folder.into(), problem: e.into() })?;
    let name = kind.model_type.unwrap_or_else(|| "bert".into());
    let refusal = |reason| Error::Family { path: folder.join("config.json"), name: name.clone(), reason };
    Family::named(&name, kind.pad_token_id.as_u64()).map_err(refusal)
}

/// Keys of a BERT with which it is another function.
fn refuse_extras(config: &Config) -> Result<(), ConfigError> {
    let width = config.hidden_size.to_string();
    let keys = [
        ("position_embedding_type", "absolute"),
        ("is_decoder", "false"),
        ("is_encoder_decoder", "false"),
        ("add_cross_attention", "false"),
        ("embedding_size", width.as_str()),
    ];
    for (key, expected) in keys {
        let Some(value) = config.extra.get(key).filter(|value| !value.is_null()) else { continue };
        let got = value.as_str().map_or_else(|| value.to_string(), String::from);
        if got != expected {
            let expected = match key {
                "embedding_size" => format!("the same as hidden_size, {expected}"),
                _ => expected.into(),
            };
            return Err(ConfigError::Unsupported { key, got, expected });
        }
    }
    Ok(())
}
