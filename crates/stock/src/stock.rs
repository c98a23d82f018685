//! The stock itself: what is done with packs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::class::{Binding, Class, Party};
use crate::error::{Fate, StockError};
use crate::folder::{Folder, is_stock};
use crate::hook::{Hook, Point};
use crate::key::StockKey;
use crate::ledger::Ledger;
use crate::pack::{Expected, Pack};
use crate::rows::AvailableRow;
use crate::sealed::sealed_length;
use crate::shared::{Inside, Making, Shared};
use crate::state::{Boot, MOST_SERIAL, Restored};
use crate::tables::View;
use crate::taking;
use crate::writer::PackWriter;

/// The most serials that are allotted at once.
pub const MOST_ORDERED: u64 = 1 << 16;

/// The stock of one party, in one folder that no other process has open. It may be used by many threads.
///
/// What goes wrong with the ledger is a [`StockError`] of its own kind: [`Locked`](StockError::Locked) by another process;
/// [`Failed`](StockError::Failed) or [`Full`](StockError::Full) at a write, after which the stock has to be opened again.
pub struct Stock {
    pub(crate) shared: Arc<Shared>,
}

impl Stock {
    /// Opens the stock in `folder`, which is made where it is missing, for at most `quota` bytes of packs. What a crash left
    /// half-written is removed.
    ///
    /// # Errors
    /// [`StockError::Locked`] where another process has it; [`StockError::KeyInside`];
    /// [`OtherVersion`](StockError::OtherVersion), [`OtherParty`](StockError::OtherParty),
    /// [`OtherKey`](StockError::OtherKey), [`Truncated`](StockError::Truncated), [`Damaged`](StockError::Damaged),
    /// [`Altered`](StockError::Altered), [`NoLedger`](StockError::NoLedger) where the ledger cannot be used;
    /// [`StockError::Io`].
    pub fn open(folder: &Path, key: StockKey, owner: Party, quota: u64) -> Result<Stock, StockError> {
        Stock::open_hooked(folder, key, owner, quota, Hook::default())
    }

    /// As [`Stock::open`]; `watch` is called before each step that changes the disk.
    #[cfg(feature = "testing")]
    pub fn open_watched(
        folder: &Path,
        key: StockKey,
        owner: Party,
        quota: u64,
        watch: crate::hook::Watch,
    ) -> Result<Stock, StockError> {
        Stock::open_hooked(folder, key, owner, quota, Hook::new(watch))
    }

    fn open_hooked(folder: &Path, key: StockKey, owner: Party, quota: u64, hook: Hook) -> Result<Stock, StockError> {
        let folder = Folder::lock(folder)?;
        key.check_outside(folder.path())?;
        let ledger = Ledger::open(&folder, &key, owner, &hook)?;
        let classes: Vec<Class> = ledger.view(View::classes)?.into_iter().map(|(class, _)| class).collect();
        folder.clean(&classes, |class, serial| Ok(ledger.view(|view| view.available(class, serial))?.is_some()))?;
        let mut used = 0_u64;
        ledger.view(|view| view.each_available(|_, _, row| used = used.saturating_add(sealed_length(row.content))))?;
        let inside =
            Mutex::new(Inside { ledger, making: BTreeMap::new(), used, peer: None, reconciled: false, given_up: 0 });
        Ok(Stock { shared: Arc::new(Shared { folder, key, owner, quota, hook, inside }) })
    }

    /// Whether there is a stock in `folder`: a ledger, or packs that lost theirs. None is made.
    ///
    /// # Errors
    /// [`StockError::Io`].
    pub fn is_in(folder: &Path) -> Result<bool, StockError> {
        is_stock(folder)
    }

    /// Removes the ledger and all packs in `folder`, whatever they are worth: the cure for a ledger that cannot be used.
    ///
    /// # Errors
    /// [`StockError::Locked`] where a process has the stock open, [`StockError::Io`].
    pub fn remove(folder: &Path) -> Result<(), StockError> {
        Folder::lock(folder)?.empty()
    }

    /// Whether the folder turned out to be an older copy of itself when it was opened. All packs were thrown away then.
    pub fn was_restored(&self) -> bool {
        self.shared.lock().ledger.restored
    }

    /// Whose stock it is.
    pub fn party(&self) -> Party {
        self.shared.owner
    }

