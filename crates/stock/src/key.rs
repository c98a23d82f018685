//! The key under which a stock is sealed, and its file.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ring::{aead, hkdf, hmac};
use zeroize::Zeroizing;

use crate::error::StockError;

const KEY_BYTES: usize = 32;

/// How long the random salts are from which keys are derived, in bytes.
pub(crate) const SALT_BYTES: usize = 32;

/// The key of one party's stock: 32 random bytes, wiped when dropped. It lies outside the stock's folder, so that who
/// copies the stock does not have the key.
pub struct StockKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    /// Where it was read from, without symbolic links.
    path: Option<PathBuf>,
}

impl StockKey {
    /// A key that is kept elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> StockKey {
        StockKey { bytes: Zeroizing::new(bytes), path: None }
    }

    /// Reads the key in the file `path`, or makes one there, readable by its owner only. The folder must exist.
    ///
    /// # Errors
    /// [`StockError::KeyReadable`] where others may read the file, [`StockError::KeyLength`] where it is no key,
    /// [`StockError::Io`] where it can neither be read nor made.
    pub fn read_or_create(path: &Path) -> Result<StockKey, StockError> {
        // of two that make a key at once one finds the name taken, and reads
        let bytes = match read(path)? {
            Some(bytes) => bytes,
            None => match create(path)? {
                Some(bytes) => bytes,
                None => read(path)?.ok_or_else(|| StockError::io("read", path)(std::io::ErrorKind::NotFound.into()))?,
            },
        };
        let path = path.canonicalize().map_err(StockError::io("read", path))?;
        Ok(StockKey { bytes, path: Some(path) })
    }

    /// Refuses a key that lies in the stock's folder, which must exist.
    pub(crate) fn check_outside(&self, folder: &Path) -> Result<(), StockError> {
        let folder = folder.canonicalize().map_err(StockError::io("read", folder))?;
        match &self.path {
            Some(path) if path.starts_with(&folder) => Err(StockError::KeyInside { path: path.clone(), folder }),
            _ => Ok(()),
        }
    }

    /// Where it is noted how far a ledger has come that draws its keys from `salt`; nowhere for a key that is kept elsewhere.
    pub(crate) fn anchor(&self, salt: &[u8; SALT_BYTES]) -> Option<PathBuf> {
        let mut path = self.path.clone()?.into_os_string();
        path.push(format!(".{}.anchor", hex::encode(&salt[..8])));
        Some(PathBuf::from(path))
    }

    /// The key that seals one pack: another for each salt and each `info`.
    pub(crate) fn pack_key(&self, salt: &[u8; SALT_BYTES], info: &[&[u8]]) -> aead::LessSafeKey {
        self.derive(salt, info, &aead::AES_256_GCM, |okm| aead::LessSafeKey::new(okm.into()))
    }

    /// The key that authenticates a ledger.
    pub(crate) fn ledger_key(&self, salt: &[u8; SALT_BYTES], info: &[&[u8]]) -> hmac::Key {
        self.derive(salt, info, hmac::HMAC_SHA256, |okm| okm.into())
    }

    fn derive<L: hkdf::KeyType, K>(
        &self,
        salt: &[u8],
        info: &[&[u8]],
        kind: L,
        make: impl FnOnce(hkdf::Okm<'_, L>) -> K,
    ) -> K {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&*self.bytes);
        let Ok(okm) = root.expand(info, kind) else {
            unreachable!("HKDF-SHA256 gives 32 bytes");
        };
        make(okm)
    }
}

impl fmt::Debug for StockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StockKey").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What the file holds; nothing where there is none.
fn read(path: &Path) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, StockError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StockError::io("read", path)(e)),
    };
    let about = file.metadata().map_err(StockError::io("read", path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StockError::KeyReadable { path: path.to_path_buf(), mode });
        }
    }
    if about.len() != KEY_BYTES as u64 {
        return Err(StockError::KeyLength { path: path.to_path_buf(), length: about.len() });
    }
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    file.read_exact(&mut *bytes).map_err(StockError::io("read", path))?;
    Ok(Some(bytes))
}

/// Makes the file whole or not at all; nothing where the name was taken meanwhile.
fn create(path: &Path) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, StockError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *bytes).map_err(StockError::Entropy)?;
    let mut temporary = path.as_os_str().to_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = (|| {
        let mut file = owned_by_user().open(&temporary)?;
        file.write_all(&*bytes)?;
        file.sync_all()?;
        // unlike a rename, a link does not replace a key that was made meanwhile
        fs::hard_link(&temporary, path)
    })();
    let _ = fs::remove_file(&temporary);
    match written {
        Ok(()) => sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(StockError::io("make", path))?,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && path.exists() => return Ok(None),
        Err(e) => return Err(StockError::io("make", path)(e)),
    }
    Ok(Some(bytes))
}

/// Options that make a new file which only its owner may read.
pub(crate) fn owned_by_user() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Names given in `folder` outlive a crash from now on.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
