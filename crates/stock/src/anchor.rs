//! How far the ledger has come, kept outside its folder: beside the key.
//!
//! A copy of the folder that is put back says less than the anchor does, and is found out when it is opened, also where both
//! parties were put back to one moment. The anchor is written after each change, without waiting for the disk: a machine that
//! loses its power may lose the newest of it, which accuses nobody. A copy of the whole machine has the anchor in it, and is
//! not found out by this.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ring::hmac;

use crate::error::StockError;
use crate::hook::{Hook, Point};
use crate::key::sync_folder;

const LABEL: &[u8] = b"anchor";
/// The number of changes, then its HMAC.
const BYTES: usize = 8 + 32;

/// The open file.
pub(crate) struct Anchor {
    path: PathBuf,
    file: File,
    mac: hmac::Key,
    hook: Hook,
}

impl Anchor {
    /// Opens the file, or makes an empty one.
    pub(crate) fn open(path: PathBuf, mac: hmac::Key, hook: Hook) -> Result<Anchor, StockError> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(StockError::io("open", &path))?;
        Ok(Anchor { path, file, mac, hook })
    }

    /// How many changes the ledger has had at least; nothing where the file does not say, or is another's.
    pub(crate) fn changes(&mut self) -> Result<Option<u64>, StockError> {
        let mut bytes = Vec::new();
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| (&self.file).take(100).read_to_end(&mut bytes));
        read.map_err(StockError::io("read", &self.path))?;
        let parts = bytes.split_first_chunk::<8>().filter(|_| bytes.len() == BYTES);
        let told = parts.filter(|(changes, tag)| hmac::verify(&self.mac, &said(changes), tag).is_ok());
        Ok(told.map(|(changes, _)| u64::from_be_bytes(*changes)))
    }

    /// The ledger has had so many changes, which are on the disk.
    pub(crate) fn note(&mut self, changes: u64) -> Result<(), StockError> {
        let changes = changes.to_be_bytes();
        let tag = hmac::sign(&self.mac, &said(&changes));
        let line = [&changes[..], tag.as_ref()].concat();
        let write = |file: &mut File| -> io::Result<()> {
            file.seek(SeekFrom::Start(0))?;
            // in one write, which is within a page
            file.write_all(&line)
        };
        self.hook
            .at(Point::AnchorWrite)
            .and_then(|()| write(&mut self.file))
            .map_err(StockError::io("write", &self.path))
    }
}

impl Anchor {
    /// What was noted, and its name, outlive a crash from now on.
    pub(crate) fn settle(&self) -> Result<(), StockError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        self.file.sync_all().and_then(|()| sync_folder(folder)).map_err(StockError::io("write", &self.path))
    }
}

fn said(changes: &[u8; 8]) -> Vec<u8> {
    [LABEL, changes].concat()
}
