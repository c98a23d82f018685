//! Making the key of a role, and replacing it: what `runtime keys` does.
//!
//! A key is replaced with an overlap: [`prepare`] makes the next one, whose pin the peers add to the current one's;
//! once all have it, [`activate`] puts it in place; then the peers take the old pin out.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use zeroize::{Zeroize, Zeroizing};

use crate::certificate::Validity;
use crate::identity::{CERTIFICATE, IdentityError, KEY, TlsIdentity, describe_file, io_error};
use crate::pin::Pin;

const NEXT_KEY: &str = "next-key.pem";
const NEXT_CERTIFICATE: &str = "next-cert.pem";
const OLD_KEY: &str = "old-key.pem";
const OLD_CERTIFICATE: &str = "old-cert.pem";

/// The name in every certificate. Nobody looks at it: the pin says who a role is.
const ANY_NAME: &str = "private-bert";

/// Certificates are valid from a day before they are made, for peers whose clocks are behind.
const BEFORE: Duration = Duration::from_secs(24 * 3600);

/// The longest that a certificate may be valid.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

const OWNER_ONLY: u32 = 0o600;
const ANYBODY_READS: u32 = 0o644;

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The pin that peers know this role by.
    pub current: Pin,
    /// When its certificate is valid.
    pub validity: Validity,
    /// The key that is to replace it, where one was prepared.
    pub next: Option<(Pin, Validity)>,
}

/// Makes a key and its certificate in `folder`, which is made if it is not there: `key.pem`, for its owner only, and
/// `cert.pem`, which says `name` and is valid for `valid`. A key that is there is never overwritten.
pub fn create(folder: &Path, name: &str, valid: Duration) -> Result<TlsIdentity, IdentityError> {
    make_folder(folder)?;
    write_pair(folder, (KEY, CERTIFICATE), name, valid, "`runtime keys rotate` makes the key that is to replace it")?;
    TlsIdentity::read(folder)
}

/// Makes the key that is to replace the one in `folder`, beside it: `next-key.pem` and `next-cert.pem`. Nothing changes
/// yet; give the pin to the operators of all peers.
pub fn prepare(folder: &Path, name: &str, valid: Duration) -> Result<Pin, IdentityError> {
    describe_file(&folder.join(CERTIFICATE))?;
    let cure = "`runtime keys rotate --activate` puts it in place; take both next files away to make another";
    write_pair(folder, (NEXT_KEY, NEXT_CERTIFICATE), name, valid, cure)?;
    Ok(describe_file(&folder.join(NEXT_CERTIFICATE))?.pin)
}

/// Puts the next key in the place of the current one, which is kept as `old-key.pem` and `old-cert.pem`; says the old
/// pin and the new one. Interrupted, it leaves what another call finishes.
pub fn activate(folder: &Path) -> Result<(Pin, Pin), IdentityError> {
    let path = |name: &str| folder.join(name);
    let [next_key, next_certificate] = [path(NEXT_KEY), path(NEXT_CERTIFICATE)];
    if !next_certificate.exists() {
        return Err(IdentityError::NoNext { folder: folder.to_owned() });
    }
    if next_key.exists() {
        // refused before anything is moved
        TlsIdentity::read_pair(next_key.clone(), next_certificate.clone())?;
        // A copy, not a move: until the next key is in place the current one is.
        copy(folder, KEY, OLD_KEY, OWNER_ONLY)?;
        copy(folder, CERTIFICATE, OLD_CERTIFICATE, ANYBODY_READS)?;
        move_over(&next_key, &path(KEY))?;
    } else {
        // an earlier call came as far as here: the next certificate is of the current key
        TlsIdentity::read_pair(path(KEY), next_certificate.clone())?;
    }
    let old = describe_file(&path(OLD_CERTIFICATE))?.pin;
    move_over(&next_certificate, &path(CERTIFICATE))?;
    settle(folder)?;
    Ok((old, TlsIdentity::read(folder)?.pin()))
}

