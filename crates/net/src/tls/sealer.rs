//! The half of a connection that sends: plaintext in, sealed records out.

use std::fmt;
use std::io::IoSlice;

use rustls::{AlertDescription, Error};

use super::record::{ALERT, DATA, HANDSHAKE, HEADER, KEY_UPDATE, Keys, MOST_BYTES, Successors, TAG, Way};

/// Of plaintext, the most that is sealed at once: so much of a payload is held twice.
const CHUNK: usize = 128 << 10;

/// Records of one key, the one included that tells of the next key. AES-GCM may seal 2^24.5 (RFC 8446, section 5.5).
const RECORDS_OF_A_KEY: u64 = 1 << 23;

/// Seals records into one buffer, which is used again and again.
pub(super) struct Sealer {
    keys: Keys,
    successors: Successors,
    /// How many records a key seals before it is replaced.
    pub(super) records_of_a_key: u64,
    /// Whole records that are yet to be sent.
    sealed: Vec<u8>,
}

impl Sealer {
    pub(super) fn new(keys: Keys, successors: Successors) -> Self {
        // and a record for a change of keys
        let room = CHUNK + (CHUNK / MOST_BYTES + 1) * (HEADER + 1 + TAG) + KEY_UPDATE.len();
        Self { keys, successors, records_of_a_key: RECORDS_OF_A_KEY, sealed: Vec::with_capacity(room) }
    }

    /// Seals what `parts` begin with, up to [`CHUNK`], in as few records as possible: how many bytes were taken.
    pub(super) fn data(&mut self, parts: &[IoSlice<'_>]) -> Result<usize, Error> {
        let total = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len())).min(CHUNK);
        let mut front = Front { parts, at: 0 };
        let mut taken = 0;
        while taken < total {
            if self.keys.number().saturating_add(1) >= self.records_of_a_key {
                self.change_keys()?;
            }
            let start = self.begin();
            taken += front.take(MOST_BYTES.min(total - taken), &mut self.sealed);
            self.keys.seal(&mut self.sealed, start, DATA)?;
        }
        Ok(taken)
    }

    /// Seals an alert. All of TLS 1.3 end the connection; only the one that says so is a mere warning.
    pub(super) fn alert(&mut self, alert: AlertDescription) -> Result<(), Error> {
        let level = if alert == AlertDescription::CloseNotify { 1 } else { 2 };
        self.message(ALERT, &[level, u8::from(alert)])
    }

    /// What is to be sent; to be [sent](Self::sent) before more is sealed.
    pub(super) fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// Makes room: all that was sealed is sent.
    pub(super) fn sent(&mut self) {
        self.sealed.clear();
    }

    /// Tells the peer that the next record is under the next key, and takes that one.
    fn change_keys(&mut self) -> Result<(), Error> {
        self.message(HANDSHAKE, &KEY_UPDATE)?;
        self.keys = self.successors.next(Way::Out)?;
        Ok(())
    }

    fn message(&mut self, kind: u8, message: &[u8]) -> Result<(), Error> {
        let start = self.begin();
        self.sealed.extend_from_slice(message);
        self.keys.seal(&mut self.sealed, start, kind)
    }

    /// Room for a header: where the record begins.
    fn begin(&mut self) -> usize {
        let start = self.sealed.len();
        self.sealed.extend_from_slice(&[0; HEADER]);
        start
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// What is left of some parts.
struct Front<'a> {
    parts: &'a [IoSlice<'a>],
    /// Bytes of the first of them that are taken.
    at: usize,
}

impl Front<'_> {
    /// Moves up to `most` bytes: how many.
    fn take(&mut self, most: usize, into: &mut Vec<u8>) -> usize {
        let mut taken = 0;
        while let Some((first, rest)) = self.parts.split_first() {
            let piece = &first[self.at..];
            let piece = &piece[..piece.len().min(most - taken)];
            into.extend_from_slice(piece);
            taken += piece.len();
            self.at += piece.len();
            if self.at < first.len() {
                break;
            }
            (self.parts, self.at) = (rest, 0);
        }
        taken
    }
}
