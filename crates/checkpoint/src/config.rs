//! `config.json`: which kind of model it is, and its shape as a BERT.

use std::io::ErrorKind;
use std::path::Path;

use model::{Config, ConfigError, MOST_LABELS, unnamed};
use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::family::Family;
use crate::head::rows_of_head;
use crate::header::{Header, headers};
use crate::text::read_text;

/// Reads `config.json`. The configuration of a RoBERTa comes out as that of the BERT that computes the same. Where it says
/// nothing about labels, the head does, if there is one: it has a row for each.
pub fn read_config(folder: &Path) -> Result<Config, Error> {
    let mut said = Said::read(folder)?;
    if said.config.id2label.is_empty()
        && let Ok(headers) = headers(folder)
    {
        said.count_labels(&headers);
    }
    Ok(said.config)
}

/// What `config.json` says.
pub(crate) struct Said {
    pub(crate) config: Config,
    pub(crate) family: Family,
    /// What is taken otherwise than it stands.
    pub(crate) notes: Vec<String>,
}

impl Said {
    pub(crate) fn read(folder: &Path) -> Result<Said, Error> {
        let text = read_text(&folder.join("config.json")).map_err(|error| match error {
            Error::Io { problem, .. } if problem.kind() == ErrorKind::NotFound => {
                Error::NoConfig { folder: folder.into() }
            }
            error => error,
        })?;
        let family = family_of(folder, &text)?;
        let wrong = |problem| Error::Config { folder: folder.into(), problem };
        let text = family.renamed(&text).map_err(|e| wrong(e.into()))?;
        let (mut config, notes) = Config::parse(&text).map_err(wrong)?;
        refuse_extras(&config).map_err(wrong)?;
        family.make_bert(&mut config).map_err(wrong)?;
        config.check().map_err(wrong)?;
        let notes = notes.into_iter().map(|note| format!("{}{note}", folder.join("").display())).collect();
        Ok(Said { config, family, notes })
    }

    /// Names the labels by the head's rows, as transformers names those that have no names.
    pub(crate) fn count_labels(&mut self, headers: &[Header]) {
        let rows = rows_of_head(self.family, &self.config, headers).filter(|rows| (1..=MOST_LABELS).contains(rows));
        let names = (0..rows.unwrap_or_default()).map(|number| (number, unnamed(number)));
        self.config.name_labels(names.collect());
    }
}

/// What says the kind, read before everything else: models of other kinds have other keys.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    model_type: Value,
    #[serde(default)]
    pad_token_id: Value,
}

fn family_of(folder: &Path, text: &str) -> Result<Family, Error> {
    let wrong = |problem| Error::Config { folder: folder.into(), problem };
    let kind: Kind = serde_json::from_str(text).map_err(|e| wrong(e.into()))?;
    let name = match kind.model_type {
        Value::Null => "bert".into(),
        Value::String(name) => name,
        other => {
            let (got, expected) = (other.to_string(), "a name in quotes, such as \"bert\"".into());
            return Err(wrong(ConfigError::Unsupported { key: "model_type", got, expected }));
        }
    };
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
