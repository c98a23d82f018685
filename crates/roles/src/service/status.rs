//! How a party is, as it tells who asks, and how fast the link to it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use net::{Frame, Header, Link};
use serde::{Deserialize, Serialize};

use crate::handshake::Peer;
use crate::message::{ControlError, Role, kind, send_bytes};
use crate::service::stock::StockStatus;

/// Longest payload of a probe, either way.
pub const MOST_PROBE: u32 = 4 << 20;
/// Probes that are answered over one connection.
const MOST_PROBES: usize = 16;

/// How a party is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Who.
    pub role: Role,
    /// Version of its program.
    pub version: String,
    /// Version of its control protocol.
    pub protocol: u32,
    /// Random name of its bundle, in hexadecimal.
    pub bundle: String,
    /// Digest of its spec, in hexadecimal.
    pub spec: String,
    /// Its clock: milliseconds since 1970.
    pub clock: u64,
    /// Sessions that run.
    pub sessions: usize,
    /// Clients that wait.
    pub waiting: usize,
    /// Roles without which it cannot serve and that are not connected to it.
    pub missing: Vec<Role>,
    /// What it has in stock, if it keeps one that can be read, and a party asks.
    pub stock: Option<StockStatus>,
    /// Whether it admits nobody any more.
    pub ending: bool,
}

/// Milliseconds since 1970.
pub fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Answers probes until the caller goes: each brings four bytes that say how many it wants back.
pub(crate) fn answer_probes(link: &mut Peer) -> Result<(), ControlError> {
    for _ in 0..MOST_PROBES {
        let frame = match link.recv() {
            Err(net::NetError::Lost { .. }) => return Ok(()),
            other => other?,
        };
        let wanted = frame.payload.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
        let wanted = wanted.filter(|wanted| frame.header.kind == kind::PROBE && *wanted <= MOST_PROBE);
        let Some(wanted) = wanted else {
            let reason = format!("sent {} where a probe is due", frame.header);
            return Err(ControlError::Unexpected { peer: link.peer().to_owned(), reason });
        };
        link.send(Frame::new(Header::new(kind::PROBE, 0, 0, 0), vec![0; wanted as usize]))?;
        link.flush()?;
    }
    Ok(())
}

/// How long so many bytes there and so many back take.
pub(crate) fn probe(link: &mut Peer, there: u32, back: u32) -> Result<Duration, ControlError> {
    let mut payload = vec![0; (there as usize).max(4)];
    payload[..4].copy_from_slice(&back.to_le_bytes());
    let begin = Instant::now();
    send_bytes(link, kind::PROBE, 0, 0, payload)?;
    link.expect(kind::PROBE, 0, 0, 0, Some(back as usize))?;
    Ok(begin.elapsed())
}
