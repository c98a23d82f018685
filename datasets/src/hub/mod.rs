//! Models and tasks from the Hugging Face hub, by way of the cache that the Python tools use too.
//!
//! Folders of the cache and addresses are those of the crate `hf-hub` (0.5). The transfer itself is ours, over `ureq`: hf-hub's
//! checks no digest, knows no timeout and no `Retry-After`; and its 1.0.0 begins a broken download from the start, keeps its
//! layout to itself and brings 270 crates more.

mod cache;
mod choose;
mod download;
mod fault;
mod http;
mod model;
mod repo;
mod settings;
mod url;

pub use model::Part;
pub use settings::{Settings, Token};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{Error, Split, Task};
use cache::Cache;
use fault::Fault;
use http::Client;
use model::{Accept, fetch_model};
use repo::{Kind, Repo};

/// The branch that is meant where none is named.
const MAIN: &str = "main";
/// Where GLUE is.
const GLUE: &str = "nyu-mll/glue";

/// The hub, or what the cache holds of it.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    client: Client,
}

/// One commit of a repository, seen through the cache.
struct Snapshot<'a> {
    hub: &'a Hub,
    repo: Repo<'a>,
    cache: Cache,
    commit: String,
    /// The files it holds; of an unreachable hub, those that the cache holds.
    names: BTreeSet<String>,
    /// Whether missing files can be fetched.
    online: bool,
    revision: &'a str,
}

impl Hub {
    /// The hub as the environment has it: `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE` and the
    /// others that the Python tools read. `quiet`: no progress is shown.
    pub fn from_env(quiet: bool) -> Result<Hub, Error> {
        Hub::new(Settings::from_env(quiet)?)
    }

    /// The hub with these settings.
    pub fn new(settings: Settings) -> Result<Hub, Error> {
        let client = Client::new(&settings)?;
        Ok(Hub { settings, client })
    }