    /// P0 allots the next `count` serials of a class, durably: none of them is ever allotted again.
    ///
    /// # Errors
    /// [`StockError::NotThisParty`] at P1, [`StockError::NotReconciled`], [`StockError::TooMany`], and those of the ledger.
    pub fn reserve(&self, class: &Class, count: u64) -> Result<Range<u64>, StockError> {
        self.must_be(Party::P0, "allot")?;
        let mut inside = self.shared.lock();
        self.must_be_reconciled(&inside)?;
        let next = inside.ledger.view(|view| view.class(class))?.next;
        self.allot(&mut inside, class, next..next.saturating_add(count))
    }

    /// P1 takes over serials that P0 has allotted. They must lie beyond all it has seen of the class.
    ///
    /// # Errors
    /// [`StockError::Seen`] where they do not, [`StockError::NotThisParty`] at P0, [`StockError::NotReconciled`],
    /// [`StockError::TooMany`], and those of the ledger.
    pub fn accept(&self, class: &Class, serials: Range<u64>) -> Result<(), StockError> {
        self.must_be(Party::P1, "accept")?;
        let mut inside = self.shared.lock();
        self.must_be_reconciled(&inside)?;
        let next = inside.ledger.view(|view| view.class(class))?.next;
        if serials.start < next {
            return Err(StockError::Seen { class: *class, serials, next });
        }
        self.allot(&mut inside, class, serials).map(drop)
    }

    fn allot(&self, inside: &mut Inside, class: &Class, serials: Range<u64>) -> Result<Range<u64>, StockError> {
        let count = serials.end.saturating_sub(serials.start);
        for (what, got, most) in
            [("the number of packs ordered at once", count, MOST_ORDERED), ("a serial", serials.end, MOST_SERIAL)]
        {
            if got > most {
                return Err(StockError::TooMany { what, got, most });
            }
        }
        if count > 0 {
            inside.ledger.change(|change| change.set_next(class, serials.end))?;
            let making = inside.making.entry(*class).or_default();
            making.extend(serials.clone().map(|serial| (serial, Making::Ordered)));
        }
        Ok(serials)
    }

    /// The order that these serials were allotted for has ended: what is not available of them will not be. A pack that is
    /// being written is not given up by this.
    pub fn give_up(&self, class: &Class, serials: Range<u64>) {
        let mut inside = self.shared.lock();
        if let Some(making) = inside.making.get_mut(class) {
            making.retain(|serial, making| !serials.contains(serial) || *making == Making::Writing);
            inside.given_up += 1;
        }
    }

    /// Begins to write a pack that was allotted since the stock was opened.
    ///
    /// For a pack that both parties have, P1 finishes its half first and says so, then P0 its own: then a pack that P0 has,
    /// P1 has as well, and only a crash between the two makes an orphan.
    ///
    /// # Errors
    /// [`StockError::NotAllotted`], [`StockError::Full`], [`StockError::Io`].
    pub fn writer(&self, class: &Class, serial: u64) -> Result<PackWriter, StockError> {
        let mut inside = self.shared.lock();
        match inside.making.get_mut(class).and_then(|serials| serials.get_mut(&serial)) {
            Some(making) if *making == Making::Ordered => *making = Making::Writing,
            _ => return Err(StockError::NotAllotted { class: *class, serial }),
        }
        drop(inside);
        PackWriter::begin(self.shared.clone(), *class, serial)
    }

    /// A number that is another one once anything may have changed of what [`gauges`](Stock::gauges) counts and of what was noted
    /// of orders; only the bytes in use change without it, which [`used`](Stock::used) says.
    pub fn version(&self) -> (u64, u64) {
        let inside = self.shared.lock();
        (inside.ledger.version, inside.given_up)
    }

    /// Bytes on the disk, packs that are being written included.
    pub fn used(&self) -> u64 {
        self.shared.lock().used
    }

