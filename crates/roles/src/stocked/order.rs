//! Ordering packs: P0 says which, both allot them.

use std::ops::Range;

use anyhow::{Context, Result};
use net::{Frame, Link};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stock::Class;

use super::kept::{KeptClass, PartyStock};
use crate::handshake::{Identity, Peer};
use crate::message::{ControlError, Refusal, expect, kind, parse, send};

/// P0 to P1: packs to be made.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Random name of the session in which the dealer makes them, in hexadecimal.
    session: String,
    /// P0's nonce in it, in hexadecimal.
    nonce: String,
    class: Class,
    serials: Range<u64>,
}

/// P1's answer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ordered {
    /// P1's nonce, in hexadecimal.
    nonce: String,
}

/// An order that P1 was given.
pub(crate) struct Offered<'k> {
    pub(crate) nonce: [u8; 32],
    pub(crate) class: &'k KeptClass,
    pub(crate) serials: Range<u64>,
}

/// P0 offers packs that it has allotted; gives P1's nonce.
pub(crate) fn offer(class: &KeptClass, serials: Range<u64>, own: &Identity, peer: &mut Peer) -> Result<[u8; 32]> {
    let (session, nonce) = (hex::encode(own.session), hex::encode(own.nonce));
    send(peer, kind::ORDER, 0, 0, &Order { session, nonce, class: class.class, serials })?;
    peer.flush()?;
    let (_, answer) = expect_granted::<Ordered>(peer, &[kind::ORDERED], 0, "answer to an order")?;
    nonce_in(&answer.nonce)
}

/// Waits for a control message of one of these kinds where the peer may refuse instead: its reason is the error then.
pub(super) fn expect_granted<T: DeserializeOwned>(
    peer: &mut Peer,
    kinds: &[u8],
    request: u64,
    what: &'static str,
) -> Result<(u8, T), ControlError> {
    let Frame { header, payload } = peer.recv()?;
    let name = peer.peer().to_owned();
    match header.kind {
        kind::REFUSE => Err(parse::<Refusal>(&name, "refusal", &payload)?.error(&name)),
        found if kinds.contains(&found) && header.request == request => Ok((found, parse(&name, what, &payload)?)),
        _ => Err(ControlError::Unexpected { peer: name, reason: format!("sent {header} where the {what} is due") }),
    }
}

/// P1 reads an order and allots what it says; `own` gives it its place in that session, by whose nonce it answers.
pub(crate) fn accept<'k, T>(
    kept: &'k PartyStock,
    payload: &[u8],
    peer: &mut Peer,
    own: impl FnOnce([u8; 16]) -> Result<(T, [u8; 32])>,
) -> Result<(Offered<'k>, T)> {
    let order: Order = parse(peer.peer(), "order", payload)?;
    let mut session = [0; 16];
    hex::decode_to_slice(&order.session, &mut session).context("an order's session is not 16 bytes")?;
    let nonce = nonce_in(&order.nonce)?;
    let Some(class) = kept.classes().iter().find(|kept| kept.class == order.class) else {
        let refusal =
            Refusal::new("this party makes no packs of that class; run one release and one bundle at both parties");
        return Err(refuse(peer, refusal));
    };
    if order.serials.start >= order.serials.end {
        return Err(refuse(peer, Refusal::new("an order of no packs")));
    }
    if let Err(error) = kept.stock().accept(&class.class, order.serials.clone()) {
        let refusal = Refusal::new("these packs cannot be allotted; the log of this role says why");
        return Err(refuse(peer, refusal).context(error));
    }
    let serials = order.serials;
    let begun = own(session).and_then(|(own, answer)| {
        send(peer, kind::ORDERED, 0, 0, &Ordered { nonce: hex::encode(answer) })?;
        peer.flush()?;
        Ok(own)
    });
    let own = begun.inspect_err(|_| kept.stock().give_up(&class.class, serials.clone()))?;
    Ok((Offered { nonce, class, serials }, own))
}

fn refuse(peer: &mut Peer, refusal: Refusal) -> anyhow::Error {
    let refused = ControlError::Refusing { peer: peer.peer().to_owned(), reason: refusal.reason.clone() };
    match send(peer, kind::REFUSE, 0, 0, &refusal).and_then(|()| Ok(peer.flush()?)) {
        Ok(()) => refused.into(),
        Err(gone) => gone.into(),
    }
}

fn nonce_in(hexadecimal: &str) -> Result<[u8; 32]> {
    let mut nonce = [0; 32];
    hex::decode_to_slice(hexadecimal, &mut nonce).context("a nonce is not 32 bytes")?;
    Ok(nonce)
}

/// P1's wait for what P0 says next; nothing where it says goodbye.
pub(crate) fn next_order(peer: &mut Peer) -> Result<Option<Vec<u8>>> {
    loop {
        let frame = peer.recv()?;
        match frame.header.kind {
            kind::ORDER => return Ok(Some(frame.payload)),
            // it is asked whether we are there, and learns it
            kind::BEAT => {
                send(peer, kind::BEAT, 0, 0, &())?;
                peer.flush()?;
            }
            kind::BYE => return Ok(None),
            kind::REFUSE => {
                let name = peer.peer().to_owned();
                return Err(parse::<Refusal>(&name, "refusal", &frame.payload)?.error(&name).into());
            }
            other => {
                let reason = format!("sent a frame of kind {other} where an order is due");
                return Err(ControlError::Unexpected { peer: peer.peer().to_owned(), reason }.into());
            }
        }
    }
}

/// P0's question whether P1 is there.
pub(crate) fn ask_whether_there(peer: &mut Peer) -> Result<()> {
    send(peer, kind::BEAT, 0, 0, &())?;
    peer.flush()?;
    Ok(expect::<()>(peer, kind::BEAT, 0, 0, "word that it is there")?)
}
