//! One file into the cache: going on where a broken download ended, and holding large files against their digests.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use super::cache::{Cache, write_error};
use super::fault::Fault;
use super::http::{Meta, Range, Reply, Subject};
use super::repo::Repo;
use super::{Hub, Snapshot};
use crate::Error;

/// So often in a row a download may be broken off.
const TRIES: u32 = 5;
/// A try that brought so many bytes does not count.
const PROGRESS: u64 = 8 << 20;

/// Fetches a file that the cache's snapshot lacks.
pub(super) fn fetch(hub: &Hub, repo: &Repo<'_>, cache: &Cache, commit: &str, name: &str) -> Result<PathBuf, Error> {
    let endpoint = hub.client.endpoint();
    let url = repo.file(endpoint, commit, name);
    let subject = Subject { page: repo.page(endpoint), name: name.into() };
    let meta = hub.client.head(&url, &subject)?;
    let blob = cache.blob(&meta.etag);
    let _lock = cache.lock(&meta.etag)?;
    if !blob.is_file() {
        let bar = cli::bytes(!hub.settings.progress, name, meta.size);
        let download = Download { hub, url, subject, meta: &meta, bar };
        let ended = download.to(&blob);
        download.bar.finish_and_clear();
        ended?;
    }
    cache.point(commit, name, &meta.etag)
}

/// The first bytes of a file of weights, which hold most headers whole.
const FIRST: u64 = 1 << 16;
/// A longer header is none.
const LONGEST: u64 = 16_000_000;

/// The text of the header of a safetensors file, without the rest of the file. Nothing where that cannot be had.
pub(super) fn header(snapshot: &Snapshot<'_>, name: &str) -> Option<Vec<u8>> {
    let (client, endpoint) = (&snapshot.hub.client, snapshot.hub.client.endpoint());
    let url = snapshot.repo.file(endpoint, &snapshot.commit, name);
    let subject = Subject { page: snapshot.repo.page(endpoint), name: name.into() };
    let piece = |from: u64, count: u64| {
        let reply = client.get(&url, Range { from, last: Some(from + count - 1) }, &subject, &cli::log).ok()?;
        let mut bytes = Vec::new();
        reply.first().filter(|first| *first == from)?;
        reply.into_reader().take(count).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    let mut bytes = piece(0, FIRST)?;
    let length = u64::from_le_bytes(*bytes.first_chunk()?);
    let whole = length.checked_add(8).filter(|_| length <= LONGEST)?;
    let there = bytes.len() as u64;
    if there < whole {
        bytes.extend(piece(there, whole - there)?);
    }
    bytes.get(8..usize::try_from(whole).ok()?).map(<[u8]>::to_vec)
}

struct Download<'a> {
    hub: &'a Hub,
    url: String,
    subject: Subject,
    meta: &'a Meta,
    bar: ProgressBar,
}

impl Download<'_> {
    /// Fetches the content; what is there stays beside it as `ETAG.incomplete` until it is whole.
    fn to(&self, blob: &Path) -> Result<(), Error> {
        if let Some(folder) = blob.parent() {
            fs::create_dir_all(folder).map_err(write_error(folder))?;
        }
        let mut name = blob.as_os_str().to_os_string();
        name.push(".incomplete");
        let path = PathBuf::from(name);
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.as_mut().map_err(|e| write_error(&path)(std::io::Error::new(e.kind(), e.to_string())))?;
        let mut there = file.metadata().map_err(write_error(&path))?.len();
        if there > 0 && self.meta.size != Some(there) {
            self.tell(&format!("{}: going on at byte {there}", self.subject.name));
        }
        self.bar.set_position(there);
        self.bar.reset_eta();
        let mut tries = 0;
        while self.meta.size != Some(there) {
            let before = there;
            let Some(reason) = self.piece(file, &path, &mut there)? else { break };
            tries = if there >= before + PROGRESS { 1 } else { tries + 1 };
            if tries >= TRIES {
                let size = self.meta.size.map_or("an unknown number of".into(), |size| size.to_string());
                return Err(Fault::BrokenOff { what: self.subject.to_string(), tries, reason, there, size }.into());
            }
            self.tell(&format!("{}: broken off at byte {there} ({reason}); going on", self.subject.name));
            sleep(self.hub.client.pause(tries));
        }
        self.check(file, &path)?;
        fs::rename(&path, blob).map_err(write_error(blob))
    }

    /// Fetches what is missing; says why it ended early, if it did.
    fn piece(&self, file: &mut File, path: &Path, there: &mut u64) -> Result<Option<String>, Error> {
        let cut = |file: &mut File, there: &mut u64, first: u64| {
            *there = first;
            file.set_len(first).and_then(|()| file.seek(SeekFrom::Start(first))).map_err(write_error(path))
        };
        if self.meta.size.is_some_and(|size| *there > size) {
            cut(file, there, 0)?;
        }
        let reply: Reply =
            self.hub.client.get(&self.url, Range::from(*there), &self.subject, &|text| self.tell(text))?;
        let Some(first) = reply.first().filter(|first| first <= there) else {
            cut(file, there, 0)?;
            return Ok(Some("the hub has no such part".into()));
        };
        // a server that knows no ranges begins at the beginning
        cut(file, there, first)?;
        let mut body = reply.into_reader();
        let mut buffer = vec![0; 1 << 16];
        // more than was announced is not written to the end of the disk
        while self.meta.size.is_none_or(|size| *there <= size) {
            self.bar.set_position(*there);
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Ok(Some(self.hub.client.broken(&error))),
            };
            file.write_all(&buffer[..read]).map_err(write_error(path))?;
            *there += read as u64;
        }
        match self.meta.size {
            Some(size) if *there < size => Ok(Some("the connection ended".into())),
            Some(size) if *there > size => {
                cut(file, there, 0)?;
                Ok(Some(format!("more came than the {size} bytes that were announced")))
            }
            _ => Ok(None),
        }
    }

    /// The ETag of a large file is the sha256 of its content; those of small ones say nothing about it.
    fn check(&self, file: &mut File, path: &Path) -> Result<(), Error> {
        if self.meta.etag.len() != 64 || !self.meta.etag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(());
        }
        let read = |source| Error::Read { path: path.into(), source };
        file.rewind().map_err(read)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).map_err(read)? {
                0 => break,
                count => digest.update(&buffer[..count]),
            }
        }
        if hex::encode(digest.finalize()).eq_ignore_ascii_case(&self.meta.etag) {
            return Ok(());
        }
        fs::remove_file(path).map_err(write_error(path))?;
        Err(Fault::Digest { what: self.subject.to_string() }.into())
    }

    /// Says something between the bar's steps.
    fn tell(&self, text: &str) {
        self.bar.suspend(|| cli::log(text));
    }
}
