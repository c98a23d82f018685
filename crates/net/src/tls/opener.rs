//! The half of a connection that receives: sealed records in, plaintext out.

use std::fmt;
use std::ops::Range;

use rustls::{AlertDescription, Error, PeerMisbehaved};
use zeroize::Zeroizing;

use super::record::{ALERT, Broken, DATA, HANDSHAKE, HEADER, KEY_UPDATE, Keys, MOST_SEALED, Successors, TAG, Way};

/// Read from the socket at once.
const ROOM: usize = 256 << 10;

/// Records in a row that carry nothing: a peer may send some, but not keep us busy with them.
const MOST_IDLE: u32 = 32;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Plaintext, to be [taken](Opener::take).
    Data,
    /// The end that the peer marked.
    End,
    /// A record that is not all there.
    Part,
}

/// Opens records where they were read to.
///
/// ```text
/// given out │ plain │ … │ sealed │ room
/// 0         plain.start plain.end at   end   ROOM
/// ```
pub(super) struct Opener {
    keys: Keys,
    successors: Successors,
    bytes: Zeroizing<Vec<u8>>,
    /// Plaintext that is not given out yet.
    plain: Range<usize>,
    /// What is not opened yet.
    sealed: Range<usize>,
    /// Records since the last one that carried something.
    idle: u32,
}

impl Opener {
    pub(super) fn new(keys: Keys, successors: Successors) -> Self {
        Self { keys, successors, bytes: Zeroizing::new(vec![0; ROOM]), plain: 0..0, sealed: 0..0, idle: 0 }
    }

    /// Where more sealed bytes go, once all plaintext is taken. There is room for a whole record at least, unless one is
    /// there already.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let sealed = self.sealed.clone();
        self.sealed = 0..sealed.len();
        self.bytes.copy_within(sealed, 0);
        &mut self.bytes[self.sealed.end..]
    }

    /// So many bytes were written to [`room`](Self::room).
    pub(super) fn filled(&mut self, bytes: usize) {
        self.sealed.end += bytes;
    }

    /// Gives plaintext out: how much.
    pub(super) fn take(&mut self, into: &mut [u8]) -> usize {
        let taken = self.plain.len().min(into.len());
        into[..taken].copy_from_slice(&self.bytes[self.plain.start..][..taken]);
        self.plain.start += taken;
        taken
    }

    /// Opens the next record that carries something, once all plaintext is taken.
    pub(super) fn open(&mut self) -> Result<Found, Broken> {
        while let Some(record) = self.next_record()? {
            let (kind, length) = self.keys.open(&mut self.bytes[record.clone()])?;
            let start = record.start + HEADER;
            let carried = &self.bytes[start..start + length];
            match kind {
                DATA if carried.is_empty() => {
                    self.carries_nothing(Broken::Refused("empty records", AlertDescription::UnexpectedMessage))?;
                }
                DATA => {
                    self.idle = 0;
                    self.plain = start..start + length;
                    return Ok(Found::Data);
                }
                ALERT => return alerted(carried),
                HANDSHAKE => {
                    check_key_update(carried)?;
                    self.carries_nothing(Broken::Tls(PeerMisbehaved::TooManyKeyUpdateRequests.into()))?;
                    self.keys = self.successors.next(Way::In).map_err(Broken::Tls)?;
                }
                _ => return Err(Broken::Refused("a record of an unknown kind", AlertDescription::UnexpectedMessage)),
            }
        }
        Ok(Found::Part)
    }

    /// Where the next record is, header included, if all of it has come.
    fn next_record(&mut self) -> Result<Option<Range<usize>>, Broken> {
        let Some((header, rest)) = self.bytes[self.sealed.clone()].split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        if header[0] != DATA {
            return Err(Broken::Refused("a record that is not encrypted", AlertDescription::UnexpectedMessage));
        }
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length > MOST_SEALED {
            return Err(Broken::Tls(Error::PeerSentOversizedRecord));
        }
        if length <= TAG {
            return Err(Broken::Tls(Error::DecryptError));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let record = self.sealed.start..self.sealed.start + HEADER + length;
        self.sealed.start = record.end;
        Ok(Some(record))
    }

    fn carries_nothing(&mut self, too_often: Broken) -> Result<(), Broken> {
        self.idle += 1;
        if self.idle > MOST_IDLE { Err(too_often) } else { Ok(()) }
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Every alert ends a connection; one of them marks the end.
fn alerted(alert: &[u8]) -> Result<Found, Broken> {
    match alert {
        [1 | 2, alert] => match AlertDescription::from(*alert) {
            AlertDescription::CloseNotify => Ok(Found::End),
            alert => Err(Broken::Tls(Error::AlertReceived(alert))),
        },
        _ => Err(Broken::Refused("an alert that is none", AlertDescription::DecodeError)),
    }
}

/// After the handshake, peers say nothing of it but that their key changes.
fn check_key_update(message: &[u8]) -> Result<(), Broken> {
    if message == KEY_UPDATE {
        return Ok(());
    }
    Err(if message.starts_with(&KEY_UPDATE[..4]) {
        Broken::Refused("a KeyUpdate that wishes for one of ours", AlertDescription::UnexpectedMessage)
    } else {
        Broken::Refused("a message of the handshake after its end", AlertDescription::UnexpectedMessage)
    })
}
