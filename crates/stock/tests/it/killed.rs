//! Processes that are killed at each step of writing and of burning, and what the next one finds.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Signal, getpid, kill_process};
use stock::{Fate, Party, Point, Stock, StockError};

use crate::fixture::{
    CLASS, ORDER, QUOTA, alone, available, binding, burn, content, copy, files, fill, folder, key, meet, read, write,
};

const FOLDER: &str = "STOCK_TEST_KILLED";
const STEP: &str = "STOCK_TEST_KILLED_AT";
const DOING: &str = "STOCK_TEST_KILLED_DOING";
/// What the child leaves once a call has returned, so that the parent knows what was promised.
const DONE: &str = "done";

/// The process that kills itself at a step: see the tests below.
#[test]
fn killed_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let at: u64 = std::env::var(STEP).unwrap().parse().unwrap();
    let step = AtomicU64::new(0);
    let watch = move |_: Point| {
        if step.fetch_add(1, Ordering::SeqCst) == at {
            // no destructor, no handler, no flush: the system ends the process here
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        Ok(())
    };
    let stock = Stock::open_watched(&folder.join("stock"), key(), Party::P0, QUOTA, Arc::new(watch)).unwrap();
    meet(&stock).unwrap();
    if std::env::var(DOING).unwrap() == "write" {
        let serial = stock.reserve(&CLASS, 1).unwrap().start;
        write(&stock, &CLASS, serial..serial + 1, 600_000);
    } else {
        let pack = burn(&stock, &CLASS, 0, binding(7)).unwrap();
        assert_eq!(read(pack), content(0, 1000));
    }
    fs::write(folder.join(DONE), "").unwrap();
}

/// Runs the child until it comes through; `check` looks at what each has left, and whether it came through.
fn kill_at_each_step(doing: &str, mut check: impl FnMut(&Stock, &Path, bool)) -> u64 {
    let root = folder();
    fill(&alone(&root.path().join("image")), &CLASS, 2, 1000);
    for at in 0.. {
        let place = root.path().join(at.to_string());
        copy(&root.path().join("image"), &place.join("stock"));
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::killed_child", "--nocapture"])
            .envs([(FOLDER, place.to_str().unwrap()), (STEP, &at.to_string()), (DOING, doing)])
            .output()
            .unwrap();
        let done = place.join(DONE).exists();
        let ended = std::os::unix::process::ExitStatusExt::signal(&child.status);
        // closing the ledger at the end is a step as well
        assert!(ended == Some(9) || (done && child.status.success()), "{}", String::from_utf8_lossy(&child.stderr));
        let folder = place.join("stock");
        let stock = alone(&folder);
        check(&stock, &folder, done);
        drop(stock);
        fs::remove_dir_all(&place).unwrap();
        if ended.is_none() {
            return at;
        }
    }
    unreachable!()
}

#[test]
fn a_process_killed_at_any_step_of_stocking_leaves_a_pack_whole_or_nothing() {
    let (mut with, mut without) = (0, 0);
    let steps = kill_at_each_step("write", |stock, folder, done| {
        let left = available(stock, &CLASS);
        assert!(left == [(0, 3)] || (left == [(0, 2)] && !done), "{left:?}");
        let count = left[0].1;
        if count == 3 {
            with += 1
        } else {
            without += 1
        }
        assert_eq!(files(folder).len() as u64, count, "no part of a file, and none that the ledger does not name");
        let verified = stock.verify().unwrap();
        assert_eq!((verified.sound, verified.damaged.len()), (count, 0));
        // no serial that was allotted is allotted again
        let next = stock.reserve(&CLASS, 1).unwrap().start;
        assert!(next == 3 || (next == 2 && count == 2), "{next}");
        write(stock, &CLASS, next..next + 1, 32);
    });
    assert!(steps > 30 && with > 0 && without > 10, "{steps} steps: {with} with the pack, {without} without");
}

