//! Masked wires behind the interface of both engines.

use std::io::{BufRead, Write};
use std::sync::Arc;

use model::{Calibrated, Network, Quantised, SpecError, Table, Weight};
use ring64::{Kernel, Key};

use super::footprint::{computing, dealing, streaming};
use super::online::online;
use super::plan::Plan;
use super::prepare::{lay_up, prepare, restore, stream};
use super::store::Correlations;
use super::stored::STORED_FORMAT;
use super::weights::{DealerWeights, PartyWeights};
use crate::dealt::{DealtReader, DealtWriter};
use crate::engine::{Consume, DealerEngine, Footprint, PartyEngine, Planned, PrivateEngine, Stocking};
use crate::error::MpcError;
use crate::flow::{queued, queued_and_freed};
use crate::party::Party;
use crate::run::{Outcome, Run};

/// The engine of masked wires.
#[derive(Clone, Copy, Debug, Default)]
pub struct Masked;

impl<N: Network<Batch: Sync> + Sync> PrivateEngine<N> for Masked {
    fn plan(&self, calibrated: &Calibrated<N>, batches: &[N::Batch]) -> Result<Box<dyn Planned>, SpecError> {
        Ok(Box::new(Plan::new(calibrated, batches)?))
    }

    fn memory(
        &self,
        calibrated: &Calibrated<N>,
        batches: &[N::Batch],
        hold: Option<u64>,
    ) -> Result<Footprint, SpecError> {
        let words = |party| match hold {
            Some(hold) => computing(calibrated, batches, party, hold),
            None => streaming(calibrated, batches, party),
        };
        let all = Plan::new(calibrated, batches)?.cost().dealt_bytes;
        Ok(Footprint {
            parties: [words(Party::Zero)?, words(Party::One)?],
            dealt: queued(all),
            input_beside_dealt: hold.is_none(),
            dealer: dealing(calibrated, batches)? + queued_and_freed(all),
        })
    }

    fn party(
        &self,
        party: Party,
        table: &Arc<Table>,
        masked: Quantised,
        seed: &Key,
        kernel: Kernel,
    ) -> Box<dyn PartyEngine<N>> {
        Box::new(PartyWeights::expand(party, table, masked, seed, kernel))
    }

    fn dealer(
        &self,
        table: &Arc<Table>,
        held: &[Weight],
        seeds: &[Key; 2],
        kernel: Kernel,
    ) -> Box<dyn DealerEngine<N>> {
        Box::new(DealerWeights::expand(table, held.iter().copied(), seeds, kernel))
    }

    fn dealer_holds_weights(&self) -> bool {
        true
    }
}

impl<N: Network<Batch: Sync> + Sync> PartyEngine<N> for PartyWeights {
    fn attempt(
        &self,
        run: &Run<'_, N>,
        streams: Key,
        dealt: Option<DealtReader<'_>>,
        hold: Option<u64>,
        consume: &mut Consume<'_>,
    ) -> Result<Outcome, MpcError> {
        let mut consume = |correlations| use_up(run, self, correlations, consume);
        match hold {
            Some(hold) => consume(prepare(run, self, streams, dealt, hold)?),
            None => stream(run, self, streams, dealt, consume),
        }
    }

    fn stocking(&self) -> Option<&dyn Stocking<N>> {
        Some(self)
    }
}

impl<N: Network<Batch: Sync> + Sync> Stocking<N> for PartyWeights {
    fn lay_up(
        &self,
        run: &Run<'_, N>,
        streams: Key,
        dealt: Option<DealtReader<'_>>,
        to: &mut dyn Write,
    ) -> Result<(), MpcError> {
        lay_up(run, self, streams, dealt, to)
    }

    fn attempt(
        &self,
        run: &Run<'_, N>,
        from: Box<dyn BufRead + Send>,
        consume: &mut Consume<'_>,
    ) -> Result<Outcome, MpcError> {
        use_up(run, self, restore(run, self, from), consume)
    }

    fn format(&self) -> u32 {
        STORED_FORMAT
    }
}

/// The online phase of one attempt: whoever consumes computes once.
fn use_up<N: Network<Batch: Sync> + Sync>(
    run: &Run<'_, N>,
    weights: &PartyWeights,
    correlations: Correlations,
    consume: &mut Consume<'_>,
) -> Result<Outcome, MpcError> {
    let mut made = Some(correlations);
    consume(&mut |inputs, peer, trace| {
        let used = MpcError::Role { party: weights.party, what: "correlations that were used" };
        online(run, weights, made.take().ok_or(used)?, inputs, peer, trace)
    })
}

impl<N: Network> DealerEngine<N> for DealerWeights {
    fn deal(&self, run: &Run<'_, N>, streams: [Key; 2], writer: DealtWriter<'_>) -> Result<(), MpcError> {
        super::deal::deal(run, self, streams, writer)
    }
}
