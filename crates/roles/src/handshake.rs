//! Who is at the other end of a connection.
//!
//! On one machine roles listen on loopback only and know each other by a one-time token that the starting process hands to its
//! children. Between machines links are TLS and keys are pinned: who a caller is follows from its key, and its hello must say the
//! same. A peer with another protocol, token, session, bundle or spec is turned away.

use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context;
use bundle::BundleId;
use model::Spec;
use mpc::Agreement;
use net::{Frame, Limits, Link, Listener, Named, NetError, TcpLink, connect};
use ring64::Key;
use subtle::ConstantTimeEq;

use crate::liveness::{Liveness, Monitored, POLL};
use crate::message::{ControlError, Hello, PROTOCOL, Purpose, Refusal, Role, kind, parse, send};
use crate::start::Start;

/// A link to a peer that proved who it is.
pub type Peer = Box<dyn Link>;

/// A caller gets this long to say hello.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);

/// What a role says of itself.
pub struct Identity {
    /// Who.
    pub role: Role,
    /// One-time token of a deployment on one machine; none where keys are pinned.
    pub token: Option<Key>,
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

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Known({}, redacted)", self.role)
    }
}

impl Identity {
    /// This role in a session of a deployment on one machine, on its part of a bundle, with a fresh nonce.
    pub fn new(role: Role, start: &Start, bundle: BundleId, spec: &Spec) -> anyhow::Result<Identity> {
        let pinned = Identity::pinned(role, start.session()?, bundle, spec)?;
        Ok(Identity { token: Some(start.token()?), ..pinned })
    }

    /// This role in a session between peers whose keys are pinned, with a fresh nonce.
    pub fn pinned(role: Role, session: [u8; 16], bundle: BundleId, spec: &Spec) -> anyhow::Result<Identity> {
        let (bundle, spec) = (*bundle.as_bytes(), bundle::spec_digest(spec));
        let nonce = fresh().context("no randomness from the operating system")?;
        Ok(Identity { role, token: None, session, bundle, spec, nonce })
    }

