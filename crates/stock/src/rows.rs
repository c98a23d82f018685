//! How rows of the ledger are written: numbers with the highest byte first, fields one after the other, no lengths.

use crate::class::{Binding, CLASS_BYTES, Class};
use crate::error::{Discard, Fate};
use crate::state::{Boot, Boots};

/// What the ledger counts of a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ClassRow {
    /// The lowest serial that was never allotted.
    pub(crate) next: u64,
    pub(crate) burnt: u64,
    pub(crate) discarded: u64,
    /// How many of those the ledger has no row of any more.
    pub(crate) forgotten: u64,
}

/// A pack that may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AvailableRow {
    pub(crate) order: [u8; 32],
    /// Plain bytes in its file.
    pub(crate) content: u64,
    /// When it was recorded, in seconds since 1970 by this machine's clock.
    pub(crate) made: u64,
}

/// Reads fields off the front of a row.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// What was read, if nothing is left over.
    fn end<T>(self, row: T) -> Option<T> {
        self.0.is_empty().then_some(row)
    }
}

/// The name of a pack: its class, then its serial, so that the packs of a class follow each other in order.
pub(crate) fn pack_key(class: &Class, serial: u64) -> [u8; CLASS_BYTES + 8] {
    let mut key = [0; CLASS_BYTES + 8];
    key[..CLASS_BYTES].copy_from_slice(&class.to_bytes());
    key[CLASS_BYTES..].copy_from_slice(&serial.to_be_bytes());
    key
}

pub(crate) fn read_pack_key(key: &[u8]) -> Option<(Class, u64)> {
    let class = Class::from_bytes(key)?;
    let mut fields = Fields(key.get(CLASS_BYTES..)?);
    let serial = fields.number()?;
    fields.end((class, serial))
}

impl ClassRow {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [self.next, self.burnt, self.discarded, self.forgotten].iter().flat_map(|n| n.to_be_bytes()).collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<ClassRow> {
        let mut fields = Fields(bytes);
        let (next, burnt) = (fields.number()?, fields.number()?);
        let (discarded, forgotten) = (fields.number()?, fields.number()?);
        fields.end(ClassRow { next, burnt, discarded, forgotten })
    }
}

impl AvailableRow {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [&self.order[..], &self.content.to_be_bytes(), &self.made.to_be_bytes()].concat()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<AvailableRow> {
        let mut fields = Fields(bytes);
        let (order, content, made) = (fields.take()?, fields.number()?, fields.number()?);
        fields.end(AvailableRow { order, content, made })
    }
}

const BURNT: u8 = 1;
const DISCARDED: u8 = 2;

/// What became of a pack that is gone.
pub(crate) fn write_fate(fate: &Fate) -> Option<Vec<u8>> {
    match fate {
        Fate::Burnt(binding) => {
            let Binding { session, request, attempt } = binding;
            Some([&[BURNT][..], session, &request.to_be_bytes(), &attempt.to_be_bytes()].concat())
        }
        Fate::Discarded(why) => Some(vec![DISCARDED, why.number()]),
        Fate::InMaking | Fate::Unknown => None,
    }
}

pub(crate) fn read_fate(bytes: &[u8]) -> Option<Fate> {
    let mut fields = Fields(bytes);
    match fields.take::<1>()? {
        [BURNT] => {
            let (session, request) = (fields.take()?, fields.number()?);
            let attempt = u32::from_be_bytes(fields.take()?);
            fields.end(Fate::Burnt(Binding { session, request, attempt }))
        }
        [DISCARDED] => {
            let [why] = fields.take()?;
            fields.end(Fate::Discarded(Discard::from_number(why)?))
        }
        _ => None,
    }
}

pub(crate) fn write_boots(boots: &Boots) -> Vec<u8> {
    let mut bytes = boots.now().epoch.to_be_bytes().to_vec();
    bytes.extend(boots.marks().iter().flat_map(|mark| mark.to_be_bytes()));
    bytes
}

pub(crate) fn read_boots(bytes: &[u8]) -> Option<Boots> {
    let mut fields = Fields(bytes);
    let epoch = fields.number()?;
    let mut marks = Vec::new();
    while !fields.0.is_empty() {
        marks.push(fields.number()?);
    }
    Boots::from_parts(epoch, marks)
}

pub(crate) fn write_boot(boot: Boot) -> Vec<u8> {
    [boot.epoch.to_be_bytes(), boot.mark.to_be_bytes()].concat()
}

pub(crate) fn read_boot(bytes: &[u8]) -> Option<Boot> {
    let mut fields = Fields(bytes);
    let (epoch, mark) = (fields.number()?, fields.number()?);
    fields.end(Boot { epoch, mark })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_no_other_length_is_read() {
        let class = Class { bundle: [1; 16], plan: [2; 32], rows: 3 };
        assert_eq!(read_pack_key(&pack_key(&class, 4)), Some((class, 4)));
        assert!(pack_key(&class, 255) < pack_key(&class, 256));
        let row = ClassRow { next: 1, burnt: 2, discarded: 3, forgotten: 4 };
        assert_eq!(ClassRow::from_bytes(&row.to_bytes()), Some(row));
        let available = AvailableRow { order: [5; 32], content: 6, made: 7 };
        assert_eq!(AvailableRow::from_bytes(&available.to_bytes()), Some(available));
        let binding = Binding { session: [8; 16], request: 9, attempt: 10 };
        for fate in [Fate::Burnt(binding), Fate::Discarded(Discard::Orphan), Fate::Discarded(Discard::Damaged)] {
            let bytes = write_fate(&fate).unwrap();
            assert_eq!(read_fate(&bytes), Some(fate));
            assert_eq!(read_fate(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!((write_fate(&Fate::Unknown), read_fate(&[])), (None, None));
        assert_eq!((read_fate(&[3]), read_fate(&[DISCARDED, 99])), (None, None));
        let mut boots = Boots::first(11);
        boots.again(12);
        assert_eq!(read_boots(&write_boots(&boots)), Some(boots.clone()));
        assert_eq!(read_boots(&write_boots(&boots)[..8]), None);
        assert_eq!(read_boot(&write_boot(boots.now())), Some(boots.now()));
        assert_eq!(ClassRow::from_bytes(&[0; 33]), None);
        assert_eq!(AvailableRow::from_bytes(&[0; 47]), None);
    }
}
