//! What a run will demand of the dealer and of the network, before anything runs.

use std::sync::Arc;

use model::{Calibrated, Network, Operation, SpecError, Table, Weight};
use ring64::{Dims, Rhs};
use sha2::{Digest, Sha256};

use super::demand::{Demand, FRAME};
use super::interpreter::run_on;
use super::network::NetworkRing;
use super::options::Options;
use crate::cost::Cost;
use crate::engine::Planned;
use crate::party::Party;
use crate::protocol::ring::{Ring, Wave};

/// The demands of one attempt, over all its batches in order; each is a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the network declares.
    pub(crate) table: Arc<Table>,
    /// How it is run.
    pub options: Options,
    /// In the order in which they are met, each with the operation that it belongs to.
    pub demands: Vec<(Operation, Demand)>,
}

impl Plan {
    /// Plans runs over batches, one after the other.
    pub fn new<N: Network>(
        calibrated: &Calibrated<N>,
        batches: &[N::Batch],
        options: Options,
    ) -> Result<Plan, SpecError> {
        let mut planner = Planner::default();
        let counts = batches.iter().map(|batch| calibrated.input_count(batch)).collect();
        run_on(&mut planner, calibrated, batches, options, counts)?;
        Ok(Plan { table: calibrated.network.table().clone(), options, demands: planner.demands })
    }

    /// Bytes both ways of one operation as SecFormer counts them ([`Demand::published_bytes`]). The residual's product by
    /// LayerNorm's scale is left out: their table does not count that scale.
    pub fn published_bytes(&self, operation: Operation) -> usize {
        let counted =
            |(of, demand): &&(Operation, Demand)| *of == operation && !matches!(demand, Demand::Residual { .. });
        self.demands.iter().filter(counted).map(|(_, demand)| demand.published_bytes()).sum()
    }
}

impl Planned for Plan {
    // nothing restarts
    fn cost(&self) -> Cost {
        Operation::ALL.iter().map(|o| self.cost_of(*o)).fold(Cost::default(), Cost::and)
    }

    fn cost_of(&self, operation: Operation) -> Cost {
        let mut cost = Cost::default();
        for (_, demand) in self.demands.iter().filter(|(of, _)| *of == operation) {
            let bytes = demand.opened_bytes();
            cost.rounds += 1;
            cost.frames += bytes.div_ceil(FRAME);
            cost.opened_bytes += bytes;
            cost.dealt_bytes += 8 * demand.dealt_words();
        }
        cost
    }

    fn published_bytes(&self, operation: Operation) -> Option<usize> {
        Some(self.published_bytes(operation))
    }

    fn digest(&self) -> [u8; 32] {
        let mut bytes = b"beaver plan 1".to_vec();
        self.options.encode(&mut bytes);
        self.demands.iter().for_each(|(_, demand)| demand.encode(&self.table, &mut bytes));
        Sha256::digest(bytes).into()
    }

    fn seconds(&self, latency: f64, bandwidth: f64, compute: f64) -> f64 {
        let round = |(_, demand): &(Operation, Demand)| demand.opened_bytes() as f64 / bandwidth + latency;
        compute + self.demands.iter().map(round).sum::<f64>()
    }

    fn bytes(&self) -> u64 {
        (self.demands.len() * size_of::<(Operation, Demand)>()) as u64
    }
}

/// The ring of counts.
#[derive(Default)]
pub(crate) struct Planner {
    pub(crate) demands: Vec<(Operation, Demand)>,
    operation: Operation,
}

impl Planner {
    fn demand(&mut self, demand: Demand) {
        self.demands.push((self.operation, demand));
    }
}

impl Ring for Planner {
    type Share = usize;
    type Error = SpecError;

    fn multiply(&mut self, x: &usize, _: &usize) -> Result<usize, SpecError> {
        self.demand(Demand::Multiply { count: *x });
        Ok(*x)
    }

    fn square(&mut self, x: &usize) -> Result<usize, SpecError> {
        self.demand(Demand::Square { count: *x });
        Ok(*x)
    }

    fn scale_rows(&mut self, x: &usize, _: &usize, parts: &[(usize, usize)]) -> Result<usize, SpecError> {
        self.demand(Demand::ScaleRows { parts: parts.to_vec() });
        Ok(*x)
    }

    fn matmul(&mut self, _: &[(&usize, &usize)], dims: &[Dims], rhs: Rhs) -> Result<Vec<usize>, SpecError> {
        let products = dims.iter().map(|d| [d.m, d.k, d.n]).collect();
        self.demand(Demand::Matmul { products, transposed: rhs == Rhs::Transposed });
        Ok(dims.iter().map(|d| d.m * d.n).collect())
    }

    fn and(&mut self, x: &usize, _: &usize) -> Result<usize, SpecError> {
        self.demand(Demand::And { count: *x });
        Ok(*x)
    }

    fn bit(&mut self, x: &usize) -> Result<usize, SpecError> {
        self.demand(Demand::Bit { count: *x });
        Ok(*x)
    }

    fn sine(&mut self, x: &usize, wave: &Wave) -> Result<usize, SpecError> {
        self.demand(Demand::Sine { count: *x, wave: wave.clone() });
        Ok(*x)
    }

    fn truncate(&mut self, x: &usize, parts: &[(usize, u32)]) -> Result<usize, SpecError> {
        self.demand(Demand::Truncate { parts: parts.to_vec() });
        Ok(*x)
    }

    fn count(&self, x: &usize) -> usize {
        *x
    }

    fn local(&mut self, _: &[&usize], count: usize, _: impl FnOnce(Party, &[&[u64]]) -> Vec<u64>) -> usize {
        count
    }
}

impl NetworkRing for Planner {
    fn linear(&mut self, _: &usize, weight: Weight, dims: Dims) -> Result<usize, SpecError> {
        self.demand(Demand::Linear { weight, dims: [dims.m, dims.k, dims.n] });
        Ok(dims.m * dims.n)
    }

    fn residual(
        &mut self,
        x: &usize,
        weight: Weight,
        (rows, cols): (usize, usize),
        centred: bool,
    ) -> Result<usize, SpecError> {
        self.demand(Demand::Residual { weight, rows, cols, centred });
        Ok(*x)
    }

    fn weight_rows(&mut self, _: Weight, rows: &[usize], cols: usize) -> Result<usize, SpecError> {
        Ok(rows.len() * cols)
    }

    fn bias(&mut self, _: Weight, cols: usize) -> Result<Option<usize>, SpecError> {
        Ok(Some(cols))
    }

    fn begin(&mut self, _: usize, operation: Operation) {
        self.operation = operation;
    }

    fn begin_operation(&mut self, operation: Operation) {
        self.operation = operation;
    }
}
