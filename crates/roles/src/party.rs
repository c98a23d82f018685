//! A computing party as a process of one machine: it meets the other roles on loopback and serves one session.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use bundle::PartyBundle;
use mpc::Party;
use net::Listener;

use crate::dealer_link::DealerLink;
use crate::handshake::{Identity, Peer, answer_all, call, take};
use crate::memory::Budget;
use crate::message::Role;
use crate::party_model::PartyModel;
use crate::session::{PartyLinks, Surroundings, run};
use crate::settings::Settings;
use crate::start::Start;
use crate::stocked::{PartyStock, StockPlace, fill, reconcile};

/// Serves requests until the client says goodbye.
pub fn serve(listener: &Listener, bundle: PartyBundle, start: &Start, settings: &Settings) -> Result<()> {
    serve_through(listener, bundle, start, settings, None, |peer| peer)
}

/// As [`serve`], with a stock where there is one, which the start line may ask to fill; `wrap` makes of the link to the other party the one that is used once all roles know each other. Both parties
/// give one that fits the other's: links are slowed down for measuring so.
pub fn serve_through(
    listener: &Listener,
    bundle: PartyBundle,
    start: &Start,
    settings: &Settings,
    stock: Option<&StockPlace>,
    wrap: impl FnOnce(Peer) -> Peer,
) -> Result<()> {
    let deadline = settings.deadline;
    let model = PartyModel::new(bundle, settings.engine);
    let stock = stock.map(|place| PartyStock::open(place, &model)).transpose()?;
    let identity = Identity::new(model.role(), start, model.id, &model.spec)?;
    let own = match (start.fill.is_empty(), model.party) {
        (true, Party::Zero) => &[Role::Party1, Role::Dealer, Role::Client][..],
        (true, Party::One) => &[Role::Dealer, Role::Client],
        (false, Party::Zero) => &[Role::Party1, Role::Dealer],
        (false, Party::One) => &[Role::Dealer],
    };
    let (mut peer, mut known) = match model.party {
        Party::Zero => {
            let mut known = answer_all(&identity, listener, own, deadline)?;
            (take(&mut known, Role::Party1)?, known)
        }
        Party::One => {
            let peer = call(&identity, Role::Party0, start.address(Role::Party0)?, deadline)?;
            (peer, answer_all(&identity, listener, own, deadline)?)
        }
    };
    let dealer = take(&mut known, Role::Dealer)?;
    peer.link = wrap(peer.link);
    let budget = Budget::new(settings.memory);
    if let Some(stock) = &stock {
        if stock.retired() > 0 && !start.quiet {
            let retired = stock.retired();
            cli::log(&format!(
                "note: {retired} packs of another bundle or release were thrown away: one stock is for one bundle"
            ));
        }
        reconcile(stock.shared(), model.party, &mut peer.link, |_, _| Ok(()))?;
        if !start.fill.is_empty() {
            return fill(&model, stock, &identity, (peer, dealer), start, &budget);
        }
    }
    let client = take(&mut known, Role::Client)?;
    let surroundings = Surroundings {
        settings: *settings,
        hold: model.hold(settings, 1),
        budget: &budget,
        idle: Duration::MAX,
        stop: &AtomicBool::new(false),
        stock: stock.as_ref(),
    };
    run(&model, identity, PartyLinks { peer, dealer: DealerLink::joined(dealer), client, early: None }, surroundings)
}
