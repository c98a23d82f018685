//! The tables of a ledger, read and changed by rows, and the seal over all of them.

use redb::{ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use ring::hmac;

use crate::class::{CLASS_BYTES, Class};
use crate::error::{Discard, Fate};
use crate::rows::{self, AvailableRow, ClassRow};
use crate::state::{Boot, Boots};

type Rows<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

pub(crate) const META: Rows<'static> = TableDefinition::new("meta");
const CLASSES: Rows<'static> = TableDefinition::new("classes");
const AVAILABLE: Rows<'static> = TableDefinition::new("available");
const GONE: Rows<'static> = TableDefinition::new("gone");
const TABLES: [Rows<'static>; 4] = [META, CLASSES, AVAILABLE, GONE];

/// Names in the table `meta`.
pub(crate) const FORMAT_ROW: &[u8] = b"format";
pub(crate) const PARTY_ROW: &[u8] = b"party";
pub(crate) const KEY_ROW: &[u8] = b"key";
const BOOTS_ROW: &[u8] = b"boots";
const SEEN_ROW: &[u8] = b"seen";
const SEAL_ROW: &[u8] = b"seal";
const CHANGES_ROW: &[u8] = b"changes";
const CALENDAR_ROW: &[u8] = b"calendar";

/// Of how many gone packs of a class the ledger remembers what became of them. Fewer in unit tests, which try the rule.
pub(crate) const REMEMBERED: u64 = if cfg!(test) { 4 } else { 16_384 };

/// What reading a ledger can fail with.
#[derive(Debug)]
pub(crate) enum RowError {
    /// redb's own.
    Redb(redb::Error),
    /// A row that this release did not write.
    Strange(&'static str),
}

impl<E: Into<redb::Error>> From<E> for RowError {
    fn from(error: E) -> RowError {
        RowError::Redb(error.into())
    }
}

fn read_changes(row: &[u8]) -> Option<u64> {
    row.try_into().ok().map(u64::from_be_bytes)
}

fn known<T>(row: Option<T>, what: &'static str) -> Result<T, RowError> {
    row.ok_or(RowError::Strange(what))
}

/// The XOR of the HMACs of all rows but the seal.
pub(crate) type Sum = [u8; 32];

/// Adds a row to a sum, or takes it out of it: the same.
fn toggle(sum: &mut Sum, mac: &hmac::Key, table: &str, key: &[u8], value: &[u8]) {
    if table == "meta" && key == SEAL_ROW {
        return;
    }
    let mut tag = hmac::Context::with_key(mac);
    for part in [table.as_bytes(), key, value] {
        tag.update(&(part.len() as u64).to_be_bytes());
        tag.update(part);
    }
    for (sum, tag) in sum.iter_mut().zip(tag.sign().as_ref()) {
        *sum ^= tag;
    }
}

fn seal(mac: &hmac::Key, sum: &Sum) -> hmac::Tag {
    hmac::sign(mac, &[b"seal", &sum[..]].concat())
}

/// One moment of a ledger.
pub(crate) struct View(ReadTransaction);

impl View {
    pub(crate) fn of(database: &redb::Database) -> Result<View, RowError> {
        Ok(View(database.begin_read()?))
    }

    fn get(&self, table: Rows<'_>, key: &[u8]) -> Result<Option<Vec<u8>>, RowError> {
        Ok(self.0.open_table(table)?.get(key)?.map(|value| value.value().to_vec()))
    }

    pub(crate) fn meta(&self, name: &[u8]) -> Result<Option<Vec<u8>>, RowError> {
        self.get(META, name)
    }

    /// The sum of all rows, where the seal says that it is the one that was written.
    pub(crate) fn sealed_sum(&self, mac: &hmac::Key) -> Result<Option<Sum>, RowError> {
        let mut sum = Sum::default();
        for table in TABLES {
            for row in self.0.open_table(table)?.iter()? {
                let (key, value) = row?;
                toggle(&mut sum, mac, redb::TableHandle::name(&table), key.value(), value.value());
            }
        }
        let told = self.meta(SEAL_ROW)?.unwrap_or_default();
        let fits = hmac::verify(mac, &[b"seal", &sum[..]].concat(), &told).is_ok();
        Ok(fits.then_some(sum))
    }

    pub(crate) fn boots(&self) -> Result<Boots, RowError> {
        known(self.meta(BOOTS_ROW)?.as_deref().and_then(rows::read_boots), "boots")
    }

    pub(crate) fn seen(&self) -> Result<Option<Boot>, RowError> {
        self.meta(SEEN_ROW)?.map(|row| known(rows::read_boot(&row), "the peer's boot")).transpose()
    }

    /// What its owner noted of orders.
    pub(crate) fn calendar(&self) -> Result<Option<Vec<u8>>, RowError> {
        self.meta(CALENDAR_ROW)
    }

    /// How many changes the ledger has had.
    pub(crate) fn changes(&self) -> Result<u64, RowError> {
        self.meta(CHANGES_ROW)?.map_or(Ok(0), |row| known(read_changes(&row), "the number of changes"))
    }

    pub(crate) fn class(&self, class: &Class) -> Result<ClassRow, RowError> {
        let row = self.get(CLASSES, &class.to_bytes())?;
        row.map_or(Ok(ClassRow::default()), |row| known(ClassRow::from_bytes(&row), "a class"))
    }

    pub(crate) fn classes(&self) -> Result<Vec<(Class, ClassRow)>, RowError> {
        let mut all = Vec::new();
        for row in self.0.open_table(CLASSES)?.iter()? {
            let (key, value) = row?;
            let class = known(Class::from_bytes(key.value()), "a class")?;
            all.push((class, known(ClassRow::from_bytes(value.value()), "a class")?));
        }
        Ok(all)
    }

    pub(crate) fn available(&self, class: &Class, serial: u64) -> Result<Option<AvailableRow>, RowError> {
        let row = self.get(AVAILABLE, &rows::pack_key(class, serial))?;
        row.map(|row| known(AvailableRow::from_bytes(&row), "an available pack")).transpose()
    }

    /// The first available pack of `from` or after it, in the order of classes and serials.
    pub(crate) fn next_available(&self, from: (Class, u64)) -> Result<Option<(Class, u64)>, RowError> {
        let start = rows::pack_key(&from.0, from.1);
        let table = self.0.open_table(AVAILABLE)?;
        let Some(row) = table.range(&start[..]..)?.next() else { return Ok(None) };
        known(rows::read_pack_key(row?.0.value()), "an available pack").map(Some)
    }

    /// Calls `each` with every available pack, in the order of classes and serials.
    pub(crate) fn each_available(&self, mut each: impl FnMut(Class, u64, AvailableRow)) -> Result<(), RowError> {
        for row in self.0.open_table(AVAILABLE)?.iter()? {
            let (key, value) = row?;
            let (class, serial) = known(rows::read_pack_key(key.value()), "an available pack")?;
            each(class, serial, known(AvailableRow::from_bytes(value.value()), "an available pack")?);
        }
        Ok(())
    }

    /// What became of a pack, as far as the ledger remembers.
    pub(crate) fn fate(&self, class: &Class, serial: u64) -> Result<Option<Fate>, RowError> {
        let row = self.get(GONE, &rows::pack_key(class, serial))?;
        row.map(|row| known(rows::read_fate(&row), "a pack that is gone")).transpose()
    }
}

/// A change of a ledger, which is kept as a whole or not at all.
pub(crate) struct Change<'t> {
    tables: [Table<'t, &'static [u8], &'static [u8]>; 4],
    mac: &'t hmac::Key,
    sum: Sum,
    /// The number of changes is larger than this one.
    floor: u64,
}

impl<'t> Change<'t> {
    pub(crate) fn of(transaction: &'t WriteTransaction, mac: &'t hmac::Key, sum: Sum) -> Result<Change<'t>, RowError> {
        let [meta, classes, available, gone] = TABLES.map(|table| transaction.open_table(table));
        Ok(Change { tables: [meta?, classes?, available?, gone?], mac, sum, floor: 0 })
    }

    /// This ledger has had more changes than so many: it, or the one that it is a copy of.
    pub(crate) fn come_to(&mut self, changes: u64) {
        self.floor = changes;
    }

    /// Counts this change and writes the seal. The transaction may be committed then.
    pub(crate) fn sealed(mut self) -> Result<(Sum, u64), RowError> {
        let before = self.table(META).get(CHANGES_ROW)?.map(|row| read_changes(row.value()));
        let before = before.map_or(Ok(0), |before| known(before, "the number of changes"))?;
        let changes = before.max(self.floor).saturating_add(1);
        self.put(META, CHANGES_ROW, &changes.to_be_bytes())?;
        let seal = seal(self.mac, &self.sum);
        self.put(META, SEAL_ROW, seal.as_ref())?;
        Ok((self.sum, changes))
    }

    fn table(&mut self, table: Rows<'_>) -> &mut Table<'t, &'static [u8], &'static [u8]> {
        let name = redb::TableHandle::name(&table);
        let place = TABLES.iter().position(|known| redb::TableHandle::name(known) == name);
        &mut self.tables[place.unwrap_or_default()]
    }

    fn put(&mut self, table: Rows<'_>, key: &[u8], value: &[u8]) -> Result<(), RowError> {
        let (name, mac, mut sum) = (redb::TableHandle::name(&table).to_owned(), self.mac, self.sum);
        if let Some(old) = self.table(table).insert(key, value)? {
            toggle(&mut sum, mac, &name, key, old.value());
        }
        toggle(&mut sum, mac, &name, key, value);
        self.sum = sum;
        Ok(())
    }

    fn remove(&mut self, table: Rows<'_>, key: &[u8]) -> Result<Option<Vec<u8>>, RowError> {
        let removed = self.table(table).remove(key)?.map(|old| old.value().to_vec());
        if let Some(old) = &removed {
            toggle(&mut self.sum, self.mac, redb::TableHandle::name(&table), key, old);
        }
        Ok(removed)
    }

    pub(crate) fn set_meta(&mut self, name: &[u8], value: &[u8]) -> Result<(), RowError> {
        self.put(META, name, value)
    }

    pub(crate) fn set_boots(&mut self, boots: &Boots) -> Result<(), RowError> {
        self.set_meta(BOOTS_ROW, &rows::write_boots(boots))
    }

    pub(crate) fn set_seen(&mut self, seen: Boot) -> Result<(), RowError> {
        self.set_meta(SEEN_ROW, &rows::write_boot(seen))
    }

    /// Notes this of orders, or nothing any more.
    pub(crate) fn set_calendar(&mut self, calendar: Option<&[u8]>) -> Result<(), RowError> {
        match calendar {
            Some(calendar) => self.set_meta(CALENDAR_ROW, calendar),
            None => self.remove(META, CALENDAR_ROW).map(drop),
        }
    }

    fn set_class(&mut self, class: &Class, row: ClassRow) -> Result<(), RowError> {
        self.put(CLASSES, &class.to_bytes(), &row.to_bytes())
    }

    fn class(&mut self, class: &Class) -> Result<ClassRow, RowError> {
        let row = self.table(CLASSES).get(&class.to_bytes()[..])?.map(|row| row.value().to_vec());
        row.map_or(Ok(ClassRow::default()), |row| known(ClassRow::from_bytes(&row), "a class"))
    }

    /// The serials of a class go on from here.
    pub(crate) fn set_next(&mut self, class: &Class, next: u64) -> Result<(), RowError> {
        let row = self.class(class)?;
        self.set_class(class, ClassRow { next, ..row })
    }

    pub(crate) fn add_available(&mut self, class: &Class, serial: u64, row: AvailableRow) -> Result<(), RowError> {
        self.put(AVAILABLE, &rows::pack_key(class, serial), &row.to_bytes())
    }

    /// Takes a pack out of those available, for good; nothing where it is not among them.
    pub(crate) fn spend(&mut self, class: &Class, serial: u64, fate: Fate) -> Result<Option<AvailableRow>, RowError> {
        let key = rows::pack_key(class, serial);
        let Some(row) = self.remove(AVAILABLE, &key)? else { return Ok(None) };
        let row = known(AvailableRow::from_bytes(&row), "an available pack")?;
        self.put(GONE, &key, &known(rows::write_fate(&fate), "an end of a pack")?)?;
        let mut counts = self.class(class)?;
        match fate {
            Fate::Discarded(_) => counts.discarded += 1,
            _ => counts.burnt += 1,
        }
        if counts.burnt + counts.discarded - counts.forgotten > REMEMBERED && self.forget(class)? {
            counts.forgotten += 1;
        }
        self.set_class(class, counts)?;
        Ok(Some(row))
    }

    /// Forgets what became of the pack of the lowest serial.
    fn forget(&mut self, class: &Class) -> Result<bool, RowError> {
        let start = rows::pack_key(class, 0);
        let oldest = self.table(GONE).range(&start[..]..)?.next();
        let oldest = oldest.transpose()?.map(|(key, _)| key.value().to_vec());
        match oldest.filter(|key| key[..CLASS_BYTES] == start[..CLASS_BYTES]) {
            Some(key) => Ok(self.remove(GONE, &key)?.is_some()),
            None => Ok(false),
        }
    }

    /// Discards packs, in this order; says how long the files of those were that were available.
    pub(crate) fn discard(&mut self, packs: &[(Class, u64)], why: Discard) -> Result<Vec<Option<u64>>, RowError> {
        let mut lengths = Vec::with_capacity(packs.len());
        for (class, serial) in packs {
            let row = self.spend(class, *serial, Fate::Discarded(why))?;
            lengths.push(row.map(|row| row.content));
        }
        Ok(lengths)
    }
}
