//! Who a peer may be, instead of what a certificate authority would say.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerMisbehaved, SignatureScheme,
};

use crate::certificate::{Described, Fault, check};
use crate::pin::Pin;

/// Why a peer's certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("the pin is {0}, which is not expected")]
    Pin(Pin),
}

/// Judges the certificate of one connection's peer, and keeps what it found.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    /// The pins of which the peer must have one; any will do where there is no list.
    expected: Option<Vec<Pin>>,
    found: OnceLock<Result<Described, Refused>>,
    provider: Arc<CryptoProvider>,
}

impl PeerVerifier {
    pub(crate) fn new(expected: Option<&[Pin]>, provider: &Arc<CryptoProvider>) -> Arc<Self> {
        let expected = expected.map(<[Pin]>::to_vec);
        Arc::new(Self { expected, found: OnceLock::new(), provider: Arc::clone(provider) })
    }

    /// What was found: nothing until a certificate came.
    pub(crate) fn found(&self) -> Option<&Result<Described, Refused>> {
        self.found.get()
    }

    fn judge(&self, certificate: &CertificateDer<'_>, others: usize, now: UnixTime) -> Result<(), Error> {
        let found = self.found.get_or_init(|| {
            if others > 0 {
                return Err(Fault::Chain.into());
            }
            let described = check(certificate, now)?;
            match &self.expected {
                Some(expected) if !expected.contains(&described.pin) => Err(Refused::Pin(described.pin)),
                _ => Ok(described),
            }
        });
        // the peer is told by the alert that belongs to this error
        found.as_ref().map(drop).map_err(|refused| match refused {
            Refused::Fault(fault) => Error::InvalidCertificate(fault.for_peer()),
            Refused::Pin(_) => CertificateError::Other(OtherError(Arc::new(refused.clone()))).into(),
        })
    }

    /// The handshake must be signed with the certificate's key: this is the proof that the peer has it.
    fn proved(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }
}

/// No signature of an older version is ever accepted; none can come, for we speak TLS 1.3 only.
fn too_old() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(certificate, others.len(), now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proved(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(certificate, others.len(), now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proved(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
