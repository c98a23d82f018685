//! Taking a pack for an attempt, by both parties together, over their link.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use stock::taking::{Message, Proposer, Responder, Step, TakingError, Wanted};
use stock::{Counter, Pack, StockError};
use tracing::warn;

use super::kept::PartyStock;
use crate::handshake::Peer;
use crate::message::{ControlError, expect, kind, send};

/// What the parties say to each other before an attempt.
#[derive(Serialize, Deserialize)]
enum Word {
    /// Of a pack.
    Pack(Message),
    /// P0 has none: the dealer makes correlations for this attempt, as without a stock.
    OnDemand,
}

/// For which attempt a pack is wanted, and what both must agree on.
pub(crate) struct Wish {
    pub(crate) wanted: Wanted,
    pub(crate) request: u64,
    pub(crate) attempt: u32,
}

impl Wish {
    fn say(&self, peer: &mut Peer, word: Word) -> Result<()> {
        send(peer, kind::TAKING, self.request, self.attempt, &word)?;
        Ok(peer.flush()?)
    }

    fn hear(&self, peer: &mut Peer) -> Result<Word, ControlError> {
        expect(peer, kind::TAKING, self.request, self.attempt, "word on packs")
    }
}

/// How many packs of one taking the other party may turn out not to have before it is served on demand.
const MOST_GONE: u32 = 3;

/// P0's side: the pack that both have burnt for this attempt, or none where none is left or none can be had. Without a counter
/// none is asked for.
pub(crate) fn propose(wish: &Wish, kept: &PartyStock, peer: &mut Peer) -> Result<Option<Pack>> {
    let on_demand = |peer: &mut Peer| {
        wish.say(peer, Word::OnDemand)?;
        Ok(None)
    };
    let Some(mut ledger) = kept.shared().counter() else { return on_demand(peer) };
    let (mut proposer, mut message, mut gone) = (Proposer::new(wish.wanted), None, 0);
    loop {
        match proposer.step(&mut ledger, message.take()) {
            Ok(Step::Again) => {}
            // what is burnt here alone is thrown away there once the ledgers are compared anew
            Ok(Step::Send(word)) => wish.say(peer, Word::Pack(word)).inspect_err(|_| kept.shared().doubt())?,
            Ok(Step::Receive) => match wish.hear(peer).inspect_err(|_| kept.shared().doubt())? {
                Word::Pack(Message::Gone { .. }) if gone + 1 == MOST_GONE => {
                    kept.shared().doubt();
                    return on_demand(peer);
                }
                Word::Pack(answer) => {
                    gone += u32::from(matches!(answer, Message::Gone { .. }));
                    message = Some(answer);
                }
                Word::OnDemand => return Err(out_of_place(peer, "no pack where one was proposed")),
            },
            Ok(Step::Ready(pack)) => return Ok(Some(pack)),
            Err(TakingError::Exhausted { .. }) => return on_demand(peer),
            // nothing was said of the pack under way: it may be burnt here, and is not used
            Err(TakingError::Ledger(error)) => {
                warn!(role = %kept.stock().party(), "no pack can be taken: {error}");
                kept.shared().doubt();
                return on_demand(peer);
            }
            Err(error) => return Err(failed(error, peer)),
        }
    }
}

/// P1's side.
pub(crate) fn respond(wish: &Wish, mut ledger: Counter<'_>, peer: &mut Peer) -> Result<Option<Pack>> {
    let (mut responder, mut message) = (Responder::new(wish.wanted), None);
    loop {
        match responder.step(&mut ledger, message.take()) {
            Ok(Step::Again) => {}
            Ok(Step::Send(word)) => wish.say(peer, Word::Pack(word))?,
            Ok(Step::Receive) => match wish.hear(peer)? {
                Word::Pack(proposal) => message = Some(proposal),
                Word::OnDemand => return Ok(None),
            },
            Ok(Step::Ready(pack)) => return Ok(Some(pack)),
            Err(error) => return Err(failed(error, peer)),
        }
    }
}

fn failed(error: TakingError<StockError>, peer: &Peer) -> anyhow::Error {
    match error {
        TakingError::Ledger(error) => error.into(),
        other => out_of_place(peer, &other.to_string()),
    }
}

fn out_of_place(peer: &Peer, reason: &str) -> anyhow::Error {
    ControlError::Unexpected { peer: peer.peer().to_owned(), reason: reason.to_owned() }.into()
}
