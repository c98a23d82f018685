//! A repository on the hub: its name, its pages, what it lists.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use hf_hub::{CacheRepo, RepoType};
use serde::Deserialize;

use super::fault::Fault;
use super::http::{Client, Subject};
use super::url::escaped;
use super::{is_id, is_safe};
use crate::Error;

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Dataset,
}

/// A repository, by the name that was given; the hub redirects old names to new ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repo<'a> {
    kind: Kind,
    id: &'a str,
}

/// The files of a revision.
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) names: BTreeSet<String>,
}

/// What the hub says about a revision, as far as it matters.
#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl fmt::Display for Repo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl<'a> Repo<'a> {
    /// A repository by its name.
    pub(super) fn new(kind: Kind, id: &'a str) -> Result<Repo<'a>, Error> {
        match is_id(id) {
            true => Ok(Repo { kind, id }),
            false => {
                let message =
                    "neither a folder that exists nor a name on the hub such as google-bert/bert-base-uncased";
                Err(Error::Unusable { path: id.into(), message: message.into() })
            }
        }
    }

    /// The repository as the crate `hf-hub` knows it: folders of the cache, addresses.
    fn known(&self) -> hf_hub::Repo {
        let kind = match self.kind {
            Kind::Model => RepoType::Model,
            Kind::Dataset => RepoType::Dataset,
        };
        hf_hub::Repo::new(self.id.into(), kind)
    }

    /// Its part of a cache.
    pub(super) fn cached(&self, cache: &Path) -> CacheRepo {
        hf_hub::Cache::new(cache.into()).repo(self.known())
    }

    /// Its folder in the cache.
    pub(super) fn folder(&self) -> String {
        self.known().folder_name()
    }

    /// Its page for people.
    pub(super) fn page(&self, endpoint: &str) -> String {
        format!("{endpoint}/{}", self.known().url())
    }

    /// A file's address.
    pub(super) fn file(&self, endpoint: &str, commit: &str, name: &str) -> String {
        let name: Vec<String> = name.split('/').map(escaped).collect();
        format!("{}/resolve/{}/{}", self.page(endpoint), escaped(commit), name.join("/"))
    }

    /// What a revision holds.
    pub(super) fn listing(&self, client: &Client, revision: &str) -> Result<Listing, Fault> {
        let endpoint = client.endpoint();
        let kind = match self.kind {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        };
        let url = format!("{endpoint}/api/{kind}/{}/revision/{}", self.id, escaped(revision));
        let subject = Subject { page: self.page(endpoint), name: format!("revision {revision}") };
        let bytes = client.read(&url, &subject)?;
        let odd = |reason: String| Fault::Odd { what: subject.to_string(), reason };
        let info: Info = serde_json::from_slice(&bytes).map_err(|e| odd(format!("no list of files ({e})")))?;
        if !is_safe(&info.sha) || info.sha.contains('/') {
            return Err(odd("no commit".into()));
        }
        let names = info.siblings.into_iter().map(|sibling| sibling.rfilename).filter(|name| is_safe(name)).collect();
        Ok(Listing { commit: info.sha, names })
    }
}

/// Whether a revision is a commit, which never changes.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Refuses what cannot be a branch, a tag or a commit: it becomes a path in the cache.
pub(super) fn check_revision(revision: &str) -> Result<(), Error> {
    match is_safe(revision) && !revision.chars().any(|c| c.is_whitespace() || c.is_control()) {
        true => Ok(()),
        false => Err(Error::Usage(format!("`{revision}` is no revision: expected a branch, a tag or a commit"))),
    }
}
