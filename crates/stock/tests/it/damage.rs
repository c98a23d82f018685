//! Files that were damaged, exchanged or altered under a stock.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use redb::{Database, TableDefinition};
use stock::{Discard, Fate, Party, Stock, StockError, StockKey};
use tempfile::TempDir;

use crate::fixture::{
    CLASS, QUOTA, alone, available, binding, burn, content, copy, file, files, fill, folder, key, meet, open, read,
    restore,
};

/// A stock of so many packs of three chunks.
fn filled(count: u64) -> (TempDir, Stock) {
    let folder = folder();
    let stock = alone(folder.path());
    fill(&stock, &CLASS, count, 600_000);
    (folder, stock)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

/// Burns a pack whose file is bad: an error by name, and the pack stays burnt.
fn burn_bad(stock: &Stock, serial: u64) -> StockError {
    let error = match burn(stock, &CLASS, serial, binding(serial)) {
        Err(error) => error,
        // what is damaged further on is found there, and nothing of it comes out
        Ok(mut pack) => {
            let mut bytes = Vec::new();
            let error = pack.read_to_end(&mut bytes).unwrap_err();
            assert!(bytes.len() < 600_000 && content(serial, 600_000).starts_with(&bytes));
            assert!(pack.read_to_end(&mut bytes).is_err());
            *error.into_inner().unwrap().downcast::<StockError>().unwrap()
        }
    };
    let again = burn(stock, &CLASS, serial, binding(99)).unwrap_err();
    let burnt = Fate::Burnt(binding(serial));
    assert!(matches!(again, StockError::NotAvailable { fate, .. } if fate == burnt), "{again}");
    let said = error.to_string();
    assert!(said.contains("stays spent") && said.contains(&format!("pack {serial} ")), "{said}");
    error
}

#[test]
fn a_pack_that_was_deleted_cut_altered_or_exchanged_is_refused_by_name_and_stays_burnt() {
    let (folder, stock) = filled(9);
    let path = |serial| file(folder.path(), serial);
    let paths: Vec<_> = (0..9).map(path).collect();
    fs::remove_file(&paths[0]).unwrap();
    assert!(matches!(burn_bad(&stock, 0), StockError::PackMissing { serial: 0, .. }));
    // in the salt, the first chunk, the last one, and the last tag
    let end = fs::metadata(&paths[1]).unwrap().len() as usize;
    for (serial, at) in [(1, 0), (2, 40), (3, 590_000), (4, end - 1)] {
        flip(&paths[serial], at);
        assert!(matches!(burn_bad(&stock, serial as u64), StockError::PackDamaged { .. }));
    }
    let bytes = fs::read(&paths[5]).unwrap();
    fs::write(&paths[5], &bytes[..bytes.len() - 1]).unwrap();
    assert!(burn_bad(&stock, 5).to_string().contains("were written"));
    fs::rename(&paths[6], folder.path().join("aside")).unwrap();
    fs::rename(&paths[7], &paths[6]).unwrap();
    fs::rename(folder.path().join("aside"), &paths[7]).unwrap();
    for serial in [6, 7] {
        assert!(matches!(burn_bad(&stock, serial), StockError::PackDamaged { .. }));
    }
    assert_eq!(read(burn(&stock, &CLASS, 8, binding(8)).unwrap()), content(8, 600_000));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_check_of_all_packs_finds_the_bad_ones_and_discards_them() {
    let (folder, stock) = filled(5);
    fs::remove_file(file(folder.path(), 1)).unwrap();
    flip(&file(folder.path(), 3), 590_000);
    let verified = stock.verify().unwrap();
    assert_eq!(verified.sound, 3);
    let [StockError::PackMissing { serial: 1, .. }, StockError::PackDamaged { serial: 3, .. }] = &verified.damaged[..]
    else {
        panic!("{:?}", verified.damaged)
    };
    assert_eq!(available(&stock, &CLASS), [(0, 1), (2, 3), (4, 5)]);
    let error = burn(&stock, &CLASS, 3, binding(0)).unwrap_err();
    assert!(matches!(error, StockError::NotAvailable { fate: Fate::Discarded(Discard::Damaged), .. }), "{error}");
    let again = stock.verify().unwrap();
    assert_eq!((again.sound, again.damaged.len(), files(folder.path()).len()), (3, 0, 3));
}

#[test]
fn files_without_the_key_cannot_be_told_from_random_bytes() {
    let folder = folder();
    let stock = alone(folder.path());
    stock.reserve(&CLASS, 301).unwrap();
    for serial in 0..301 {
        let mut writer = stock.writer(&CLASS, serial).unwrap();
        writer.append(&vec![0; if serial == 0 { 2 << 20 } else { 32 }]).unwrap();
        writer.finish([0; 32]).unwrap();
    }
    let uniform = |bytes: &[u8]| {
        let mut counts = [0_u64; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        let expected = bytes.len() as f64 / 256.0;
        let squares: f64 = counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
        // 255 on average, 22.6 its standard deviation: eight of them
        assert!((squares - 255.0).abs() < 8.0 * 22.6, "{} bytes: {squares}", bytes.len());
    };
    let mut small = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for path in files(folder.path()) {
        let bytes = fs::read(path).unwrap();
        assert!(seen.insert(bytes[..32].to_vec()), "each has a salt of its own");
        if bytes.len() > 1000 { uniform(&bytes) } else { small.extend(bytes) }
    }
    assert_eq!(small.len(), 300 * 80);
    uniform(&small);
}

/// Opens what may be anything: an error by name, or the same stock as before.
fn open_damaged(folder: &Path) -> Result<Vec<(u64, u64)>, StockError> {
    let stock = Stock::open(folder, key(), Party::P0, QUOTA)?;
    Ok(available(&stock, &CLASS))
}

/// A stock of ten packs, of which one was burnt, in a folder of its own; what is available; and a copy of it all.
fn small() -> (TempDir, Vec<(u64, u64)>) {
    let root = folder();
    let stock = alone(&root.path().join("stock"));
    fill(&stock, &CLASS, 10, 32);
    drop(burn(&stock, &CLASS, 4, binding(4)).unwrap());
    let left = available(&stock, &CLASS);
    drop(stock);
    copy(&root.path().join("stock"), &root.path().join("image"));
    (root, left)
}

#[test]
fn a_ledger_with_any_damage_is_an_error_that_says_what_to_do_or_the_same_ledger() {
    let (root, left) = small();
    let (folder, image) = (root.path().join("stock"), root.path().join("image"));
    let ledger = folder.join("ledger.redb");
    let sound = fs::read(image.join("ledger.redb")).unwrap();
    let (mut refused, mut unread) = (0, 0);
    // all of the first page, which is the header's, and then a byte of each small stretch that is not empty
    let header = 0..400;
    let pages =
        (512..sound.len()).step_by(128).filter(|at| sound[at - at % 128..][..128].iter().any(|byte| *byte != 0));
    for at in header.chain(pages) {
        restore(&image, &folder);
        flip(&ledger, at);
        match open_damaged(&folder) {
            Ok(found) => {
                assert_eq!(found, left, "a flip at {at}");
                unread += 1;
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("runtime stock drop") && said.contains("ledger in"), "a flip at {at}: {said}");
                refused += 1;
            }
        }
    }
    assert!(refused > 50, "{refused} refused, {unread} not read");
}

#[test]
fn a_ledger_cut_anywhere_is_an_error_that_says_what_to_do() {
    let (root, _) = small();
    let (folder, image) = (root.path().join("stock"), root.path().join("image"));
    let ledger = folder.join("ledger.redb");
    let sound = fs::read(image.join("ledger.redb")).unwrap();
    let step = sound.len() / 60;
    let lengths = [0, 1, 100, 4095, 4096, sound.len() - 1];
    for length in lengths.into_iter().chain((step..sound.len()).step_by(step)) {
        restore(&image, &folder);
        fs::write(&ledger, &sound[..length]).unwrap();
        let error = open_damaged(&folder).unwrap_err();
        assert!(matches!(error, StockError::Truncated { .. } | StockError::Damaged { .. }), "{length}: {error}");
        assert!(length >= 4096 || matches!(error, StockError::Truncated { .. }), "{length}: {error}");
        assert!(error.to_string().contains("runtime stock drop"), "{error}");
    }
    for garbage in [vec![0; 1 << 20], vec![0x5a; 1 << 16]] {
        fs::write(&ledger, garbage).unwrap();
        assert!(matches!(
            open_damaged(&folder).unwrap_err(),
            StockError::Damaged { .. } | StockError::OtherVersion { .. }
        ));
    }
    fs::remove_file(&ledger).unwrap();
    assert!(matches!(open_damaged(&folder).unwrap_err(), StockError::NoLedger { .. }));
    assert!(Stock::is_in(&folder).unwrap(), "packs without a ledger are a stock to get rid of");
    // the cure
    Stock::remove(&folder).unwrap();
    assert!(!Stock::is_in(&folder).unwrap() && !Stock::is_in(&root.path().join("nowhere")).unwrap());
    assert_eq!(open_damaged(&folder).unwrap(), []);
    assert!(files(&folder).is_empty());
}

#[test]
fn a_ledger_of_another_party_key_or_version_is_refused_each_in_its_own_words() {
    let (root, _) = small();
    let folder = root.path().join("stock");
    let error = Stock::open(&folder, key(), Party::P1, QUOTA).unwrap_err();
    assert!(matches!(error, StockError::OtherParty { found: Party::P0, expected: Party::P1, .. }), "{error}");
    let error = Stock::open(&folder, StockKey::from_bytes([6; 32]), Party::P0, QUOTA).unwrap_err();
    assert!(matches!(error, StockError::OtherKey { .. }), "{error}");
    alter(&folder, "meta", b"format", Some(b"private-bert stock 9"));
    let error = open_damaged(&folder).unwrap_err();
    let StockError::OtherVersion { found, .. } = &error else { panic!("{error}") };
    assert_eq!(found, "private-bert stock 9");
    assert!(error.to_string().contains("start the release that wrote it"), "{error}");
}

/// Changes a row of the ledger behind its back.
fn alter(folder: &Path, table: &str, key: &[u8], value: Option<&[u8]>) {
    let database = Database::open(folder.join("ledger.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let rows: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(table);
    let mut rows = transaction.open_table(rows).unwrap();
    match value {
        Some(value) => drop(rows.insert(key, value).unwrap()),
        None => drop(rows.remove(key).unwrap()),
    }
    drop(rows);
    transaction.commit().unwrap();
}

#[test]
fn rows_that_were_altered_or_put_back_are_noticed() {
    let (root, left) = small();
    let (folder, image) = (root.path().join("stock"), root.path().join("image"));
    let name = |serial: u64| {
        let class = [&CLASS.bundle[..], &CLASS.plan, &CLASS.rows.to_be_bytes(), &serial.to_be_bytes()];
        class.concat()
    };
    let row = [&[7; 32][..], &32_u64.to_be_bytes(), &0_u64.to_be_bytes()].concat();
    let boots = [1_u64.to_be_bytes(), 5_u64.to_be_bytes()].concat();
    type Altered<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);
    let altered: [Altered<'_>; 6] = [
        // what was burnt is available again, or at least no longer burnt
        ("available", &name(4), Some(&row)),
        ("gone", &name(4), None),
        ("available", &name(5), None),
        ("available", &name(5), Some(&row)),
        ("meta", b"boots", Some(&boots)),
        ("meta", b"seal", None),
    ];
    for (table, key, value) in altered {
        restore(&image, &folder);
        alter(&folder, table, key, value);
        let error = open_damaged(&folder).unwrap_err();
        assert!(matches!(error, StockError::Altered { .. }), "{table}: {error}");
    }
    restore(&image, &folder);
    assert_eq!(open_damaged(&folder).unwrap(), left);
}

#[test]
fn a_file_put_back_under_a_burnt_pack_is_removed() {
    let (root, _) = small();
    let folder = root.path().join("stock");
    let path = file(&folder, 5);
    let bytes = fs::read(&path).unwrap();
    let stock = open(&folder, Party::P0);
    meet(&stock).unwrap();
    drop(burn(&stock, &CLASS, 5, binding(5)).unwrap());
    fs::write(&path, bytes).unwrap();
    assert!(matches!(burn(&stock, &CLASS, 5, binding(6)).unwrap_err(), StockError::NotAvailable { .. }));
    drop(stock);
    let stock = open(&folder, Party::P0);
    assert!(!path.exists());
    assert_eq!(stock.gauges(SystemTime::now()).unwrap().classes[0].burnt, 2);
}