    /// What was noted of orders last; nothing once all packs were dropped.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn calendar(&self) -> Result<Option<Vec<u8>>, StockError> {
        self.shared.lock().ledger.view(View::calendar)
    }

    /// Notes something of orders, durably: what is to outlive a restart of how far they have come.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn set_calendar(&self, calendar: &[u8]) -> Result<(), StockError> {
        self.shared.lock().ledger.change(|change| change.set_calendar(Some(calendar)))
    }

    /// The lowest available serial of a class.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn lowest(&self, class: &Class) -> Result<Option<u64>, StockError> {
        let inside = self.shared.lock();
        let next = inside.ledger.view(|view| view.next_available((*class, 0)))?;
        Ok(next.filter(|(of, _)| of == class).map(|(_, serial)| serial))
    }

    /// Spends a pack: writes durably what it is spent on, then gives it out. It never comes back, whatever happens next.
    /// `reconciled` is of the session in which it is spent.
    ///
    /// # Errors
    /// [`StockError::NotReconciled`] where either side was opened again since; [`StockError::NotAvailable`], which says what became of it;
    /// [`StockError::PackMissing`] or [`StockError::PackDamaged`] where its file is not what was written, and the pack stays
    /// burnt; those of the ledger, after which the pack may be burnt or not: open the stock again.
    pub fn burn(
        &self,
        reconciled: &Reconciled,
        class: &Class,
        serial: u64,
        binding: Binding,
    ) -> Result<Pack, StockError> {
        let shared = &self.shared;
        let mut inside = shared.lock();
        self.must_be_reconciled(&inside)?;
        // Facts that the peer was told when it connected again must still hold: a session of before must not change them.
        let own = inside.ledger.view(View::boots)?.now();
        if reconciled.own != own || Some(reconciled.peer) != inside.peer {
            return Err(self.not_reconciled());
        }
        let (row, fate) = inside.ledger.view(|view| Ok((view.available(class, serial)?, view.fate(class, serial)?)))?;
        let Some(AvailableRow { order, content, .. }) = row else {
            let making = inside.making(class, serial).map(|_| Fate::InMaking);
            let fate = fate.or(making).unwrap_or(Fate::Unknown);
            return Err(StockError::NotAvailable { class: *class, serial, fate });
        };
        inside.ledger.change(|change| change.spend(class, serial, Fate::Burnt(binding)))?;
        inside.used = inside.used.saturating_sub(sealed_length(content));
        drop(inside);
        let path = shared.folder.pack(class, serial);
        let file = File::open(&path);
        // without its name the file is gone with the pack; where it stays, the next opening of the stock removes it
        let _ = shared.hook.at(Point::Unlink).and_then(|()| fs::remove_file(&path));
        let file = file.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => StockError::PackMissing { class: *class, serial, path: path.clone() },
            _ => StockError::io("read", &path)(e),
        })?;
        Pack::open(&shared.key, Expected { owner: shared.owner, class: *class, serial, order, content }, path, file)
    }

    fn must_be(&self, party: Party, doing: &'static str) -> Result<(), StockError> {
        let owner = self.shared.owner;
        if owner == party { Ok(()) } else { Err(StockError::NotThisParty { party: owner, doing }) }
    }

    fn must_be_reconciled(&self, inside: &Inside) -> Result<(), StockError> {
        if inside.reconciled { Ok(()) } else { Err(self.not_reconciled()) }
    }

    fn not_reconciled(&self) -> StockError {
        StockError::NotReconciled { folder: self.shared.folder.path().to_path_buf() }
    }
}

/// What reconciling came to: packs may be burnt in this session now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// How many packs were discarded here.
    pub discarded: u64,
    /// Why all were dropped, where they were.
    pub dropped_all: Option<Restored>,
    /// The boots of both sides that reconciled.
    pub(crate) own: Boot,
    pub(crate) peer: Boot,
}

impl Reconciled {
    /// The boot of the other side that reconciled.
    pub fn peer(&self) -> Boot {
        self.peer
    }
}

/// The ledger of one session, by which packs are taken.
#[derive(Debug, Clone, Copy)]
pub struct Counter<'a> {
    /// The stock.
    pub stock: &'a Stock,
    /// What reconciling came to in this session.
    pub reconciled: Reconciled,
    /// Told of a pack that was burnt and whose file is gone or damaged.
    pub noticed: fn(&StockError),
}

impl taking::Ledger for Counter<'_> {
    type Pack = Pack;
    type Error = StockError;

    fn lowest(&mut self, class: &Class) -> Result<Option<u64>, StockError> {
        self.stock.lowest(class)
    }

    fn burn(&mut self, class: &Class, serial: u64, binding: Binding) -> Result<Option<Pack>, StockError> {
        match self.stock.burn(&self.reconciled, class, serial, binding) {
            Ok(pack) => Ok(Some(pack)),
            Err(StockError::NotAvailable { .. }) => Ok(None),
            // a file that is gone or damaged was noticed after its pack was burnt: the next one may do
            Err(error @ (StockError::PackMissing { .. } | StockError::PackDamaged { .. })) => {
                (self.noticed)(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn order(pack: &Pack) -> [u8; 32] {
        pack.order()
    }
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock")
            .field("party", &self.party())
            .field("folder", &self.shared.folder)
            .finish_non_exhaustive()
    }
}
