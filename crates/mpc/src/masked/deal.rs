//! The dealer: the network interpreted on masks. A wire is its mask, a share is nothing.
//!
//! P0's half of every dealt value comes from P0's key, P1 gets value minus half.

use model::{
    Arithmetic, Block, Evaluation, Fixed, Network, PhaseOpening, Place, Rhs, RowShift, Weight, WireOpening,
    add_to_columns, assemble, copy_block, outer_product, scale_rows,
};
use ring64::{Dims, Kernel, Product, add_assign, low_bits, mask_assign};

use super::weights::DealerWeights;
use super::{residual_products, row_sums};
use crate::dealt::DealtWriter;
use crate::error::MpcError;
use crate::run::Run;
use crate::streams::{Purpose, Streams};

/// Deals one attempt: everything that P1 needs beyond its key goes to `writer`, in plan order.
pub fn deal<N: Network, S: Streams>(
    run: &Run<'_, N>,
    weights: &DealerWeights,
    streams: [S; 2],
    writer: DealtWriter<'_>,
) -> Result<(), MpcError> {
    let Run { calibrated, batches, kernel, .. } = *run;
    let [zero, one] = streams;
    let dealing = Dealing { weights, zero, one, kernel, demand: 0, writer };
    let mut engine = Fixed::new(calibrated.scales.clone(), dealing);
    let inputs: Vec<_> = batches.iter().map(|batch| calibrated.input(batch, ())).collect();
    engine.run(&calibrated.network, batches, &inputs)?;
    engine.arithmetic.writer.finish()
}

pub(super) struct Dealing<'w, 'd, S> {
    weights: &'w DealerWeights,
    pub(super) zero: S,
    one: S,
    pub(super) kernel: Kernel,
    demand: u64,
    pub(super) writer: DealtWriter<'d>,
}

impl<S: Streams> Dealing<'_, '_, S> {
    /// The number of the next demand.
    pub(super) fn next(&mut self) -> u64 {
        self.demand += 1;
        self.demand - 1
    }

    /// Shares a value: P0 finds its half in its stream, P1 is sent the rest.
    pub(super) fn share(&mut self, demand: u64, purpose: Purpose, mut value: Vec<u64>) -> Result<(), MpcError> {
        self.zero.subtract_from(demand, purpose, &mut value, self.kernel);
        self.writer.words(&value, 0, 64)
    }

    fn wire(&mut self, opening: WireOpening) -> Result<Vec<u64>, MpcError> {
        let (demand, count, kept) = (self.next(), opening.count(), opening.kept());
        let half = self.zero.words(demand, Purpose::Mask, count, self.kernel);
        let mut mask = self.one.words(demand, Purpose::Mask, count, self.kernel);
        add_assign(&mut mask, &half);
        mask_assign(&mut mask, low_bits(kept));
        if opening.shift > 0 {
            // P1's half is mask - half: its low bits are P1's own, the high ones are the carry of the halves
            let mut carry = half;
            carry.iter_mut().zip(&mask).for_each(|(h, a)| *h = a.wrapping_sub(*h));
            self.writer.words(&carry, kept, opening.shift)?;
        }
        Ok(mask)
    }

    fn phase(&mut self, count: usize, modulus_bits: u32) -> Vec<u64> {
        let demand = self.next();
        let mut mask = self.zero.words(demand, Purpose::Mask, count, self.kernel);
        self.one.add_to(demand, Purpose::Mask, &mut mask, self.kernel);
        mask_assign(&mut mask, low_bits(modulus_bits));
        mask
    }
}

impl<S: Streams> Arithmetic for Dealing<'_, '_, S> {
    type Wire = Vec<u64>;
    type Phase = Vec<Vec<u64>>;
    type Share = ();
    type Error = MpcError;

    fn linear(&mut self, a: &Vec<u64>, weight: Weight, dims: Dims, gate: Option<&Vec<u64>>) -> Result<(), MpcError> {
        let demand = self.next();
        let mut product = match (gate, self.weights.mask_of_bias(weight, dims.n)?) {
            (Some(gate), Some(bias)) => outer_product(gate, bias),
            _ => vec![0; dims.m * dims.n],
        };
        self.weights.mask(weight, dims)?.multiply_add(dims.m, a, &mut product);
        self.share(demand, Purpose::Dealt, product)
    }

    fn add_rows(&mut self, _: (), _: Weight, _: &[usize], _: usize) -> Result<(), MpcError> {
        Ok(())
    }

    fn residual(
        &mut self,
        a: &Vec<u64>,
        weight: Weight,
        (rows, cols): (usize, usize),
        centred: bool,
    ) -> Result<(), MpcError> {
        let demand = self.next();
        let (mut products, mut means) = (vec![0; rows * cols], centred.then(|| vec![0; rows]));
        let weights = self.weights.mask_rows(weight, 2 * cols)?;
        residual_products(self.kernel, a, weights, &mut products, means.as_deref_mut());
        self.share(demand, Purpose::Dealt, products)?;
        means.map_or(Ok(()), |means| self.share(demand, Purpose::Second, means))
    }