#[test]
fn a_process_killed_at_any_step_of_burning_leaves_a_pack_burnt_if_it_was_given_out() {
    let (mut burnt, mut kept) = (0, 0);
    let steps = kill_at_each_step("burn", |stock, folder, done| {
        match burn(stock, &CLASS, 0, binding(8)) {
            Err(StockError::NotAvailable { fate: Fate::Burnt(by), .. }) => {
                assert_eq!(by, binding(7));
                burnt += 1;
            }
            Ok(pack) => {
                assert!(!done, "it was given out and is available again");
                assert_eq!(read(pack), content(0, 1000));
                kept += 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(files(folder).len(), 1);
        assert_eq!(read(burn(stock, &CLASS, 1, binding(1)).unwrap()), content(1, 1000));
    });
    assert!(steps > 15 && burnt > 2 && kept > 5, "{steps} steps: {burnt} burnt, {kept} kept");
}

#[test]
fn what_a_call_promises_was_made_durable_before_it_returns() {
    // the disk as it is after a power cut that loses all that was not yet made durable: the ledger as of its last fsync
    let root = folder();
    let place = root.path().join("stock");
    let durable = Arc::new(Mutex::new(Vec::new()));
    let (ledger, last) = (place.join("ledger.redb"), durable.clone());
    let watch = move |point: Point| {
        if point == Point::LedgerSynced && ledger.exists() {
            *last.lock().unwrap() = fs::read(&ledger).unwrap();
        }
        Ok(())
    };
    let stock = Stock::open_watched(&place, key(), Party::P0, QUOTA, Arc::new(watch)).unwrap();
    meet(&stock).unwrap();
    let cut = |name: &str| {
        let image = root.path().join(name);
        copy(&place, &image);
        fs::write(image.join("ledger.redb"), &*durable.lock().unwrap()).unwrap();
        alone(&image)
    };
    assert_eq!(stock.reserve(&CLASS, 5).unwrap(), 0..5);
    assert_eq!(cut("allotted").reserve(&CLASS, 1).unwrap(), 5..6);
    write(&stock, &CLASS, 0..2, 1000);
    assert_eq!(available(&cut("written"), &CLASS), [(0, 2)]);
    let pack = burn(&stock, &CLASS, 0, binding(3)).unwrap();
    let again = burn(&cut("burnt"), &CLASS, 0, binding(4)).unwrap_err();
    assert!(matches!(again, StockError::NotAvailable { fate: Fate::Burnt(by), .. } if by == binding(3)), "{again}");
    drop(pack);
    stock.drop_all().unwrap();
    assert_eq!(available(&cut("dropped"), &CLASS), []);
}

#[test]
fn a_bit_flipped_after_a_kill_gives_no_pack_out_again() {
    let root = folder();
    let place = root.path().join("stock");
    let stock = alone(&place);
    fill(&stock, &CLASS, 3, 1000);
    drop(burn(&stock, &CLASS, 0, binding(0)).unwrap());
    // as a kill leaves it: the burn is the newest commit, and the file says that it was not closed
    let image = root.path().join("image");
    copy(&place, &image);
    drop(stock);
    let sound = fs::read(image.join("ledger.redb")).unwrap();
    let mut refused = 0;
    for at in 0..400 {
        crate::fixture::restore(&image, &place);
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(place.join("ledger.redb"), bytes).unwrap();
        match Stock::open(&place, key(), Party::P0, QUOTA) {
            Err(_) => refused += 1,
            Ok(stock) => {
                meet(&stock).unwrap();
                let error = burn(&stock, &CLASS, 0, binding(1)).unwrap_err();
                assert!(matches!(error, StockError::NotAvailable { .. } | StockError::PackMissing { .. }), "{error}");
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn the_order_of_steps_is_file_name_ledger() {
    let folder = folder();
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = steps.clone();
    let watch = move |point| {
        seen.lock().unwrap().push(point);
        Ok(())
    };
    let stock = Stock::open_watched(folder.path(), key(), Party::P0, QUOTA, Arc::new(watch)).unwrap();
    meet(&stock).unwrap();
    stock.reserve(&CLASS, 1).unwrap();
    let kinds = || {
        let mut kinds: Vec<Point> = std::mem::take(&mut *steps.lock().unwrap());
        kinds.retain(|kind| !matches!(kind, Point::LedgerWrite | Point::LedgerResize | Point::LedgerSynced));
        kinds.dedup();
        kinds
    };
    kinds();
    let mut writer = stock.writer(&CLASS, 0).unwrap();
    writer.append(&content(0, 1000)).unwrap();
    writer.finish(ORDER).unwrap();
    use Point::{ChunkWrite, FileSync, FolderSync, LedgerSync, PartMade, Rename, Unlink};
    assert_eq!(kinds(), [PartMade, ChunkWrite, FileSync, Rename, FolderSync, LedgerSync]);
    drop(burn(&stock, &CLASS, 0, binding(0)).unwrap());
    assert_eq!(kinds(), [LedgerSync, Unlink]);
}
