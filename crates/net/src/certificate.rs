//! What a certificate says, and whether it may be believed.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::pin::Pin;

/// The object identifier of Ed25519 keys (RFC 8410).
const ED25519: &str = "1.3.101.112";

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub not_before: SystemTime,
    /// Until when.
    pub not_after: SystemTime,
}

/// What a certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Described {
    /// Of the key that it is for.
    pub(crate) pin: Pin,
    /// When it is valid.
    pub(crate) validity: Validity,
}

/// Why a certificate is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the certificate cannot be read")]
    Unreadable,
    #[error("the certificate is not for an Ed25519 key; make one with `runtime keys new`")]
    OtherAlgorithm,
    #[error(
        "the certificate expired on {}, and this machine's clock says {}; make a new one with `runtime keys rotate`, or set the \
         clock that is off", day(.until), day(.now)
    )]
    Expired { until: SystemTime, now: SystemTime },
    #[error(
        "the certificate is not valid before {}, and this machine's clock says {}; one of the two machines' clocks may be \
         off", day(.from), day(.now)
    )]
    NotYet { from: SystemTime, now: SystemTime },
    #[error("the certificate is not signed with its own key; make a new one with `runtime keys new`")]
    Forged,
    #[error("more than one certificate came; a role has a single, self-signed one")]
    Chain,
    #[error("the certificate is not one of `runtime keys new` ({0})")]
    Other(String),
}

impl Fault {
    /// The name that TLS has for it, which decides what the peer is told.
    pub(crate) fn for_peer(&self) -> CertificateError {
        match self {
            Self::Unreadable | Self::Chain => CertificateError::BadEncoding,
            Self::Expired { .. } => CertificateError::Expired,
            Self::NotYet { .. } => CertificateError::NotValidYet,
            Self::Forged => CertificateError::BadSignature,
            Self::OtherAlgorithm | Self::Other(_) => CertificateError::InvalidPurpose,
        }
    }
}

/// What `certificate` says, whoever made it and whenever it is valid.
pub(crate) fn describe(certificate: &CertificateDer<'_>) -> Result<Described, Fault> {
    let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_| Fault::Unreadable)?;
    if !rest.is_empty() {
        return Err(Fault::Unreadable);
    }
    let key = parsed.public_key();
    if key.algorithm.algorithm.to_id_string() != ED25519 {
        return Err(Fault::OtherAlgorithm);
    }
    let at = |time: &ASN1Time| system_time(time.timestamp()).ok_or(Fault::Unreadable);
    let validity =
        Validity { not_before: at(&parsed.validity().not_before)?, not_after: at(&parsed.validity().not_after)? };
    Ok(Described { pin: Pin::of_public_key(key.raw), validity })
}

/// What `certificate` says, if it may be believed `now`: it is for an Ed25519 key, signed with that key, and valid.
/// Who has the key is another question, which the handshake's signature answers.
pub(crate) fn check(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<Described, Fault> {
    let described = describe(certificate)?;
    let clock = UNIX_EPOCH + Duration::from_secs(now.as_secs());
    let Validity { not_before, not_after } = described.validity;
    if clock < not_before {
        return Err(Fault::NotYet { from: not_before, now: clock });
    }
    if clock > not_after {
        return Err(Fault::Expired { until: not_after, now: clock });
    }
    // A self-signed certificate is signed by the only authority there is for it: itself.
    let mut itself = RootCertStore::empty();
    itself.add(certificate.clone().into_owned()).map_err(fault)?;
    let parsed = ParsedCertificate::try_from(certificate).map_err(fault)?;
    verify_server_cert_signed_by_trust_anchor(&parsed, &itself, &[], now, ed25519()).map_err(fault)?;
    Ok(described)
}

/// The only way of signing that certificates may use.
fn ed25519() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let of_ed25519 = algorithms.mapping.iter().find(|(scheme, _)| *scheme == rustls::SignatureScheme::ED25519);
    of_ed25519.map_or(&[], |(_, algorithms)| algorithms)
}

fn fault(error: rustls::Error) -> Fault {
    use CertificateError as E;
    match error {
        rustls::Error::InvalidCertificate(E::BadEncoding) => Fault::Unreadable,
        rustls::Error::InvalidCertificate(E::BadSignature | E::UnknownIssuer) => Fault::Forged,
        rustls::Error::InvalidCertificate(error) => Fault::Other(error.to_string()),
        error => Fault::Other(error.to_string()),
    }
}

fn system_time(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

fn day(time: &SystemTime) -> impl fmt::Display {
    DateTime::<Utc>::from(*time).format("%Y-%m-%d %H:%M UTC")
}
