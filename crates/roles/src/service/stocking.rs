//! Stocks of parties that are services: P1 keeps connections to P0 for them, over which both ledgers are compared and P0 orders
//! what is missing.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use mpc::Party;
use net::{Limits, Link, Named};
use tracing::info;

use crate::handshake::{Identity, Known, Peer, fresh, turn_away};
use crate::liveness::probe_silent;
use crate::message::{Hello, Purpose, Refusal, Role, kind, send};
use crate::service::dial::PeerAddress;
use crate::service::party::PartyService;
use crate::service::presence::Announcement;
use crate::service::priority::{at_low_priority, at_low_priority_within};
use crate::service::stock::{Allotted, StockService};
use crate::service::table::Open;
use crate::stocked::{KeptClass, PackMaker, accept, ask_whether_there, next_order, offer, reconcile};

/// How often it is looked what is due.
const LOOK: Duration = Duration::from_millis(200);
/// How often P1 is asked whether it is there.
const ASK: Duration = Duration::from_secs(1);
/// How long either side waits for the other's next word while nothing is made.
const SILENT: Duration = Duration::from_secs(15);

/// An order that the dealer has joined.
struct Joined<'o> {
    class: &'o KeptClass,
    serials: Range<u64>,
    identity: &'o Identity,
    nonces: [[u8; 32]; 3],
}

impl PartyService {
    /// P0's side of a connection for stocks, for as long as it lasts.
    pub(crate) fn attend_stock(&self, mut link: Peer, hello: &Hello) -> Result<()> {
        let own = self.model.identity([0; 16])?;
        let checked = own.check_bundle(hello);
        let (Some(stock), Ok(())) = (&self.stock, &checked) else {
            let none = "party0 keeps no stock; give both parties one, or neither";
            return Err(turn_away(&mut link, Refusal::new(checked.err().unwrap_or_else(|| none.into()))).into());
        };
        let mut link: Peer = Box::new(Named::new(link, Role::Party1.name()));
        link.set_limits(Limits::default());
        send(&mut link, kind::HELLO, 0, 0, &own.hello(Role::Party1, Purpose::Stock))?;
        link.set_deadline(SILENT);
        let connected = reconcile(stock.kept.shared(), Party::Zero, &mut link, |boot, link| {
            stock.connect(boot).ok_or_else(|| {
                let most = stock.parallel();
                let reason = format!(
                    "party0 has {most} connections for its stock, as many as its stock.parallel: an older one may still be counted, or party1 has a larger stock.parallel"
                );
                turn_away(link, Refusal::new(reason)).into()
            })
        })?;
        let (mut asked, mut looked) = (Instant::now(), None::<Instant>);
        while connected.counts() && !self.ending.load(Ordering::Relaxed) {
            let dealer = self.presence.missing(&[Role::Dealer]).is_empty();
            if stock.kept.shared().takes_doubt() {
                anyhow::bail!("a pack could not be taken: the stocks are compared anew");
            }
            let turn = stock.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(allotted) =
                if dealer && looked.is_none_or(|at| at.elapsed() >= ASK) { stock.due()? } else { None }
            {
                let mut made = 0;
                if let Err(error) = self.order(stock, &allotted, &mut made, &mut link, turn) {
                    stock.order_failed(&allotted, made, &error);
                    return Err(error.context("an order of packs was not made to its end"));
                }
                stock.order_made();
                looked = None;
                continue;
            }
            drop(turn);
            looked = looked.filter(|at| at.elapsed() < ASK).or_else(|| Some(Instant::now()));
            if asked.elapsed() >= ASK {
                ask_whether_there(&mut link)?;
                asked = Instant::now();
            }
            thread::sleep(LOOK);
        }
        send(&mut link, kind::BYE, 0, 0, &())?;
        Ok(link.flush()?)
    }

    /// One order, from its offer to its last pack.
    fn order(
        &self,
        stock: &StockService,
        allotted: &Allotted<'_>,
        made: &mut u64,
        link: &mut Peer,
        turn: MutexGuard<'_, ()>,
    ) -> Result<()> {
        let Allotted { class, serials } = allotted;
        let identity = self.model.identity(fresh()?)?;
        let open =
            self.table.open(identity, self.tls.get().pin()).map_err(|refusal| anyhow::anyhow!(refusal.reason))?;
        let one = offer(class, serials.clone(), &open.identity, link)?;
        drop(turn);
        let dealer = self.dealer_of(&open, link)?;
        let nonces = [open.identity.nonce, one, dealer.nonce];
        let order = Joined { class, serials: serials.clone(), identity: &open.identity, nonces };
        self.make_packs(stock, order, dealer, link, made)
    }

