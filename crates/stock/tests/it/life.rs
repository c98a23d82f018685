//! The life of a pack: allotted, written, burnt or discarded.

use std::fs;
use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stock::{Class, Discard, Fate, Greeting, MOST_ORDERED, Party, Room, Stock, StockError, StockKey};

use crate::fixture::{
    CLASS, ORDER, QUOTA, alone, available, binding, burn, content, file, files, fill, folder, key, meet, of, open,
    read, write,
};

const OTHER: Class = Class { bundle: [3; 16], ..CLASS };

fn fate(stock: &Stock, serial: u64) -> Fate {
    match burn(stock, &CLASS, serial, binding(99)).unwrap_err() {
        StockError::NotAvailable { fate, .. } => fate,
        other => panic!("{other}"),
    }
}

#[test]
fn a_pack_is_given_out_once_and_what_became_of_it_is_known() {
    let folder = folder();
    let stock = alone(folder.path());
    for length in [0, 32, 300_000, 1 << 20] {
        let serials = fill(&stock, &CLASS, 1, length);
        assert!(file(folder.path(), serials.start).exists());
        let pack = burn(&stock, &CLASS, serials.start, binding(serials.start)).unwrap();
        assert!(files(folder.path()).is_empty(), "the file is gone before the pack is used");
        assert_eq!(
            (pack.order(), pack.length(), pack.serial(), *pack.class()),
            (ORDER, length as u64, serials.start, CLASS)
        );
        assert_eq!(read(pack), content(serials.start, length));
        assert_eq!(fate(&stock, serials.start), Fate::Burnt(binding(serials.start)));
    }
    assert_eq!(fate(&stock, 4), Fate::Unknown);
    stock.reserve(&CLASS, 1).unwrap();
    assert_eq!(fate(&stock, 4), Fate::InMaking);
    drop(stock);
    // all of it outlives the process, but what was being made
    let stock = alone(folder.path());
    assert_eq!((fate(&stock, 2), fate(&stock, 4)), (Fate::Burnt(binding(2)), Fate::Unknown));
    assert_eq!(stock.reserve(&CLASS, 1).unwrap(), 5..6);
    let said = burn(&stock, &CLASS, 2, binding(8)).unwrap_err().to_string();
    assert!(said.contains("request 2, attempt 1") && said.contains("take another"), "{said}");
}

