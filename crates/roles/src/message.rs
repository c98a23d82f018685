//! Control messages between roles: JSON, small, parsed strictly.

pub use bundle::Role;
use model::{Spec, Texts, TextsError};
use mpc::Trace;
use net::{Frame, Header, Link, NetError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Kinds of control frames. Kinds below 16 belong to `mpc`.
pub mod kind {
    /// Who is calling, and for which bundle and session.
    pub const HELLO: u8 = 16;
    /// Why a caller or a request is turned away.
    pub const REFUSE: u8 = 17;
    /// P0 to P1: the root of the keys that mask logits.
    pub const OUTPUT_ROOT: u8 = 18;
    /// Client to party: a batch is coming.
    pub const REQUEST: u8 = 19;
    /// Party to client: all that needs no input is done.
    pub const READY: u8 = 20;
    /// Client to party: half of the input.
    pub const INPUT: u8 = 21;
    /// Party to client: what the run took.
    pub const REPORT: u8 = 22;
    /// Party to client: half of the logits.
    pub const OUTPUT: u8 = 23;
    /// Party to dealer: correlations wanted.
    pub const DEMAND: u8 = 24;
    /// Dealer to party: the key of its streams.
    pub const KEY: u8 = 25;
    /// No more requests.
    pub const BYE: u8 = 26;
    /// Party to dealer: fresh bytes for the key of its streams. Never compared, printed, or shown to the other party.
    pub const SECRET: u8 = 27;
    /// Party to caller, in place of an answer to its hello: it is in the queue.
    pub const WAIT: u8 = 28;
    /// Over control connections: still there. Each side says so once a second.
    pub const BEAT: u8 = 29;
    /// P0 to dealer, over its control connection: a session was opened, join it at both parties.
    pub const OPENED: u8 = 30;
    /// Party to caller, who only wants to know how it is.
    pub const STATUS: u8 = 31;
    /// Bytes there and back, to measure a link.
    pub const PROBE: u8 = 32;
    /// Between the parties, before an attempt: which pack of correlations both take from their stocks, or none.
    pub const TAKING: u8 = 33;
    /// Between the parties' stocks: who is there, by its boots.
    pub const GREETING: u8 = 34;
    /// Between the parties' stocks: what is in stock.
    pub const STATE: u8 = 35;
    /// P1 to P0: its stock was reconciled with P0's.
    pub const RECONCILED: u8 = 36;
    /// P0 to P1: packs are to be made now, in this session of the dealer's.
    pub const ORDER: u8 = 37;
    /// P1 to P0: it takes part.
    pub const ORDERED: u8 = 38;
    /// Between the parties: this side's half of a pack is in its stock.
    pub const STORED: u8 = 39;
    /// P0 to dealer, over its control connection: packs are to be made in this session, at low priority.
    pub const ORDER_OPENED: u8 = 40;
    /// Between the parties: this side is still making its half of a pack.
    pub const PROGRESS: u8 = 41;
}

/// Version of the control protocol.
pub const PROTOCOL: u32 = 9;

/// Longest control message in bytes.
const MOST_BYTES: usize = 1 << 20;

/// What a caller and the one who answers tell each other first.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Who speaks. Where keys are pinned, the pin of the speaker's key must say the same.
    pub role: Role,
    /// Whom the speaker takes the other side for.
    pub recipient: Role,
    /// What the connection is for.
    pub purpose: Purpose,
    /// One-time token of a deployment on one machine, in hexadecimal; none where keys are pinned.
    pub token: Option<String>,
    /// Random name of the session, in hexadecimal.
    pub session: String,
    /// Random name of the bundle, in hexadecimal.
    pub bundle: String,
    /// Digest of the bundle's spec, in hexadecimal.
    pub spec: String,
    /// Fresh nonce of the speaker, in hexadecimal.
    pub nonce: String,
    /// P1 to P0: the pin of the client that opened the session. P0 holds it against the client that it knows the session from.
    pub client: Option<String>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A session.
    Session,
    /// To know that the peer is there, and to be told of sessions.
    Control,
    /// To find out how the peer is.
    Status,
    /// P1 to P0: to keep both stocks the same, and to fill them.
    Stock,
}

/// Why a caller or a request is turned away, and what that means to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// What is wrong, and what to do.
    pub reason: String,
    /// What kind of refusal it is.
    pub cause: Cause,
}

/// What a refusal means to who is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// It will be refused again.
    Refused,
    /// It may come again after so many seconds.
    Busy(u32),
    /// Another role was lost.
    Lost,
    /// No correlations are in stock, and no dealer came to make some.
    Exhausted,
}

impl Refusal {
    /// A refusal for good.
    pub fn new(reason: impl Into<String>) -> Refusal {
        Refusal { reason: reason.into(), cause: Cause::Refused }
    }

