//! How a pack's bytes are sealed.
//!
//! A file is a random salt of 32 bytes, then chunks of 256 KiB, each sealed by AES-256-GCM with 16 bytes more. Nothing in
//! it is plain, so that it cannot be told from random bytes. The key is derived from the stock's, the salt, and what the
//! pack is called; the nonce is the chunk's number and whether it is the last one (the STREAM construction: Hoang,
//! Reyhanitabar, Rogaway and Vizár, 2015). So a chunk opens in its own place of its own file only.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::error::Unspecified;
use zeroize::Zeroizing;

use crate::class::{Class, Party};
use crate::key::{SALT_BYTES, StockKey};

/// Plain bytes in a chunk; the last one may have fewer, and none where the pack is empty.
pub(crate) const CHUNK: usize = 256 << 10;
const TAG: usize = 16;
const LABEL: &[u8] = b"private-bert stock pack 1";

/// The length of the file that holds so many plain bytes.
pub(crate) fn sealed_length(content: u64) -> u64 {
    let chunks = content.div_ceil(CHUNK as u64).max(1);
    content.saturating_add(chunks.saturating_mul(TAG as u64)).saturating_add(SALT_BYTES as u64)
}

fn pack_key(key: &StockKey, salt: &[u8; SALT_BYTES], owner: Party, class: &Class, serial: u64) -> LessSafeKey {
    key.pack_key(salt, &[LABEL, &[owner.number()], &class.to_bytes(), &serial.to_be_bytes()])
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[NONCE_LEN - 1] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

/// Seals the chunks of one file.
pub(crate) struct Sealer {
    key: LessSafeKey,
    salt: [u8; SALT_BYTES],
    number: u64,
    chunk: Zeroizing<Vec<u8>>,
}

impl Sealer {
    /// A sealer under a fresh salt, which goes to the file first ([`Sealer::salt`]).
    pub(crate) fn new(key: &StockKey, owner: Party, class: &Class, serial: u64) -> Result<Sealer, getrandom::Error> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt)?;
        let key = pack_key(key, &salt, owner, class, serial);
        // never grown, so that no copy of plain bytes stays behind
        Ok(Sealer { key, salt, number: 0, chunk: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)) })
    }

    pub(crate) fn salt(&self) -> &[u8; SALT_BYTES] {
        &self.salt
    }

    /// Takes the beginning of `bytes` into the chunk; where some are left over, the chunk is full.
    pub(crate) fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
        self.chunk.extend_from_slice(now);
        later
    }

    /// Seals the chunk and hands it to `write`, then begins the next.
    pub(crate) fn seal<E>(&mut self, last: bool, write: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Ok(tag) =
            self.key.seal_in_place_separate_tag(nonce(self.number, last), Aad::from(&self.salt), &mut self.chunk)
        else {
            unreachable!("a chunk is far below what AES-GCM takes");
        };
        self.chunk.extend_from_slice(tag.as_ref());
        let written = write(&self.chunk);
        self.chunk.clear();
        self.number += 1;
        written
    }
}

/// Opens the chunks of one file, in order.
pub(crate) struct Opener {
    key: LessSafeKey,
    salt: [u8; SALT_BYTES],
    number: u64,
    /// Plain bytes in the chunks still to come.
    left: u64,
    ended: bool,
    chunk: Zeroizing<Vec<u8>>,
    /// How many of the chunk's bytes are plain and authenticated.
    plain: usize,
}

impl Opener {
    /// For a file with this salt, which holds `content` plain bytes.
    pub(crate) fn new(
        key: &StockKey,
        salt: [u8; SALT_BYTES],
        owner: Party,
        class: &Class,
        serial: u64,
        content: u64,
    ) -> Opener {
        let key = pack_key(key, &salt, owner, class, serial);
        Opener { key, salt, number: 0, left: content, ended: false, chunk: Zeroizing::new(Vec::new()), plain: 0 }
    }