    /// What this role says first to `recipient`.
    pub fn hello(&self, recipient: Role, purpose: Purpose) -> Hello {
        Hello {
            protocol: PROTOCOL,
            role: self.role,
            recipient,
            purpose,
            token: self.token.as_ref().map(|token| hex::encode(token.as_bytes())),
            session: hex::encode(self.session),
            bundle: hex::encode(self.bundle),
            spec: hex::encode(self.spec),
            nonce: hex::encode(self.nonce),
            client: None,
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

    /// Checks a peer's hello and gives its nonce; the reason says what differs, never what was sent.
    pub fn check(&self, hello: &Hello, allowed: &[Role]) -> Result<[u8; 32], String> {
        if hello.protocol != PROTOCOL {
            return Err(format!(
                "it speaks protocol {}, we speak {PROTOCOL}; run one release everywhere",
                hello.protocol
            ));
        }
        let token = self.token.as_ref().map(|token| hex::encode(token.as_bytes()));
        let same = match (&token, &hello.token) {
            // in constant time: how long the comparison takes says nothing about the token
            (Some(ours), Some(theirs)) => bool::from(theirs.as_bytes().ct_eq(ours.as_bytes())),
            (None, None) => true,
            _ => false,
        };
        if !same {
            return Err("it does not have this deployment's token".into());
        }
        if !allowed.contains(&hello.role) {
            return Err(format!("{} is not expected here", hello.role));
        }
        if hello.recipient != self.role {
            return Err(format!("it wants {}, and this is {}; check its addresses", hello.recipient, self.role));
        }
        self.check_bundle(hello)?;
        let same = hello.session == hex::encode(self.session);
        same.then_some(()).ok_or("it has another session; start all roles together")?;
        let mut nonce = [0; 32];
        hex::decode_to_slice(&hello.nonce, &mut nonce).map_err(|_| "its nonce is not 32 bytes".to_string())?;
        Ok(nonce)
    }

    /// Checks that a peer has its part of the same bundle.
    pub fn check_bundle(&self, hello: &Hello) -> Result<(), String> {
        for (what, theirs, ours) in
            [("bundle", &hello.bundle, hex::encode(self.bundle)), ("spec", &hello.spec, hex::encode(self.spec))]
        {
            if *theirs != ours {
                return Err(format!("it has another {what}; give all roles parts of one conversion"));
            }
        }
        Ok(())
    }
}

/// Calls `peer` on loopback and says hello.
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
    let link = Monitored::new(link, liveness.clone());
    greet(me, Box::new(link), peer, &me.hello(peer, Purpose::Session), &mut |_| ())
}

/// Says hello over a link and waits for the answer; `waiting` is told what the peer says while it lets us wait. From here on the
/// link may hold more.
pub fn greet(
    me: &Identity,
    mut link: Peer,
    peer: Role,
    hello: &Hello,
    waiting: &mut dyn FnMut(&str),
) -> Result<Known, ControlError> {
    let nonce = exchange_hellos(me, &mut link, peer, hello, waiting)?;
    link.set_limits(Limits::default());
    link.set_session(me.tag());
    Ok(Known { role: peer, nonce, link })
}

/// Says hello and checks the answer, which brings the peer's nonce; the link holds no more than before.
pub(crate) fn exchange_hellos(
    me: &Identity,
    link: &mut Peer,
    peer: Role,
    hello: &Hello,
    waiting: &mut dyn FnMut(&str),
) -> Result<[u8; 32], ControlError> {
    send(link, kind::HELLO, 0, 0, hello)?;
    let hello: Hello = loop {
        let answer = link.recv()?;
        match answer.header.kind {
            kind::HELLO => break parse(peer.name(), "hello", &answer.payload)?,
            kind::WAIT => waiting(&parse::<String>(peer.name(), "word to wait", &answer.payload)?),
            kind::REFUSE => return Err(parse::<Refusal>(peer.name(), "refusal", &answer.payload)?.error(peer.name())),
            other => {
                let reason = format!("answered a hello with a frame of kind {other}");
                return Err(ControlError::Unexpected { peer: peer.to_string(), reason });
            }
        }
    };
    me.check(&hello, &[peer]).map_err(|reason| ControlError::Refusing { peer: peer.to_string(), reason })
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
    let from = caller(&stream);
    let mut link: Peer = Box::new(TcpLink::from_stream(stream, &from, Limits::STRANGER, HELLO_DEADLINE)?);
    let hello = read_hello(&mut link)?;
    let checked = match hello.purpose {
        Purpose::Session => me.check(&hello, allowed),
        _ => Err("roles that were started together have sessions only".into()),
    };
    match checked {
        Ok(nonce) => {
            let link = Monitored::new(Named::new(link, hello.role.name()), Liveness::unknown());
            welcome(me, Box::new(link), hello.role, nonce, deadline)
        }
        Err(reason) => Err(turn_away(&mut link, Refusal::new(reason))),
    }
}

/// What errors call a caller that has not said who it is.
pub(crate) fn caller(stream: &TcpStream) -> String {
    stream.peer_addr().map_or_else(|_| "a caller".into(), |address: SocketAddr| format!("a caller at {address}"))
}

/// The first that a caller says.
pub fn read_hello(link: &mut Peer) -> Result<Hello, ControlError> {
    let Frame { header, payload } = link.recv()?;
    if header.kind != kind::HELLO {
        let reason = format!("began with a frame of kind {}", header.kind);
        return Err(ControlError::Unexpected { peer: link.peer().to_owned(), reason });
    }
    parse(link.peer(), "hello", &payload)
}

/// Answers the hello of a caller that was found to be `role`, in that session; from here on the link may hold more.
pub fn welcome(
    me: &Identity,
    mut link: Peer,
    role: Role,
    nonce: [u8; 32],
    deadline: Duration,
) -> Result<Known, ControlError> {
    link.set_deadline(deadline);
    link.set_limits(Limits::default());
    send(&mut link, kind::HELLO, 0, 0, &me.hello(role, Purpose::Session))?;
    link.set_session(me.tag());
    Ok(Known { role, nonce, link })
}

/// Tells a caller why it is turned away, and gives what is to be logged of it.
pub fn turn_away(link: &mut Peer, refusal: Refusal) -> ControlError {
    let peer = link.peer().to_owned();
    match send(link, kind::REFUSE, 0, 0, &refusal).and_then(|()| Ok(link.flush()?)) {
        Ok(()) => ControlError::Refusing { peer, reason: refusal.reason },
        Err(gone) => gone,
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
