//! Where the time of an online phase goes, part by part of the network.

use std::time::{Duration, Instant};

use model::Operation;

/// What one part of the network cost a party online.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartCost {
    /// All other time: work, and where correlations are streamed or spooled also the wait for them.
    pub compute: Duration,
    /// Time spent waiting for the other party's halves of openings.
    pub wait: Duration,
    /// Payload bytes sent to the other party.
    pub bytes: u64,
    /// Openings.
    pub rounds: u64,
}

/// Costs of the parts in order: the embedding, each layer, the head. Of several attempts the sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// By number of the part ([`model::Engine::begin`]).
    pub parts: Vec<PartCost>,
    /// The same costs by operation, in the order of [`Operation::ALL`].
    pub operations: [PartCost; 4],
    /// The same costs by part and operation.
    pub cells: Vec<[PartCost; 4]>,
}

/// A trace being written.
pub(crate) struct Tracing<'t> {
    trace: &'t mut Trace,
    part: usize,
    operation: Operation,
    since: Instant,
    waited: Duration,
}

impl<'t> Tracing<'t> {
    pub(crate) fn begin(trace: &'t mut Trace) -> Tracing<'t> {
        Tracing { trace, part: 0, operation: Operation::default(), since: Instant::now(), waited: Duration::ZERO }
    }

    /// Another part begins.
    pub(crate) fn begin_part(&mut self, part: usize) {
        self.settle();
        self.part = part;
    }

    /// What follows belongs to this operation; says to which the work before did.
    pub(crate) fn begin_operation(&mut self, operation: Operation) -> Operation {
        if operation != self.operation {
            self.settle();
        }
        std::mem::replace(&mut self.operation, operation)
    }

    /// An opening of so many bytes, which waited so long.
    pub(crate) fn opened(&mut self, bytes: usize, wait: Duration) {
        self.waited(wait);
        self.sent(bytes);
        self.charge(|cost| cost.rounds += 1);
    }

    /// Of the time since the last change, so much was spent waiting.
    pub(crate) fn waited(&mut self, wait: Duration) {
        self.waited += wait;
        self.charge(|cost| cost.wait += wait);
    }

    /// Bytes of an opening that is counted elsewhere.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.charge(|cost| cost.bytes += bytes as u64);
    }

    /// Charges the work since the last time.
    fn settle(&mut self) {
        let worked = self.since.elapsed().saturating_sub(self.waited);
        (self.since, self.waited) = (Instant::now(), Duration::ZERO);
        self.charge(|cost| cost.compute += worked);
    }

    fn charge(&mut self, to: impl Fn(&mut PartCost)) {
        if self.trace.parts.len() <= self.part {
            self.trace.parts.resize(self.part + 1, PartCost::default());
            self.trace.cells.resize(self.part + 1, [PartCost::default(); 4]);
        }
        let operation = self.operation.index();
        to(&mut self.trace.parts[self.part]);
        to(&mut self.trace.operations[operation]);
        to(&mut self.trace.cells[self.part][operation]);
    }
}

impl Drop for Tracing<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}
