//! A pack that is out of the stock.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use crate::class::{Class, Party};
use crate::error::StockError;
use crate::key::{SALT_BYTES, StockKey};
use crate::sealed::{Opener, sealed_length};

/// The content of a pack that was burnt: it is here once, and its file has no name any more. Read it to its end; each byte
/// that comes is authenticated. An error of reading carries a [`StockError::PackDamaged`].
pub struct Pack {
    class: Class,
    serial: u64,
    order: [u8; 32],
    length: u64,
    path: PathBuf,
    file: File,
    opener: Opener,
    /// How many bytes of the open chunk were read.
    at: usize,
}

/// What a pack should be, by the ledger.
pub(crate) struct Expected {
    pub(crate) owner: Party,
    pub(crate) class: Class,
    pub(crate) serial: u64,
    pub(crate) order: [u8; 32],
    pub(crate) content: u64,
}

impl Pack {
    /// Begins to read a file, and authenticates its first chunk.
    pub(crate) fn open(key: &StockKey, expected: Expected, path: PathBuf, file: File) -> Result<Pack, StockError> {
        let Expected { owner, class, serial, order, content } = expected;
        let damaged = |what: String| StockError::PackDamaged { class, serial, path: path.clone(), what };
        let length = file.metadata().map_err(StockError::io("read", &path))?.len();
        if length != sealed_length(content) {
            return Err(damaged(format!("it has {length} bytes, and {} were written", sealed_length(content))));
        }
        let (mut salt, mut file) = ([0; SALT_BYTES], file);
        file.read_exact(&mut salt).map_err(|e| damaged(e.to_string()))?;
        let opener = Opener::new(key, salt, owner, &class, serial, content);
        let mut pack = Pack { class, serial, order, length: content, path, file, opener, at: 0 };
        pack.open_chunk()?;
        Ok(pack)
    }

    /// Its class.
    pub fn class(&self) -> &Class {
        &self.class
    }

    /// Its serial.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The digest of the agreement that it was ordered under.
    pub fn order(&self) -> [u8; 32] {
        self.order
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn open_chunk(&mut self) -> Result<(), StockError> {
        self.at = 0;
        let number = self.opener.number();
        let file = &mut self.file;
        self.opener.open(|chunk| file.read_exact(chunk).map_err(Unread::Io)).map_err(|unread| {
            let what = match unread {
                Unread::Io(source) => format!("chunk {number} cannot be read: {source}"),
                Unread::Altered => format!("chunk {number} is not what was written under this name and key"),
            };
            StockError::PackDamaged { class: self.class, serial: self.serial, path: self.path.clone(), what }
        })
    }

    /// Reads all that is left and forgets it.
    pub(crate) fn check(mut self) -> Result<(), StockError> {
        while self.opener.next_length() > 0 {
            self.open_chunk()?;
        }
        Ok(())
    }
}

enum Unread {
    Io(io::Error),
    Altered,
}

impl From<ring::error::Unspecified> for Unread {
    fn from(_: ring::error::Unspecified) -> Unread {
        Unread::Altered
    }
}

impl Read for Pack {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let plain = self.fill_buf()?;
        let length = plain.len().min(into.len());
        into[..length].copy_from_slice(&plain[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Pack {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.opener.plain().len() {
            self.open_chunk().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        }
        Ok(&self.opener.plain()[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pack { class, serial, length, .. } = self;
        f.debug_struct("Pack")
            .field("class", class)
            .field("serial", serial)
            .field("length", length)
            .finish_non_exhaustive()
    }
}
