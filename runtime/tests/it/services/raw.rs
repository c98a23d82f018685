//! Peers by hand, which do what no role of ours would: other certificates, other versions of TLS, frames byte by byte.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, ServerConnection, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};

use crate::sessions::PATIENCE;

/// A caller over TLS that checks nothing.
pub(crate) type Raw = StreamOwned<ClientConnection, TcpStream>;

/// Makes a key and a certificate that is valid between these times, as a role's folder has them.
pub(crate) fn keys(folder: &Path, from: SystemTime, until: SystemTime) {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut parameters = CertificateParams::new(["private-bert".to_owned()]).unwrap();
    (parameters.not_before, parameters.not_after) = (from.into(), until.into());
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "stranger");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("cert.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn papers(folder: &Path) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    (vec![certificate], PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap())
}

/// Dials a party with the key of a folder.
pub(crate) fn dial(address: &str, folder: &Path, version: &'static SupportedProtocolVersion) -> io::Result<Raw> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (certificates, key) = papers(folder);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_auth_cert(certificates, key)
        .unwrap();
    config.alpn_protocols = vec![b"private-bert/1".to_vec()];
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("private-bert").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// Waits until the other side ends a connection; what it said before is passed over. Gives why it ended.
pub(crate) fn until_closed(stream: &mut impl Read) -> String {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return "closed".into(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("nobody ended this connection"),
            Err(error) => return error.to_string(),
        }
    }
}

/// A server with the key of a folder, which takes one caller over TLS and says no more; its address.
pub(crate) fn serve(folder: &Path) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (certificates, key) = papers(folder);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    config.alpn_protocols = vec![b"private-bert/1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        // the caller ends it
        while connection.complete_io(&mut stream).is_ok_and(|(read, written)| read + written > 0) {}
    });
    address
}

/// The header of a frame of this kind, with this number on its link and so many bytes behind it.
pub(crate) fn header(version: u8, kind: u8, number: u64, length: u64) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[..4].copy_from_slice(b"PTIF");
    (bytes[4], bytes[5]) = (version, kind);
    bytes[32..40].copy_from_slice(&number.to_le_bytes());
    bytes[40..].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Writes one byte a second until the other side has enough.
pub(crate) fn drip(stream: &mut impl Write, bytes: &[u8]) {
    for byte in bytes {
        if stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_err() {
            return;
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Takes every certificate for good.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