    /// There is no room now.
    pub fn busy(reason: impl Into<String>, seconds: u32) -> Refusal {
        Refusal { reason: reason.into(), cause: Cause::Busy(seconds) }
    }

    /// As an error of who was refused by `peer`.
    pub fn error(self, peer: &str) -> ControlError {
        let Refusal { reason, cause } = self;
        let peer = peer.to_owned();
        match cause {
            Cause::Refused => ControlError::Refused { peer, reason },
            Cause::Busy(seconds) => ControlError::Busy { peer, reason, seconds },
            Cause::Lost => ControlError::LostBehind { peer, reason },
            Cause::Exhausted => ControlError::Exhausted { peer, reason },
        }
    }
}

/// What is public of a batch of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicTexts {
    /// Rows of each text.
    pub rows: Vec<usize>,
    /// Whether a text may have fewer tokens than rows.
    pub padded: bool,
}

impl PublicTexts {
    /// Texts of so many tokens each.
    pub fn exact(tokens: Vec<usize>) -> PublicTexts {
        PublicTexts { rows: tokens, padded: false }
    }

    /// Of this batch.
    pub fn of(texts: &Texts) -> PublicTexts {
        PublicTexts { rows: texts.lengths().to_vec(), padded: texts.is_padded() }
    }

    /// The batch, if it is one of a model with this spec.
    pub fn texts(&self, spec: &Spec) -> Result<Texts, TextsError> {
        match self.padded {
            true if spec.padded.is_none() => Err(TextsError::Unpadded),
            true => Texts::padded(&self.rows, &spec.shape),
            false => Texts::new(&self.rows, &spec.shape),
        }
    }
}

/// A batch that the client wants classified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its texts; public.
    pub texts: PublicTexts,
}

/// Correlations that a party wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DealRequest {
    /// Its texts.
    pub texts: PublicTexts,
    /// Digest of the plan, in hexadecimal.
    pub plan: String,
    /// Digest of the whole agreement ([`mpc::Agreement::digest`]), in hexadecimal.
    pub agreement: String,
}

/// What one party measured of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Digest of the agreement under which the answer was computed, in hexadecimal.
    pub agreement: String,
    /// Attempts beyond the first.
    pub restarts: u32,
    /// Attempts whose correlations came from the stock.
    pub stocked: u32,
    /// Rounds with the other party, over all attempts.
    pub rounds: u64,
    /// Bytes sent to the other party online, headers included.
    pub online_bytes: u64,
    /// Bytes received from the dealer, headers included.
    pub offline_bytes: u64,
    /// Seconds from the request until the input was asked for, and what restarts spent on correlations.
    pub offline_seconds: f64,
    /// The online phase by parts of the network: the embedding, each layer, the head. Sums over all attempts.
    pub parts: Vec<PartReport>,
    /// The same by operation, in the order of [`model::Operation::ALL`].
    pub operations: [PartReport; 4],
    /// The same by part and operation.
    pub cells: Vec<[PartReport; 4]>,
}

/// What a part of the network, or an operation, cost a party online.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartReport {
    /// Seconds at work.
    pub compute_seconds: f64,
    /// Seconds of waiting for the other party.
    pub wait_seconds: f64,
    /// Payload bytes sent to the other party.
    pub bytes: u64,
    /// Openings.
    pub rounds: u64,
}

impl Report {
    /// The report as it is sent: JSON, with blanks to a length that depends on the network alone, and not on how many digits
    /// seconds have.
    pub fn payload(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut payload = serde_json::to_vec(self)?;
        let entries = self.parts.len() + self.operations.len() + self.cells.iter().flatten().count();
        payload.resize(payload.len().max(512 + 192 * entries), b' ');
        Ok(payload)
    }

    /// Adds what an attempt cost.
    pub fn add(&mut self, trace: &Trace) {
        self.parts.resize(self.parts.len().max(trace.parts.len()), PartReport::default());
        self.cells.resize(self.cells.len().max(trace.cells.len()), Default::default());
        // an attempt that restarts ends before the last part
        let parts = self.parts.iter_mut().zip(&trace.parts);
        let cells = self.cells.iter_mut().flatten().zip(trace.cells.iter().flatten());
        for (sum, cost) in parts.chain(self.operations.iter_mut().zip(&trace.operations)).chain(cells) {
            let (compute_seconds, wait_seconds) = (cost.compute.as_secs_f64(), cost.wait.as_secs_f64());
            sum.add(&PartReport { compute_seconds, wait_seconds, bytes: cost.bytes, rounds: cost.rounds });
        }
    }
}

impl PartReport {
    /// Adds another run of the same part.
    pub fn add(&mut self, other: &PartReport) {
        self.compute_seconds += other.compute_seconds;
        self.wait_seconds += other.wait_seconds;
        self.bytes += other.bytes;
        self.rounds += other.rounds;
    }

