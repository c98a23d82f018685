//! Making packs with the dealer: each is asked for like the correlations of a request, prepared, and written down.

use std::io::{self, Write};
use std::ops::Range;
use std::slice;

use anyhow::Result;
use cli::coded;
use cli::exit::BUSY;
use mpc::{DealtReader, MpcError, Party, Run};
use ring64::Kernel;
use stock::{PackWriter, StockError};

use super::kept::{KeptClass, PartyStock, stocking};
use super::progress::{Progress, SAY};
use crate::attempt::demand;
use crate::exit::code_of;
use crate::handshake::{Identity, Peer, turn_away};
use crate::memory::{Budget, Needs, Reserved};
use crate::message::{ControlError, Refusal};
use crate::party_model::PartyModel;
use crate::schedule::Schedule;
use crate::session::AGAIN;
use crate::yielding::Yielding;

const GAVE_WAY: &str = "a request needs the memory of the pack that was being made; it is made later";

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
    /// Of what the memory is taken that a pack needs while it is made.
    pub(crate) budget: &'a Budget,
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
        let made = self.prepare(serial, request);
        if made.as_ref().is_err_and(|error| code_of(error) == BUSY) {
            // the other party, which waits for word, is told why there will be none
            turn_away(self.peer, Refusal::busy(GAVE_WAY, AGAIN));
        }
        made
    }

    fn prepare(&mut self, serial: u64, request: u64) -> Result<()> {
        let PackMaker { model, kept, class, identity, nonces, budget, .. } = *self;
        let KeptClass { class: name, texts, plan, .. } = class;
        let agreement = identity.agreement(nonces, plan.digest(), request, 0);
        let mut progress = Progress::new(self.peer, request, SAY);
        let needs = Needs::of(&model.calibrated, texts, &**plan, model.engine, Schedule::Ahead, 0)?;
        let reserved = budget.reserve_yielding(&needs, model.role(), &mut || Ok(progress.goes_on()?))?;
        let mut writer = kept.stock().writer(name, serial)?;
        let mut dealer = Yielding::new(&mut **self.dealer, &reserved);
        let (calibrated, batches) = (&model.calibrated, slice::from_ref(texts));
        let run = Run { calibrated, batches, request, attempt: 0, kernel: Kernel::detect() };
        let mut writing = Writing { writer: &mut writer, progress: &mut progress, reserved: &reserved };
        let prepared = demand(&mut dealer, &agreement, texts).and_then(|key| {
            let dealt = match model.party {
                Party::Zero => None,
                Party::One => Some(DealtReader::new(&mut dealer, request, 0, plan.cost().dealt_bytes)),
            };
            stocking(model)?.lay_up(&run, key, dealt, &mut writing).map_err(kept_error)
        });
        match prepared {
            Err(_) if reserved.must_yield() => return Err(coded(BUSY, GAVE_WAY)),
            prepared => prepared?,
        }
        drop(reserved);
        // what P0 has, P1 has: it ends its half first
        if model.party == Party::Zero {
            progress.await_stored()?;
        }
        writer.finish(agreement.digest())?;
        progress.stored()?;
        if model.party == Party::One {
            progress.await_stored()?;
        }
        Ok(())
    }
}

/// A pack as what is written to; its errors are those of the stock.
struct Writing<'w, 'p> {
    writer: &'w mut PackWriter,
    progress: &'w mut Progress<'p>,
    reserved: &'w Reserved<'w>,
}

impl Write for Writing<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.reserved.must_yield() {
            return Err(io::Error::other(GAVE_WAY));
        }
        self.writer.append(bytes).map_err(io::Error::other)?;
        self.progress.goes_on().map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the stock or the other party said, where that is what went wrong.
pub(crate) fn kept_error(error: MpcError) -> anyhow::Error {
    let MpcError::Stored(error) = error else { return error.into() };
    let error = match error.downcast::<StockError>() {
        Ok(stock) => return stock.into(),
        Err(error) => error,
    };
    match error.downcast::<ControlError>() {
        Ok(control) => control.into(),
        Err(error) => MpcError::Stored(error).into(),
    }
}
