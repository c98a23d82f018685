//! `runtime cache`: the bundles that were converted on first use, listed and pruned.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bundle::{ClientBundle, LeftOver, Role, left_over, remove};
use cli::coded;
use cli::exit::UNWRITABLE;
use cli::memory::human;
use local::cache;
use serde_json::{Value, json};

use crate::options::{Cache, CacheCommand, Prune};

/// What a folder in the cache is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next run takes it.
    Usable,
    /// Of another version of this program.
    OtherVersion,
    /// A part is missing or damaged; the next run replaces it.
    Broken,
    /// Left by a process that was killed.
    Abandoned,
    /// A process is writing it.
    Growing,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Usable => "usable",
            State::OtherVersion => "of another version",
            State::Broken => "broken",
            State::Abandoned => "abandoned",
            State::Growing => "being written",
        }
    }
}

/// A folder in the cache that this program made.
struct Entry {
    path: PathBuf,
    name: String,
    state: State,
    bytes: u64,
    used: SystemTime,
}

impl Entry {
    /// Nothing where a folder is not one of ours: it is neither listed nor touched.
    fn of(path: PathBuf) -> Option<Entry> {
        let name = path.file_name()?.to_str()?.to_string();
        let state = match left_over(&name) {
            Some((of, _)) if cache::version_in(of).is_none() => return None,
            Some((_, LeftOver::Partial)) if File::open(&path).ok()?.try_lock().is_err() => State::Growing,
            Some(_) => State::Abandoned,
            None => match cache::version_in(&name)? {
                version if version != cache::version() => State::OtherVersion,
                _ if cache::is_whole(&path) => State::Usable,
                _ => State::Broken,
            },
        };
        let used = fs::metadata(&path).and_then(|folder| folder.modified()).unwrap_or(UNIX_EPOCH);
        let bytes = size(&path, &mut HashSet::new());
        Some(Entry { path, name, state, bytes, used })
    }

    fn age(&self) -> Duration {
        SystemTime::now().duration_since(self.used).unwrap_or_default()
    }

    /// What it is a bundle of.
    fn model(&self) -> Option<String> {
        let client = ClientBundle::open(&Role::Client.folder(&self.path)).ok()?;
        let shape = &client.spec.shape;
        Some(format!("{} layers of {}: {}", shape.layers, shape.width, client.labels.join(", ")))
    }

    fn json(&self) -> Value {
        let used = self.used.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        json!({ "name": self.name, "state": self.state.name(), "bytes": self.bytes, "used": used, "model": self.model() })
    }
}

/// Lists or prunes.
pub fn run(options: &Cache, out: &mut dyn Write) -> Result<()> {
    let root = cache::root()?;
    let entries = entries(&root)?;
    match &options.command {
        CacheCommand::List(list) if list.json => {
            let entries: Vec<Value> = entries.iter().map(Entry::json).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&json!({ "folder": root, "bundles": entries }))?)?;
        }
        CacheCommand::List(_) => {
            for entry in &entries {
                let Entry { name, state, bytes, .. } = entry;
                let age = indicatif::HumanDuration(entry.age());
                let model = entry.model().map(|model| format!("; {model}")).unwrap_or_default();
                writeln!(out, "{name}  {}  {}, used {age} ago{model}", human(*bytes), state.name())?;
            }
            let bytes = entries.iter().map(|entry| entry.bytes).sum();
            writeln!(out, "{} in {}: {}", count(entries.len()), root.display(), human(bytes))?;
        }
        CacheCommand::Prune(prune) => removed(&entries, prune, out)?,
    }
    Ok(out.flush()?)
}

fn removed(entries: &[Entry], prune: &Prune, out: &mut dyn Write) -> Result<()> {
    let (mut gone, mut bytes) = (0, 0);
    for entry in entries.iter().filter(|entry| is_chosen(entry, prune)) {
        if !prune.dry_run && !remove(&entry.path)? {
            writeln!(out, "{} is in use and stays", entry.name)?;
            continue;
        }
        (gone, bytes) = (gone + 1, bytes + entry.bytes);
        let done = if prune.dry_run { "would be removed" } else { "removed" };
        writeln!(out, "{} {done} ({}, {})", entry.name, human(entry.bytes), entry.state.name())?;
    }
    let done = if prune.dry_run { "would be removed in all" } else { "removed in all" };
    Ok(writeln!(out, "{done}: {}, {}", count(gone), human(bytes))?)
}

/// What no run would take goes; what one would, only where it is asked for.
fn is_chosen(entry: &Entry, prune: &Prune) -> bool {
    let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    match entry.state {
        State::Growing => false,
        State::Usable => prune.all || prune.older_than.is_some_and(|most| entry.age() >= days(most)),
        State::OtherVersion | State::Broken | State::Abandoned => true,
    }
}

fn count(bundles: usize) -> String {
    if bundles == 1 { "1 bundle".into() } else { format!("{bundles} bundles") }
}

/// By name; of a folder that is not there, nothing.
fn entries(root: &Path) -> Result<Vec<Entry>> {
    let read = match fs::read_dir(root) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(coded(UNWRITABLE, format!("{}: {error}", root.display()))),
    };
    let folders = read.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut entries: Vec<Entry> = folders.filter_map(|folder| Entry::of(folder.path())).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Bytes on the disk: both parties' weights are one file with two names.
fn size(folder: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path(), seen),
        Ok(metadata) if identity(&metadata).is_none_or(|file| seen.insert(file)) => metadata.len(),
        _ => 0,
    };
    entries.map(bytes).sum()
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}
