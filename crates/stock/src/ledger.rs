//! The ledger: which packs are available, which are gone and why, in one redb file.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | a name | the format, the party, what tells the key, the boots, the peer's last boot, the seal, what was noted of orders |
//! | `classes` | class | counts, and the next serial |
//! | `available` | class, serial | order, length, when it was recorded |
//! | `gone` | class, serial | burnt, for what; or discarded, why |
//!
//! Each change is one transaction that is durable when it returns, in two phases: redb then never takes an older commit for
//! the newest, however the newest is damaged. redb's checksums find damage, not malice; so there is a *seal*, the HMAC of
//! the XOR of the HMACs of all rows, kept up to date with each change and compared when the ledger is opened. Rows that are
//! all of one moment fit; rows altered, taken out or put back one by one do not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use redb::Database;
use ring::hmac;

use crate::anchor::Anchor;
use crate::backend::Backend;
use crate::class::Party;
use crate::error::{Discard, StockError, is_full};
use crate::folder::{Folder, LEDGER, UNFINISHED};
use crate::hook::{Hook, Point};
use crate::key::{SALT_BYTES, StockKey, owned_by_user, sync_folder};
use crate::state::Boots;
use crate::tables::{Change, FORMAT_ROW, KEY_ROW, PARTY_ROW, RowError, Sum, View};

/// The format of this release.
const FORMAT: &str = "private-bert stock 1";
/// What redb keeps of the file in memory, in bytes: all of a usual ledger, and no more of a large one.
const CACHE: usize = 4 << 20;
/// redb writes no shorter file than a page.
const PAGE: u64 = 4096;
const LABEL: &[u8] = b"private-bert stock ledger 1";
const CHECK: &[u8] = b"which key";

/// An open ledger.
pub(crate) struct Ledger {
    database: Database,
    folder: PathBuf,
    mac: hmac::Key,
    sum: Sum,
    /// Where it is noted how far it has come.
    anchor: Option<Anchor>,
    /// Whether it had come further before: it is an older copy, put back.
    pub(crate) restored: bool,
    /// What happened when a change failed: what is on the disk is not known then.
    failed: Option<String>,
    /// Counts what was changed, or was to be, since it was opened.
    pub(crate) version: u64,
}

impl Ledger {
    /// Opens the ledger in the folder, or makes one where there are no packs either. It has a boot more then.
    pub(crate) fn open(files: &Folder, key: &StockKey, owner: Party, hook: &Hook) -> Result<Ledger, StockError> {
        let folder = files.path();
        let path = folder.join(LEDGER);
        let mut is_new = false;
        let length = match fs::metadata(&path) {
            Ok(about) => about.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                if files.has_packs()? {
                    return Err(StockError::NoLedger { folder: folder.to_path_buf() });
                }
                create(folder, key, owner, hook)?;
                is_new = true;
                u64::MAX
            }
            Err(e) => return Err(StockError::io("read", &path)(e)),
        };
        if length < PAGE {
            return Err(StockError::Truncated {
                folder: folder.to_path_buf(),
                what: format!("{length} bytes are left"),
            });
        }
        let file = File::options().read(true).write(true).open(&path).map_err(StockError::io("open", &path))?;
        let database = database(file, hook).map_err(|e| explain(folder, e))?;
        let mut ledger = check(folder, database, key, owner, hook)?;
        let (mut noted, mut all) = (None, Vec::new());
        if let Some(anchor) = &mut ledger.anchor {
            noted = anchor.changes()?;
            let changes = ledger.view(View::changes)?;
            ledger.restored = !is_new && noted.is_none_or(|noted| changes < noted);
        }
        if ledger.restored {
            ledger.view(|view| view.each_available(|class, serial, _| all.push((class, serial))))?;
        }
        let mark = random_number()?;
        let mut boots = ledger.view(View::boots)?;
        boots.again(mark);
        // at once: a crash in between must not leave a note that the copy has caught up with
        ledger.change(|change| {
            change.come_to(noted.unwrap_or(0));
            change.discard(&all, Discard::Restored)?;
            change.set_boots(&boots)
        })?;
        Ok(ledger)
    }

    /// Reads the ledger as it is now.
    pub(crate) fn view<T>(&self, read: impl FnOnce(&View) -> Result<T, RowError>) -> Result<T, StockError> {
        self.refuse_failed()?;
        View::of(&self.database).and_then(|view| read(&view)).map_err(|e| explain(&self.folder, e))
    }

    /// Changes the ledger. When this returns, the change is on the disk, or nothing of it is; but where it returns
    /// [`StockError::Failed`] or [`StockError::Full`], that is known only once the ledger is opened again.
    pub(crate) fn change<T>(
        &mut self,
        make: impl FnOnce(&mut Change<'_>) -> Result<T, RowError>,
    ) -> Result<T, StockError> {
        self.refuse_failed()?;
        self.version += 1;
        match commit(&self.database, &self.mac, self.sum, make) {
            Ok((made, (sum, changes))) => {
                self.sum = sum;
                let noted = self.anchor.as_mut().map_or(Ok(()), |anchor| anchor.note(changes));
                // what was changed is on the disk, and whoever asked for it hears that it may be
                noted.inspect_err(|error| self.failed = Some(error.to_string()))?;
                Ok(made)
            }
            Err(error) => {
                let error = explain(&self.folder, error);
                self.failed = Some(error.to_string());
                Err(error)
            }
        }
    }

    fn refuse_failed(&self) -> Result<(), StockError> {
        match &self.failed {
            Some(what) => Err(StockError::Failed { folder: self.folder.clone(), what: what.clone() }),
            None => Ok(()),
        }
    }
}