    /// Of both parties' reports the one that worked longer: the other one's wait is for it.
    pub(crate) fn slower(&self, other: &PartReport) -> PartReport {
        if self.compute_seconds >= other.compute_seconds { *self } else { *other }
    }
}

/// Why a control message was not understood or a peer was turned away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The network or the peer failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Not the JSON that the protocol asks for.
    #[error("{peer}: a {what} that cannot be read ({why}); run the same release of `runtime` everywhere")]
    Unreadable {
        /// Who.
        peer: String,
        /// Message.
        what: &'static str,
        /// Reason, without the message's content.
        why: String,
    },
    /// The peer turned us away.
    #[error("{peer} refused: {reason}")]
    Refused {
        /// Who.
        peer: String,
        /// Its reason.
        reason: String,
    },
    /// The peer has no room for us now.
    #[error("{peer} is busy: {reason}; try again in {seconds} s")]
    Busy {
        /// Who.
        peer: String,
        /// Its reason.
        reason: String,
        /// When it may have.
        seconds: u32,
    },
    /// The peer lost a role that we need as well.
    #[error("{peer} ended the session: {reason}")]
    LostBehind {
        /// Who.
        peer: String,
        /// What it lost.
        reason: String,
    },
    /// The peer has no correlations left.
    #[error("{peer} has no correlations left: {reason}; try again later")]
    Exhausted {
        /// Who.
        peer: String,
        /// What there is none of.
        reason: String,
    },
    /// We turn the peer away.
    #[error("{peer} was refused: {reason}")]
    Refusing {
        /// Who.
        peer: String,
        /// Our reason.
        reason: String,
    },
    /// A message that does not fit the state.
    #[error("{peer}: {reason}")]
    Unexpected {
        /// Who.
        peer: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Sends a control message.
pub fn send<T: Serialize>(
    link: &mut dyn Link,
    kind: u8,
    request: u64,
    attempt: u32,
    body: &T,
) -> Result<(), ControlError> {
    let unwritable = |e: serde_json::Error| ControlError::Unreadable {
        peer: link.peer().to_string(),
        what: "message of our own",
        why: e.to_string(),
    };
    let payload = serde_json::to_vec(body).map_err(unwritable)?;
    Ok(link.send(Frame::new(Header::new(kind, request, attempt, 0), payload))?)
}

/// Sends bytes.
pub fn send_bytes(
    link: &mut dyn Link,
    kind: u8,
    request: u64,
    attempt: u32,
    payload: Vec<u8>,
) -> Result<(), ControlError> {
    Ok(link.send(Frame::new(Header::new(kind, request, attempt, 0), payload))?)
}

/// Reads a control message out of a frame's payload.
pub fn parse<T: DeserializeOwned>(peer: &str, what: &'static str, payload: &[u8]) -> Result<T, ControlError> {
    let unreadable = |why: String| ControlError::Unreadable { peer: peer.to_string(), what, why };
    if payload.len() > MOST_BYTES {
        return Err(unreadable(format!("{} bytes, at most {MOST_BYTES} are allowed", payload.len())));
    }
    // serde's own words could quote the message; its place and category cannot
    let why = |e: serde_json::Error| unreadable(format!("{:?} error at byte {}", e.classify(), e.column()));
    serde_json::from_slice(payload).map_err(why)
}

/// Waits for a control message at a place.
pub fn expect<T: DeserializeOwned>(
    link: &mut dyn Link,
    kind: u8,
    request: u64,
    attempt: u32,
    what: &'static str,
) -> Result<T, ControlError> {
    let payload = link.expect(kind, request, attempt, 0, None)?;
    parse(link.peer(), what, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a party sends of a padded text has one length, however many digits its seconds have.
    #[test]
    fn a_report_is_as_long_whatever_the_seconds() {
        let report = |seconds: f64| {
            let part = PartReport { compute_seconds: seconds, wait_seconds: seconds / 3.0, bytes: 1 << 40, rounds: 15 };
            let parts = vec![part; 26];
            let operations = [(); 4].map(|()| part);
            let cells = vec![[(); 4].map(|()| part); 26];
            let agreement = "ab".repeat(32);
            Report { agreement, offline_seconds: seconds, parts, operations, cells, ..Report::default() }
        };
        let lengths = [0.0, 1.0, 0.1 + 0.2, 1.0 / 3.0, 1e-300 / 7.0, 12_345.678_901_234_567].map(|seconds| {
            let payload = report(seconds).payload().unwrap_or_default();
            let read: Result<Report, _> = serde_json::from_slice(&payload);
            assert_eq!(read.ok(), Some(report(seconds)));
            payload.len()
        });
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
    }
}
