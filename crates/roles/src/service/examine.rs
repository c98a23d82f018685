//! How a party is, seen from another role: reached, recognised, asked, and the link to it measured.

use std::time::Duration;

use net::{Limits, Link, Pin, TlsIdentity, Validity};

use crate::handshake::{Identity, Peer};
use crate::message::{ControlError, Purpose, Refusal, kind, parse, send};
use crate::service::dial::PeerAddress;
use crate::service::status::{MOST_PROBE, Status, clock, probe};

/// How long each answer may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// Round trips, of which the shortest counts.
const ROUND_TRIPS: usize = 5;

/// What was found out of a party.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What it says of itself.
    pub status: Status,
    /// The key that it proved to have.
    pub pin: Pin,
    /// What its certificate holds for.
    pub validity: Validity,
    /// The shortest of a few round trips.
    pub round_trip: Duration,
    /// Bytes a second to it.
    pub bandwidth_to: f64,
    /// Bytes a second from it.
    pub bandwidth_from: f64,
    /// By how many milliseconds its clock is ahead of ours.
    pub ahead: i64,
}

/// Examines a party, which must know our key.
pub fn examine(tls: &TlsIdentity, me: &Identity, to: &PeerAddress, within: Duration) -> Result<Examined, ControlError> {
    let link = to.connect_now(tls, within)?;
    let (pin, validity) = (link.peer_pin(), link.peer_validity());
    let mut link: Peer = Box::new(link);
    link.set_deadline(DEADLINE);
    let asked = clock();
    send(&mut link, kind::HELLO, 0, 0, &me.hello(to.role, Purpose::Status))?;
    link.set_limits(Limits::default());
    let answer = link.recv()?;
    let answered = clock();
    let status: Status = match answer.header.kind {
        kind::STATUS => parse(to.role.name(), "status", &answer.payload)?,
        kind::REFUSE => return Err(parse::<Refusal>(to.role.name(), "refusal", &answer.payload)?.error(to.role.name())),
        other => {
            let reason = format!("answered a hello with a frame of kind {other}");
            return Err(ControlError::Unexpected { peer: to.role.to_string(), reason });
        }
    };
    let ahead = status.clock as i64 - (asked / 2 + answered / 2) as i64;
    let mut round_trip = Duration::MAX;
    for _ in 0..ROUND_TRIPS {
        round_trip = round_trip.min(probe(&mut link, 4, 4)?);
    }
    let rate = |took: Duration| f64::from(MOST_PROBE) / took.saturating_sub(round_trip).as_secs_f64().max(1e-6);
    let bandwidth_to = rate(probe(&mut link, MOST_PROBE, 4)?);
    let bandwidth_from = rate(probe(&mut link, 4, MOST_PROBE)?);
    Ok(Examined { status, pin, validity, round_trip, bandwidth_to, bandwidth_from, ahead })
}
