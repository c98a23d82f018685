//! A party as a service: one port, many sessions at once. A fault of one session ends that session alone.

use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use net::{Limits, Link, LinkShape, Listener, Pin, TlsIdentity, TlsLink};
use tracing::{info, warn};

use crate::handshake::{HELLO_DEADLINE, Peer, caller, read_hello, turn_away};
use crate::memory::Budget;
use crate::message::{ControlError, Hello, PROTOCOL, Purpose, Refusal, Role, kind, send};
use crate::party_model::PartyModel;
use crate::service::admission::{Admission, Bounds};
use crate::service::dial::PeerAddress;
use crate::service::door::{Caller, Door, accept};
use crate::service::presence::Presence;
use crate::service::roster::{Current, Roster};
use crate::service::status::{MOST_PROBE, Status, answer_probes, clock};
use crate::service::stock::StockService;
use crate::service::table::Table;
use crate::settings::Settings;

/// Bounds of a party's service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceLimits {
    /// Of its sessions.
    pub bounds: Bounds,
    /// Connections that have not proved who they are.
    pub handshakes: usize,
    /// The same from one address.
    pub handshakes_per_address: usize,
    /// How long a session may last without a request.
    pub idle: Duration,
    /// How long a session waits for all its roles.
    pub join: Duration,
}

/// A party as a service.
pub struct PartyService {
    pub(crate) model: PartyModel,
    pub(crate) settings: Settings,
    pub(crate) limits: ServiceLimits,
    pub(crate) tls: Current<TlsIdentity>,
    pub(crate) roster: Current<Roster>,
    /// Where P1 dials P0.
    pub(crate) party0: Option<String>,
    pub(crate) table: Table,
    pub(crate) admission: Admission,
    pub(crate) presence: Arc<Presence>,
    pub(crate) budget: Budget,
    /// Bytes of correlations that one session keeps in memory.
    pub(crate) hold: u64,
    /// Correlations that were made ahead, if they are.
    pub(crate) stock: Option<StockService>,
    /// What links to the other party are slowed down to, for measuring.
    pub(crate) shape: Option<LinkShape>,
    door: Arc<Door>,
    /// No new caller is heard.
    stop: AtomicBool,
    /// No new request is begun.
    pub(crate) ending: AtomicBool,
}

impl fmt::Debug for PartyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartyService({}, redacted)", self.model.role())
    }
}

impl PartyService {
    /// A service on a model; `party0` is where P1 dials P0.
    pub fn new(
        model: PartyModel,
        settings: Settings,
        limits: ServiceLimits,
        tls: TlsIdentity,
        roster: Roster,
        party0: Option<String>,
    ) -> PartyService {
        let role = model.role();
        let hold = model.hold(&settings, limits.bounds.sessions as u64);
        PartyService {
            model,
            settings,
            limits,
            tls: Current::new(tls),
            roster: Current::new(roster),
            party0,
            table: Table::default(),
            admission: Admission::new(limits.bounds),
            presence: Arc::default(),
            budget: Budget::new(settings.memory),
            hold,
            stock: None,
            shape: None,
            door: Arc::new(Door::new(role, limits.handshakes, limits.handshakes_per_address)),
            stop: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        }
    }

    /// Takes correlations from a stock where it has them.
    pub fn stocked(self, stock: Option<StockService>) -> PartyService {
        PartyService { stock, ..self }
    }

    /// Whether the service ends.
    pub(crate) fn stopped(&self) -> &AtomicBool {
        &self.stop
    }

    /// For measuring: links to the other party are slowed down, at both parties alike.
    pub fn slowed(self, shape: Option<LinkShape>) -> PartyService {
        PartyService { shape, ..self }
    }

