//! A client's session at a party: admitted, joined by the other roles, run.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use cli::coded;
use cli::exit::EXHAUSTED;
use net::{Link, Named, Pin, Shaped};
use tracing::info;

use crate::attempt::CLIENT;
use crate::dealer_link::DealerLink;
use crate::handshake::{Identity, Known, Peer, turn_away, welcome};
use crate::liveness::{Monitored, probe, probe_silent};
use crate::message::{Cause, ControlError, Hello, Purpose, Refusal, Role, kind, send};
use crate::service::dial::PeerAddress;
use crate::service::failed::session_failed;
use crate::service::party::{PartyService, short};
use crate::service::presence::Announcement;
use crate::service::table::{Open, SessionId};
use crate::session::{AGAIN, PartyLinks, Surroundings, run};

/// How often it is looked whether a client is there that waits for the other roles.
const LOOK: Duration = Duration::from_millis(200);
/// How often a client is told whom it waits for.
const SAY: Duration = Duration::from_secs(1);

impl PartyService {
    /// Serves a client that has proved who it is: the answer to its hello comes when there is room for its session.
    pub(crate) fn serve_client(&self, link: Peer, pin: Pin, hello: &Hello) -> Result<()> {
        let mut link: Peer = Box::new(Named::new(link, Role::Client.name()));
        let identity = match self.session_of(hello) {
            Ok(identity) => identity,
            Err(refusal) => return Err(turn_away(&mut link, refusal).into()),
        };
        let nonce = match identity.check(hello, &[Role::Client]) {
            Ok(nonce) => nonce,
            Err(reason) => return Err(turn_away(&mut link, Refusal::new(reason)).into()),
        };
        let slot = self.admission.enter(pin, |before| {
            send(&mut link, kind::WAIT, 0, 0, &format!("{before} before us"))?;
            Ok::<_, Turned>(probe_silent(&mut link)?)
        });
        let admitted = slot.and_then(|slot| self.await_roles(&mut link).map(|()| slot));
        let _slot = match admitted {
            Ok(slot) => slot,
            Err(Turned::Away(refusal)) => return Err(turn_away(&mut link, refusal).into()),
            Err(Turned::Gone(error)) => return Err(error.into()),
        };
        let open = match self.table.open(identity, pin) {
            Ok(open) => open,
            Err(refusal) => return Err(turn_away(&mut link, refusal).into()),
        };
        let role = self.model.role();
        let session = hex::encode(&open.identity.session[..4]);
        let begin = Instant::now();
        let (links, identity) = match self.gather(link, nonce, pin, &open) {
            Ok((links, identity)) => (self.shaped(links), identity),
            Err(error) => {
                session_failed(role, &session, &error);
                return Ok(());
            }
        };
        info!(%role, %session, client = %short(&pin), "session begins");
        let surroundings = Surroundings {
            settings: self.settings,
            hold: self.hold,
            budget: &self.budget,
            idle: self.limits.idle,
            stop: &self.ending,
            stock: self.stock.as_ref().map(|stock| &stock.kept),
        };
        // `open` stays in the table until the end: whoever calls for a role of this session again is told that it is there
        let ended = run(&self.model, identity, links, surroundings);
        drop(open);
        let seconds = begin.elapsed().as_secs_f64();
        match ended {
            Ok(()) => info!(%role, %session, seconds, "session ended"),
            Err(error) => session_failed(role, &session, &error),
        }
        Ok(())
    }

    /// Waits for the roles without which there is no session, which may still be starting; the client is told whom it waits for.
    fn await_roles(&self, client: &mut Peer) -> Result<(), Turned> {
        let (begin, mut said) = (Instant::now(), None::<Instant>);
        loop {
            let mut missing = self.missing();
            if self.calls_dealer() {
                missing.retain(|role| *role != Role::Dealer);
            }
            if missing.is_empty() {
                return Ok(());
            }
            if self.ending.load(Ordering::Relaxed) {
                return Err(Refusal::busy("this service is ending", AGAIN).into());
            }
            let names: Vec<&str> = missing.iter().map(|role| role.name()).collect();
            let names = names.join(", ");
            if begin.elapsed() >= self.limits.join {
                return Err(Refusal::busy(format!("not connected: {names}"), AGAIN).into());
            }
            if said.is_none_or(|said| said.elapsed() >= SAY) {
                send(client, kind::WAIT, 0, 0, &format!("not connected yet: {names}"))?;
                said = Some(Instant::now());
            }
            probe_silent(client)?;
            thread::sleep(LOOK);
        }
    }