fn commit<T>(
    database: &Database,
    mac: &hmac::Key,
    sum: Sum,
    make: impl FnOnce(&mut Change<'_>) -> Result<T, RowError>,
) -> Result<(T, (Sum, u64)), RowError> {
    let mut transaction = database.begin_write()?;
    // durable at once is what redb does unless told otherwise; two phases it has to be told
    transaction.set_two_phase_commit(true);
    let mut change = Change::of(&transaction, mac, sum)?;
    let made = make(&mut change)?;
    let sum = change.sealed()?;
    transaction.commit()?;
    Ok((made, sum))
}

fn database(file: File, hook: &Hook) -> Result<Database, RowError> {
    let mut builder = Database::builder();
    // damage is then an error when the ledger is opened, where it could be a panic later
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    Ok(builder.create_with_backend(Backend::new(file, hook.clone())?)?)
}

fn ledger_mac(key: &StockKey, salt: &[u8; SALT_BYTES]) -> hmac::Key {
    key.ledger_key(salt, &[LABEL])
}

pub(crate) fn random_number() -> Result<u64, StockError> {
    getrandom::u64().map_err(StockError::Entropy)
}

/// Makes an empty ledger under another name, and gives it its own once it is whole.
fn create(folder: &Path, key: &StockKey, owner: Party, hook: &Hook) -> Result<(), StockError> {
    let path = folder.join(UNFINISHED);
    let _ = fs::remove_file(&path);
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(StockError::Entropy)?;
    let mac = ledger_mac(key, &salt);
    let check = hmac::sign(&mac, CHECK);
    let boots = Boots::first(random_number()?);
    let file = owned_by_user().open(&path).map_err(StockError::write(&path, 0))?;
    let database = database(file, hook).map_err(|e| explain(folder, e))?;
    let first = |change: &mut Change<'_>| {
        change.set_meta(FORMAT_ROW, FORMAT.as_bytes())?;
        change.set_meta(PARTY_ROW, &[owner.number()])?;
        change.set_meta(KEY_ROW, &[&salt[..], check.as_ref()].concat())?;
        change.set_boots(&boots)
    };
    let (_, (_, changes)) = commit(&database, &mac, Sum::default(), first).map_err(|e| explain(folder, e))?;
    drop(database);
    if let Some(path) = key.anchor(&salt) {
        // before the ledger has its name: one without a note counts as put back
        let mut anchor = Anchor::open(path, mac, hook.clone())?;
        anchor.note(changes)?;
        anchor.settle()?;
    }
    let place = || {
        hook.at(Point::Rename)?;
        fs::rename(&path, folder.join(LEDGER))?;
        hook.at(Point::FolderSync)?;
        sync_folder(folder)
    };
    place().map_err(StockError::io("make", &path))
}

