//! Copies of a stock's folder that are put back: found out by what is noted beside the key, whoever else was put back too.

use std::fs;
use std::path::PathBuf;

use stock::{Discard, Fate, Party, Stock, StockError, StockKey, Watch};
use tempfile::TempDir;

use crate::fixture::{CLASS, QUOTA, available, binding, burn, copy, fill, folder, meet, restore};

struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { root: folder() }
    }

    fn stock(&self) -> PathBuf {
        self.root.path().join("stock")
    }

    fn image(&self) -> PathBuf {
        self.root.path().join("image")
    }

    fn open(&self) -> Stock {
        let key = StockKey::read_or_create(&self.root.path().join("key")).unwrap();
        Stock::open(&self.stock(), key, Party::P0, QUOTA).unwrap()
    }

    fn anchor(&self) -> PathBuf {
        let names = fs::read_dir(self.root.path()).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().find(|path| path.extension().is_some_and(|end| end == "anchor")).unwrap()
    }

    /// Four packs in an image of the folder, and one of them spent after it was taken.
    fn spent(&self) {
        let stock = self.open();
        meet(&stock).unwrap();
        fill(&stock, &CLASS, 4, 100);
        drop(stock);
        copy(&self.stock(), &self.image());
        let stock = self.open();
        burn(&stock, &CLASS, 0, binding(1)).unwrap();
    }
}

#[track_caller]
fn dropped(stock: &Stock) {
    assert!(stock.was_restored());
    assert_eq!(available(stock, &CLASS), []);
    for serial in 0..4 {
        let Err(StockError::NotAvailable { fate, .. }) = burn(stock, &CLASS, serial, binding(2)) else {
            panic!("pack {serial} was given out");
        };
        assert_eq!(fate, Fate::Discarded(Discard::Restored));
    }
}

#[test]
fn an_older_copy_of_the_folder_is_worth_nothing_and_the_folder_itself_all() {
    let place = Place::new();
    place.spent();
    let stock = place.open();
    assert!(!stock.was_restored());
    assert_eq!(available(&stock, &CLASS), [(1, 4)]);
    drop(stock);
    restore(&place.image(), &place.stock());
    let stock = place.open();
    dropped(&stock);
    // it goes on from there
    meet(&stock).unwrap();
    let serials = fill(&stock, &CLASS, 2, 100);
    drop(stock);
    let stock = place.open();
    assert!(!stock.was_restored());
    burn(&stock, &CLASS, serials.start, binding(3)).unwrap();
}

#[test]
fn without_the_note_or_with_one_that_was_altered_nothing_is_trusted() {
    for damage in [
        (|path| fs::remove_file(path).unwrap()) as fn(&PathBuf),
        |path| fs::write(path, []).unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[7] = 0;
            fs::write(path, bytes).unwrap();
        },
    ] {
        let place = Place::new();
        place.spent();
        damage(&place.anchor());
        let stock = place.open();
        assert!(stock.was_restored());
        assert_eq!(available(&stock, &CLASS), []);
    }
}

/// The disk may lose the newest note with the power; the ledger is then further than the note, which accuses nobody.
#[test]
fn a_note_that_is_behind_accuses_nobody() {
    let place = Place::new();
    place.spent();
    let note = fs::read(place.anchor()).unwrap();
    burn(&place.open(), &CLASS, 1, binding(2)).unwrap();
    fs::write(place.anchor(), note).unwrap();
    let stock = place.open();
    assert!(!stock.was_restored());
    assert_eq!(available(&stock, &CLASS), [(2, 4)]);
}

#[test]
fn two_stocks_under_one_key_have_notes_of_their_own() {
    let place = Place::new();
    place.spent();
    let key = || StockKey::read_or_create(&place.root.path().join("key")).unwrap();
    let other = || Stock::open(&place.root.path().join("other"), key(), Party::P1, QUOTA).unwrap();
    assert!(!other().was_restored() && !other().was_restored());
    assert!(!place.open().was_restored());
}

#[test]
fn a_note_that_cannot_be_written_ends_the_burning_and_the_pack_stays_burnt() {
    let place = Place::new();
    place.spent();
    let watch: Watch = std::sync::Arc::new(|point| match point {
        stock::Point::AnchorWrite => Err(std::io::Error::other("as a test")),
        _ => Ok(()),
    });
    let key = StockKey::read_or_create(&place.root.path().join("key")).unwrap();
    let opened = Stock::open_watched(&place.stock(), key, Party::P0, QUOTA, watch);
    assert!(matches!(opened, Err(StockError::Io { doing: "write", .. })), "{opened:?}");
    assert!(!place.open().was_restored());
}

/// A copy that was found out stays found out, and so does another one that is newer than it: the note never goes back.
#[test]
fn a_newer_copy_after_an_older_one_is_worth_nothing_either() {
    let place = Place::new();
    place.spent();
    let newer = place.root.path().join("newer");
    copy(&place.stock(), &newer);
    burn(&place.open(), &CLASS, 1, binding(2)).unwrap();
    restore(&place.image(), &place.stock());
    dropped(&place.open());
    restore(&newer, &place.stock());
    let stock = place.open();
    assert!(stock.was_restored());
    assert_eq!(available(&stock, &CLASS), []);
}

/// Wherever the opening of a copy ends early, the next one finds it out as well.
#[test]
fn an_opening_of_a_copy_that_is_cut_short_changes_nothing_of_what_it_is() {
    for cut in 0.. {
        let place = Place::new();
        place.spent();
        restore(&place.image(), &place.stock());
        let points = std::sync::atomic::AtomicU32::new(0);
        let watch: Watch =
            std::sync::Arc::new(move |_| match points.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= cut {
                true => Err(std::io::Error::other("as a test")),
                false => Ok(()),
            });
        let key = StockKey::read_or_create(&place.root.path().join("key")).unwrap();
        let opened = Stock::open_watched(&place.stock(), key, Party::P0, QUOTA, watch);
        let whole = opened.is_ok();
        drop(opened);
        let stock = place.open();
        assert_eq!(available(&stock, &CLASS), [], "cut after {cut} steps");
        if whole {
            assert!(cut > 3, "{cut}");
            return;
        }
    }
}