    /// The length of the next sealed chunk; 0 after the last one.
    pub(crate) fn next_length(&self) -> usize {
        if self.ended { 0 } else { self.left.min(CHUNK as u64) as usize + TAG }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next sealed chunk by `read` and opens it: [`Opener::plain`] has its bytes then. After the last one it has none.
    pub(crate) fn open<E: From<Unspecified>>(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let length = self.next_length();
        self.plain = 0;
        if length == 0 {
            return Ok(());
        }
        // what it held is written over by what is read, and wiped at the end: wiping each chunk costs more than opening it
        self.chunk.resize(length, 0);
        read(&mut self.chunk)?;
        let last = self.left <= CHUNK as u64;
        let plain = self.key.open_in_place(nonce(self.number, last), Aad::from(&self.salt), &mut self.chunk)?;
        self.plain = plain.len();
        self.left -= self.plain as u64;
        self.number += 1;
        self.ended = last;
        Ok(())
    }

    /// The plain bytes of the chunk that was opened last.
    pub(crate) fn plain(&self) -> &[u8] {
        &self.chunk[..self.plain]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: Class = Class { bundle: [1; 16], plan: [2; 32], rows: 64 };

    #[derive(Debug, PartialEq)]
    struct Refused;
    impl From<Unspecified> for Refused {
        fn from(_: Unspecified) -> Refused {
            Refused
        }
    }

    fn sealed(key: &StockKey, content: &[u8]) -> ([u8; SALT_BYTES], Vec<Vec<u8>>) {
        let mut sealer = Sealer::new(key, Party::P1, &CLASS, 7).unwrap();
        let (mut rest, mut chunks) = (content, Vec::new());
        loop {
            rest = sealer.take(rest);
            let last = rest.is_empty();
            let keep = |chunk: &[u8]| {
                chunks.push(chunk.to_vec());
                Ok::<(), Refused>(())
            };
            sealer.seal(last, keep).unwrap();
            if last {
                return (*sealer.salt(), chunks);
            }
        }
    }

    fn opened(opener: &mut Opener, chunks: &[Vec<u8>]) -> Result<Vec<u8>, Refused> {
        let mut content = Vec::new();
        for chunk in chunks {
            opener.open(|into| {
                into.copy_from_slice(chunk.get(..into.len()).ok_or(Refused)?);
                Ok::<(), Refused>(())
            })?;
            content.extend_from_slice(opener.plain());
        }
        assert_eq!(opener.next_length(), 0);
        Ok(content)
    }

    #[test]
    fn every_length_comes_back_and_is_as_long_as_foreseen() {
        let key = StockKey::from_bytes([3; 32]);
        for length in [0, 1, 32, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5] {
            let content: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let (salt, chunks) = sealed(&key, &content);
            let bytes = chunks.iter().map(Vec::len).sum::<usize>() + SALT_BYTES;
            assert_eq!(bytes as u64, sealed_length(length as u64));
            let mut opener = Opener::new(&key, salt, Party::P1, &CLASS, 7, length as u64);
            assert_eq!(opened(&mut opener, &chunks).unwrap(), content);
        }
        assert_eq!(sealed_length(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_chunk_opens_in_its_own_place_of_its_own_pack_only() {
        let key = StockKey::from_bytes([3; 32]);
        let content = vec![9; 2 * CHUNK + 5];
        let (salt, chunks) = sealed(&key, &content);
        let (other_salt, other) = sealed(&key, &content);
        assert_ne!((salt, &chunks), (other_salt, &other));
        let open = |key: &StockKey, salt, owner, class: Class, serial, content: usize, chunks: &[Vec<u8>]| {
            opened(&mut Opener::new(key, salt, owner, &class, serial, content as u64), chunks)
        };
        let whole = content.len();
        let rows = Class { rows: 65, ..CLASS };
        assert_eq!(open(&key, salt, Party::P1, CLASS, 7, whole, &chunks), Ok(content));
        assert_eq!(open(&StockKey::from_bytes([4; 32]), salt, Party::P1, CLASS, 7, whole, &chunks), Err(Refused));
        assert_eq!(open(&key, other_salt, Party::P1, CLASS, 7, whole, &chunks), Err(Refused));
        assert_eq!(open(&key, salt, Party::P0, CLASS, 7, whole, &chunks), Err(Refused));
        assert_eq!(open(&key, salt, Party::P1, rows, 7, whole, &chunks), Err(Refused));
        assert_eq!(open(&key, salt, Party::P1, CLASS, 8, whole, &chunks), Err(Refused));
        // cut at a border of chunks, reordered, exchanged with another pack's
        assert_eq!(open(&key, salt, Party::P1, CLASS, 7, 2 * CHUNK, &chunks[..2]), Err(Refused));
        let [a, b, c] = [0, 1, 2].map(|i| chunks[i].clone());
        assert_eq!(open(&key, salt, Party::P1, CLASS, 7, whole, &[b.clone(), a.clone(), c]), Err(Refused));
        assert_eq!(open(&key, salt, Party::P1, CLASS, 7, whole, &[a, b, other[2].clone()]), Err(Refused));
        // a whole chunk that does not say that it is the last one
        let (salt, chunks) = sealed(&key, &vec![9; CHUNK + 1]);
        assert_eq!(open(&key, salt, Party::P1, CLASS, 7, CHUNK, &chunks[..1]), Err(Refused));
    }
}
