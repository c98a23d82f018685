//! The process group: the processes that train one student together.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Cursor, Read, Write, empty, sink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::BAD_INPUT;
use tempfile::TempDir;

use super::rendezvous::{RunTerms, meet};
use super::ring::{Ring, segment};
use super::{Launch, Shard};
use crate::errors::bad_file;

/// The longest message that is held in memory.
const MESSAGE: u64 = 1 << 30;
/// The longest file that is taken from rank 0.
const FILE: u64 = 1 << 40;

/// The processes of a run. A single process sends nothing, and every sum is its own number.
#[derive(Debug)]
pub struct ProcessGroup {
    rank: usize,
    size: usize,
    ring: Option<RefCell<Ring>>,
}

/// Files of rank 0, where this process can read them: rank 0's own, or copies that go when this is dropped.
#[derive(Debug)]
pub struct BroadcastFiles {
    folder: PathBuf,
    _copies: Option<TempDir>,
}

impl BroadcastFiles {
    /// The folder they are in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl ProcessGroup {
    /// One process alone.
    pub fn alone() -> ProcessGroup {
        ProcessGroup { rank: 0, size: 1, ring: None }
    }

    /// Connects to the other processes, which must have the same terms. One that is silent for longer than `patience` counts as
    /// lost.
    pub fn join(launch: &Launch, terms: RunTerms, patience: Duration) -> Result<ProcessGroup> {
        let ring = match launch.size {
            1 => None,
            _ => Some(RefCell::new(meet(launch, terms, patience)?)),
        };
        Ok(ProcessGroup { rank: launch.rank, size: launch.size, ring })
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether this process writes, evaluates and decides: rank 0.
    pub fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Puts the sums over all processes in the numbers' place: the same bits in each.
    pub fn all_reduce(&self, numbers: &mut [f32]) -> Result<()> {
        match &self.ring {
            Some(ring) => ring.borrow_mut().all_reduce(numbers),
            None => Ok(()),
        }
    }

    /// Rank 0's number, to the bit.
    pub fn broadcast_f64(&self, number: f64) -> Result<f64> {
        let bytes = self.broadcast(number.to_le_bytes().to_vec())?;
        let bytes = bytes.as_slice().try_into().context("a number of 8 bytes was expected from rank 0")?;
        Ok(f64::from_le_bytes(bytes))
    }

    /// Rank 0's bytes.
    pub fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let Some(ring) = &self.ring else { return Ok(bytes) };
        let (length, mut received) = (bytes.len() as u64, Vec::new());
        ring.borrow_mut().broadcast(&mut Cursor::new(&bytes), length, &mut received, MESSAGE)?;
        Ok(if self.leads() { bytes } else { received })
    }

    /// Rank 0's files of a folder, which the other processes need not be able to read themselves.
    pub fn broadcast_files(&self, folder: &Path, names: &[&str]) -> Result<BroadcastFiles> {
        let Some(ring) = &self.ring else { return Ok(BroadcastFiles { folder: folder.into(), _copies: None }) };
        let copies = match self.leads() {
            true => None,
            false => Some(tempfile::tempdir().context("cannot make a folder for rank 0's files; is TMPDIR right?")?),
        };
        let place = copies.as_ref().map_or(folder, TempDir::path).to_path_buf();
        for name in names {
            let path = place.join(name);
            let (mut source, mut target): (Box<dyn Read>, Box<dyn Write>) = (Box::new(empty()), Box::new(sink()));
            let mut length = 0;
            if self.leads() {
                let file = File::open(&path).map_err(|error| bad_file(&path, error))?;
                length = file.metadata().map_err(|error| bad_file(&path, error))?.len();
                source = Box::new(file);
            } else {
                target = Box::new(File::create(&path).with_context(|| format!("cannot write {}", path.display()))?);
            }
            ring.borrow_mut().broadcast(&mut *source, length, &mut *target, FILE)?;
        }
        Ok(BroadcastFiles { folder: place, _copies: copies })
    }

    /// What `make` reads from a file of a folder, or else makes and writes there. Rank 0 calls it first; the others read a
    /// copy of its file.
    pub fn make_once<T>(&self, folder: &Path, name: &str, make: impl Fn(&Path) -> Result<T>) -> Result<T> {
        if !self.leads() {
            return make(&self.broadcast_files(folder, &[name])?.folder().join(name));
        }
        let made = make(&folder.join(name))?;
        self.broadcast_files(folder, &[name])?;
        Ok(made)
    }

    /// Refuses to go on with another digest than rank 0's, which stands for `what`.
    pub fn agree(&self, what: &str, digest: &str) -> Result<()> {
        if self.broadcast(digest.into())? == digest.as_bytes() {
            return Ok(());
        }
        let (rank, cure) = (self.rank, "give all processes the same models and the same build of distill");
        Err(coded(BAD_INPUT, format!("{what} of rank {rank} differ from rank 0's; {cure}")))
    }

    /// Tells the processes that wait for this one that it is at work. Errors are ignored, because the next exchange reports them.
    pub fn alive(&self) {
        if let Some(ring) = &self.ring {
            let _ = ring.borrow_mut().alive();
        }
    }

    /// This process's part of a batch whose texts have these lengths in the training set.
    pub fn shard<'a>(&'a self, batch: &'a [usize], lengths: &[usize]) -> Shard<'a> {
        Shard::new(self, batch, segment(batch.len(), self.rank, self.size), lengths)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::super::free_port::free_port;
    use super::*;

    /// What each of two processes makes of their group.
    fn on_both<T: Send + 'static>(work: fn(&ProcessGroup, PathBuf) -> T, folder: &Path) -> Vec<T> {
        let port = free_port();
        let start = |rank| {
            let launch = Launch { rank, size: 2, local_rank: rank, master: Some(("127.0.0.1".into(), port)) };
            let (terms, folder) = (RunTerms { settings: ().into(), texts: String::new() }, folder.to_path_buf());
            thread::spawn(move || work(&ProcessGroup::join(&launch, terms, Duration::from_secs(60)).unwrap(), folder))
        };
        [0, 1].map(start).map(|thread| thread.join().unwrap()).into()
    }

    #[test]
    fn unlike_weights_are_refused() {
        let folder = Path::new("");
        assert!(on_both(|group, _| group.agree("the weights", "7"), folder).iter().all(Result::is_ok));
        let ends = on_both(|group, _| group.agree("the weights", &group.rank().to_string()), folder);
        let error = ends[1].as_ref().unwrap_err();
        assert_eq!(error.chain().find_map(cli::exit::code_in), Some(BAD_INPUT));
        assert!(error.to_string().starts_with("the weights of rank 1 differ from rank 0's"), "{error}");
    }

    #[test]
    fn rank_0s_files_arrive_as_copies_that_are_removed_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "all of it").unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        let got = on_both(
            |group, folder| {
                let files = group.broadcast_files(&folder, &["a", "empty"]).unwrap();
                let read = |name| fs::read_to_string(files.folder().join(name)).unwrap();
                (files.folder().to_path_buf(), read("a"), read("empty"))
            },
            folder.path(),
        );
        for (place, a, empty) in &got {
            assert_eq!((a.as_str(), empty.as_str()), ("all of it", ""));
            assert_eq!(place.exists(), place == folder.path());
        }
        assert_ne!(got[0].0, got[1].0);
    }
}
