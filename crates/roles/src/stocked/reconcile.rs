//! Comparing both parties' ledgers, whenever they connect.

use anyhow::Result;
use mpc::Party;
use stock::{Boot, Greeting};

use super::order::expect_granted;
use super::shared::SharedStock;
use crate::handshake::Peer;
use crate::message::{expect, kind, send};

/// Tells the other party what is in stock and follows from what it tells: what one has not, the other throws away. P1 has done so
/// before P0 begins: wherever P0 may take packs, P1 may. The other ledger's boot is another after each start: P0 is asked whether
/// it `admits` it by the first word, before anything is read of a ledger or changed there; what it gives is kept until the end.
pub(crate) fn reconcile<T>(
    shared: &SharedStock,
    party: Party,
    peer: &mut Peer,
    admits: impl FnOnce(Boot, &mut Peer) -> Result<T>,
) -> Result<T> {
    let stock = shared.stock();
    match party {
        Party::Zero => {
            let greeting: Greeting = expect(peer, kind::GREETING, 0, 0, "greeting of a stock")?;
            let admitted = admits(greeting.boot, peer)?;
            send(peer, kind::GREETING, 0, 0, &stock.greeting()?)?;
            send(peer, kind::STATE, 0, 0, &stock.state(&greeting)?)?;
            let state = expect(peer, kind::STATE, 0, 0, "state of a stock")?;
            expect::<()>(peer, kind::RECONCILED, 0, 0, "word that stocks are reconciled")?;
            shared.reconcile(&state)?;
            Ok(admitted)
        }
        Party::One => {
            send(peer, kind::GREETING, 0, 0, &stock.greeting()?)?;
            let (_, greeting): (_, Greeting) = expect_granted(peer, &[kind::GREETING], 0, "greeting of a stock")?;
            let admitted = admits(greeting.boot, peer)?;
            send(peer, kind::STATE, 0, 0, &stock.state(&greeting)?)?;
            let state = expect(peer, kind::STATE, 0, 0, "state of a stock")?;
            shared.reconcile(&state)?;
            send(peer, kind::RECONCILED, 0, 0, &())?;
            peer.flush()?;
            Ok(admitted)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use net::memory_pair;
    use stock::{Stock, StockKey};

    use super::*;
    use crate::handshake::turn_away;
    use crate::message::{ControlError, Refusal};

    /// Both stocks, and how often something was changed on their disks.
    fn stocks(root: &std::path::Path) -> ([SharedStock; 2], Arc<AtomicUsize>) {
        let changes = Arc::new(AtomicUsize::new(0));
        let stocks = [stock::Party::P0, stock::Party::P1].map(|party| {
            let (folder, key, counted) = (root.join(party.to_string()), StockKey::from_bytes([3; 32]), changes.clone());
            let watch: stock::Watch = Arc::new(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
            SharedStock::new(Stock::open_watched(&folder, key, party, 1 << 20, watch).unwrap())
        });
        (stocks, changes)
    }

    fn both(stocks: &[SharedStock; 2], admits: bool) -> [Result<()>; 2] {
        let [mut zero, mut one]: [Peer; 2] =
            <[_; 2]>::from(memory_pair("party0", "party1")).map(|link| Box::new(link) as Peer);
        thread::scope(|scope| {
            let p1 = scope.spawn(move || reconcile(&stocks[1], Party::One, &mut one, |_, _| Ok(())));
            let p0 = reconcile(&stocks[0], Party::Zero, &mut zero, |_, link| match admits {
                true => Ok(()),
                false => Err(turn_away(link, Refusal::new("there are enough")).into()),
            });
            [p0, p1.join().unwrap()]
        })
    }

    #[test]
    fn a_connection_too_many_is_refused_before_a_ledger_is_read_or_changed() {
        let root = tempfile::tempdir().unwrap();
        let (stocks, changes) = stocks(root.path());
        let before = changes.load(Ordering::SeqCst);
        let [here, there] = both(&stocks, false);
        assert!(here.unwrap_err().to_string().contains("there are enough"));
        let refused = there.unwrap_err();
        assert!(
            matches!(refused.downcast_ref(), Some(ControlError::Refused { reason, .. }) if reason == "there are enough")
        );
        assert_eq!(changes.load(Ordering::SeqCst), before);
        assert!(stocks.iter().all(|stock| !stock.is_reconciled()));
        both(&stocks, true).into_iter().for_each(Result::unwrap);
        assert!(stocks.iter().all(SharedStock::is_reconciled) && changes.load(Ordering::SeqCst) > before);
    }
}
