//! The dealer as a service: no port; it dials both parties, and joins the sessions that P0 tells of.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use net::TlsIdentity;
use tracing::{info, warn};

use crate::dealer::{DealerModel, Work, deal, draw_root};
use crate::memory::Budget;
use crate::message::{Purpose, Role};
use crate::service::control::keep_up;
use crate::service::dial::PeerAddress;
use crate::service::failed::session_failed;
use crate::service::presence::{Announcement, keep};
use crate::service::priority::{at_low_priority, at_low_priority_within};
use crate::service::roster::Current;
use crate::service::table::SessionId;
use crate::settings::Settings;

/// Most sessions that are dealt to at once, whatever P0 says.
const MOST_SESSIONS: usize = 64;
/// How often it is looked whether all sessions have ended.
const LOOK: Duration = Duration::from_millis(50);

/// The dealer as a service.
pub struct DealerService {
    model: DealerModel,
    settings: Settings,
    tls: Current<TlsIdentity>,
    parties: Current<[PeerAddress; 2]>,
    /// How long a session waits for all its roles.
    join: Duration,
    budget: Budget,
    running: AtomicUsize,
    stop: AtomicBool,
}

impl fmt::Debug for DealerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DealerService(redacted)")
    }
}

/// One of the sessions that run, until this goes.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl DealerService {
    /// A service on a model, for two parties.
    pub fn new(
        model: DealerModel,
        settings: Settings,
        join: Duration,
        tls: TlsIdentity,
        parties: [PeerAddress; 2],
    ) -> DealerService {
        let (tls, parties) = (Current::new(tls), Current::new(parties));
        let (running, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let budget = Budget::new(settings.memory);
        DealerService { model, settings, tls, parties, join, budget, running, stop }
    }

    /// Serves until [`end`](Self::end).
    pub fn serve(self: &Arc<Self>) -> Result<()> {
        let service = Arc::clone(self);
        let other = thread::Builder::new().name("control party1".into()).spawn(move || service.keep_to(1))?;
        self.keep_to(0);
        let _ = other.join();
        Ok(())
    }

    /// From now on another key and other pins count; sessions that run keep theirs.
    pub fn replace(&self, tls: TlsIdentity, parties: [PeerAddress; 2]) {
        self.tls.set(tls);
        self.parties.set(parties);
    }

    /// Joins no session any more, and waits `within` until none runs. Gives how many were cut off.
    pub fn end(&self, within: Duration) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let end = Instant::now() + within;
        while self.running.load(Ordering::Acquire) > 0 && Instant::now() < end {
            thread::sleep(LOOK);
        }
        self.running.load(Ordering::Acquire)
    }

    /// The control connection to a party.
    fn keep_to(self: &Arc<Self>, index: usize) {
        let reach = || (self.parties.get()[index].clone(), self.tls.get());
        let own = || self.model.identity([0; 16]);
        keep_up(Role::Dealer, Purpose::Control, &reach, &own, &self.stop, &mut |link| {
            let mut opened = |what| {
                if index == 0 {
                    self.begin(what);
                }
                Ok(())
            };
            Ok(keep(link, None, &self.stop, &mut opened)?)
        });
    }

    fn begin(self: &Arc<Self>, what: Announcement) {
        let (Announcement::Session(session) | Announcement::Order(session)) = what;
        let name = hex::encode(&session[..4]);
        if self.running.fetch_add(1, Ordering::AcqRel) >= MOST_SESSIONS {
            drop(Running(&self.running));
            warn!(role = %Role::Dealer, session = %name, "not joined: {MOST_SESSIONS} sessions run");
            return;
        }
        let service = Arc::clone(self);
        let dealing = move || {
            let _running = Running(&service.running);
            let begin = Instant::now();
            let dealt = match what {
                Announcement::Session(_) => service.deal(session, Work::Request),
                Announcement::Order(_) => at_low_priority(|| service.deal(session, Work::Order)),
            };
            match dealt {
                Ok(()) => {
                    let seconds = begin.elapsed().as_secs_f64();
                    info!(role = %Role::Dealer, session = %name, seconds, "session ended");
                }
                Err(error) => session_failed(Role::Dealer, &name, &error),
            }
        };
        if let Err(error) = thread::Builder::new().name("session".into()).spawn(dealing) {
            drop(Running(&self.running));
            warn!(role = %Role::Dealer, %error, "no thread for a session");
        }
    }

    fn deal(&self, session: SessionId, work: Work) -> Result<()> {
        let (identity, tls, parties) = (self.model.identity(session)?, self.tls.get(), self.parties.get());
        let deadline = match work {
            Work::Request => self.settings.deadline,
            Work::Order => at_low_priority_within(self.settings.deadline),
        };
        let waits = (self.join, deadline);
        let join = |to: &PeerAddress| to.join(&tls, &identity, &identity.hello(to.role, Purpose::Session), waits);
        let known = [join(&parties[0])?, join(&parties[1])?];
        debug_assert_eq!(known.each_ref().map(|known| known.role), [Role::Party0, Role::Party1]);
        info!(role = %Role::Dealer, session = %hex::encode(&session[..4]), "session begins");
        deal(&self.model, &draw_root()?, &identity, known, &self.settings, (&self.budget, work))
    }
}
