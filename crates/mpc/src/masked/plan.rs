//! The engine that computes nothing: what a run will demand of the dealer and of the network, before anything runs.

use std::sync::Arc;

use model::{
    Arithmetic, Block, Calibrated, Evaluation, Fixed, Network, Operation, PhaseOpening, Place, Rhs, RowShift,
    SpecError, Table, Weight, WireOpening,
};
use ring64::Dims;
use sha2::{Digest, Sha256};

use super::demand::Demand;
use super::frames::opening_frames;
use crate::cost::Cost;
use crate::engine::Planned;

/// The demands of one attempt, over all its batches in order, with the round of each opening.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    table: Arc<Table>,
    /// In the order in which they are met.
    pub demands: Vec<Demand>,
    /// What each of them belongs to: products to what the network says that it is at, openings to what [`Place`] says of them, and
    /// series to what their phases belong to.
    pub operations: Vec<Operation>,
    /// Where each round opens, by name.
    pub rounds: Vec<String>,
    /// What each round belongs to, which is what its wires belong to.
    pub round_operations: Vec<Operation>,
    /// Payload bytes that each party sends to the other in each round, without frame headers.
    pub opened: Vec<usize>,
    /// Frames that carry them.
    pub frames: Vec<usize>,
}

impl Plan {
    /// Plans runs over batches, one after the other.
    pub fn new<N: Network>(calibrated: &Calibrated<N>, batches: &[N::Batch]) -> Result<Plan, SpecError> {
        let mut engine = Fixed::new(calibrated.scales.clone(), Planner::default());
        let inputs: Vec<_> = batches.iter().map(|batch| calibrated.input(batch, ())).collect();
        engine.run(&calibrated.network, batches, &inputs)?;
        let Planner { demands, operations, rounds, round_operations, opened, frames, .. } = engine.arithmetic;
        let table = calibrated.network.table().clone();
        Ok(Plan { table, demands, operations, rounds, round_operations, opened, frames })
    }
}

impl Planned for Plan {
    fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(33 * self.demands.len() + 16 * self.frames.len() + 32);
        bytes.extend_from_slice(b"masked plan 2");
        // how many follow of each, so that no two plans have one encoding
        for count in [self.demands.len(), self.frames.len()] {
            bytes.extend_from_slice(&(count as u64).to_le_bytes());
        }
        self.demands.iter().for_each(|demand| demand.encode(&self.table, &mut bytes));
        for (opened, frames) in self.opened.iter().zip(&self.frames) {
            bytes.extend_from_slice(&(*opened as u64).to_le_bytes());
            bytes.extend_from_slice(&(*frames as u64).to_le_bytes());
        }
        Sha256::digest(bytes).into()
    }

    fn cost(&self) -> Cost {
        let mut keep = 1.0;
        let mut cost = Cost { rounds: self.rounds.len(), frames: self.frames.iter().sum(), ..Cost::default() };
        for demand in &self.demands {
            cost.opened_bytes += demand.opened_bytes();
            cost.dealt_bytes += demand.dealt_bytes();
            keep *= 1.0 - demand.restart_probability();
        }
        Cost { restart_probability: 1.0 - keep, ..cost }
    }

    fn cost_of(&self, operation: Operation) -> Cost {
        let mut cost = Cost::default();
        for (demand, _) in self.demands.iter().zip(&self.operations).filter(|(_, of)| **of == operation) {
            cost.opened_bytes += demand.opened_bytes();
            cost.dealt_bytes += demand.dealt_bytes();
        }
        for (frames, _) in self.frames.iter().zip(&self.round_operations).filter(|(_, of)| **of == operation) {
            cost.rounds += 1;
            cost.frames += frames;
        }
        cost
    }

    fn seconds(&self, latency: f64, bandwidth: f64, compute: f64) -> f64 {
        compute + self.opened.iter().map(|bytes| latency + *bytes as f64 / bandwidth).sum::<f64>()
    }

    fn bytes(&self) -> u64 {
        (self.demands.len() * size_of::<Demand>()) as u64
    }
}

#[derive(Default)]
pub(super) struct Planner {
    demands: Vec<Demand>,
    operations: Vec<Operation>,
    rounds: Vec<String>,
    round_operations: Vec<Operation>,
    opened: Vec<usize>,
    frames: Vec<usize>,
    /// What the network says that it is at.
    pub(super) scope: Operation,
    /// What the last phases belong to.
    function: Operation,
}

impl Planner {
    pub(super) fn demand(&mut self, operation: Operation, demands: impl IntoIterator<Item = Demand>) {
        self.demands.extend(demands);
        self.operations.resize(self.demands.len(), operation);
    }
}

impl Arithmetic for Planner {
    type Wire = ();
    type Phase = ();
    type Share = ();
    type Error = SpecError;

