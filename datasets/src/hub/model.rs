//! A model, in the order in which it can be refused: configuration, tokenizer, headers of the weights, weights.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Snapshot, choose, download};
use crate::Error;

/// What of a model has come, in the folder that it comes into.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// `config.json`.
    Config(&'a Path),
    /// The files of the tokenizer.
    Tokenizer(&'a Path),
    /// Of each file of weights, which has not come, its name and the text of its header.
    Headers(&'a Path, &'a [(String, Vec<u8>)]),
}

/// Says of each part whether the rest is wanted.
pub(super) type Accept<'a, E> = &'a dyn Fn(Part<'_>) -> Result<(), E>;

/// Whether the cache has the weights: a file, or all those that an index names.
fn has_weights(snapshot: &Snapshot<'_>, name: &str) -> bool {
    let Some(path) = snapshot.cache.file(&snapshot.commit, name) else { return false };
    let shards =
        || choose::shards(&path, &snapshot.names).is_ok_and(|shards| shards.iter().all(|name| snapshot.has(name)));
    name != choose::INDEX || shards()
}

pub(super) fn fetch_model<E: From<Error>>(
    snapshot: &Snapshot<'_>,
    accept: Option<Accept<'_, E>>,
) -> Result<PathBuf, E> {
    let lacks = |missing| snapshot.lacks(missing);
    let mut names = choose::model(&snapshot.names).map_err(lacks)?;
    // the last one is the weights, or the list of their files
    let last = names.split_off(names.len() - 1);
    let folder = snapshot.cache.snapshot(&snapshot.commit);
    // who has the weights has the rest too, and will read it all
    let accept = accept.filter(|_| !last.iter().all(|name| has_weights(snapshot, name)));
    let look = |part: Part<'_>| accept.map_or(Ok(()), |accept| accept(part));
    for (number, name) in names.iter().enumerate() {
        snapshot.file(name)?;
        if number == 0 {
            look(Part::Config(&folder))?;
        }
    }
    look(Part::Tokenizer(&folder))?;
    let weights: BTreeSet<String> = match last.iter().find(|name| *name == choose::INDEX) {
        Some(index) => {
            let path = snapshot.file(index)?;
            choose::shards(&path, &snapshot.names).map_err(lacks)?
        }
        None => last.into_iter().collect(),
    };
    if let (Some(accept), true) = (accept, snapshot.online) {
        let header = |name: &String| Some((name.clone(), download::header(snapshot, name)?));
        // where one cannot be had its file is fetched: that says what is wrong
        if let Some(headers) = weights.iter().map(header).collect::<Option<Vec<_>>>() {
            accept(Part::Headers(&folder, &headers))?;
        }
    }
    for name in &weights {
        snapshot.file(name)?;
    }
    Ok(folder)
}
