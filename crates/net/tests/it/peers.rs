//! Peers for tests: sockets, links with keys of their own, and bare TLS peers that do what ours would not.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use net::{Limits, Listener, NetError, TcpLink, TlsIdentity, TlsLink, connect, keys};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, ServerConnection,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const SOON: Duration = Duration::from_millis(30);
pub(crate) const MIB: usize = 1 << 20;
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
pub(crate) const PROTOCOL: &[u8] = b"private-bert/1";

/// Two connected sockets.
pub(crate) fn sockets() -> (TcpStream, TcpStream) {
    let listener = Listener::loopback(0).unwrap();
    let there = connect("b", &listener.local_addr().to_string(), LONG).unwrap();
    (listener.accept("a", LONG).unwrap(), there)
}

pub(crate) fn tcp_link(stream: TcpStream, peer: &str, limits: Limits) -> TcpLink {
    TcpLink::from_stream(stream, peer, limits, LONG).unwrap()
}

pub(crate) fn tcp_pair(limits: Limits) -> (TcpLink, TcpLink) {
    let (a, b) = sockets();
    (tcp_link(a, "b", limits), tcp_link(b, "a", limits))
}

/// A new key.
pub(crate) fn identity(name: &str) -> TlsIdentity {
    keys::create(tempfile::tempdir().unwrap().path(), name, YEAR).unwrap()
}

/// What each end makes of a connection between them.
pub(crate) fn meet<A, B: Send>(
    answer: impl FnOnce(TcpStream) -> A,
    dial: impl FnOnce(TcpStream) -> B + Send,
) -> (A, B) {
    let (a, b) = sockets();
    meet_over((a, b), answer, dial)
}

pub(crate) fn meet_over<A, B: Send>(
    (a, b): (TcpStream, TcpStream),
    answer: impl FnOnce(TcpStream) -> A,
    dial: impl FnOnce(TcpStream) -> B + Send,
) -> (A, B) {
    thread::scope(|scope| {
        let there = scope.spawn(|| dial(b));
        (answer(a), there.join().unwrap())
    })
}

pub(crate) fn accept(stream: TcpStream, identity: &TlsIdentity) -> Result<TlsLink, NetError> {
    TlsLink::accept(stream, identity, "b", Limits::default(), LONG, LONG)
}

/// A link each over two sockets that are connected somehow.
pub(crate) fn tls_pair_over(sockets: (TcpStream, TcpStream), limits: Limits) -> (TlsLink, TlsLink) {
    let (ours, theirs) = (identity("a"), identity("b"));
    let (a, b) = meet_over(
        sockets,
        |stream| TlsLink::accept(stream, &ours, "b", limits, LONG, LONG),
        |stream| TlsLink::connect(stream, &theirs, &[ours.pin()], "a", limits, LONG),
    );
    (a.unwrap(), b.unwrap())
}

pub(crate) fn tls_pair(limits: Limits) -> (TlsLink, TlsLink) {
    tls_pair_over(sockets(), limits)
}

/// A certificate and a key, which need not belong together.
#[derive(Clone)]
pub(crate) struct Papers(Arc<CertifiedKey>);

impl Papers {
    /// Those of `parameters`, of a new key.
    pub(crate) fn of(parameters: &CertificateParams) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self::with(vec![certificate.der().clone()], &key)
    }

    pub(crate) fn with(certificates: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let key = rustls::crypto::ring::sign::any_eddsa_type(&key).unwrap();
        Self(Arc::new(CertifiedKey::new(certificates, key)))
    }

    pub(crate) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.0.cert.clone()
    }
}

/// Parameters of a certificate as ours are.
pub(crate) fn parameters() -> CertificateParams {
    let mut parameters = CertificateParams::new(["private-bert".to_owned()]).unwrap();
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters
}

