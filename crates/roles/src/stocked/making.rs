//! Making packs with the dealer: each is asked for like the correlations of a request, prepared, and written down.

use std::io::{self, Write};
use std::ops::Range;
use std::slice;

use anyhow::Result;
use mpc::{DealtReader, MpcError, Party, Run};
use ring64::Kernel;
use stock::{PackWriter, StockError};

use super::kept::{KeptClass, PartyStock, stocking};
use crate::attempt::demand;
use crate::handshake::{Identity, Peer};
use crate::message::{expect, kind, send};
use crate::party_model::PartyModel;

/// Packs that are being made, of one class.
pub(crate) struct PackMaker<'a> {
    pub(crate) model: &'a PartyModel,
    pub(crate) kept: &'a PartyStock,
    pub(crate) class: &'a KeptClass,
    /// This party in the session with the dealer, and the nonces of P0, P1 and the dealer there.
    pub(crate) identity: &'a Identity,
    pub(crate) nonces: [[u8; 32]; 3],
    /// Requests that the dealer was asked for in that session before.
    pub(crate) requests: u64,
    pub(crate) dealer: &'a mut Peer,
    pub(crate) peer: &'a mut Peer,
}

impl PackMaker<'_> {
    /// Makes these packs, which were allotted; `made` is called after each. What is not made by the end is given up.
    pub(crate) fn make(mut self, serials: Range<u64>, made: &mut (dyn FnMut() + Send)) -> Result<()> {
        let all = serials.clone();
        let ended = serials.zip(self.requests + 1..).try_for_each(|(serial, request)| {
            self.make_one(serial, request)?;
            made();
            Ok(())
        });
        self.kept.stock().give_up(&self.class.class, all);
        ended
    }

    fn make_one(&mut self, serial: u64, request: u64) -> Result<()> {
        let PackMaker { model, kept, class, identity, nonces, .. } = *self;
        let KeptClass { class: name, texts, plan, .. } = class;
        let agreement = identity.agreement(nonces, plan.digest(), request, 0);
        let mut writer = kept.stock().writer(name, serial)?;
        let key = demand(self.dealer, &agreement, texts)?;
        let dealt = match model.party {
            Party::Zero => None,
            Party::One => Some(DealtReader::new(self.dealer, request, 0, plan.cost().dealt_bytes)),
        };
        let (calibrated, batches) = (&model.calibrated, slice::from_ref(texts));
        let run = Run { calibrated, batches, request, attempt: 0, kernel: Kernel::detect() };
        stocking(model)?.lay_up(&run, key, dealt, &mut Writing(&mut writer)).map_err(kept_error)?;
        // what P0 has, P1 has: it ends its half first
        match model.party {
            Party::Zero => {
                expect::<()>(self.peer, kind::STORED, request, 0, "word that a pack is in stock")?;
                Ok(writer.finish(agreement.digest())?)
            }
            Party::One => {
                writer.finish(agreement.digest())?;
                send(self.peer, kind::STORED, request, 0, &())?;
                Ok(self.peer.flush()?)
            }
        }
    }
}

/// A pack as what is written to; its errors are those of the stock.
struct Writing<'w>(&'w mut PackWriter);

impl Write for Writing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the stock said, where that is what went wrong.
pub(crate) fn kept_error(error: MpcError) -> anyhow::Error {
    match error {
        MpcError::Stored(error) => match error.downcast::<StockError>() {
            Ok(error) => error.into(),
            Err(error) => MpcError::Stored(error).into(),
        },
        other => other.into(),
    }
}
