//! The files of a stock: its lock, its packs, and what a crash leaves of them.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use crate::class::Class;
use crate::error::StockError;

/// The ledger's file, and how it is called until it is whole.
pub(crate) const LEDGER: &str = "ledger.redb";
pub(crate) const UNFINISHED: &str = "ledger.redb.new";
const LOCK: &str = "lock";
const PACKS: &str = "packs";
const PACK: &str = ".pack";
/// A pack that is being written.
const PART: &str = ".part";

/// The locked folder of a stock.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    packs: PathBuf,
    /// The system lets go of it when the process ends, however it ends.
    lock: File,
}

impl Folder {
    /// Makes the folder where it is missing, for its owner only, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Folder, StockError> {
        let packs = path.join(PACKS);
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&packs).map_err(StockError::io("make", &packs))?;
        let lock = path.join(LOCK);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&lock);
        let file = file.map_err(StockError::io("open", &lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_path_buf(), packs, lock: file }),
            Err(TryLockError::WouldBlock) => Err(StockError::Locked { folder: path.to_path_buf() }),
            // without a lock nothing keeps two processes from spending the same packs
            Err(TryLockError::Error(e)) => Err(StockError::io("lock", &lock)(e)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn packs(&self) -> &Path {
        &self.packs
    }

    /// Where a pack lies.
    pub(crate) fn pack(&self, class: &Class, serial: u64) -> PathBuf {
        self.packs.join(format!("{}-{serial}{PACK}", class_name(class)))
    }

    /// Where a pack lies while it is written.
    pub(crate) fn part(&self, class: &Class, serial: u64) -> PathBuf {
        self.packs.join(format!("{}-{serial}{PART}", class_name(class)))
    }

    fn entries(&self) -> impl Iterator<Item = Result<(PathBuf, String), StockError>> + use<'_> {
        let failed = |e: io::Error| StockError::io("list", &self.packs)(e);
        let (entries, error) = match fs::read_dir(&self.packs) {
            Ok(entries) => (Some(entries), None),
            Err(e) => (None, Some(Err(failed(e)))),
        };
        let named = move |entry: io::Result<fs::DirEntry>| {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((path, name))
        };
        error.into_iter().chain(entries.into_iter().flatten().map(named))
    }

    /// Whether there is any pack.
    pub(crate) fn has_packs(&self) -> Result<bool, StockError> {
        for entry in self.entries() {
            if entry?.1.ends_with(PACK) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes what a crash left: parts, and packs that `is_available` does not know. Files of other names are not ours.
    pub(crate) fn clean(
        &self,
        classes: &[Class],
        mut is_available: impl FnMut(&Class, u64) -> Result<bool, StockError>,
    ) -> Result<(), StockError> {
        let classes: BTreeMap<_, _> = classes.iter().map(|class| (class_name(class), class)).collect();
        for entry in self.entries() {
            let (path, name) = entry?;
            let stays = match name.strip_suffix(PACK).and_then(|name| name.split_once('-')) {
                Some((class, serial)) => match (classes.get(class), serial.parse()) {
                    (Some(class), Ok(serial)) => is_available(class, serial)?,
                    _ => false,
                },
                None => !name.ends_with(PART),
            };
            if !stays {
                fs::remove_file(&path).map_err(StockError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Removes the ledger, then all packs.
    pub(crate) fn empty(&self) -> Result<(), StockError> {
        for name in [LEDGER, UNFINISHED] {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StockError::io("remove", &path)(e)),
                _ => {}
            }
        }
        self.clean(&[], |_, _| Ok(false))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // closing is not enough while a child process that was just started has the file as well
        let _ = self.lock.unlock();
    }
}

/// Whether a folder holds a ledger or packs. Nothing is made or locked there.
pub(crate) fn is_stock(path: &Path) -> Result<bool, StockError> {
    let ledger = path.join(LEDGER);
    if ledger.try_exists().map_err(StockError::io("read", &ledger))? {
        return Ok(true);
    }
    let packs = path.join(PACKS);
    match fs::read_dir(&packs) {
        Ok(entries) => Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(PACK))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(StockError::io("list", &packs)(e)),
    }
}

/// A class in the name of a file.
fn class_name(class: &Class) -> String {
    hex::encode(&digest(&SHA256, &class.to_bytes()).as_ref()[..16])
}
