//! Disks that are full, at each write, and processes that may write no more.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stock::{Fate, Party, Point, Room, Stock, StockError};

use crate::fixture::{
    CLASS, ORDER, QUOTA, alone, available, binding, burn, content, files, fill, folder, key, meet, open, read, write,
};

/// A stock whose disk is full from the `n`-th step on, counted from when `armed` is set to 1.
fn filling(folder: &Path, n: u64) -> (Stock, Arc<AtomicU64>) {
    let armed = Arc::new(AtomicU64::new(0));
    let count = armed.clone();
    let watch = move |point: Point| {
        let grows = !matches!(point, Point::LedgerSynced | Point::Unlink);
        if grows && count.load(Ordering::SeqCst) > 0 && count.fetch_add(1, Ordering::SeqCst) > n {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    };
    let stock = Stock::open_watched(folder, key(), Party::P0, QUOTA, Arc::new(watch)).unwrap();
    meet(&stock).unwrap();
    (stock, armed)
}

#[test]
fn a_disk_that_is_full_at_any_step_of_stocking_leaves_the_stock_whole() {
    let (mut failed, mut steps) = (0, 0);
    loop {
        let folder = folder();
        fill(&alone(folder.path()), &CLASS, 1, 1000);
        let (stock, armed) = filling(folder.path(), steps);
        stock.reserve(&CLASS, 1).unwrap();
        armed.store(1, Ordering::SeqCst);
        let written = (|| {
            let mut writer = stock.writer(&CLASS, 1)?;
            writer.append(&content(1, 600_000))?;
            writer.finish(ORDER)
        })();
        let armed = armed.swap(0, Ordering::SeqCst);
        if let Err(error) = &written {
            failed += 1;
            let StockError::Full { room: Room::Disk { .. }, .. } = error else { panic!("{error}") };
            let said = error.to_string();
            assert!(said.contains("full") && said.contains("bytes more were needed"), "{said}");
        }
        let goes_on = match stock.greeting() {
            // what failed was a pack: the stock goes on, and the pack may be written again
            Ok(_) if written.is_err() => {
                assert_eq!(available(&stock, &CLASS), [(0, 1)]);
                assert_eq!(files(folder.path()).len(), 1);
                write(&stock, &CLASS, 1..2, 600_000);
                true
            }
            Ok(_) => true,
            // what failed was the ledger: it says so until it is opened again
            Err(StockError::Failed { .. }) => false,
            Err(error) => panic!("{error}"),
        };
        drop(stock);
        let stock = alone(folder.path());
        let left = available(&stock, &CLASS);
        assert!(left == [(0, 2)] || (!goes_on && left == [(0, 1)]), "{left:?}");
        assert_eq!(files(folder.path()).len() as u64, left[0].1);
        assert_eq!(stock.verify().unwrap().sound, left[0].1);
        if written.is_ok() {
            assert!(steps >= armed - 1);
            break;
        }
        steps += 1;
    }
    assert!(failed >= 10, "{failed} steps");
}

#[test]
fn a_disk_that_is_full_at_any_step_of_burning_gives_out_nothing_that_is_not_burnt() {
    let mut steps = 0;
    loop {
        let folder = folder();
        fill(&alone(folder.path()), &CLASS, 2, 1000);
        let (stock, armed) = filling(folder.path(), steps);
        armed.store(1, Ordering::SeqCst);
        let burnt = burn(&stock, &CLASS, 0, binding(0));
        armed.store(0, Ordering::SeqCst);
        if let Err(error) = &burnt {
            assert!(matches!(error, StockError::Full { .. }), "{error}");
            let again = burn(&stock, &CLASS, 1, binding(1)).unwrap_err();
            let said = again.to_string();
            assert!(matches!(again, StockError::Failed { .. }) && said.contains("open the stock again"), "{said}");
        }
        drop(stock);
        let stock = alone(folder.path());
        match burnt {
            Ok(pack) => {
                assert_eq!(read(pack), content(0, 1000));
                let again = burn(&stock, &CLASS, 0, binding(9)).unwrap_err();
                assert!(matches!(again, StockError::NotAvailable { fate: Fate::Burnt(_), .. }), "{again}");
                break;
            }
            // it was not given out; whether it is burnt the ledger says
            Err(_) => match burn(&stock, &CLASS, 0, binding(9)) {
                Ok(pack) => assert_eq!(read(pack), content(0, 1000)),
                Err(again) => {
                    assert!(matches!(again, StockError::NotAvailable { fate: Fate::Burnt(_), .. }), "{again}")
                }
            },
        }
        assert_eq!(read(burn(&stock, &CLASS, 1, binding(1)).unwrap()), content(1, 1000));
        steps += 1;
    }
    assert!(steps >= 4, "{steps} steps");
}

const CHILD: &str = "STOCK_TEST_LIMITED";

/// What the process does whose files may not grow: see the next test.
#[test]
fn limited_child() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let folder = Path::new(&folder);
    // a file over the limit is an error then, not the end of the process
    let told = Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, told.clone()).unwrap();
    let limit = |bytes| {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let limit = rustix::process::Rlimit { current: bytes, ..getrlimit(Resource::Fsize) };
        setrlimit(Resource::Fsize, limit).unwrap();
    };
    let stock = open(folder, Party::P0);
    meet(&stock).unwrap();
    stock.reserve(&CLASS, 1).unwrap();
    limit(Some(400_000));
    let mut writer = stock.writer(&CLASS, 2).unwrap();
    let error = writer.append(&content(2, 1_000_000)).unwrap_err();
    assert!(matches!(error, StockError::Full { room: Room::Disk { free: Some(_) }, .. }), "{error}");
    drop(writer);
    assert_eq!(files(folder).len(), 2);
    limit(Some(0));
    let error = burn(&stock, &CLASS, 0, binding(0)).unwrap_err();
    assert!(matches!(error, StockError::Full { .. }), "{error}");
    assert!(told.load(Ordering::SeqCst));
    limit(None);
    drop(stock);
    let stock = alone(folder);
    assert_eq!(read(burn(&stock, &CLASS, 0, binding(0)).unwrap()), content(0, 1000));
}

#[test]
fn a_process_that_may_write_no_more_keeps_its_stock() {
    let folder = folder();
    fill(&alone(folder.path()), &CLASS, 2, 1000);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "full::limited_child", "--nocapture"])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "the child ran its test");
    let stock = alone(folder.path());
    assert_eq!(available(&stock, &CLASS), [(1, 2)]);
}