/// Refuses a ledger that is not this party's, under this key, of this format.
fn check(folder: &Path, database: Database, key: &StockKey, owner: Party, hook: &Hook) -> Result<Ledger, StockError> {
    let folder = folder.to_path_buf();
    let fail = |error: RowError| explain(&folder, error);
    let strange = |what: &str| StockError::Damaged { folder: folder.clone(), what: format!("{what} makes no sense") };
    let view = View::of(&database).map_err(fail)?;
    let row = |name| view.meta(name).map_err(fail);
    let format = row(FORMAT_ROW)?.unwrap_or_default();
    if format != FORMAT.as_bytes() {
        let found: String = String::from_utf8_lossy(&format).chars().take(100).collect();
        return Err(StockError::OtherVersion { folder, found, expected: FORMAT });
    }
    let party = row(PARTY_ROW)?.unwrap_or_default();
    let found = [Party::P0, Party::P1].into_iter().find(|party_| party == [party_.number()]);
    let found = found.ok_or_else(|| strange("the party"))?;
    if found != owner {
        return Err(StockError::OtherParty { folder, found, expected: owner });
    }
    let told = row(KEY_ROW)?.unwrap_or_default();
    let (salt, check) = told.split_first_chunk::<SALT_BYTES>().ok_or_else(|| strange("what tells the key"))?;
    let mac = ledger_mac(key, salt);
    if hmac::verify(&mac, CHECK, check).is_err() {
        return Err(StockError::OtherKey { folder });
    }
    let Some(sum) = view.sealed_sum(&mac).map_err(fail)? else {
        return Err(StockError::Altered { folder });
    };
    drop(view);
    let anchor = key.anchor(salt).map(|path| Anchor::open(path, mac.clone(), hook.clone())).transpose()?;
    Ok(Ledger { database, folder, mac, sum, anchor, restored: false, failed: None, version: 0 })
}

/// An error of the ledger in this crate's terms.
fn explain(folder: &Path, error: RowError) -> StockError {
    let folder = folder.to_path_buf();
    let error = match error {
        RowError::Redb(error) => error,
        RowError::Strange(what) => return StockError::Damaged { folder, what: format!("{what} makes no sense") },
    };
    match error {
        redb::Error::Io(source) if is_full(&source) => StockError::write(&folder.join(LEDGER), PAGE)(source),
        redb::Error::Io(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            StockError::Truncated { folder, what: "it ends before a page that it names".to_owned() }
        }
        redb::Error::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            StockError::Damaged { folder, what: source.to_string() }
        }
        redb::Error::Io(source) => StockError::Io { doing: "use the ledger in", path: folder, source },
        redb::Error::Corrupted(what) if what.contains("truncated") => StockError::Truncated { folder, what },
        redb::Error::DatabaseAlreadyOpen => StockError::Locked { folder },
        redb::Error::UpgradeRequired(version) => {
            StockError::OtherVersion { folder, found: format!("redb file {version}"), expected: FORMAT }
        }
        redb::Error::PreviousIo => StockError::Failed { folder, what: "an earlier write failed".to_owned() },
        error => StockError::Damaged { folder, what: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::error::Fate;
    use crate::rows::AvailableRow;
    use crate::tables::REMEMBERED;

    #[test]
    fn what_became_of_the_oldest_packs_is_forgotten_and_the_seal_still_fits() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::lock(&root.path().join("stock")).unwrap();
        let open = || Ledger::open(&folder, &StockKey::from_bytes([1; 32]), Party::P1, &Hook::default()).unwrap();
        let mut ledger = open();
        let classes = [1, 2].map(|rows| Class { bundle: [1; 16], plan: [2; 32], rows });
        let gone = REMEMBERED + 3;
        for class in &classes {
            let spend = |change: &mut Change<'_>| {
                for serial in 0..=gone {
                    change.add_available(class, serial, AvailableRow { order: [3; 32], content: 4, made: 5 })?;
                }
                for serial in 0..gone {
                    change.spend(class, serial, Fate::Discarded(Discard::Orphan))?;
                }
                change.spend(class, 0, Fate::Discarded(Discard::Orphan))
            };
            assert_eq!(ledger.change(spend).unwrap(), None, "what is gone is not spent again");
        }
        drop(ledger);
        let ledger = open();
        for class in &classes {
            let fate = |serial| ledger.view(|view| view.fate(class, serial)).unwrap();
            assert_eq!((fate(2), fate(3)), (None, Some(Fate::Discarded(Discard::Orphan))));
            assert_eq!(ledger.view(|view| view.available(class, 2)).unwrap(), None);
            assert!(ledger.view(|view| view.available(class, gone)).unwrap().is_some());
            let row = ledger.view(|view| view.class(class)).unwrap();
            assert_eq!((row.discarded, row.forgotten), (gone, 3));
        }
        assert_eq!(ledger.view(View::boots).unwrap().now().epoch, 3);
    }
}
