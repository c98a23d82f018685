//! The engine that computes nothing: what a run will demand of the dealer and of the network, before anything runs.

use std::sync::Arc;

use ring64::Dims;
use serde::{Deserialize, Serialize};

use crate::bert::{InputKind, classify};
use crate::engine::{Block, Rhs, Weight};
use crate::fixed::{Arithmetic, Fixed, PhaseOpening, Place, WireOpening};
use crate::functions::Operation;
use crate::shape::Texts;
use crate::spec::{Curve, Spec, SpecError};

/// One demand on the dealer. The dealer and both parties meet the same demands in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Demand {
    /// Masks of an opening.
    Wire {
        /// Elements.
        count: usize,
        /// Bits below the unit.
        drop: u32,
        /// Signed range in bits.
        bits: u32,
    },
    /// Masks of a phase.
    Phase {
        /// Elements.
        count: usize,
        /// Bits below the unit.
        drop: u32,
        /// Bits of the period.
        modulus_bits: u32,
    },
    /// Mask times a weight.
    Linear {
        /// Which.
        weight: Weight,
        /// Rows of the input.
        rows: usize,
        /// Columns of the input.
        inner: usize,
        /// Columns of the output.
        cols: usize,
    },
    /// Mask times a LayerNorm's scale.
    Residual {
        /// Which.
        weight: Weight,
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
    },
    /// Product of two masks.
    Matmul {
        /// Rows of the left.
        m: usize,
        /// Inner dimension.
        k: usize,
        /// Columns of the right.
        n: usize,
        /// Whether the right factor is transposed.
        transposed: bool,
    },
    /// Squares of masks.
    Square {
        /// Elements.
        count: usize,
    },
    /// Row sums of squares of masks.
    SquareSum {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
    },
    /// Mask rows times masks.
    ScaleRows {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
    },
    /// Sines and cosines of a phase's mask.
    Series {
        /// Elements.
        count: usize,
        /// Harmonics.
        harmonics: usize,
    },
}

impl Demand {
    /// Bytes that the dealer sends to P1 for it. P0 gets a key for all demands.
    pub fn dealt_bytes(&self) -> usize {
        match self {
            Demand::Wire { count, drop, .. } => (count * *drop as usize).div_ceil(8),
            Demand::Phase { .. } => 0,
            Demand::Linear { rows, cols, .. } => 8 * rows * cols,
            Demand::Residual { rows, cols, .. } => 8 * rows * (cols + 1),
            Demand::Matmul { m, n, .. } => 8 * m * n,
            Demand::Square { count } => 8 * count,
            Demand::SquareSum { rows, .. } => 8 * rows,
            Demand::ScaleRows { rows, cols } => 8 * rows * cols,
            Demand::Series { count, harmonics } => 16 * count * harmonics,
        }
    }

    /// Bytes that each party sends to the other for it.
    pub fn opened_bytes(&self) -> usize {
        match self {
            Demand::Wire { count, drop, .. } => (count * (64 - *drop as usize)).div_ceil(8),
            Demand::Phase { count, modulus_bits, .. } => (count * *modulus_bits as usize).div_ceil(8),
            _ => 0,
        }
    }

    /// Probability that one of its openings wraps and the run restarts.
    pub fn restart_probability(&self) -> f64 {
        match self {
            Demand::Wire { count, drop, bits } => {
                -f64::exp_m1(*count as f64 * f64::ln_1p(-f64::powi(2.0, *bits as i32 - 64 + *drop as i32)))
            }
            _ => 0.0,
        }
    }
}

/// What a run costs, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Rounds between the parties.
    pub rounds: usize,
    /// Frames that each party sends to the other: at least one a round ([`opening_frames`]).
    pub frames: usize,
    /// Payload bytes that each party sends to the other, without frame headers.
    pub opened_bytes: usize,
    /// Payload bytes that the dealer sends to P1, without frame headers and keys.
    pub dealt_bytes: usize,
    /// Probability that the run has to be repeated.
    pub restart_probability: f64,
}

/// The demands of one batch, in order, with the round of each opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which they are met.
    pub demands: Vec<Demand>,
    /// What each of them belongs to: products to [`Operation::Others`], all else as [`Place`] says of the last opening.
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

/// An opening's frame is sent as soon as it holds so many bytes, while what follows is still being computed.
pub const OPENING_FRAME: usize = 512 << 10;

/// The payloads of an opening's frames: its items in order, each whole; a frame ends with the item that brings it to
/// [`OPENING_FRAME`] bytes.
pub fn opening_frames(items: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let (mut frames, mut frame) = (Vec::new(), 0);
    for item in items {
        frame += item;
        if frame >= OPENING_FRAME {
            frames.push(frame);
            frame = 0;
        }
    }
    if frame > 0 || frames.is_empty() {
        frames.push(frame);
    }
    frames
}

impl Plan {
    /// Plans a batch.
    pub fn new(spec: &Arc<Spec>, texts: &Texts, kind: InputKind) -> Result<Plan, SpecError> {
        let mut engine = Fixed::new(spec.clone(), Planner::default());
        let input = engine.input(kind, texts, ());
        classify(&mut engine, &spec.shape, texts, kind, &input)?;
        let Planner { demands, operations, rounds, round_operations, opened, frames, .. } = engine.arithmetic;
        Ok(Plan { demands, operations, rounds, round_operations, opened, frames })
    }

