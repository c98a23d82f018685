//! The ledger's file, as redb sees it, with the hooks of tests before each change.

use std::fs::File;
use std::io;

use redb::StorageBackend;
use redb::backends::FileBackend;

use crate::hook::{Hook, Point};

/// The file. It takes no locks: the stock's own lock file keeps other processes out of the whole folder.
#[derive(Debug)]
pub(crate) struct Backend {
    file: FileBackend,
    hook: Hook,
}

impl Backend {
    pub(crate) fn new(file: File, hook: Hook) -> Result<Backend, redb::DatabaseError> {
        Ok(Backend { file: FileBackend::new(file)?, hook })
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.hook.at(Point::LedgerResize)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.hook.at(Point::LedgerSync)?;
        self.file.sync_data()?;
        self.hook.at(Point::LedgerSynced)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.hook.at(Point::LedgerWrite)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}
