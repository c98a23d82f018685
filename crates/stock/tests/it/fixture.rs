//! Stocks in temporary folders.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use stock::{Binding, Boots, Class, ClassState, Lineage, Pack, Party, Reconciled, State, Stock, StockError, StockKey};
use tempfile::TempDir;

pub(crate) const CLASS: Class = Class { bundle: [1; 16], plan: [2; 32], rows: 64 };
pub(crate) const ORDER: [u8; 32] = [7; 32];
pub(crate) const QUOTA: u64 = 1 << 30;

/// A folder in memory where there is one: what a test reads back it has from the system, not from the disk, so that waiting
/// for a disk would show nothing.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(memory)
    {
        return folder;
    }
    tempfile::tempdir().unwrap()
}

pub(crate) fn key() -> StockKey {
    StockKey::from_bytes([5; 32])
}

pub(crate) fn open(folder: &Path, party: Party) -> Stock {
    Stock::open(folder, key(), party, QUOTA).unwrap()
}

/// Compares a stock with a peer that has nothing and saw nothing.
pub(crate) fn meet(stock: &Stock) -> Result<Reconciled, StockError> {
    let lineage = Lineage { party: stock.party().peer(), boots: Boots::first(1), seen: None };
    stock.state(&lineage.greeting())?;
    stock.reconcile(&State { lineage, answers: stock.greeting()?, classes: Vec::new() })
}

/// Burns a pack of a stock that meets nobody.
pub(crate) fn burn(stock: &Stock, class: &Class, serial: u64, binding: Binding) -> Result<Pack, StockError> {
    stock.burn(&meet(stock)?, class, serial, binding)
}

/// P0's stock, which has met nobody.
pub(crate) fn alone(folder: &Path) -> Stock {
    let stock = open(folder, Party::P0);
    meet(&stock).unwrap();
    stock
}

pub(crate) fn binding(request: u64) -> Binding {
    Binding { session: [9; 16], request, attempt: 1 }
}

/// What the tests put into a pack: its serial, over and over.
pub(crate) fn content(serial: u64, length: usize) -> Vec<u8> {
    serial.to_le_bytes().into_iter().cycle().take(length).collect()
}

/// Writes the packs of these serials.
pub(crate) fn write(stock: &Stock, class: &Class, serials: Range<u64>, length: usize) {
    for serial in serials {
        let mut writer = stock.writer(class, serial).unwrap();
        writer.append(&content(serial, length)).unwrap();
        writer.finish(ORDER).unwrap();
    }
}

/// Orders packs at P0 and writes them.
pub(crate) fn fill(stock: &Stock, class: &Class, count: u64, length: usize) -> Range<u64> {
    let serials = stock.reserve(class, count).unwrap();
    write(stock, class, serials.clone(), length);
    serials
}

pub(crate) fn read(mut pack: Pack) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack.read_to_end(&mut bytes).unwrap();
    bytes
}

/// What a stock has of a class.
pub(crate) fn of(stock: &Stock, class: &Class) -> Option<ClassState> {
    stock.classes().unwrap().into_iter().find(|of| of.class == *class)
}

pub(crate) fn available(stock: &Stock, class: &Class) -> Vec<(u64, u64)> {
    of(stock, class).map_or(Vec::new(), |of| of.available)
}

/// The files of packs, finished and not.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.join("packs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The file of one pack; all are of one class.
pub(crate) fn file(folder: &Path, serial: u64) -> PathBuf {
    let end = format!("-{serial}.pack");
    files(folder).into_iter().find(|path| path.to_string_lossy().ends_with(&end)).unwrap()
}

/// Copies a folder with what is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Puts an older copy in the place of a folder.
pub(crate) fn restore(image: &Path, folder: &Path) {
    fs::remove_dir_all(folder).unwrap();
    copy(image, folder);
}