    /// Serves until [`end`](Self::end); sessions go on in threads of their own.
    pub fn serve(self: &Arc<Self>, listener: &Listener) -> Result<()> {
        if let Some(party0) = &self.party0 {
            let (service, address) = (Arc::clone(self), party0.clone());
            thread::Builder::new().name("control".into()).spawn(move || service.keep_to_party0(&address))?;
            self.keep_stocked(party0)?;
        }
        let service = Arc::clone(self);
        let greet = move |stream: TcpStream, caller: Caller| service.greet(stream, caller);
        accept(listener, &self.door, &self.stop, &greet);
        Ok(())
    }

    /// From now on other keys and another roster count; sessions that run keep theirs.
    pub fn replace(&self, tls: TlsIdentity, roster: Roster) {
        self.tls.set(tls);
        self.roster.set(roster);
    }

    /// Admits nobody any more, waits `within` until no session runs, and stops serving. Gives how many sessions were cut off.
    pub fn end(&self, within: Duration) -> usize {
        self.admission.close();
        self.ending.store(true, Ordering::Relaxed);
        let cut = self.admission.drained(within);
        self.stop.store(true, Ordering::Relaxed);
        cut
    }

    /// The roles that this one cannot serve without and that are not there.
    pub fn missing(&self) -> Vec<Role> {
        let others = [Role::Party0, Role::Party1, Role::Dealer];
        let needed: Vec<Role> = others.into_iter().filter(|role| *role != self.model.role()).collect();
        self.presence.missing(&needed)
    }

    /// Finds out who a caller is, and serves it. What goes wrong is logged, once.
    fn greet(self: &Arc<Self>, stream: TcpStream, caller_place: Caller) {
        let from = caller(&stream);
        match self.recognise(stream, &from, caller_place) {
            Ok(()) => {}
            Err(error) => warn!(role = %self.model.role(), caller = %from, "{}", cli::describe(&error)),
        }
    }

    fn recognise(self: &Arc<Self>, stream: TcpStream, from: &str, unproved: Caller) -> Result<()> {
        let tls = self.tls.get();
        let link = TlsLink::accept(stream, &tls, from, Limits::STRANGER, HELLO_DEADLINE, HELLO_DEADLINE)?;
        let pin = link.peer_pin();
        let mut link: Peer = Box::new(link);
        let own = self.model.role();
        let role = match self.roster.get().role_of(&pin) {
            Some(role) => role,
            // `doctor` of this very role, with its own key
            None if pin == tls.pin() => own,
            None => {
                let reason = format!(
                    "{own} does not know the key {pin}; its operator has to put this pin under [clients] or the peer's pins, \
                     and reload"
                );
                // what a stranger says is not read; but it has come, or closing the connection could take our answer back
                let _ = link.recv();
                return Err(turn_away(&mut link, Refusal::new(reason)).into());
            }
        };
        let hello = self.hello(&mut link)?;
        if let Err(reason) = self.check(&hello, role) {
            return Err(turn_away(&mut link, Refusal::new(reason)).into());
        }
        // whoever only asks how we are stays among those at the door, whose number is bounded; sessions have bounds of their own
        let _asking = (hello.purpose == Purpose::Status).then_some(unproved);
        match (hello.purpose, role) {
            (Purpose::Session, Role::Client) => self.serve_client(link, pin, &hello),
            (Purpose::Session, role) if role != own => self.seat(link, role, &hello),
            (Purpose::Control, role) if role != own && role != Role::Client => self.attend(link, role, &hello),
            (Purpose::Stock, Role::Party1) if own == Role::Party0 => self.attend_stock(link, &hello),
            (Purpose::Status, role) => Ok(self.tell_status(link, role)?),
            (purpose, role) => {
                let reason = format!("{role} has no business of kind {purpose:?} here");
                Err(turn_away(&mut link, Refusal::new(reason)).into())
            }
        }
    }

