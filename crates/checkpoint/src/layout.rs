//! Where in its files a network is: people's tools put `module.`, `0.auto_model.`, `model.` before its names.

use std::path::Path;

use crate::error::Error;
use crate::family::Family;
use crate::header::Header;

/// The tensor that every encoder has once.
const WORDS: &str = "embeddings.word_embeddings.weight";
/// So many names are told.
const TOLD: usize = 4;

/// What stands before the names of the encoder's tensors, and before those of the head.
#[derive(Debug)]
pub(crate) struct Layout {
    family: Family,
    encoder: String,
    head: String,
}

impl Layout {
    /// The one network in these files.
    pub(crate) fn find(family: Family, headers: &[Header]) -> Result<Layout, Error> {
        let all = || headers.iter().flat_map(|header| header.tensors.keys());
        let before =
            |name: &String| name.strip_suffix(WORDS).filter(|p| p.is_empty() || p.ends_with('.')).map(String::from);
        let mut prefixes: Vec<String> = all().filter_map(before).collect();
        prefixes.sort();
        prefixes.dedup();
        let found = match prefixes.as_slice() {
            [encoder] => {
                // without what classifiers call their encoder
                let outer = |inner: &&str| encoder.strip_suffix(*inner).filter(|p| p.is_empty() || p.ends_with('.'));
                let inner = ["bert.", "distilbert.", "roberta.", "mpnet."];
                let head = inner.iter().find_map(outer).unwrap_or(encoder).to_string();
                return Ok(Layout { family, encoder: encoder.clone(), head });
            }
            [] if headers.iter().all(|header| header.tensors.is_empty()) => "it has no tensors".into(),
            [] => format!("its tensors are called {}", first(all())),
            several => format!("it has several networks, under the prefixes {}", quoted(several)),
        };
        let path = match headers {
            [header] => &header.path,
            _ => headers.first().and_then(|header| header.path.parent()).unwrap_or(Path::new("")),
        };
        Err(Error::Network { path: path.into(), found })
    }

    /// A tensor's name in a bare BERT; nothing for those that the network does not have.
    pub(crate) fn canonical(&self, full: &str) -> Option<String> {
        // some files have the prefix for a part of the encoder only
        let name = full.strip_prefix(&self.encoder).or_else(|| full.strip_prefix(&self.head))?;
        self.family.canonical(name)
    }

    /// The full name of a tensor of the encoder.
    pub(crate) fn full(&self, canonical: &str) -> String {
        format!("{}{}", self.encoder, self.family.original(canonical))
    }

    /// The prefix, if it is none that transformers gives.
    pub(crate) fn unusual(&self) -> Option<&str> {
        let usual = ["", self.family.prefix()].contains(&self.encoder.as_str());
        (!usual).then_some(&self.encoder)
    }
}

/// The first of some names, and how many there are.
pub(crate) fn first<S: AsRef<str>>(names: impl Iterator<Item = S>) -> String {
    let names: Vec<S> = names.collect();
    let told: Vec<&str> = names.iter().take(TOLD).map(AsRef::as_ref).collect();
    let more = if names.len() > TOLD { format!(", ... ({} in all)", names.len()) } else { String::new() };
    format!("{}{more}", told.join(", "))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}
