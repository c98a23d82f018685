//! What can go wrong with a stock.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::class::{Binding, Class, Party};

/// What can go wrong with a stock. Messages name the folder or file and what to do; none contains a byte of a key or pack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StockError {
    /// Another process has the stock open.
    #[error(
        "another process works with the stock in {}; a ledger is for one process: stop the other one, or name another folder", .folder.display()
    )]
    Locked {
        /// The stock's folder.
        folder: PathBuf,
    },
    /// A file or folder could not be used.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Entropy(getrandom::Error),
    /// The key's file may be read by other users.
    #[error(
        "the stock key {} has mode {mode:03o}: other users may have read it; drop the stock (runtime stock drop), remove the key, and start \
         again with new ones, or, if nobody else was there, chmod 600 it", .path.display()
    )]
    KeyReadable {
        /// The key's file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The key's file is not one.
    #[error("{} is no stock key: it has {length} bytes, and a key has 32; name the right file, or remove it to make a new key", .path.display())]
    KeyLength {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// The key lies in the folder that it is to protect.
    #[error(
        "the stock key {} lies within the stock's folder {}: who copies the one copies the other; move the key elsewhere",
        .path.display(), .folder.display()
    )]
    KeyInside {
        /// The key's file.
        path: PathBuf,
        /// The stock's folder.
        folder: PathBuf,
    },
    /// There are packs and no ledger.
    #[error("{} holds packs and no ledger, so nobody knows which were spent; {DROP}", .folder.display())]
    NoLedger {
        /// The stock's folder.
        folder: PathBuf,
    },
    /// The ledger was written by another release.
    #[error("the ledger in {} has the format {found:?}, this release reads {expected:?}; start the release that wrote it, or {DROP}", .folder.display())]
    OtherVersion {
        /// The stock's folder.
        folder: PathBuf,
        /// The format found.
        found: String,
        /// The format of this release.
        expected: &'static str,
    },
    /// The ledger is the other party's.
    #[error("the ledger in {} is {found}'s and this is {expected}; name this party's own folder", .folder.display())]
    OtherParty {
        /// The stock's folder.
        folder: PathBuf,
        /// Whose it is.
        found: Party,
        /// Who asked.
        expected: Party,
    },
    /// The ledger was written under another key.
    #[error("the ledger in {} was written under another stock key; name that key's file, or {DROP}", .folder.display())]
    OtherKey {
        /// The stock's folder.
        folder: PathBuf,
    },
    /// The ledger's file is shorter than it was.
    #[error("the ledger in {} was cut short ({what}); {DROP}", .folder.display())]
    Truncated {
        /// The stock's folder.
        folder: PathBuf,
        /// What was found.
        what: String,
    },
    /// The ledger's file is damaged: its own checksums do not hold, or its rows make no sense.
    #[error("the ledger in {} is damaged ({what}); {DROP}", .folder.display())]
    Damaged {
        /// The stock's folder.
        folder: PathBuf,
        /// What was found.
        what: String,
    },
    /// The ledger's rows are well formed, and not those that were written under this key.
    #[error("the ledger in {} was altered by somebody without its key; find out who writes there, then {DROP}", .folder.display())]
    Altered {
        /// The stock's folder.
        folder: PathBuf,
    },
    /// A write or fsync of the ledger failed, so that what is on the disk is not known before it is read again.
    #[error("the ledger in {} failed at a write ({what}) and takes no more; see to the disk, then open the stock again", .folder.display())]
    Failed {
        /// The stock's folder.
        folder: PathBuf,
        /// What happened at first.
        what: String,
    },
    /// There is no room for more.
    #[error("{room}; {needed} bytes more were needed for {}", .path.display())]
    Full {
        /// Which room.
        room: Room,
        /// How many bytes the refused write had.
        needed: u64,
        /// What was being written.
        path: PathBuf,
    },
    /// The pack cannot be taken.
    #[error("pack {serial} ({class}) is not available: {fate}; take another")]
    NotAvailable {
        /// The pack's class.
        class: Class,
        /// Its serial.
        serial: u64,
        /// What became of it.
        fate: Fate,
    },
    /// Nothing is spent or allotted before both ledgers were compared, as they are now.
    #[error("the stock in {} was not compared with the peer's since either was opened, and may be a restored copy: exchange greetings and states, and reconcile, first", .folder.display())]
    NotReconciled {
        /// The stock's folder.
        folder: PathBuf,
    },
    /// The peer's state answers an older greeting than this side's last.
    #[error(
        "the peer's state is out of date: it answers a greeting of before another boot of the peer was seen; greet again"
    )]
    OutOfDate,
    /// The state came from a peer that says it is the same party.
    #[error("the peer says it is {party}, as this stock is; check which party was started where")]
    SameParty {
        /// This party.
        party: Party,
    },
    /// Only one party allots serials, and only the other takes them over.
    #[error("{party} does not {doing} serials: P0 allots them and P1 accepts them")]
    NotThisParty {
        /// This party.
        party: Party,
        /// What was asked.
        doing: &'static str,
    },
    /// Serials that are not new.
    #[error(
        "serials {serials:?} ({class}) are not beyond those seen here, which end before {next}; compare states (reconcile) and order again"
    )]
    Seen {
        /// Their class.
        class: Class,
        /// What was asked for.
        serials: Range<u64>,
        /// The lowest serial that would be new.
        next: u64,
    },
    /// A pack that nobody ordered here, or that is there already.
    #[error(
        "pack {serial} ({class}) is not being made here: its serial was not allotted since the stock was opened, is written already, or was given up"
    )]
    NotAllotted {
        /// Its class.
        class: Class,
        /// Its serial.
        serial: u64,
    },
    /// More than the stock counts.
    #[error("{what} is {got}, at most {most} are allowed")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many.
        got: u64,
        /// The limit.
        most: u64,
    },
    /// A pack's file is gone. The pack is spent all the same.
    #[error("the file of pack {serial} ({class}) is missing: {}; it stays spent: take another, and find out who removes files there", .path.display())]
    PackMissing {
        /// Its class.
        class: Class,
        /// Its serial.
        serial: u64,
        /// Its file.
        path: PathBuf,
    },
    /// A pack's file is not what was written. The pack is spent all the same.
    #[error("the file of pack {serial} ({class}) was cut, altered or exchanged: {}: {what}; it stays spent: take another, and see to the disk", .path.display())]
    PackDamaged {
        /// Its class.
        class: Class,
        /// Its serial.
        serial: u64,
        /// Its file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
}

