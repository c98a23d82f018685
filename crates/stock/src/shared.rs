//! What a stock and the writers of its packs share.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::class::{Class, Party};
use crate::error::{Room, StockError};
use crate::folder::Folder;
use crate::hook::{Hook, Point};
use crate::key::StockKey;
use crate::ledger::Ledger;
use crate::sealed::sealed_length;
use crate::state::Boot;

/// Whether an allotted serial is being written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Making {
    Ordered,
    Writing,
}

/// What changes while a stock is open. All but streams of packs is done under one lock.
pub(crate) struct Inside {
    pub(crate) ledger: Ledger,
    /// Serials that were allotted since the stock was opened and are not available yet. What was allotted before that and
    /// is not available will not be: a crash settles it.
    pub(crate) making: BTreeMap<Class, BTreeMap<u64, Making>>,
    /// Bytes of packs on the disk, those that are being written included.
    pub(crate) used: u64,
    /// The boot of the peer that was answered last: from then on, nothing is spent in sessions with another.
    pub(crate) peer: Option<Boot>,
    /// Whether this ledger was compared with the peer's since it was opened.
    pub(crate) reconciled: bool,
    /// Counts what became of `making` beside the ledger.
    pub(crate) given_up: u64,
}

impl Inside {
    pub(crate) fn making(&self, class: &Class, serial: u64) -> Option<Making> {
        self.making.get(class)?.get(&serial).copied()
    }

    pub(crate) fn made(&mut self, class: &Class, serial: u64) {
        if let Some(serials) = self.making.get_mut(class) {
            serials.remove(&serial);
        }
    }

    /// The serial below which nothing is being made.
    pub(crate) fn settled(&self, class: &Class, next: u64) -> u64 {
        let first = self.making.get(class).and_then(|serials| serials.keys().next());
        first.map_or(next, |first| (*first).min(next))
    }
}

pub(crate) struct Shared {
    pub(crate) folder: Folder,
    pub(crate) key: StockKey,
    pub(crate) owner: Party,
    pub(crate) quota: u64,
    pub(crate) hook: Hook,
    pub(crate) inside: Mutex<Inside>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inside> {
        // whoever panicked had not yet changed the ledger, or had: it is asked, not the memory
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets room aside for `bytes` of the file `path`.
    pub(crate) fn set_aside(&self, path: &Path, bytes: u64) -> Result<(), StockError> {
        let mut inside = self.lock();
        let used = inside.used.saturating_add(bytes);
        if used > self.quota {
            let room = Room::Quota { used: inside.used, quota: self.quota };
            return Err(StockError::Full { room, needed: bytes, path: path.to_path_buf() });
        }
        inside.used = used;
        Ok(())
    }

    /// Removes the files of packs that the ledger says are gone, which had so many plain bytes. Where one stays, the next
    /// opening of the stock removes it.
    pub(crate) fn remove_files(&self, inside: &mut Inside, packs: &[(Class, u64)], contents: &[Option<u64>]) {
        for ((class, serial), content) in packs.iter().zip(contents) {
            let Some(content) = content else { continue };
            inside.used = inside.used.saturating_sub(sealed_length(*content));
            let _ = self.hook.at(Point::Unlink).and_then(|()| fs::remove_file(self.folder.pack(class, *serial)));
        }
    }
}
