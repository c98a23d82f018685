//! Comparing both parties' ledgers, whenever they connect.

use anyhow::Result;
use mpc::Party;
use stock::{Boot, Greeting};

use super::kept::PartyStock;
use crate::handshake::Peer;
use crate::message::{expect, kind, send};

/// Tells the other party what is in stock and follows from what it tells: what one has not, the other throws away. P1 has done so
/// before P0 begins: wherever P0 may take packs, P1 may. Gives the other ledger's boot, which is another after each start.
pub(crate) fn unite(kept: &PartyStock, party: Party, peer: &mut Peer) -> Result<Boot> {
    let stock = kept.stock();
    send(peer, kind::GREETING, 0, 0, &stock.greeting()?)?;
    let greeting: Greeting = expect(peer, kind::GREETING, 0, 0, "greeting of a stock")?;
    send(peer, kind::STATE, 0, 0, &stock.state(&greeting)?)?;
    let state = expect(peer, kind::STATE, 0, 0, "state of a stock")?;
    match party {
        Party::Zero => {
            expect::<()>(peer, kind::UNITED, 0, 0, "word that stocks are united")?;
            kept.set_united(stock.unite(&state)?);
        }
        Party::One => {
            kept.set_united(stock.unite(&state)?);
            send(peer, kind::UNITED, 0, 0, &())?;
            peer.flush()?;
        }
    }
    Ok(greeting.boot)
}
