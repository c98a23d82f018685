//! SecFormer's engine behind the interface of both engines.

use std::mem::take;
use std::sync::Arc;

use model::{Calibrated, Network, Quantised, SpecError, Table, Weight};
use ring64::{Kernel, Key};

use super::demand::Demand;
use super::online::online;
use super::options::Options;
use super::plan::Plan;
use super::weights::Shares;
use crate::dealt::{DEAL_CHUNK, DealtReader, DealtWriter};
use crate::engine::{Consume, DealerEngine, Footprint, PartyEngine, Planned, PrivateEngine};
use crate::error::MpcError;
use crate::flow::{queued, queued_and_freed};
use crate::party::Party;
use crate::run::{Outcome, Run};

/// The engine of additive shares.
#[derive(Clone, Copy, Debug)]
pub struct Beaver(pub Options);

/// Bytes of a word.
const WORD: u64 = 8;

impl<N: Network> PrivateEngine<N> for Beaver {
    fn plan(&self, calibrated: &Calibrated<N>, batches: &[N::Batch]) -> Result<Box<dyn Planned>, SpecError> {
        Ok(Box::new(Plan::new(calibrated, batches, self.0)?))
    }

    fn memory(
        &self,
        calibrated: &Calibrated<N>,
        batches: &[N::Batch],
        hold: Option<u64>,
    ) -> Result<Footprint, SpecError> {
        let plan = Plan::new(calibrated, batches, self.0)?;
        let input: usize = batches.iter().map(|batch| calibrated.input_count(batch)).sum();
        let words = WORD * input as u64 + sharing(&plan);
        let all = plan.cost().dealt_bytes;
        // ahead of the input the whole stream waits as it came, beside a frame that arrives
        let dealt = if hold.is_some() { (all + all.min(DEAL_CHUNK)) as u64 } else { queued(all) };
        let dealer = sharing_out(&plan) + queued_and_freed(all);
        Ok(Footprint { parties: [words; 2], dealt, input_beside_dealt: true, dealer })
    }

    fn party(
        &self,
        party: Party,
        table: &Arc<Table>,
        masked: Quantised,
        seed: &Key,
        _: Kernel,
    ) -> Box<dyn PartyEngine<N>> {
        Box::new(BeaverParty { options: self.0, shares: Shares::expand(party, table, masked, seed) })
    }

    fn dealer(&self, _: &Arc<Table>, _: &[Weight], _: &[Key; 2], _: Kernel) -> Box<dyn DealerEngine<N>> {
        // deals by counts alone
        Box::new(*self)
    }

    fn dealer_holds_weights(&self) -> bool {
        false
    }
}

/// A party's shares of the weights, and what it runs.
struct BeaverParty {
    options: Options,
    shares: Shares,
}

impl<N: Network> PartyEngine<N> for BeaverParty {
    fn attempt(
        &self,
        run: &Run<'_, N>,
        streams: Key,
        mut dealt: Option<DealtReader<'_>>,
        hold: Option<u64>,
        consume: &mut Consume<'_>,
    ) -> Result<Outcome, MpcError> {
        if let (Some(_), Some(dealt)) = (hold, &mut dealt) {
            dealt.hold()?;
        }
        let mut once = Some((streams, dealt));
        consume(&mut |inputs, peer, trace| {
            let (streams, dealt) =
                once.take().ok_or(MpcError::Role { party: self.shares.party, what: "correlations that were used" })?;
            // nothing restarts, so the inputs are not needed again
            let inputs = inputs.iter_mut().map(take).collect();
            let outputs = online(run, self.options, &self.shares, streams, dealt, inputs, peer, trace)?;
            Ok(Outcome::Outputs(outputs))
        })
    }
}

impl<N: Network> DealerEngine<N> for Beaver {
    fn deal(&self, run: &Run<'_, N>, streams: [Key; 2], writer: DealtWriter<'_>) -> Result<(), MpcError> {
        let plan = Plan::new(run.calibrated, run.batches, self.0)?;
        super::deal::deal(&plan, streams, run.kernel, writer)
    }
}

/// Most bytes that a party holds at once for a demand of a plan on shares: masks, our half of what is opened, the same packed
/// and the peer's; its dealt values, and what they are made from. Where values are computed element by element, others of as
/// many elements wait meanwhile, and take as much again. The whole estimate was 0.97 to 1.4 times what parties took of
/// BERT-base and MiniLM shapes at 128 and 512 tokens, on both schedules, with SecFormer's, MPCFormer's and exact functions;
/// the dealer's 1.3 to 2.1 times.
fn sharing(plan: &Plan) -> u64 {
    largest(plan, |demand| {
        let here = 4 * demand.opened_bytes() as u64 + 3 * WORD * demand.dealt_words() as u64;
        match demand {
            Demand::Linear { .. } | Demand::Matmul { .. } | Demand::Residual { .. } => here,
            _ => 2 * here,
        }
    })
}

/// The same for the dealer: masks, one half of them, and what is dealt.
fn sharing_out(plan: &Plan) -> u64 {
    largest(plan, |demand| 2 * demand.opened_bytes() as u64 + 3 * WORD * demand.dealt_words() as u64)
}

fn largest(plan: &Plan, bytes: impl Fn(&Demand) -> u64) -> u64 {
    plan.demands.iter().map(|(_, demand)| bytes(demand)).max().unwrap_or(0)
}