/// A TLS peer that is none of ours.
pub(crate) struct Bare {
    pub(crate) papers: Option<Papers>,
    pub(crate) protocols: Vec<Vec<u8>>,
    pub(crate) version: &'static SupportedProtocolVersion,
    /// What it says to any certificate that it is shown.
    pub(crate) verdict: Result<(), Error>,
}

impl Bare {
    pub(crate) fn new(papers: Option<Papers>) -> Self {
        let protocols = vec![PROTOCOL.to_vec()];
        Self { papers, protocols, version: &rustls::version::TLS13, verdict: Ok(()) }
    }

    /// Dials and shakes hands, as far as that goes.
    pub(crate) fn dial(self, stream: TcpStream) -> (StreamOwned<ClientConnection, TcpStream>, std::io::Result<()>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[self.version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verdict(self.verdict)));
        let mut config = match self.papers {
            Some(papers) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(papers.0))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols;
        let name = ServerName::try_from("private-bert").unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
        let mut done = Ok(());
        while done.is_ok() && stream.conn.is_handshaking() {
            done = stream.conn.complete_io(&mut stream.sock).map(drop);
        }
        (stream, done)
    }

    /// Answers and shakes hands, as far as that goes.
    pub(crate) fn answer(self, stream: TcpStream) -> (StreamOwned<ServerConnection, TcpStream>, std::io::Result<()>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Verdict(self.verdict)))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.papers.unwrap().0)));
        config.alpn_protocols = self.protocols;
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        let mut done = Ok(());
        while done.is_ok() && stream.conn.is_handshaking() {
            done = stream.conn.complete_io(&mut stream.sock).map(drop);
        }
        (stream, done)
    }
}

/// Says the same of every certificate, and believes every signature.
#[derive(Debug)]
struct Verdict(Result<(), Error>);

impl ServerCertVerifier for Verdict {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.clone().map(|()| ServerCertVerified::assertion())
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
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

impl ClientCertVerifier for Verdict {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.clone().map(|()| ClientCertVerified::assertion())
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

/// What a man in the middle does with the records of the side that dials: each, header included, with its number among
/// those that are not of the handshake in clear; what comes back is passed on, nothing ends the connection.
pub(crate) type Meddle = Box<dyn FnMut(usize, Vec<u8>) -> Option<Vec<u8>> + Send>;

/// What passed a man in the middle, both ways.
pub(crate) type Seen = Arc<Mutex<Vec<u8>>>;

/// Two sockets with a man in the middle: the answering one first. He passes whole TLS records.
pub(crate) fn through_the_middle(mut meddle: Meddle) -> ((TcpStream, TcpStream), Seen, Vec<JoinHandle<()>>) {
    let ((answering, to_answering), (to_dialling, dialling)) = (sockets(), sockets());
    let seen = Seen::default();
    let (forth, back) = (Arc::clone(&seen), Arc::clone(&seen));
    let (from, to) = (to_dialling.try_clone().unwrap(), to_answering.try_clone().unwrap());
    let mut number = 0;
    let forth = thread::spawn(move || {
        pass_records(from, to, &forth, |record| {
            if record[0] != 0x17 {
                return Some(record);
            }
            number += 1;
            meddle(number - 1, record)
        });
    });
    let back = thread::spawn(move || pass_records(to_answering, to_dialling, &back, Some));
    ((answering, dialling), seen, vec![forth, back])
}

fn pass_records(
    mut from: TcpStream,
    mut to: TcpStream,
    seen: &Mutex<Vec<u8>>,
    mut meddle: impl FnMut(Vec<u8>) -> Option<Vec<u8>>,
) {
    let mut next = || {
        let mut record = vec![0; 5];
        from.read_exact(&mut record).ok()?;
        record.resize(5 + usize::from(u16::from_be_bytes([record[3], record[4]])), 0);
        from.read_exact(&mut record[5..]).ok()?;
        seen.lock().unwrap().extend_from_slice(&record);
        meddle(record)
    };
    while let Some(record) = next() {
        if to.write_all(&record).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