    /// What a caller says first. One that says something else is told so: its release may be another.
    fn hello(&self, link: &mut Peer) -> Result<Hello, ControlError> {
        let read = read_hello(link);
        if let Err(ControlError::Unreadable { .. } | ControlError::Unexpected { .. }) = &read {
            let reason = format!(
                "{} speaks protocol {PROTOCOL} and cannot read your hello; run one release everywhere",
                self.model.role()
            );
            // it is turned away all the same where it does not hear why
            let _ = turn_away(link, Refusal::new(reason));
        }
        read
    }

    /// What holds for every hello: the release, and that key and words say the same.
    fn check(&self, hello: &Hello, role: Role) -> Result<(), String> {
        let own = self.model.role();
        if hello.protocol != PROTOCOL {
            let theirs = hello.protocol;
            return Err(format!("you speak protocol {theirs}, {own} speaks {PROTOCOL}; run one release everywhere"));
        }
        if hello.role != role {
            return Err(format!("your key is that of {role}, and you say that you are {}", hello.role));
        }
        if hello.recipient != own {
            return Err(format!("you want {}, and this is {own}; check your addresses", hello.recipient));
        }
        Ok(())
    }

    /// A control connection of another role, for as long as it lasts.
    fn attend(&self, mut link: Peer, role: Role, hello: &Hello) -> Result<()> {
        let own = self.model.identity([0; 16])?;
        if let Err(reason) = own.check_bundle(hello) {
            return Err(turn_away(&mut link, Refusal::new(reason)).into());
        }
        send(&mut link, kind::HELLO, 0, 0, &own.hello(role, Purpose::Control))?;
        let present = self.presence.enter(role);
        info!(role = %self.model.role(), peer = %role, "connected");
        let kept = present.keep(&mut link, &self.stop);
        drop(present);
        Ok(kept.map_err(|error| lost(role, error))?)
    }

    /// Says how this party is, and answers probes.
    fn tell_status(&self, mut link: Peer, to: Role) -> Result<(), ControlError> {
        let own = self.model.identity([0; 16]).map_err(|_| ControlError::Unexpected {
            peer: link.peer().to_owned(),
            reason: "no randomness from the operating system".into(),
        })?;
        let (sessions, waiting) = self.admission.counts();
        // how much is used is for the parties to know, and not for the dealer nor for clients
        let parties = matches!(to, Role::Party0 | Role::Party1);
        let stock = self.stock.as_ref().filter(|_| parties).and_then(|stock| stock.status().ok());
        let status = Status {
            role: self.model.role(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL,
            bundle: hex::encode(own.bundle),
            spec: hex::encode(own.spec),
            clock: clock(),
            sessions,
            waiting,
            missing: self.missing(),
            stock,
            ending: self.ending.load(Ordering::Relaxed),
        };
        // a probe, and no more
        let most = u64::from(MOST_PROBE);
        link.set_limits(Limits { max_frame: most, queue: 2 * most });
        send(&mut link, kind::STATUS, 0, 0, &status)?;
        answer_probes(&mut link)
    }

    /// P1's control connection to P0, again and again.
    fn keep_to_party0(&self, address: &str) {
        let reach = || {
            let pins = self.roster.get().pins(Role::Party0).to_vec();
            let to = PeerAddress { role: Role::Party0, address: address.to_owned(), pins };
            (to, self.tls.get())
        };
        let own = || self.model.identity([0; 16]);
        super::control::keep_up(self.model.role(), Purpose::Control, &reach, &own, &self.stop, &mut |link| {
            let present = self.presence.enter(Role::Party0);
            Ok(present.keep(link, &self.stop)?)
        });
    }
}

/// The end of a control connection, by the name of its role.
fn lost(role: Role, error: ControlError) -> ControlError {
    match error {
        ControlError::Net(net) => ControlError::Net(net.renamed(role.name())),
        other => other,
    }
}

/// The name of a key in logs: enough to find it among others.
pub(crate) fn short(pin: &Pin) -> String {
    pin.to_string().chars().take(12).collect()
}