    /// Whether the dealer is not waited for before there is need of it.
    fn calls_dealer(&self) -> bool {
        let Some(stock) = &self.stock else { return false };
        // P1 learns only in the session whether P0 takes packs there
        self.party0.is_some() || stock.kept.shared().is_reconciled()
    }

    /// This party in the session that a hello names.
    fn session_of(&self, hello: &Hello) -> Result<Identity, Refusal> {
        let mut session: SessionId = [0; 16];
        hex::decode_to_slice(&hello.session, &mut session).map_err(|_| Refusal::new("the session is not 16 bytes"))?;
        // `identity` asks the system for a nonce
        self.model.identity(session).map_err(|_| Refusal::busy("no randomness from the operating system", AGAIN))
    }

    /// All links of a session: P1 dials P0, the dealer and P1 join.
    fn gather<'o>(
        &'o self,
        mut link: Peer,
        nonce: [u8; 32],
        pin: Pin,
        open: &'o Open<'_>,
    ) -> Result<(PartyLinks<'o>, Identity)> {
        let called = self.calls_dealer();
        let Some(address) = &self.party0 else {
            return self.joined(link, nonce, None, (open, called));
        };
        match self.dial_party0(address, &open.identity, pin) {
            Ok(party0) => self.joined(link, nonce, Some(party0), (open, called)),
            Err(error) => {
                let refusal = Refusal { reason: format!("party0 is not to be had: {error}"), cause: Cause::Lost };
                turn_away(&mut link, refusal);
                Err(error.into())
            }
        }
    }

    /// Welcomes the client and waits for the roles that are still missing.
    fn joined<'o>(
        &'o self,
        link: Peer,
        nonce: [u8; 32],
        mut peer: Option<Known>,
        (open, called): (&'o Open<'_>, bool),
    ) -> Result<(PartyLinks<'o>, Identity)> {
        let mut client = welcome(&open.identity, link, Role::Client, nonce, self.settings.deadline)?;
        client.link.set_limits(CLIENT);
        let (begin, mut dealer, mut early, mut by) = (Instant::now(), None, None, None);
        loop {
            if !called && dealer.is_none() && self.party0.is_none() {
                self.presence.announce_again(Role::Dealer, Announcement::Session(open.identity.session), &mut by);
            }
            if peer.is_some() && (called || dealer.is_some()) {
                break;
            }
            match open.joined(LOOK) {
                Some(Ok(known)) if known.role == Role::Dealer => dealer = Some(known),
                Some(Ok(known)) => peer = Some(known),
                Some(Err(refusal)) => return Err(dismiss(&mut client.link, refusal)),
                // a client that was welcomed may ask, or take its leave, before the others are there
                None if early.is_none() => early = probe(&mut client.link)?,
                None => {}
            }
            if begin.elapsed() >= self.limits.join {
                let missing = [(Role::Dealer, dealer.is_none() && !called), (Role::Party1, peer.is_none())];
                let names: Vec<&str> =
                    missing.iter().filter(|(_, lacks)| *lacks).map(|(role, _)| role.name()).collect();
                let (names, waited) = (names.join(", "), self.limits.join.as_secs());
                let refusal = Refusal {
                    reason: format!("{names} did not join the session within {waited} s"),
                    cause: Cause::Lost,
                };
                return Err(dismiss(&mut client.link, refusal));
            }
        }
        let identity = Identity { token: None, ..*open.identity };
        let Some(peer) = peer else { anyhow::bail!("a session without all its roles") };
        let dealer = match dealer {
            Some(dealer) => DealerLink::joined(self.watched(dealer)),
            None => DealerLink::called(|| self.call_dealer(open)),
        };
        Ok((PartyLinks { peer: self.watched(peer), dealer, client, early }, identity))
    }

    /// The dealer of a session in which correlations are made on demand after all.
    fn call_dealer(&self, open: &Open<'_>) -> Result<Known> {
        if let Some(dealer) = self.await_dealer(open, Announcement::Session, &mut || Ok(()))? {
            return Ok(dealer);
        }
        let there = self.presence.missing(&[Role::Dealer]).is_empty();
        let (waited, what) = (self.limits.join.as_secs(), if there { "did not join" } else { "is not there" });
        let message = format!("none of this class can be taken from the stock, and the dealer {what} after {waited} s");
        Err(coded(EXHAUSTED, message))
    }

    /// The dealer of a session that all others are in, where it joins in time; P0 tells it of the session. `check` is called
    /// between looks, and ends the wait by its error.
    pub(crate) fn await_dealer(
        &self,
        open: &Open<'_>,
        what: fn(SessionId) -> Announcement,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Known>> {
        let (begin, mut by) = (Instant::now(), None);
        loop {
            if self.party0.is_none() {
                self.presence.announce_again(Role::Dealer, what(open.identity.session), &mut by);
            }
            check()?;
            match open.joined(LOOK) {
                Some(Ok(known)) if known.role == Role::Dealer => return Ok(Some(self.watched_dealer(known, begin))),
                Some(Ok(known)) => anyhow::bail!("{} joined a session that waits for the dealer", known.role),
                Some(Err(refusal)) => anyhow::bail!(refusal.reason),
                None if begin.elapsed() >= self.limits.join => return Ok(None),
                None => {}
            }
        }
    }

    /// A link whose waits end when the role's control connection is lost: a machine that is gone says nothing over any.
    fn watched(&self, known: Known) -> Known {
        let Known { role, nonce, link } = known;
        Known { role, nonce, link: Box::new(Monitored::new(link, self.presence.watch(role))) }
    }

    /// The same of the dealer, which may join before its control connection to this party is there.
    fn watched_dealer(&self, known: Known, since: Instant) -> Known {
        while !self.presence.missing(&[Role::Dealer]).is_empty() && since.elapsed() < self.limits.join {
            thread::sleep(LOOK);
        }
        self.watched(known)
    }

    /// For measuring: with the link to the other party slowed down, where that was asked for.
    fn shaped<'o>(&self, links: PartyLinks<'o>) -> PartyLinks<'o> {
        let Some(shape) = self.shape else { return links };
        let Known { role, nonce, link } = links.peer;
        PartyLinks { peer: Known { role, nonce, link: Box::new(Shaped::new(link, shape)) }, ..links }
    }

    /// P1's link to P0 in a session.
    fn dial_party0(&self, address: &str, identity: &Identity, client: Pin) -> Result<Known, ControlError> {
        let pins = self.roster.get().pins(Role::Party0).to_vec();
        let to = PeerAddress { role: Role::Party0, address: address.to_owned(), pins };
        let hello = Hello { client: Some(client.to_string()), ..identity.hello(Role::Party0, Purpose::Session) };
        to.join(&self.tls.get(), identity, &hello, (self.limits.join, self.settings.deadline))
    }

    /// Seats another role in the session that it joins.
    pub(crate) fn seat(&self, mut link: Peer, role: Role, hello: &Hello) -> Result<()> {
        let joined = self.session_of(hello).and_then(|own| self.table.join(own.session, role, self.limits.join));
        let seat = match joined {
            Ok(seat) => seat,
            Err(refusal) => return Err(turn_away(&mut link, refusal).into()),
        };
        let nonce = match seat.identity.check(hello, &[role]) {
            Ok(nonce) => nonce,
            Err(reason) => return Err(turn_away(&mut link, Refusal::new(reason)).into()),
        };
        // both parties must hold the same client to be the one whose text they compute on
        if role == Role::Party1 && hello.client.as_deref() != Some(seat.client.to_string().as_str()) {
            let reason = "party0 and party1 know this session from different clients";
            seat.take(Err(Refusal::new(reason)));
            return Err(turn_away(&mut link, Refusal::new(reason)).into());
        }
        let link = Box::new(Named::new(link, role.name()));
        let known = welcome(&seat.identity, link, role, nonce, self.settings.deadline)?;
        seat.take(Ok(known));
        Ok(())
    }
}

/// Why a client that waited is not admitted.
enum Turned {
    Away(Refusal),
    Gone(ControlError),
}

impl From<Refusal> for Turned {
    fn from(refusal: Refusal) -> Turned {
        Turned::Away(refusal)
    }
}

impl From<ControlError> for Turned {
    fn from(error: ControlError) -> Turned {
        Turned::Gone(error)
    }
}

/// Ends a session that has not begun: the client asks for something as its first, and this is the answer.
fn dismiss(client: &mut Peer, refusal: Refusal) -> anyhow::Error {
    let refused = ControlError::Refusing { peer: client.peer().to_owned(), reason: refusal.reason.clone() };
    let told = send(client, kind::REFUSE, 1, 0, &refusal).and_then(|()| Ok(client.flush()?));
    match told {
        Ok(()) => refused.into(),
        Err(gone) => gone.into(),
    }
}
