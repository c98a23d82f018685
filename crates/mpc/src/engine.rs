//! What both private engines are to the roles that use them: plans, memory, the dealer's part, a party's part.
//!
//! [`crate::masked::Masked`] and [`crate::beaver::Beaver`] implement [`PrivateEngine`]; outside this crate nothing else
//! tells them apart but their names, the scale of their results and what they state of their security.

use std::fmt;
use std::io::{BufRead, Write};
use std::sync::Arc;

use model::{Calibrated, Network, Operation, Quantised, SpecError, Table, Weight};
use net::Link;
use ring64::{Kernel, Key};

use crate::cost::Cost;
use crate::dealt::{DealtReader, DealtWriter};
use crate::error::MpcError;
use crate::party::Party;
use crate::run::{Outcome, Run};
use crate::trace::Trace;

/// A private engine for one kind of network.
pub trait PrivateEngine<N: Network>: Send + Sync {
    /// What runs over batches will demand, one after the other.
    fn plan(&self, calibrated: &Calibrated<N>, batches: &[N::Batch]) -> Result<Box<dyn Planned>, SpecError>;

    /// Most bytes that roles hold for an attempt beyond their weights; `hold` bytes of correlations stay in a party's memory, or
    /// none wait because they are made while the party computes.
    fn memory(
        &self,
        calibrated: &Calibrated<N>,
        batches: &[N::Batch],
        hold: Option<u64>,
    ) -> Result<Footprint, SpecError>;

    /// A party's weights, from the masked words of a bundle and this party's seed.
    fn party(
        &self,
        party: Party,
        table: &Arc<Table>,
        masked: Quantised,
        seed: &Key,
        kernel: Kernel,
    ) -> Box<dyn PartyEngine<N>>;

    /// What the dealer holds of the weights that the parties hold.
    fn dealer(&self, table: &Arc<Table>, held: &[Weight], seeds: &[Key; 2], kernel: Kernel)
    -> Box<dyn DealerEngine<N>>;

    /// Whether the dealer holds masks of weights.
    fn dealer_holds_weights(&self) -> bool;
}

/// What an attempt will cost.
pub trait Planned: fmt::Debug + Send + Sync {
    /// All of it.
    fn cost(&self) -> Cost;
    /// What one operation costs; its restart probability is left out.
    fn cost_of(&self, operation: Operation) -> Cost;
    /// Two roles that agree on it meet the same demands in the same order, of the same engine. Made of kinds, integers and the numbers of
    /// streams; of nothing that people read.
    fn digest(&self) -> [u8; 32];
    /// Seconds online on a link of so many seconds one way (`latency`) and so many bytes a second in each direction
    /// (`bandwidth`), where all but the waiting takes `compute` seconds. Both parties send at once, and neither goes on before
    /// the other's opening has come whole: a round takes the latency and its bytes.
    fn seconds(&self, latency: f64, bandwidth: f64, compute: f64) -> f64;
    /// Bytes of the plan itself.
    fn bytes(&self) -> u64;
    /// Bytes both ways of one operation as SecFormer counts them; nothing from engines that it did not publish.
    fn published_bytes(&self, _operation: Operation) -> Option<usize> {
        None
    }
}

/// Bytes that roles hold for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Words of P0 and P1.
    pub parties: [u64; 2],
    /// What P1 keeps of the dealt stream, as it came, beside them.
    pub dealt: u64,
    /// Whether the client's packed input is there at the same time as what was dealt.
    pub input_beside_dealt: bool,
    /// Words of the dealer, and what it sent that is still on its way.
    pub dealer: u64,
}

/// The online phase of an attempt: this party's shares of the inputs, the link to the other party, and where costs are added.
pub type Compute<'c> = dyn FnMut(&mut [Vec<u64>], &mut dyn Link, &mut Trace) -> Result<Outcome, MpcError> + 'c;

/// Called once all is ready that needs no input: it calls [`Compute`] once.
pub type Consume<'c> = dyn FnMut(&mut Compute<'_>) -> Result<Outcome, MpcError> + 'c;

/// A party's weights, and how it runs.
pub trait PartyEngine<N: Network>: Send + Sync {
    /// One attempt with the key of its streams and, at P1, what the dealer sends. `hold` bytes of correlations stay in memory
    /// and the rest waits in a file; without it they are made while the party computes.
    fn attempt(
        &self,
        run: &Run<'_, N>,
        streams: Key,
        dealt: Option<DealtReader<'_>>,
        hold: Option<u64>,
        consume: &mut Consume<'_>,
    ) -> Result<Outcome, MpcError>;

    /// How this party prepares correlations for attempts that are still to come; nothing from an engine that cannot.
    fn stocking(&self) -> Option<&dyn Stocking<N>> {
        None
    }
}

/// A party's correlations, prepared long before the attempt that uses them.
pub trait Stocking<N: Network>: Send + Sync {
    /// Prepares one attempt as [`PartyEngine::attempt`] does, and writes what was prepared to `to`. Request and attempt of `run`
    /// are those by which the dealer was asked.
    fn lay_up(
        &self,
        run: &Run<'_, N>,
        streams: Key,
        dealt: Option<DealtReader<'_>>,
        to: &mut dyn Write,
    ) -> Result<(), MpcError>;

    /// One attempt with what was written, which is read while it is used.
    fn attempt(
        &self,
        run: &Run<'_, N>,
        from: Box<dyn BufRead + Send>,
        consume: &mut Consume<'_>,
    ) -> Result<Outcome, MpcError>;

    /// The version of what is written: another release may not read it.
    fn format(&self) -> u32;
}

/// The dealer's part of an attempt.
pub trait DealerEngine<N: Network>: Send + Sync {
    /// Sends all that P1 needs beyond its key, in plan order.
    fn deal(&self, run: &Run<'_, N>, streams: [Key; 2], writer: DealtWriter<'_>) -> Result<(), MpcError>;
}
