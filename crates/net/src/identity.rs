//! Who a role is: its key and its certificate, in a folder.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::certificate::{Described, Validity, check, describe};
use crate::pin::Pin;

/// The file of the key.
pub(crate) const KEY: &str = "key.pem";

/// The file of the certificate.
pub(crate) const CERTIFICATE: &str = "cert.pem";

/// No key and no certificate of ours is longer.
const MOST_BYTES_OF_A_FILE: u64 = 64 << 10;

/// A role's Ed25519 key and self-signed certificate, read from a folder. Cheap to clone; `Debug` prints the pin only.
#[derive(Clone)]
pub struct TlsIdentity {
    certified: Arc<CertifiedKey>,
    described: Described,
}

/// Why there is no key to be used, or why none was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file is not there.
    #[error("{}: there is no such file; `runtime keys new` makes a key and its certificate", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Others than its owner may read the key.
    #[error(
        "{}: others than its owner may read this key (mode {mode:04o}): chmod 600 it; if someone may have done so, make \
         a new one", .path.display()
    )]
    Exposed {
        /// The file of the key.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("{}: {what}; bring it back from where it was made, or make a new key with `runtime keys new`", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The certificate is another key's.
    #[error("{}: this certificate is not of the key in {}; the two files belong together", .certificate.display(), .key.display())]
    OtherKey {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate would be refused by every peer.
    #[error("{}: {why}", .path.display())]
    Refused {
        /// The file of the certificate.
        path: PathBuf,
        /// Why it would be refused.
        why: String,
    },
    /// There is something already where a key was to be written.
    #[error("{}: there is one already{}; {cure}", .path.display(), .pin.map(|pin| format!(", {pin}")).unwrap_or_default())]
    Exists {
        /// The file that is there.
        path: PathBuf,
        /// The pin of the certificate beside it, where that can be read.
        pin: Option<Pin>,
        /// What to do.
        cure: &'static str,
    },
    /// No next key was prepared.
    #[error("{}: there is no next key here; `runtime keys rotate` makes one", .folder.display())]
    NoNext {
        /// The folder of the key.
        folder: PathBuf,
    },
    /// A certificate cannot be made of what was asked for.
    #[error("cannot make a certificate: {why}")]
    Unusable {
        /// What is wrong.
        why: String,
    },
}

impl TlsIdentity {
    /// The identity in `folder`: `key.pem`, which nobody but its owner may read, and `cert.pem`, which must be the
    /// certificate of that key and valid now.
    pub fn read(folder: &Path) -> Result<Self, IdentityError> {
        Self::read_pair(folder.join(KEY), folder.join(CERTIFICATE))
    }

    /// The pin that peers know this role by.
    pub fn pin(&self) -> Pin {
        self.described.pin
    }

    /// When the certificate is valid.
    pub fn validity(&self) -> Validity {
        self.described.validity
    }

    /// The same of two files of any name.
    pub(crate) fn read_pair(key: PathBuf, certificate: PathBuf) -> Result<Self, IdentityError> {
        let bytes = read_key(&key)?;
        let private = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|_| IdentityError::Damaged { path: key.clone(), what: "this is not a private key in PEM" })?;
        let der = read_certificate(&certificate)?;
        let described = check(&der, UnixTime::now())
            .map_err(|fault| IdentityError::Refused { path: certificate.clone(), why: fault.to_string() })?;
        let signing = rustls::crypto::ring::sign::any_eddsa_type(match &private {
            PrivateKeyDer::Pkcs8(pkcs8) => pkcs8,
            _ => return Err(IdentityError::Damaged { path: key, what: "this is not an Ed25519 key" }),
        })
        .map_err(|_| IdentityError::Damaged { path: key.clone(), what: "this is not an Ed25519 key" })?;
        let certified = CertifiedKey::new(vec![der], signing);
        certified.keys_match().map_err(|_| IdentityError::OtherKey { certificate, key })?;
        Ok(Self { certified: Arc::new(certified), described })
    }

    /// Key and certificate, for a handshake.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsIdentity({})", self.pin())
    }
}

/// What the certificate in a file says, expired or not.
pub(crate) fn describe_file(path: &Path) -> Result<Described, IdentityError> {
    describe(&read_certificate(path)?)
        .map_err(|fault| IdentityError::Refused { path: path.to_owned(), why: fault.to_string() })
}

fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, IdentityError> {
    let mut bytes = Vec::new();
    read_all(&open(path)?, path, &mut bytes)?;
    CertificateDer::from_pem_slice(&bytes)
        .map_err(|_| IdentityError::Damaged { path: path.to_owned(), what: "this is not a certificate in PEM" })
}

fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let file = open(path)?;
    // of the open file: what is read is what was looked at
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(|e| io_error(path, e))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path: path.to_owned(), mode });
        }
    }
    // with room for all of it, so that no copy is left behind
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES_OF_A_FILE as usize + 32));
    read_all(&file, path, &mut bytes)?;
    Ok(bytes)
}

fn open(path: &Path) -> Result<File, IdentityError> {
    File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => IdentityError::Missing { path: path.to_owned() },
        _ => io_error(path, e),
    })
}

fn read_all(file: &File, path: &Path, bytes: &mut Vec<u8>) -> Result<(), IdentityError> {
    file.take(MOST_BYTES_OF_A_FILE).read_to_end(bytes).map_err(|e| io_error(path, e))?;
    Ok(())
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> IdentityError {
    IdentityError::Io { path: path.to_owned(), source }
}