/// What `folder` holds, expired or not. Only certificates are read, so it needs no right to read a key.
pub fn show(folder: &Path) -> Result<Shown, IdentityError> {
    let current = describe_file(&folder.join(CERTIFICATE))?;
    let next = folder.join(NEXT_CERTIFICATE);
    let next = if next.exists() { Some(describe_file(&next)?) } else { None };
    Ok(Shown { current: current.pin, validity: current.validity, next: next.map(|next| (next.pin, next.validity)) })
}

/// Makes a key and its certificate under two names that must be free.
fn write_pair(
    folder: &Path,
    (key, certificate): (&str, &str),
    name: &str,
    valid: Duration,
    cure: &'static str,
) -> Result<(), IdentityError> {
    let (key, certificate) = (folder.join(key), folder.join(certificate));
    let pin = describe_file(&certificate).ok().map(|described| described.pin);
    if let Some(path) = [&key, &certificate].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        let half =
            "its certificate is missing, after an interruption or by another hand: take the file away and try again";
        let cure = if certificate.symlink_metadata().is_ok() { cure } else { half };
        return Err(IdentityError::Exists { path: path.clone(), pin, cure });
    }
    let mut pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(unusable)?;
    let made = parameters(name, valid).and_then(|parameters| parameters.self_signed(&pair).map_err(unusable));
    let pem = Zeroizing::new(pair.serialize_pem());
    pair.zeroize();
    let made = made?;
    // The key first: who finds the name taken has lost nothing, and of two that run at once one finds it taken.
    place(folder, &key, pem.as_bytes(), OWNER_ONLY, Over::Nothing)?;
    place(folder, &certificate, made.pem().as_bytes(), ANYBODY_READS, Over::Nothing).inspect_err(|_| {
        let _ = fs::remove_file(&key);
    })?;
    settle(folder)
}

fn parameters(name: &str, valid: Duration) -> Result<CertificateParams, IdentityError> {
    let unusable = |why: String| IdentityError::Unusable { why };
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err(unusable("its name must have 1 to 64 characters, without line ends".to_owned()));
    }
    if valid.is_zero() || valid > LONGEST {
        return Err(unusable("it must be valid for more than nothing and at most a hundred years".to_owned()));
    }
    let now = SystemTime::now();
    let mut parameters = CertificateParams::new([ANY_NAME.to_owned()]).map_err(self::unusable)?;
    parameters.not_before = now.checked_sub(BEFORE).unwrap_or(now).into();
    parameters.not_after = (now + valid).into();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // a party answers some peers and dials others
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(parameters)
}

/// Whether a file that is there may be replaced.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    Nothing,
    Anything,
}

/// Writes a file of `mode` under another name and then gives it its own, so that it is there whole or not at all.
fn place(folder: &Path, path: &Path, bytes: &[u8], mode: u32, over: Over) -> Result<(), IdentityError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".keys-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = builder.tempfile_in(folder).map_err(|e| io_error(folder, e))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|e| io_error(path, e))?;
    let placed = if over == Over::Nothing { file.persist_noclobber(path) } else { file.persist(path) };
    placed.map(drop).map_err(|e| io_error(path, e.error))
}

fn copy(folder: &Path, from: &str, to: &str, mode: u32) -> Result<(), IdentityError> {
    let from = folder.join(from);
    let bytes = Zeroizing::new(fs::read(&from).map_err(|e| io_error(&from, e))?);
    place(folder, &folder.join(to), &bytes, mode, Over::Anything)
}

fn move_over(from: &Path, to: &Path) -> Result<(), IdentityError> {
    fs::rename(from, to).map_err(|e| io_error(to, e))
}

/// Names given in `folder` outlive a crash from now on.
fn settle(folder: &Path) -> Result<(), IdentityError> {
    #[cfg(unix)]
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io_error(folder, e))?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn make_folder(folder: &Path) -> Result<(), IdentityError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| io_error(folder, e))
}

fn unusable(error: rcgen::Error) -> IdentityError {
    IdentityError::Unusable { why: error.to_string() }
}
