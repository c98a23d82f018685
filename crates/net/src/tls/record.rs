//! Records of TLS 1.3 (RFC 8446, section 5), sealed and opened under the keys of one direction.
//!
//! ```text
//! header 5                  │ sealed together                  │
//! kind 23, version, length  │ bytes, their kind 1, zeros 0..   │ tag 16
//! ```
//! The header is authenticated with what is sealed. The nonce is the direction's vector XOR the record's number, which
//! is never sent: a record that is left out, repeated or put elsewhere does not open.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce};
use rustls::kernel::KernelConnection;
use rustls::{AlertDescription, ConnectionTrafficSecrets, Error};
use zeroize::Zeroizing;

/// Kind, version, and length of what follows.
pub(super) const HEADER: usize = 5;

/// Of the algorithms that are spoken here, all.
pub(super) const TAG: usize = 16;

/// The most bytes that one record carries.
pub(super) const MOST_BYTES: usize = 1 << 14;

/// The most that may follow a header.
pub(super) const MOST_SEALED: usize = MOST_BYTES + 256;

/// What records carry.
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const DATA: u8 = 23;

/// The message that tells of a new key and asks for none: kind 24, one byte long, 0.
pub(super) const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// What ends a connection.
#[derive(Debug)]
pub(crate) enum Broken {
    /// What TLS has a name for.
    Tls(Error),
    /// What is allowed elsewhere and not spoken here, and the alert for the peer.
    Refused(&'static str, AlertDescription),
}

impl Broken {
    /// What to tell the peer; nothing where it has told us.
    pub(super) fn alert(&self) -> Option<AlertDescription> {
        match self {
            Self::Tls(Error::AlertReceived(_)) => None,
            Self::Tls(Error::DecryptError) => Some(AlertDescription::BadRecordMac),
            Self::Tls(Error::PeerSentOversizedRecord) => Some(AlertDescription::RecordOverflow),
            Self::Tls(Error::PeerMisbehaved(_)) => Some(AlertDescription::UnexpectedMessage),
            Self::Tls(_) => Some(AlertDescription::InternalError),
            Self::Refused(_, alert) => Some(*alert),
        }
    }
}

/// The key of one direction, and the number of its next record.
///
/// What the key was made from is wiped, and so is the vector; the schedule that `ring` keeps of it cannot be.
pub(super) struct Keys {
    key: LessSafeKey,
    vector: Zeroizing<[u8; NONCE_LEN]>,
    number: u64,
}

impl Keys {
    /// Those that TLS agreed on, of which `number` records are used up.
    pub(super) fn agreed((number, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Error> {
        let (algorithm, key, vector) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Error::General("TLS agreed on an algorithm that is not spoken here".to_owned())),
        };
        Self::new(algorithm, key.as_ref(), vector.as_ref(), number)
    }

    pub(super) fn new(algorithm: &'static Algorithm, key: &[u8], vector: &[u8], number: u64) -> Result<Self, Error> {
        let unfit = |_| Error::General("a key of TLS has a length that its algorithm has not".to_owned());
        let key = ring::aead::UnboundKey::new(algorithm, key).map_err(unfit)?;
        let vector = vector.try_into().map_err(|_| unfit(ring::error::Unspecified))?;
        Ok(Self { key: LessSafeKey::new(key), vector: Zeroizing::new(vector), number })
    }

    /// How many records were sealed or opened.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The nonce of the next record. No number ever comes twice.
    fn nonce(&mut self) -> Result<Nonce, Error> {
        let number = self.number;
        self.number = number.checked_add(1).ok_or(Error::EncryptError)?;
        let mut nonce = *self.vector;
        nonce[NONCE_LEN - 8..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    /// Seals the record that begins at `start` of `buffer`, with room for its header, and ends with it.
    pub(super) fn seal(&mut self, buffer: &mut Vec<u8>, start: usize, kind: u8) -> Result<(), Error> {
        buffer.push(kind);
        let nonce = self.nonce()?;
        let (header, sealed) = buffer[start..].split_first_chunk_mut::<HEADER>().ok_or(Error::EncryptError)?;
        let length = u16::try_from(sealed.len() + TAG).map_err(|_| Error::EncryptError)?.to_be_bytes();
        *header = [DATA, 3, 3, length[0], length[1]];
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(*header), sealed);
        buffer.extend_from_slice(tag.map_err(|_| Error::EncryptError)?.as_ref());
        Ok(())
    }

    /// Opens a whole record in place: the kind of what it carries, and how many bytes that are, right after its header.
    pub(super) fn open(&mut self, record: &mut [u8]) -> Result<(u8, usize), Broken> {
        let broken = || Broken::Tls(Error::DecryptError);
        let (header, sealed) = record.split_first_chunk_mut::<HEADER>().ok_or_else(broken)?;
        let nonce = self.nonce().map_err(|_| {
            Broken::Refused("as many records under one key as there are numbers", AlertDescription::InternalError)
        })?;
        let opened = self.key.open_in_place(nonce, Aad::from(*header), sealed).map_err(|_| broken())?;
        if opened.len() > MOST_BYTES + 1 {
            return Err(Broken::Tls(Error::PeerSentOversizedRecord));
        }
        // zeros may follow, to hide the length
        let end = opened.iter().rposition(|byte| *byte != 0);
        let end = end.ok_or(Broken::Refused("a record of nothing but zeros", AlertDescription::UnexpectedMessage))?;
        Ok((opened[end], end))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From us to the peer.
    Out,
    /// From the peer to us.
    In,
}

/// Where the next key of either direction comes from.
pub(super) trait Succession: Send {
    /// The key that follows the present one of `way`.
    fn next(&mut self, way: Way) -> Result<Keys, Error>;
}

impl<Side: Send> Succession for KernelConnection<Side> {
    fn next(&mut self, way: Way) -> Result<Keys, Error> {
        Keys::agreed(match way {
            Way::Out => self.update_tx_secret()?,
            Way::In => self.update_rx_secret()?,
        })
    }
}

/// Shared by both directions, and locked by neither but when it changes its key.
#[derive(Clone)]
pub(super) struct Successors(Arc<Mutex<dyn Succession>>);

impl Successors {
    pub(super) fn of(succession: impl Succession + 'static) -> Self {
        Self(Arc::new(Mutex::new(succession)))
    }

    pub(super) fn next(&self, way: Way) -> Result<Keys, Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next(way)
    }
}
