//! A link over TLS 1.3, between peers that know one another's keys.

mod handshake;
mod opener;
mod record;
mod refusal;
mod sealer;
mod stream;
#[cfg(test)]
mod tests;
mod verifier;

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::pki_types::ServerName;
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use socket2::{SockRef, TcpKeepalive};

use crate::certificate::{Described, Validity};
use crate::duplex::Duplex;
use crate::error::{NetError, Wait};
use crate::forward::forward_link;
use crate::identity::TlsIdentity;
use crate::link::{Limits, Link};
use crate::pin::Pin;
use handshake::{Failure, Side, shake};
use verifier::{PeerVerifier, Refused};

/// The protocol within TLS that both sides must name.
const PROTOCOL: &[u8] = b"private-bert/1";

/// Asked for where TLS wants a name; never sent, and nobody's.
const ANY_NAME: &str = "private-bert";

/// A link over TLS 1.3, both of whose ends have proved their keys.
///
/// Who the peer is says its [pin](Self::peer_pin), never a name or an authority. It behaves as a [`TcpLink`](crate::TcpLink)
/// does otherwise: one connection, a writer and a reader thread, bounded queues. A peer that vanishes while nothing is
/// under way is noticed in about ten seconds. No session is resumed and nothing is sent before the handshake is done.
///
/// The side that dials is done with its handshake before the other side has judged its certificate: a refusal comes out
/// of its first [`recv`](Link::recv), as [`NetError::Tls`].
///
/// What a peer can make TLS hold is bounded: about 80 KiB of an unfinished handshake, then a fixed buffer each way. TLS
/// itself shakes hands; records are sealed and opened by our own halves, one each way.
pub struct TlsLink {
    duplex: Duplex,
    peer: Described,
}

impl TlsLink {
    /// Dials: a link over `stream` to the peer that errors are to call `peer` and that must have one of the pins
    /// `expected` (two while its key is being replaced). The handshake ends within `deadline`, all of it.
    pub fn connect(
        stream: TcpStream,
        identity: &TlsIdentity,
        expected: &[Pin],
        peer: &str,
        limits: Limits,
        deadline: Duration,
    ) -> Result<Self, NetError> {
        let provider = provider();
        let verifier = PeerVerifier::new(Some(expected), &provider);
        let config = client_config(identity, Arc::clone(&verifier), provider);
        let start = || {
            let name = ServerName::try_from(ANY_NAME).map_err(|e| rustls::Error::General(e.to_string()))?;
            UnbufferedClientConnection::new(Arc::new(config?), name)
        };
        let link = Opening { stream, ours: identity.pin(), expected, peer, verifier: &verifier };
        link.open(start(), deadline, limits, deadline)
    }

    /// Answers: takes any caller that has a certificate, valid and proved, within `handshake`. Who that is the caller of
    /// this function decides by [`peer_pin`](Self::peer_pin), before it sends anything.
    pub fn accept(
        stream: TcpStream,
        identity: &TlsIdentity,
        peer: &str,
        limits: Limits,
        handshake: Duration,
        deadline: Duration,
    ) -> Result<Self, NetError> {
        let provider = provider();
        let verifier = PeerVerifier::new(None, &provider);
        let config = server_config(identity, Arc::clone(&verifier), provider);
        let start = || UnbufferedServerConnection::new(Arc::new(config?));
        let link = Opening { stream, ours: identity.pin(), expected: &[], peer, verifier: &verifier };
        link.open(start(), handshake, limits, deadline)
    }

    /// The pin of the key that the peer has proved to have.
    pub fn peer_pin(&self) -> Pin {
        self.peer.pin
    }

    /// When the peer's certificate is valid.
    pub fn peer_validity(&self) -> Validity {
        self.peer.validity
    }
}

/// What TLS may use, in the order in which we prefer it. AES with 128 bits comes first: it is as strong as the X25519 that agrees
/// on its key, and takes 10 rounds in place of 14 for each block of hundreds of megabytes.
fn provider() -> Arc<CryptoProvider> {
    let cipher_suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..rustls::crypto::ring::default_provider() })
}

fn client_config(
    identity: &TlsIdentity,
    verifier: Arc<PeerVerifier>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.enable_early_data = false;
    config.enable_secret_extraction = true;
    Ok(config)
}

fn server_config(
    identity: &TlsIdentity,
    verifier: Arc<PeerVerifier>,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.enable_secret_extraction = true;
    Ok(config)
}

/// What is needed to make a connection a link.
struct Opening<'a> {
    stream: TcpStream,
    ours: Pin,
    expected: &'a [Pin],
    peer: &'a str,
    verifier: &'a PeerVerifier,
}

impl Opening<'_> {
    fn open(
        self,
        side: Result<impl Side, rustls::Error>,
        handshake: Duration,
        limits: Limits,
        deadline: Duration,
    ) -> Result<TlsLink, NetError> {
        let peer = self.peer;
        let side = side.map_err(|e| NetError::setup(peer, io::Error::other(e)))?;
        prepare(&self.stream).map_err(|e| NetError::setup(peer, e))?;
        let halves = shake(side, &self.stream, PROTOCOL, handshake).map_err(|failure| self.refused(failure))?;
        let Some(Ok(described)) = self.verifier.found().cloned() else {
            return Err(self.refused(Failure::Tls(rustls::Error::NoCertificatesPresented)));
        };
        let split = stream::split(halves, self.stream, peer, self.ours);
        let (shared, read, write) = split.map_err(|e| NetError::setup(peer, e))?;
        let duplex = Duplex::start(read, write, move || shared.hang_up(), peer, limits, deadline)?;
        Ok(TlsLink { duplex, peer: described })
    }

    /// Why there is no link.
    fn refused(&self, failure: Failure) -> NetError {
        let peer = self.peer.to_owned();
        match (self.verifier.found(), failure) {
            // what we found says more than what TLS made of it
            (Some(Err(Refused::Pin(got))), Failure::Tls(_)) => {
                NetError::WrongPin { peer, expected: self.expected.to_vec(), got: *got }
            }
            (Some(Err(Refused::Fault(fault))), Failure::Tls(_)) => {
                NetError::Certificate { peer, why: fault.to_string() }
            }
            (_, Failure::Tls(error)) => NetError::Tls { peer, why: refusal::why(&error, self.ours) },
            (_, Failure::NotTls(kind)) => NetError::Tls {
                peer,
                why: format!(
                    "it does not speak TLS (it sent {kind}); is the address right, and is TLS on at both sides?"
                ),
            },
            (_, Failure::OtherProtocol) => NetError::Tls { peer, why: refusal::other_protocol() },
            (_, Failure::Timeout(waited)) => NetError::Timeout { peer, wait: Wait::Handshake, waited },
            (_, Failure::Io(source)) => NetError::lost(&peer, Wait::Handshake, source),
        }
    }
}

/// Small frames leave at once, and the kernel asks a silent peer every few seconds whether it is still there.
///
/// `TCP_USER_TIMEOUT` would end connections to dead peers while bytes are under way as well, but it also ends those to
/// peers that live and have no room for more for as long, which a party that computes is expected to be.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(3)).with_interval(Duration::from_secs(2)).with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

impl Link for TlsLink {
    forward_link!(|link| link.duplex; send, recv, flush, deadline, set_deadline, set_session, set_limits, counters, peer);
}

impl fmt::Debug for TlsLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsLink")
            .field("peer", &self.peer())
            .field("pin", &self.peer_pin())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