/// What to do about a ledger that cannot be used.
pub(crate) const DROP: &str = "drop the stock (runtime stock drop) and fill it anew";

/// What there is no more room of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The stock's quota, in bytes, and how many of them are used.
    Quota {
        /// Bytes of packs on the disk.
        used: u64,
        /// The quota in bytes.
        quota: u64,
    },
    /// The file system, and how many bytes of it are free, where that could be found out.
    Disk {
        /// Free bytes.
        free: Option<u64>,
    },
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Room::Quota { used, quota } => {
                write!(
                    f,
                    "the stock is full: {used} of its quota of {quota} bytes are used; raise the quota, or retire old bundles"
                )
            }
            Room::Disk { free: Some(free) } => {
                write!(
                    f,
                    "the disk, or this process's share of it, is full: {free} bytes are free; free some, or lower the quota"
                )
            }
            Room::Disk { free: None } => write!(f, "the disk is full; free some space, or lower the quota"),
        }
    }
}

/// What became of a pack that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It was spent.
    Burnt(Binding),
    /// It was thrown away unspent.
    Discarded(Discard),
    /// It is allotted, and not here yet.
    InMaking,
    /// It was never here, or is gone for so long that the ledger has forgotten how.
    Unknown,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Burnt(binding) => write!(f, "it was burnt for {binding}"),
            Fate::Discarded(why) => write!(f, "it was discarded, {why}"),
            Fate::InMaking => write!(f, "it is still being made"),
            Fate::Unknown => write!(f, "it was never here, or is gone for long"),
        }
    }
}

/// Why a pack was thrown away unspent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Discard {
    /// The peer does not have its half of it.
    Orphan,
    /// One of the two ledgers is a restored copy.
    Restored,
    /// Its bundle was replaced.
    Retired,
    /// The operator dropped the stock.
    Dropped,
    /// Its file was damaged.
    Damaged,
}

impl Discard {
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Discard> {
        let all = [Discard::Orphan, Discard::Restored, Discard::Retired, Discard::Dropped, Discard::Damaged];
        all.into_iter().find(|why| why.number() == number)
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Discard::Orphan => "as the peer does not have its half",
            Discard::Restored => "as one of the two ledgers is a restored copy",
            Discard::Retired => "as its bundle was replaced",
            Discard::Dropped => "as the stock was dropped",
            Discard::Damaged => "as its file was damaged",
        })
    }
}

/// Whether a write failed for want of room.
pub(crate) fn is_full(source: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(source.kind(), FileTooLarge | QuotaExceeded | StorageFull)
}

/// The bytes that are free where `path` is, for users without privileges.
fn free(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(path).ok().map(|told| told.f_bavail.saturating_mul(told.f_frsize));
    #[cfg(not(unix))]
    return path.to_str().and(None);
}

impl StockError {
    /// An error of a file or folder that was read, or given another name.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StockError {
        let path = path.to_path_buf();
        move |source| StockError::Io { doing, path, source }
    }

    /// An error of a file that was written: [`StockError::Full`] where there was no room.
    pub(crate) fn write(path: &Path, needed: u64) -> impl FnOnce(io::Error) -> StockError {
        let path = path.to_path_buf();
        move |source| {
            if is_full(&source) {
                let room = Room::Disk { free: path.parent().and_then(free) };
                return StockError::Full { room, needed, path };
            }
            StockError::Io { doing: "write", path, source }
        }
    }
}