    fn matmul(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[Dims], rhs: Rhs) -> Result<Vec<()>, MpcError> {
        let mut values: Vec<Vec<u64>> = dims.iter().map(|dims| vec![0; dims.m * dims.n]).collect();
        let mut products = Vec::with_capacity(pairs.len());
        for (((a, b), dims), c) in pairs.iter().zip(dims).zip(&mut values) {
            products.push(Product { dims: *dims, a, b, rhs, c });
        }
        self.kernel.gemm_batch(&mut products);
        for value in values {
            let demand = self.next();
            self.share(demand, Purpose::Dealt, value)?;
        }
        Ok(vec![(); pairs.len()])
    }

    fn square(&mut self, x: &[(&Vec<u64>, usize)]) -> Result<Vec<()>, MpcError> {
        for (a, count) in x {
            let demand = self.next();
            let mut squares = vec![0; *count];
            self.kernel.mul_add(a, a, &mut squares);
            self.share(demand, Purpose::Dealt, squares)?;
        }
        Ok(vec![(); x.len()])
    }

    fn square_sum(&mut self, a: &Vec<u64>, rows: usize, cols: usize) -> Result<(), MpcError> {
        let demand = self.next();
        let mut sums = vec![0; rows];
        self.kernel.row_dot(cols, a, a, &mut sums);
        self.share(demand, Purpose::Dealt, sums)
    }

    fn scale_rows(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[(usize, usize)]) -> Result<Vec<()>, MpcError> {
        for ((a, b), (rows, cols)) in pairs.iter().zip(dims) {
            let demand = self.next();
            let mut products = vec![0; rows * cols];
            self.kernel.scale_rows_add(*cols, a, b, &mut products);
            self.share(demand, Purpose::Dealt, products)?;
        }
        Ok(vec![(); pairs.len()])
    }

    fn evaluate(&mut self, x: &[Evaluation<'_, Vec<Vec<u64>>, Vec<u64>>]) -> Result<Vec<()>, MpcError> {
        for Evaluation { phase: masks, curve, gate, .. } in x {
            for (mask, segment) in masks.iter().zip(&curve.segments) {
                let (demand, series) = (self.next(), &segment.series);
                let mut waves = vec![0; 2 * series.harmonics.len() * mask.len()];
                let turn = series.turn().with_kernel(self.kernel);
                turn.waves(&series.harmonics, series.trig_frac, mask, &mut waves);
                let gated = gate.map(|gate| gated_waves(&waves, mask.len(), gate));
                self.share(demand, Purpose::Dealt, waves)?;
                gated.map_or(Ok(()), |gated| self.share(demand, Purpose::Second, gated))?;
            }
        }
        Ok(vec![(); x.iter().flat_map(Evaluation::curves).count()])
    }

    fn add(&mut self, _: ((), u32), _: ((), u32)) {}

    fn row_sums(&mut self, _: &(), _: usize, _: usize) {}

    fn opened_row_sums(&mut self, a: &Vec<u64>, rows: usize, cols: usize) -> Vec<u64> {
        row_sums(self.kernel, a, rows, cols)
    }

    fn relative(&mut self, _: (), _: &(), _: Option<&()>, _: &RowShift) {}

    fn rotate(&mut self, _: (), _: usize, _: &[u64], _: &[u64]) {}

    fn affine(&mut self, _: (), _: u64, _: u64) {}

    fn offset(&mut self, a: Vec<u64>, _: u64) -> Vec<u64> {
        a
    }

    fn gated_offset(&mut self, a: Vec<u64>, by: u64, gate: &Vec<u64>) -> Vec<u64> {
        add_to_columns(a, by, gate)
    }

    fn shared(&mut self, _: &Vec<u64>) -> Result<(), MpcError> {
        Ok(())
    }

    fn block(&mut self, a: &Vec<u64>, cols: usize, of: Block) -> Vec<u64> {
        copy_block(a, cols, of)
    }

    fn assemble(&mut self, grid: &[Vec<(&Vec<u64>, usize, usize)>]) -> Vec<u64> {
        assemble(grid)
    }

    fn open(
        &mut self,
        _: &Place<'_>,
        wires: &[(&(), WireOpening)],
        phases: &[(&(), PhaseOpening)],
    ) -> Result<(Vec<Vec<u64>>, Vec<Vec<Vec<u64>>>), MpcError> {
        let wires = wires.iter().map(|(_, opening)| self.wire(*opening)).collect::<Result<_, _>>()?;
        let phase = |(_, o): &(&(), PhaseOpening)| {
            o.segments.iter().map(|s| self.phase(o.rows * s.cols, s.modulus_bits)).collect()
        };
        Ok((wires, phases.iter().map(phase).collect()))
    }
}

/// Rows of waves, so many numbers each, times the mask of a gate.
fn gated_waves(waves: &[u64], count: usize, gate: &[u64]) -> Vec<u64> {
    let mut gated = waves.to_vec();
    gated.chunks_mut(count).for_each(|row| scale_rows(row, gate));
    gated
}