    /// The folder of a model: configuration, tokenizer and weights as safetensors; nothing else is fetched.
    pub fn model(&self, id: &str, revision: Option<&str>) -> Result<PathBuf, Error> {
        let repo = Repo::new(Kind::Model, id)?;
        self.snapshot(repo, revision, |snapshot| fetch_model(snapshot, None::<Accept<'_, Error>>))
    }

    /// The same of a model whose weights are still to come, if `accept` takes what comes before them: configuration,
    /// tokenizer, what the weights' headers say. What it refuses is not fetched any further.
    pub fn model_if<E: From<Error>>(
        &self,
        id: &str,
        revision: Option<&str>,
        accept: &dyn Fn(Part<'_>) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let repo = Repo::new(Kind::Model, id)?;
        self.snapshot(repo, revision, |snapshot| fetch_model(snapshot, Some(accept)))
    }

    /// The parquet files of a task's part.
    pub fn glue(&self, task: Task, split: Split) -> Result<Vec<PathBuf>, Error> {
        let repo = Repo::new(Kind::Dataset, GLUE)?;
        self.snapshot(repo, None, |snapshot| {
            let names = choose::parts(task, split, &snapshot.names).map_err(|missing| snapshot.lacks(missing))?;
            names.iter().map(|name| snapshot.file(name)).collect::<Result<_, Error>>()
        })
    }

    /// Does `take` with a commit's files: with those in the cache where they are enough or must be, else with the hub's.
    fn snapshot<'a, T, E: From<Error>>(
        &'a self,
        repo: Repo<'a>,
        revision: Option<&'a str>,
        take: impl Fn(&Snapshot<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let revision = revision.unwrap_or(MAIN);
        repo::check_revision(revision)?;
        let cache = Cache::new(&self.settings.cache, &repo);
        let cached = |commit: String| {
            let names = cache.names(&commit);
            Snapshot { hub: self, repo, cache: cache.clone(), commit, names, online: false, revision }
        };
        if self.settings.offline {
            let commit = cache.commit(revision).ok_or_else(|| self.not_cached(&repo, &cache, revision))?;
            return take(&cached(commit));
        }
        // a commit never changes: what is there needs no asking
        if repo::is_commit(revision)
            && let Ok(taken) = take(&cached(revision.into()))
        {
            return Ok(taken);
        }
        let listing = match repo.listing(&self.client, revision) {
            Ok(listing) => listing,
            Err(fault) if fault.is_silence() => {
                // as the Python tools do: yesterday's files are better than none
                let taken = cache.commit(revision).and_then(|commit| take(&cached(commit)).ok());
                return taken
                    .inspect(|_| warn(&format!("{fault}; using what is in the cache")))
                    .ok_or(Error::from(fault).into());
            }
            Err(fault) => return Err(Error::from(fault).into()),
        };
        let online =
            Snapshot { hub: self, repo, cache, commit: listing.commit, names: listing.names, online: true, revision };
        let taken = take(&online)?;
        // last, so that a reference never points to a commit of which half is missing
        online.cache.refer(revision, &online.commit)?;
        Ok(taken)
    }

    fn not_cached(&self, repo: &Repo<'_>, cache: &Cache, what: &str) -> Error {
        Fault::NotCached { what: format!("{repo}, {what}"), folder: cache.root().into() }.into()
    }
}

impl Snapshot<'_> {
    /// The path of a file, fetched if need be.
    fn file(&self, name: &str) -> Result<PathBuf, Error> {
        match self.cache.file(&self.commit, name) {
            Some(path) => Ok(path),
            None if self.online => download::fetch(self.hub, &self.repo, &self.cache, &self.commit, name),
            None => Err(self.hub.not_cached(&self.repo, &self.cache, name)),
        }
    }

    /// Whether the cache has a file.
    fn has(&self, name: &str) -> bool {
        self.cache.file(&self.commit, name).is_some()
    }

    /// That a commit, or what the cache holds of it, lacks something.
    fn lacks(&self, missing: choose::Missing) -> Error {
        match self.online {
            true => Fault::Lacks { place: self.hub.place(&self.repo, self.revision), missing }.into(),
            false => self.hub.not_cached(&self.repo, &self.cache, &missing.what),
        }
    }
}

impl Hub {
    /// A repository's page, with the revision where it is not the usual one.
    fn place(&self, repo: &Repo<'_>, revision: &str) -> String {
        let page = repo.page(&self.settings.endpoint);
        if revision == MAIN { page } else { format!("{page} at {revision}") }
    }
}

/// Whether a word can name a repository on the hub: `bert-base-uncased`, `google-bert/bert-base-uncased`.
pub fn is_id(id: &str) -> bool {
    let part = |part: &str| {
        let letters = part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let ends = !part.starts_with(['.', '-']) && !part.ends_with(['.', '-']);
        !part.is_empty() && letters && ends && !part.contains("..") && !part.contains("--")
    };
    let parts: Vec<&str> = id.split('/').collect();
    id.len() <= 96 && parts.len() <= 2 && parts.iter().all(|p| part(p)) && !id.ends_with(".git")
}

/// Whether a name from the hub may become a path below a folder.
fn is_safe(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':']);
    // a name is shown on terminals too
    let part = |p: &str| part(p) && !p.chars().any(char::is_control);
    name.split('/').all(part) && Path::new(name).is_relative()
}

/// Says something that the user should know although it is no error.
fn warn(text: &str) {
    cli::log(&format!("warning: {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        for id in ["bert-base-uncased", "google-bert/bert-base-uncased", "prajjwal1/bert-tiny", "a/b.c_d", "gpt2"] {
            assert!(is_id(id), "{id}");
        }
        for path in
            ["", "/", "a/", "/a", "a/b/c", "../a", "./a", ".", "..", "a..b", "a b", "C:\\a", "~", "a--b", "a.git", "é"]
        {
            assert!(!is_id(path), "{path}");
        }
    }

    #[test]
    fn names_stay_below_their_folder() {
        assert!(is_safe("mnli/train-00000-of-00001.parquet") && is_safe("config.json"));
        for name in ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a\\..\\b", "C:a", "a/."] {
            assert!(!is_safe(name), "{name}");
        }
    }
}
