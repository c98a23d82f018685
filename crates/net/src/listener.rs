//! How two processes find one another.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::NetError;

/// Between two looks for a connection.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits for connections. Whoever connects is a stranger until a [`TlsLink`](crate::TlsLink) has its pin; over a
/// [`TcpLink`](crate::TcpLink) it stays one, so what carries secrets over that listens on loopback only.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `127.0.0.1:port`; port 0 takes any free one, see [`local_addr`](Self::local_addr).
    pub fn loopback(port: u16) -> Result<Self, NetError> {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Listens on any address, for whoever can reach it: only what everybody on that network may see and send.
    pub fn on(address: SocketAddr) -> Result<Self, NetError> {
        let listen = || {
            let inner = TcpListener::bind(address)?;
            // The standard library's accept has no deadline, so `accept` looks again and again instead.
            inner.set_nonblocking(true)?;
            let address = inner.local_addr()?;
            Ok(Self { inner, address })
        };
        listen().map_err(|e| listen_error(address, e))
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection, within `deadline`. `peer` is who is waited for, in errors: whoever connects is not yet
    /// known to be that peer.
    pub fn accept(&self, peer: &str, deadline: Duration) -> Result<TcpStream, NetError> {
        let start = Instant::now();
        loop {
            match self.inner.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(|e| NetError::setup(peer, e))?;
                    return Ok(stream);
                }
                Err(e) if retry_accept(e.kind()) => {}
                Err(e) => return Err(listen_error(self.address, e)),
            }
            let waited = start.elapsed();
            if waited >= deadline {
                let address = self.address.to_string();
                return Err(NetError::NobodyCame { peer: peer.to_owned(), address, waited });
            }
            thread::sleep(PAUSE.min(deadline - waited));
        }
    }
}

/// Connects to `peer` at `address` (`host:port`), trying again while it is not up yet, within `deadline`.
pub fn connect(peer: &str, address: &str, deadline: Duration) -> Result<TcpStream, NetError> {
    let start = Instant::now();
    let mut pause = PAUSE;
    loop {
        let left = deadline.saturating_sub(start.elapsed()).max(PAUSE);
        let source = match attempt(address, left) {
            Ok(stream) => return Ok(stream),
            Err(source) => source,
        };
        let waited = start.elapsed();
        if waited >= deadline || !retry_connect(source.kind()) {
            let (peer, address) = (peer.to_owned(), address.to_owned());
            return Err(NetError::Unreachable { peer, address, waited, source: Arc::new(source) });
        }
        thread::sleep(pause.min(deadline - waited));
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Connects to `peer` at `address` within `deadline`, where somebody listens there now.
pub fn connect_now(peer: &str, address: &str, deadline: Duration) -> Result<TcpStream, NetError> {
    let start = Instant::now();
    attempt(address, deadline.max(PAUSE)).map_err(|source| {
        let (peer, address) = (peer.to_owned(), address.to_owned());
        NetError::Unreachable { peer, address, waited: start.elapsed(), source: Arc::new(source) }
    })
}

/// One attempt at each address that the name stands for.
fn attempt(address: &str, left: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name stands for no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left) {
            // A socket that dials a free local port can be given that very port and then reaches itself.
            Ok(stream) if stream.local_addr()? == stream.peer_addr()? => {
                last = io::ErrorKind::ConnectionRefused.into();
            }
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Nobody there yet, or somebody who went away before we answered.
fn retry_accept(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(kind, WouldBlock | Interrupted | ConnectionAborted | ConnectionReset)
}

/// What a peer that is still starting looks like.
fn retry_connect(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(kind, ConnectionRefused | ConnectionReset | ConnectionAborted | Interrupted)
}

fn listen_error(address: SocketAddr, source: io::Error) -> NetError {
    NetError::Listen { address: address.to_string(), source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_listener_takes_a_free_port_and_is_reached_there() {
        let listener = Listener::loopback(0).unwrap();
        let address = listener.local_addr();
        assert!(address.ip().is_loopback() && address.port() != 0);
        let there = connect("party1", &address.to_string(), LONG).unwrap();
        let here = listener.accept("party0", LONG).unwrap();
        assert_eq!(here.peer_addr().unwrap(), there.local_addr().unwrap());
    }

    #[test]
    fn connecting_waits_for_a_listener_that_starts_late() {
        // a port that was free a moment ago may be another test's by now: then with another one
        let met = (0..20).any(|_| {
            let port = Listener::loopback(0).unwrap().local_addr().port();
            let caller = thread::spawn(move || connect("party1", &format!("127.0.0.1:{port}"), LONG));
            let Ok(listener) = Listener::loopback(port) else { return false };
            listener.accept("party0", LONG).unwrap();
            caller.join().unwrap().unwrap();
            true
        });
        assert!(met);
    }

    #[test]
    fn nobody_at_the_address_is_named() {
        // a port that was free a moment ago may be another test's by now; nobody listens at this one
        let address = "127.0.0.1:1";
        let error = connect("party1", address, SOON).unwrap_err();
        assert!(matches!(error, NetError::Unreachable { waited, .. } if waited >= SOON), "{error}");
        let message = error.to_string();
        assert!(message.contains("party1") && message.contains(address), "{message}");
        let error = connect_now("party1", address, LONG).unwrap_err();
        assert!(matches!(error, NetError::Unreachable { waited, .. } if waited < LONG), "{error}");
    }

    #[test]
    fn an_address_that_cannot_be_one_is_not_tried_again() {
        let error = connect("party1", "127.0.0.1", LONG).unwrap_err();
        assert!(matches!(error, NetError::Unreachable { waited, .. } if waited < LONG), "{error}");
    }

    #[test]
    fn nobody_coming_is_named() {
        let listener = Listener::loopback(0).unwrap();
        let message = listener.accept("the client", SOON).unwrap_err().to_string();
        assert!(message.contains("the client") && message.contains(&listener.local_addr().to_string()), "{message}");
    }

    #[test]
    fn a_port_in_use_is_named_with_its_cure() {
        let taken = Listener::loopback(0).unwrap();
        let error = Listener::loopback(taken.local_addr().port()).unwrap_err();
        let NetError::Listen { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
        let message = error.to_string();
        assert!(
            message.contains(&taken.local_addr().to_string()) && message.contains("0 for any free one"),
            "{message}"
        );
    }

    #[test]
    fn a_port_that_needs_a_permission_is_explained() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let message = listen_error(address, io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(message.contains("127.0.0.1:80") && message.contains("1024 to 65535"), "{message}");
    }
}
