//! Who is at the other end of a connection.
//!
//! Until deployments between machines are built, roles listen on loopback only and know each other by a one-time token
//! that the starting process hands to its children. A peer with another token, session, bundle or spec is turned away.

use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context;
use bundle::BundleId;
use model::Spec;
use mpc::Agreement;
use net::{Frame, Header, Limits, Link, Listener, Named, NetError, TcpLink, connect};
use ring64::Key;
use subtle::ConstantTimeEq;

use crate::liveness::{Liveness, Monitored, POLL};
use crate::message::{ControlError, Hello, PROTOCOL, Role, kind, parse, send};
use crate::start::Start;

/// A link to a peer that proved who it is.
pub type Peer = Box<dyn Link>;

/// A caller gets this long to say hello.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);

/// What a role says of itself.
pub struct Identity {
    /// Who.
    pub role: Role,
    /// One-time token of the deployment.
    pub token: Key,
    /// Random name of the session.
    pub session: [u8; 16],
    /// Random name of the bundle.
    pub bundle: [u8; 16],
    /// Digest of the spec.
    pub spec: [u8; 32],
    /// Fresh nonce.
    pub nonce: [u8; 32],
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, redacted)", self.role)
    }
}

/// A peer that answered or called.
pub struct Known {
    /// Who.
    pub role: Role,
    /// Its nonce.
    pub nonce: [u8; 32],
    /// The link to it.
    pub link: Peer,
}

impl Identity {
    /// This role in a session, on its part of a bundle, with a fresh nonce.
    pub fn new(role: Role, start: &Start, bundle: BundleId, spec: &Spec) -> anyhow::Result<Identity> {
        Ok(Identity {
            role,
            token: start.token()?,
            session: start.session()?,
            bundle: *bundle.as_bytes(),
            spec: bundle::spec_digest(spec),
            nonce: fresh().context("no randomness from the operating system")?,
        })
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            role: self.role,
            token: hex::encode(self.token.as_bytes()),
            session: hex::encode(self.session),
            bundle: hex::encode(self.bundle),
            spec: hex::encode(self.spec),
            nonce: hex::encode(self.nonce),
        }
    }

    /// What this role holds to be agreed for an attempt; `nonces` are those of P0, P1 and the dealer.
    pub fn agreement(&self, nonces: [[u8; 32]; 3], plan: [u8; 32], request: u64, attempt: u32) -> Agreement {
        let Identity { bundle, spec, session, .. } = *self;
        Agreement { bundle, spec, plan, session, request, attempt, nonces }
    }

    /// What every frame of this session carries.
    fn tag(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.session[..8]);
        u64::from_le_bytes(first)
    }

    /// Checks a peer's hello; the reason says what differs, never what was sent.
    fn check(&self, hello: &Hello, allowed: &[Role]) -> Result<[u8; 32], String> {
        if hello.protocol != PROTOCOL {
            return Err(format!(
                "it speaks protocol {}, we speak {PROTOCOL}; run one release everywhere",
                hello.protocol
            ));
        }
        // in constant time: how long the comparison takes says nothing about the token
        let token = hex::encode(self.token.as_bytes());
        if !bool::from(hello.token.as_bytes().ct_eq(token.as_bytes())) {
            return Err("it does not have this deployment's token".into());
        }
        if !allowed.contains(&hello.role) {
            return Err(format!("{} is not expected here", hello.role));
        }
        let same = |what: &str, theirs: &str, ours: &[u8], cure: &str| match theirs == hex::encode(ours) {
            true => Ok(()),
            false => Err(format!("it has another {what}; {cure}")),
        };
        same("session", &hello.session, &self.session, "start all roles together")?;
        same("bundle", &hello.bundle, &self.bundle, "give all roles parts of one conversion")?;
        same("spec", &hello.spec, &self.spec, "give all roles parts of one conversion")?;
        let mut nonce = [0; 32];
        hex::decode_to_slice(&hello.nonce, &mut nonce).map_err(|_| "its nonce is not 32 bytes".to_string())?;
        Ok(nonce)
    }
}

/// Calls `peer` and says hello.
pub fn call(me: &Identity, peer: Role, address: &str, deadline: Duration) -> Result<Known, ControlError> {
    call_monitored(&Liveness::unknown(), me, peer, address, deadline)
}

