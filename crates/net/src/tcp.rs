//! A link over TCP.

use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::duplex::Duplex;
use crate::error::NetError;
use crate::forward::forward_link;
use crate::link::{Limits, Link};

/// A link over TCP, without encryption or authentication.
///
/// A writer and a reader thread with bounded queues stand between the caller and the socket, so a payload is handed
/// over without copying, and two sides that both send in bulk before they receive do not block one another. An error
/// of a thread comes out of the next call. Dropping the link waits at most its deadline for what was sent, then closes
/// the socket and ends both threads; call [`Link::flush`] first to learn whether all was written. Written is not yet
/// received: a socket closed while the peer still sends may lose its own last bytes, so let the side that receives the
/// last frame of a protocol be the first to drop.
pub struct TcpLink(Duplex);

impl TcpLink {
    /// A link over `stream`, which is connected to the peer that errors are to call `peer`.
    pub fn from_stream(stream: TcpStream, peer: &str, limits: Limits, deadline: Duration) -> Result<Self, NetError> {
        let setup = |e| NetError::setup(peer, e);
        stream.set_nodelay(true).map_err(setup)?;
        let read = stream.try_clone().map_err(setup)?;
        let write = stream.try_clone().map_err(setup)?;
        let hang_up = move || {
            let _ = stream.shutdown(Shutdown::Both);
        };
        Duplex::start(read, write, hang_up, peer, limits, deadline).map(Self)
    }
}

impl Link for TcpLink {
    forward_link!(|link| link.0; send, recv, flush, deadline, set_deadline, set_session, set_limits, counters, peer);
}

impl fmt::Debug for TcpLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpLink")
            .field("peer", &self.peer())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