    /// P1's connections for stocks, again and again.
    pub(crate) fn keep_stocked(self: &Arc<Self>, address: &str) -> Result<()> {
        let Some(stock) = &self.stock else { return Ok(()) };
        for _ in 0..stock.parallel() {
            let (service, address) = (Arc::clone(self), address.to_owned());
            thread::Builder::new().name("stock".into()).spawn(move || {
                let reach = || {
                    let pins = service.roster.get().pins(Role::Party0).to_vec();
                    (PeerAddress { role: Role::Party0, address: address.clone(), pins }, service.tls.get())
                };
                let own = || service.model.identity([0; 16]);
                let attend = &mut |link: &mut Peer| service.follow_orders(link);
                super::control::keep_up(Role::Party1, Purpose::Stock, &reach, &own, service.stopped(), attend);
            })?;
        }
        Ok(())
    }

    /// P1's side of a connection for stocks: what P0 orders is made.
    fn follow_orders(&self, link: &mut Peer) -> Result<()> {
        let Some(stock) = &self.stock else { return Ok(()) };
        link.set_limits(Limits::default());
        link.set_deadline(SILENT);
        reconcile(stock.kept.shared(), Party::One, link, |_, _| Ok(()))?;
        while let Some(payload) = next_order(link)? {
            let begin = |session| {
                let identity = self.model.identity(session)?;
                let opened = self.table.open(identity, self.tls.get().pin());
                let open = opened.map_err(|refusal| anyhow::anyhow!(refusal.reason))?;
                let nonce = open.identity.nonce;
                Ok((open, nonce))
            };
            let (offered, open) = accept(&stock.kept, &payload, link, begin)?;
            let made = self.dealer_of(&open, link).and_then(|dealer| {
                let nonces = [offered.nonce, open.identity.nonce, dealer.nonce];
                let (class, serials) = (offered.class, offered.serials.clone());
                let order = Joined { class, serials, identity: &open.identity, nonces };
                self.make_packs(stock, order, dealer, link, &mut 0)
            });
            stock.kept.stock().give_up(&offered.class.class, offered.serials);
            made?;
        }
        // P0 ends in good order; it will be back
        anyhow::bail!("party0 is ending")
    }

    /// The dealer, once it has joined a session of packs. Whoever is to make them with us may be gone meanwhile.
    fn dealer_of(&self, open: &Open<'_>, link: &mut Peer) -> Result<Known> {
        let joined = self.await_dealer(open, Announcement::Order, &mut || Ok(probe_silent(link)?))?;
        joined.ok_or_else(|| anyhow::anyhow!("the dealer did not join within {} s", self.limits.join.as_secs()))
    }

    /// Makes packs at low priority.
    fn make_packs(
        &self,
        stock: &StockService,
        order: Joined<'_>,
        mut dealer: Known,
        link: &mut Peer,
        made: &mut u64,
    ) -> Result<()> {
        let Joined { class, serials, identity, nonces } = order;
        let (role, begin, count) = (self.model.role(), Instant::now(), serials.end - serials.start);
        let (dealer, kept, model) = (&mut dealer.link, &stock.kept, &self.model);
        let (peer, budget) = (&mut *link, &self.budget);
        for link in [&mut *peer, &mut *dealer] {
            link.set_deadline(at_low_priority_within(self.settings.deadline));
        }
        let maker = PackMaker { model, kept, class, identity, nonces, requests: 0, dealer: &mut *dealer, peer, budget };
        at_low_priority(|| maker.make(serials, &mut || *made += 1))?;
        send(dealer, kind::BYE, 0, 0, &())?;
        dealer.flush()?;
        link.set_deadline(SILENT);
        let seconds = begin.elapsed().as_secs_f64();
        info!(%role, tokens = class.tokens, count, seconds, "packs are in stock");
        Ok(())
    }
}