    /// What the batch costs.
    pub fn cost(&self) -> Cost {
        let mut keep = 1.0;
        let mut cost = Cost { rounds: self.rounds.len(), frames: self.frames.iter().sum(), ..Cost::default() };
        for demand in &self.demands {
            cost.opened_bytes += demand.opened_bytes();
            cost.dealt_bytes += demand.dealt_bytes();
            keep *= 1.0 - demand.restart_probability();
        }
        Cost { restart_probability: 1.0 - keep, ..cost }
    }

    /// What one operation costs; its restart probability is left out.
    pub fn cost_of(&self, operation: Operation) -> Cost {
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

    /// Seconds online on a link of so many seconds one way (`latency`) and so many bytes a second in each direction
    /// (`bandwidth`), where all but the waiting takes `compute` seconds. Both parties send at once, and neither goes on
    /// before the other's opening has come whole: a round takes the latency and its bytes.
    pub fn seconds(&self, latency: f64, bandwidth: f64, compute: f64) -> f64 {
        compute + self.opened.iter().map(|bytes| latency + *bytes as f64 / bandwidth).sum::<f64>()
    }
}

#[derive(Default)]
struct Planner {
    demands: Vec<Demand>,
    operations: Vec<Operation>,
    rounds: Vec<String>,
    round_operations: Vec<Operation>,
    opened: Vec<usize>,
    frames: Vec<usize>,
    /// Of the last opening's wires and of the last phases.
    present: [Operation; 2],
}

impl Planner {
    fn demand(&mut self, operation: Operation, demands: impl IntoIterator<Item = Demand>) {
        self.demands.extend(demands);
        self.operations.resize(self.demands.len(), operation);
    }
}

impl Arithmetic for Planner {
    type Wire = ();
    type Phase = ();
    type Share = ();
    type Error = SpecError;

    fn linear(&mut self, _: &(), weight: Weight, dims: Dims) -> Result<(), SpecError> {
        self.demand(Operation::Others, [Demand::Linear { weight, rows: dims.m, inner: dims.k, cols: dims.n }]);
        Ok(())
    }
    fn add_rows(&mut self, _: (), _: Weight, _: &[usize], _: usize) -> Result<(), SpecError> {
        Ok(())
    }
    fn residual(&mut self, _: &(), weight: Weight, rows: usize, cols: usize) -> Result<(), SpecError> {
        self.demand(Operation::Others, [Demand::Residual { weight, rows, cols }]);
        Ok(())
    }
    fn matmul(&mut self, _: &[(&(), &())], dims: &[Dims], rhs: Rhs) -> Result<Vec<()>, SpecError> {
        let transposed = rhs == Rhs::Transposed;
        self.demand(Operation::Others, dims.iter().map(|d| Demand::Matmul { m: d.m, k: d.k, n: d.n, transposed }));
        Ok(vec![(); dims.len()])
    }
    fn square(&mut self, x: &[(&(), usize)]) -> Result<Vec<()>, SpecError> {
        self.demand(self.present[0], x.iter().map(|(_, count)| Demand::Square { count: *count }));
        Ok(vec![(); x.len()])
    }
    fn square_sum(&mut self, _: &(), rows: usize, cols: usize) -> Result<(), SpecError> {
        self.demand(self.present[0], [Demand::SquareSum { rows, cols }]);
        Ok(())
    }
    fn scale_rows(&mut self, _: &[(&(), &())], dims: &[(usize, usize)]) -> Result<Vec<()>, SpecError> {
        self.demand(self.present[0], dims.iter().map(|(rows, cols)| Demand::ScaleRows { rows: *rows, cols: *cols }));
        Ok(vec![(); dims.len()])
    }
    fn evaluate(&mut self, x: &[(&(), usize, &Curve)]) -> Result<Vec<()>, SpecError> {
        for (_, rows, curve) in x {
            let series = curve.segments.iter();
            let demand = series.map(|s| Demand::Series { count: rows * s.cols, harmonics: s.series.harmonics.len() });
            self.demand(self.present[1], demand);
        }
        Ok(vec![(); x.len()])
    }
    fn add(&mut self, _: ((), u32), _: ((), u32)) {}
    fn row_sums(&mut self, _: &(), _: usize, _: usize) {}
    fn opened_row_sums(&mut self, _: &(), _: usize, _: usize) {}
    fn affine(&mut self, _: (), _: u64, _: u64) {}
    fn offset(&mut self, _: (), _: u64) {}
    fn block(&mut self, _: &(), _: usize, _: Block) {}
    fn assemble(&mut self, _: &[Vec<(&(), usize, usize)>]) {}
    fn open(
        &mut self,
        place: &Place,
        wires: &[(&(), WireOpening)],
        phases: &[(&(), PhaseOpening)],
    ) -> Result<(Vec<()>, Vec<()>), SpecError> {
        self.rounds.push(place.name.clone());
        self.round_operations.push(place.wires);
        self.present[0] = place.wires;
        if !phases.is_empty() {
            self.present[1] = place.phases;
        }
        let before = self.demands.len();
        let wire = |(_, o): &(&(), WireOpening)| Demand::Wire { count: o.count(), drop: o.drop, bits: o.bits };
        self.demand(place.wires, wires.iter().map(wire));
        for (_, o) in phases {
            let phase = o.segments.iter().map(|s| Demand::Phase {
                count: o.rows * s.cols,
                drop: o.drop,
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