#[test]
fn a_pack_is_written_in_any_pieces_and_read_in_any_pieces() {
    let folder = folder();
    let stock = alone(folder.path());
    stock.reserve(&CLASS, 1).unwrap();
    let bytes = content(0xab_cdef, 600_000);
    let mut writer = stock.writer(&CLASS, 0).unwrap();
    for piece in bytes.chunks(70_001) {
        writer.append(piece).unwrap();
    }
    writer.append(&[]).unwrap();
    writer.finish(ORDER).unwrap();
    let mut pack = burn(&stock, &CLASS, 0, binding(0)).unwrap();
    let (mut found, mut piece) = (Vec::new(), [0; 997]);
    loop {
        assert_eq!(pack.read(&mut []).unwrap(), 0);
        match pack.read(&mut piece).unwrap() {
            0 => break,
            length => found.extend_from_slice(&piece[..length]),
        }
    }
    assert_eq!(found, bytes);
    assert_eq!(pack.read(&mut piece).unwrap(), 0);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing_and_its_serial_may_be_written_again() {
    let folder = folder();
    let stock = alone(folder.path());
    stock.reserve(&CLASS, 2).unwrap();
    let mut writer = stock.writer(&CLASS, 0).unwrap();
    writer.append(&content(0, 700_000)).unwrap();
    assert!(matches!(stock.writer(&CLASS, 0).unwrap_err(), StockError::NotAllotted { serial: 0, .. }));
    assert!(stock.gauges(SystemTime::now()).unwrap().used > 500_000);
    drop(writer);
    assert!(files(folder.path()).is_empty());
    assert_eq!(stock.gauges(SystemTime::now()).unwrap().used, 0);
    write(&stock, &CLASS, 0..1, 32);
    // it is there already; and those that nobody ordered
    for serial in [0, 2, u64::MAX] {
        assert!(matches!(stock.writer(&CLASS, serial).unwrap_err(), StockError::NotAllotted { .. }));
    }
    // given up: the order has ended
    stock.give_up(&CLASS, 0..2);
    assert!(matches!(stock.writer(&CLASS, 1).unwrap_err(), StockError::NotAllotted { .. }));
    assert_eq!(of(&stock, &CLASS).unwrap().settled, 2);
}

#[test]
fn p0_allots_serials_and_p1_accepts_those_beyond_all_it_has_seen() {
    let (one, two) = (folder(), folder());
    let (p0, p1) = (alone(one.path()), open(two.path(), Party::P1));
    assert!(matches!(p1.accept(&CLASS, 0..1).unwrap_err(), StockError::NotReconciled { .. }));
    let state = p0.state(&p1.greeting().unwrap()).unwrap();
    p1.reconcile(&state).unwrap();
    assert_eq!((p0.reserve(&CLASS, 3).unwrap(), p0.reserve(&OTHER, 1).unwrap()), (0..3, 0..1));
    p1.accept(&CLASS, 0..3).unwrap();
    for again in [0..3, 2..4, 0..0] {
        let error = p1.accept(&CLASS, again).unwrap_err();
        assert!(matches!(error, StockError::Seen { next: 3, .. }), "{error}");
    }
    p1.accept(&CLASS, 5..6).unwrap();
    assert!(matches!(p1.writer(&CLASS, 4).unwrap_err(), StockError::NotAllotted { .. }));
    assert!(matches!(p1.reserve(&CLASS, 1).unwrap_err(), StockError::NotThisParty { party: Party::P1, .. }));
    assert!(matches!(p0.accept(&CLASS, 9..10).unwrap_err(), StockError::NotThisParty { party: Party::P0, .. }));
    for serials in [6..u64::MAX, u64::MAX - 1..u64::MAX] {
        assert!(matches!(p1.accept(&CLASS, serials).unwrap_err(), StockError::TooMany { .. }));
    }
    assert!(matches!(p0.reserve(&CLASS, MOST_ORDERED + 1).unwrap_err(), StockError::TooMany { .. }));
    assert_eq!(p0.reserve(&CLASS, 0).unwrap(), 3..3);
}

#[test]
fn nothing_is_spent_or_allotted_before_the_ledgers_were_compared() {
    let folder = folder();
    let stock = alone(folder.path());
    fill(&stock, &CLASS, 1, 32);
    let before = meet(&stock).unwrap();
    drop(stock);
    let stock = open(folder.path(), Party::P0);
    let errors = [stock.burn(&before, &CLASS, 0, binding(0)).unwrap_err(), stock.reserve(&CLASS, 1).unwrap_err()];
    assert!(errors.iter().all(|error| matches!(error, StockError::NotReconciled { .. })), "{errors:?}");
    let own = stock.greeting().unwrap();
    let reflected = Greeting { party: Party::P1, ..own };
    let peer = open(&folder.path().join("other"), Party::P0).state(&reflected).unwrap();
    let same = [stock.state(&own).map(drop).unwrap_err(), stock.reconcile(&peer).map(drop).unwrap_err()];
    assert!(same.iter().all(|error| matches!(error, StockError::SameParty { party: Party::P0 })), "{same:?}");
    let now = meet(&stock).unwrap();
    assert!(matches!(stock.burn(&before, &CLASS, 0, binding(0)).unwrap_err(), StockError::NotReconciled { .. }));
    stock.burn(&now, &CLASS, 0, binding(0)).unwrap();
}

#[test]
fn packs_of_other_bundles_are_retired_oldest_first() {
    let folder = folder();
    let stock = alone(folder.path());
    fill(&stock, &OTHER, 2, 32);
    fill(&stock, &CLASS, 2, 1000);
    stock.reserve(&OTHER, 1).unwrap();
    assert_eq!(stock.retire(|class| class.bundle == CLASS.bundle).unwrap(), 2);
    assert_eq!((available(&stock, &OTHER), available(&stock, &CLASS)), (vec![], vec![(0, 2)]));
    assert!(matches!(stock.writer(&OTHER, 2).unwrap_err(), StockError::NotAllotted { .. }));
    let error = burn(&stock, &OTHER, 0, binding(1)).unwrap_err();
    assert!(matches!(error, StockError::NotAvailable { fate: Fate::Discarded(Discard::Retired), .. }), "{error}");
    assert_eq!(files(folder.path()).len(), 2);
    let gauges = stock.gauges(SystemTime::now()).unwrap();
    assert_eq!((gauges.classes[1].discarded, gauges.classes[1].available), (2, 0));
    assert_eq!(stock.retire(|class| class.bundle == CLASS.bundle).unwrap(), 0);
    assert_eq!(stock.drop_all().unwrap(), 2);
    assert!(files(folder.path()).is_empty());
    assert_eq!(fate(&stock, 1), Fate::Discarded(Discard::Dropped));
    assert_eq!(stock.reserve(&CLASS, 1).unwrap(), 2..3);
}

#[test]
fn gauges_tell_levels_and_ages_and_bear_a_clock_that_was_set_back() {
    let folder = folder();
    let stock = alone(folder.path());
    fill(&stock, &CLASS, 3, 1000);
    stock.reserve(&CLASS, 2).unwrap();
    drop(burn(&stock, &CLASS, 1, binding(0)).unwrap());
    let later = SystemTime::now() + Duration::from_secs(3600);
    let gauges = stock.gauges(later).unwrap();
    let gauge = gauges.classes[0];
    assert_eq!((gauge.available, gauge.ordered, gauge.burnt, gauge.discarded), (2, 2, 1, 0));
    assert_eq!((gauge.bytes, gauges.used, gauges.quota), (2 * 1048, 2 * 1048, QUOTA));
    assert!(gauge.oldest.unwrap() >= Duration::from_secs(3590));
    for back in [UNIX_EPOCH, UNIX_EPOCH - Duration::from_secs(5)] {
        assert_eq!(stock.gauges(back).unwrap().classes[0].oldest, Some(Duration::ZERO));
    }
    drop(stock);
    assert_eq!(open(folder.path(), Party::P0).gauges(later).unwrap().used, 2 * 1048);
}

#[test]
fn one_process_has_a_stock() {
    let folder = folder();
    let stock = alone(folder.path());
    let error = Stock::open(folder.path(), key(), Party::P0, QUOTA).unwrap_err();
    assert!(matches!(error, StockError::Locked { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains(&*folder.path().to_string_lossy()) && said.contains("stop the other one"), "{said}");
    assert!(matches!(Stock::remove(folder.path()).unwrap_err(), StockError::Locked { .. }));
    // a writer holds it as well
    stock.reserve(&CLASS, 1).unwrap();
    let writer = stock.writer(&CLASS, 0).unwrap();
    drop(stock);
    assert!(matches!(Stock::remove(folder.path()).unwrap_err(), StockError::Locked { .. }));
    drop(writer);
    Stock::remove(folder.path()).unwrap();
    assert!(!folder.path().join("ledger.redb").exists());
    alone(folder.path());
}

#[test]
fn threads_take_different_packs() {
    let folder = folder();
    let stock = alone(folder.path());
    fill(&stock, &CLASS, 12, 32);
    let taken = std::thread::scope(|scope| {
        let take = || {
            let mut taken = Vec::new();
            while let Some(serial) = stock.lowest(&CLASS).unwrap() {
                match burn(&stock, &CLASS, serial, binding(serial)) {
                    Ok(pack) => taken.push(pack.serial()),
                    Err(StockError::NotAvailable { .. }) => {}
                    Err(e) => panic!("{e}"),
                }
            }
            taken
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let mut taken = taken;
    taken.sort_unstable();
    assert_eq!(taken, (0..12).collect::<Vec<_>>());
}

#[test]
fn a_key_is_made_once_for_its_owner_only_and_does_not_print() {
    let folder = folder();
    let path = folder.path().join("stock.key");
    let made = StockKey::read_or_create(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 32);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let printed = format!("{made:?}");
    assert!(printed.contains("stock.key") && !printed.contains(&hex_of(&bytes)), "{printed}");
    assert!(!printed.contains(&format!("{}, {}", bytes[0], bytes[1])), "{printed}");
    // read again, it opens what was written under it
    let stock = folder.path().join("stock");
    drop(Stock::open(&stock, made, Party::P1, QUOTA).unwrap());
    Stock::open(&stock, StockKey::read_or_create(&path).unwrap(), Party::P1, QUOTA).unwrap();
    fs::write(&path, [1; 31]).unwrap();
    assert!(matches!(StockKey::read_or_create(&path).unwrap_err(), StockError::KeyLength { length: 31, .. }));
    let inside = StockKey::read_or_create(&stock.join("key")).unwrap();
    let error = Stock::open(&stock, inside, Party::P1, QUOTA).unwrap_err();
    assert!(matches!(error, StockError::KeyInside { .. }), "{error}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = StockKey::read_or_create(&path).unwrap_err();
        assert!(matches!(error, StockError::KeyReadable { mode: 0o640, .. }), "{error}");
        assert_eq!(mode(&stock.join("ledger.redb")), 0o600);
    }
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_quota_is_held_while_a_pack_is_written() {
    let folder = folder();
    let stock = Stock::open(folder.path(), key(), Party::P0, 1_000_000).unwrap();
    meet(&stock).unwrap();
    fill(&stock, &CLASS, 1, 600_000);
    stock.reserve(&CLASS, 2).unwrap();
    let mut writer = stock.writer(&CLASS, 1).unwrap();
    let error = writer.append(&content(1, 600_000)).unwrap_err();
    let StockError::Full { room: Room::Quota { used, quota: 1_000_000 }, needed, .. } = error else {
        panic!("{error}")
    };
    assert!(used + needed > 1_000_000 && used <= 1_000_000, "{used} and {needed}");
    // a pack that lacks a piece is not finished
    assert!(writer.append(&content(1, 600_000)).is_err());
    drop(writer);
    let mut writer = stock.writer(&CLASS, 1).unwrap();
    let _ = writer.append(&content(1, 600_000)).unwrap_err();
    assert!(writer.finish(ORDER).is_err());
    assert_eq!((files(folder.path()).len(), available(&stock, &CLASS)), (1, vec![(0, 1)]));
    // what is spent makes room
    drop(burn(&stock, &CLASS, 0, binding(0)).unwrap());
    write(&stock, &CLASS, 1..2, 600_000);
}

/// What was noted outlives a restart, goes with all packs, and a new note comes with their end in one change.
#[test]
fn what_is_noted_of_orders_outlives_a_restart_and_goes_with_all_packs() {
    let folder = folder();
    let stock = alone(folder.path());
    fill(&stock, &CLASS, 2, 32);
    assert_eq!(stock.calendar().unwrap(), None);
    assert_eq!(stock.renew(b"monday").unwrap(), 2);
    stock.set_calendar(b"monday, begun").unwrap();
    drop(stock);
    let stock = alone(folder.path());
    assert_eq!(stock.calendar().unwrap().unwrap(), b"monday, begun");
    fill(&stock, &CLASS, 1, 32);
    assert_eq!(stock.drop_all().unwrap(), 1);
    assert_eq!(stock.calendar().unwrap(), None, "what is dropped is ordered again");
}

/// Whoever looks again and again what is there need not read the ledger for it.
#[test]
fn a_version_changes_with_all_that_is_counted_and_with_nothing_else() {
    let folder = folder();
    let stock = alone(folder.path());
    let counted = || {
        let gauges = stock.gauges(SystemTime::UNIX_EPOCH).unwrap();
        let counts = gauges.classes.iter().map(|class| (class.available, class.ordered, class.burnt, class.discarded));
        (counts.collect::<Vec<_>>(), stock.calendar().unwrap())
    };
    let steps: [&dyn Fn(); 7] = [
        &|| assert_eq!(stock.reserve(&CLASS, 5).unwrap(), 0..5),
        &|| write(&stock, &CLASS, 0..3, 32),
        &|| stock.give_up(&CLASS, 0..5),
        &|| drop(burn(&stock, &CLASS, 0, binding(0)).unwrap()),
        &|| stock.set_calendar(b"tuesday").unwrap(),
        &|| assert_eq!(stock.retire(|_| false).unwrap(), 2),
        &|| assert_eq!(stock.drop_all().unwrap(), 0),
    ];
    for (at, step) in steps.iter().enumerate() {
        let (before, seen) = (stock.version(), counted());
        assert_eq!(stock.version(), before, "looking changes nothing");
        step();
        assert_ne!(counted(), seen, "step {at}");
        assert_ne!(stock.version(), before, "step {at}");
    }
}