/// Calls `peer` and says hello; this and all later waits on that link end where the peer is known not to be alive.
pub fn call_monitored(
    liveness: &Liveness,
    me: &Identity,
    peer: Role,
    address: &str,
    deadline: Duration,
) -> Result<Known, ControlError> {
    let stream = connect_alive(liveness, peer.name(), address, deadline)?;
    let link = Named::new(TcpLink::from_stream(stream, peer.name(), Limits::STRANGER, deadline)?, peer.name());
    let mut link = Monitored::new(link, liveness.clone());
    send(&mut link, kind::HELLO, 0, 0, &me.hello())?;
    let answer = link.recv()?;
    let hello: Hello = match answer.header.kind {
        kind::HELLO => parse(peer.name(), "hello", &answer.payload)?,
        kind::REFUSE => {
            let reason: String = parse(peer.name(), "refusal", &answer.payload)?;
            return Err(ControlError::Refused { peer: peer.to_string(), reason });
        }
        other => {
            let reason = format!("answered a hello with a frame of kind {other}");
            return Err(ControlError::Unexpected { peer: peer.to_string(), reason });
        }
    };
    let refusing = |reason| ControlError::Refusing { peer: peer.to_string(), reason };
    let nonce = me.check(&hello, &[peer]).map_err(refusing)?;
    link.set_limits(Limits::default());
    link.set_session(me.tag());
    Ok(Known { role: peer, nonce, link: Box::new(link) })
}

/// Connects, trying again while the peer is alive and does not listen yet.
fn connect_alive(liveness: &Liveness, peer: &str, address: &str, deadline: Duration) -> Result<TcpStream, NetError> {
    let start = Instant::now();
    loop {
        let left = deadline.saturating_sub(start.elapsed());
        match connect(peer, address, left.min(POLL)) {
            Err(NetError::Unreachable { source, .. })
                if left > POLL && source.kind() == ErrorKind::ConnectionRefused && liveness.is_alive() => {}
            Err(NetError::Unreachable { peer, address, source, .. }) => {
                return Err(NetError::Unreachable { peer, address, source, waited: start.elapsed() });
            }
            other => return other,
        }
    }
}

/// Waits until all of `wanted` have called, turning others away.
pub fn answer_all(
    me: &Identity,
    listener: &Listener,
    wanted: &[Role],
    deadline: Duration,
) -> Result<Vec<Known>, ControlError> {
    let start = Instant::now();
    let mut known: Vec<Known> = Vec::new();
    while known.len() < wanted.len() {
        let missing: Vec<Role> = wanted.iter().copied().filter(|w| known.iter().all(|k| k.role != *w)).collect();
        let names = missing.iter().map(|r| r.name()).collect::<Vec<_>>().join(", ");
        let stream = listener.accept(&names, deadline.saturating_sub(start.elapsed()))?;
        match answer(me, stream, &missing, deadline) {
            Ok(peer) => known.push(peer),
            Err(error) => cli::log(&format!("{}: {error}", me.role)),
        }
    }
    Ok(known)
}

fn answer(me: &Identity, stream: TcpStream, allowed: &[Role], deadline: Duration) -> Result<Known, ControlError> {
    let from = stream.peer_addr().map_or_else(|_| "a caller".to_string(), |a: SocketAddr| format!("a caller at {a}"));
    let mut link = TcpLink::from_stream(stream, &from, Limits::STRANGER, HELLO_DEADLINE)?;
    let Frame { header, payload } = link.recv()?;
    if header.kind != kind::HELLO {
        return Err(ControlError::Unexpected {
            peer: from,
            reason: format!("began with a frame of kind {}", header.kind),
        });
    }
    let hello: Hello = parse(&from, "hello", &payload)?;
    match me.check(&hello, allowed) {
        Ok(nonce) => {
            let mut link = Monitored::new(Named::new(link, hello.role.name()), Liveness::unknown());
            link.set_deadline(deadline);
            link.set_limits(Limits::default());
            send(&mut link, kind::HELLO, 0, 0, &me.hello())?;
            link.set_session(me.tag());
            Ok(Known { role: hello.role, nonce, link: Box::new(link) })
        }
        Err(reason) => {
            let text = serde_json::to_vec(&reason).unwrap_or_default();
            link.send(Frame::new(Header::new(kind::REFUSE, 0, 0, 0), text))?;
            link.flush()?;
            Err(ControlError::Refusing { peer: from, reason })
        }
    }
}

/// Takes the link of a role out of those that called.
pub fn take(known: &mut Vec<Known>, role: Role) -> Result<Known, ControlError> {
    let missing = || ControlError::Unexpected { peer: role.to_string(), reason: "never called".into() };
    known.iter().position(|k| k.role == role).map(|at| known.swap_remove(at)).ok_or_else(missing)
}

/// Fresh bytes from the operating system.
pub fn fresh<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
