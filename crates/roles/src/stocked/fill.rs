//! Filling the stocks of a deployment on one machine: its one session is for nothing else.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mpc::Party;
use serde::{Deserialize, Serialize};

use super::kept::PartyStock;
use super::making::PackMaker;
use super::order::{accept, next_order, offer};
use crate::handshake::{Identity, Known};
use crate::memory::Budget;
use crate::message::{kind, send};
use crate::party_model::PartyModel;
use crate::start::Start;

/// How often it is said how far an order is.
const SAY: Duration = Duration::from_secs(2);
/// Packs of one order.
const AT_ONCE: u64 = 64;

/// Packs to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// For texts that are padded to so many tokens.
    pub tokens: usize,
    /// So many of them.
    pub count: u64,
}

/// Makes packs with the dealer of a session until all are there. P0 knows which; the stocks were reconciled.
pub(crate) fn fill(
    model: &PartyModel,
    kept: &PartyStock,
    identity: &Identity,
    (mut peer, mut dealer): (Known, Known),
    start: &Start,
    budget: &Budget,
) -> Result<()> {
    let nonces = match model.party {
        Party::Zero => [identity.nonce, peer.nonce, dealer.nonce],
        Party::One => [peer.nonce, identity.nonce, dealer.nonce],
    };
    let mut requests = 0;
    match model.party {
        Party::Zero => {
            for fill in &start.fill {
                let class = kept.of_tokens(fill.tokens)?;
                let (mut made, mut said) = (0, Instant::now());
                while made < fill.count {
                    let serials = kept.stock().reserve(&class.class, (fill.count - made).min(AT_ONCE))?;
                    let count = serials.end - serials.start;
                    offer(class, serials.clone(), identity, &mut peer.link)?;
                    let (dealer, peer) = (&mut dealer.link, &mut peer.link);
                    let maker = PackMaker { model, kept, class, identity, nonces, requests, dealer, peer, budget };
                    maker.make(serials, &mut || {
                        made += 1;
                        if !start.quiet && said.elapsed() >= SAY {
                            cli::log(&format!(
                                "{made} of {} packs for {} tokens are in stock",
                                fill.count, fill.tokens
                            ));
                            said = Instant::now();
                        }
                    })?;
                    requests += count;
                }
            }
            send(&mut peer.link, kind::BYE, 0, 0, &())?;
            peer.link.flush()?;
        }
        Party::One => {
            while let Some(payload) = next_order(&mut peer.link)? {
                let own = |session| {
                    ensure!(session == identity.session, "packs are ordered in another session than this one");
                    Ok(((), identity.nonce))
                };
                let (offered, ()) = accept(kept, &payload, &mut peer.link, own)?;
                let (class, count) = (offered.class, offered.serials.end - offered.serials.start);
                let (dealer, peer) = (&mut dealer.link, &mut peer.link);
                let maker = PackMaker { model, kept, class, identity, nonces, requests, dealer, peer, budget };
                maker.make(offered.serials, &mut || ())?;
                requests += count;
            }
        }
    }
    send(&mut dealer.link, kind::BYE, 0, 0, &())?;
    Ok(dealer.link.flush()?)
}