    fn begin(&mut self, _: usize, operation: Operation) -> Result<(), SpecError> {
        self.scope = operation;
        Ok(())
    }
    fn linear(&mut self, _: &(), weight: Weight, dims: Dims, gate: Option<&()>) -> Result<(), SpecError> {
        let Dims { m: rows, k: inner, n: cols } = dims;
        self.demand(self.scope, [Demand::Linear { weight, rows, inner, cols, gated: gate.is_some() }]);
        Ok(())
    }
    fn add_rows(&mut self, _: (), _: Weight, _: &[usize], _: usize) -> Result<(), SpecError> {
        Ok(())
    }
    fn residual(
        &mut self,
        _: &(),
        weight: Weight,
        (rows, cols): (usize, usize),
        centred: bool,
    ) -> Result<(), SpecError> {
        self.demand(self.scope, [Demand::Residual { weight, rows, cols, centred }]);
        Ok(())
    }
    fn matmul(&mut self, _: &[(&(), &())], dims: &[Dims], rhs: Rhs) -> Result<Vec<()>, SpecError> {
        let transposed = rhs == Rhs::Transposed;
        self.demand(self.scope, dims.iter().map(|d| Demand::Matmul { m: d.m, k: d.k, n: d.n, transposed }));
        Ok(vec![(); dims.len()])
    }
    fn square(&mut self, x: &[(&(), usize)]) -> Result<Vec<()>, SpecError> {
        self.demand(self.scope, x.iter().map(|(_, count)| Demand::Square { count: *count }));
        Ok(vec![(); x.len()])
    }
    fn square_sum(&mut self, _: &(), rows: usize, cols: usize) -> Result<(), SpecError> {
        self.demand(self.scope, [Demand::SquareSum { rows, cols }]);
        Ok(())
    }
    fn scale_rows(&mut self, _: &[(&(), &())], dims: &[(usize, usize)]) -> Result<Vec<()>, SpecError> {
        self.demand(self.scope, dims.iter().map(|(rows, cols)| Demand::ScaleRows { rows: *rows, cols: *cols }));
        Ok(vec![(); dims.len()])
    }
    fn evaluate(&mut self, x: &[Evaluation<'_, (), ()>]) -> Result<Vec<()>, SpecError> {
        for Evaluation { rows, curve, gate, .. } in x {
            let demand = curve.segments.iter().map(|s| Demand::Series {
                count: rows * s.cols,
                harmonics: s.series.harmonics.len(),
                gated: gate.is_some(),
            });
            self.demand(self.function, demand);
        }
        Ok(vec![(); x.iter().flat_map(Evaluation::curves).count()])
    }
    fn add(&mut self, _: ((), u32), _: ((), u32)) {}
    fn row_sums(&mut self, _: &(), _: usize, _: usize) {}
    fn opened_row_sums(&mut self, _: &(), _: usize, _: usize) {}
    fn relative(&mut self, _: (), _: &(), _: Option<&()>, _: &RowShift) {}
    fn rotate(&mut self, _: (), _: usize, _: &[u64], _: &[u64]) {}
    fn affine(&mut self, _: (), _: u64, _: u64) {}
    fn offset(&mut self, _: (), _: u64) {}
    fn gated_offset(&mut self, _: (), _: u64, _: &()) {}
    fn shared(&mut self, _: &()) -> Result<(), SpecError> {
        Ok(())
    }
    fn block(&mut self, _: &(), _: usize, _: Block) {}
    fn assemble(&mut self, _: &[Vec<(&(), usize, usize)>]) {}
    fn open(
        &mut self,
        place: &Place<'_>,
        wires: &[(&(), WireOpening)],
        phases: &[(&(), PhaseOpening)],
    ) -> Result<(Vec<()>, Vec<()>), SpecError> {
        self.rounds.push(place.name.to_string());
        self.round_operations.push(place.wires);
        if !phases.is_empty() {
            self.function = place.phases;
        }
        let before = self.demands.len();
        let wire = |(_, o): &(&(), WireOpening)| Demand::Wire { count: o.count(), shift: o.shift, bits: o.bits };
        self.demand(place.wires, wires.iter().map(wire));
        for (_, o) in phases {
            let phase = o.segments.iter().map(|s| Demand::Phase {
                count: o.rows * s.cols,
                shift: o.shift,
                modulus_bits: s.modulus_bits,
            });
            self.demand(place.phases, phase);
        }
        let items = || self.demands[before..].iter().map(Demand::opened_bytes);
        let (opened, frames) = (items().sum(), opening_frames(items()).len());
        self.opened.push(opened);
        self.frames.push(frames);
        Ok((vec![(); wires.len()], vec![(); phases.len()]))
    }
}
