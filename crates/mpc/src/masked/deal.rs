//! The dealer: the network interpreted on masks. A wire is its mask, a share is nothing.
//!
//! P0's half of every dealt value comes from P0's key, P1 gets value minus half.

use std::sync::Arc;

use model::{
    Arithmetic, Block, Curve, Fixed, InputKind, PhaseOpening, Rhs, Spec, Texts, Weight, WireOpening, assemble,
    classify, copy_block,
};
use ring64::{Dims, Kernel, add_assign, low_bits, mask_assign, pack, sub_assign};

use super::residual_products;
use crate::dealt::DealtWriter;
use crate::error::MpcError;
use crate::streams::{Purpose, Streams};
use crate::weights::DealerWeights;

/// Deals one batch: everything that P1 needs beyond its key goes to `writer`, in plan order.
pub fn deal<S: Streams>(
    spec: &Arc<Spec>,
    weights: &DealerWeights,
    texts: &Texts,
    kind: InputKind,
    streams: [S; 2],
    kernel: Kernel,
    writer: DealtWriter<'_>,
) -> Result<(), MpcError> {
    let [zero, one] = streams;
    let dealing = Dealing { weights, zero, one, kernel, demand: 0, writer };
    let mut engine = Fixed::new(spec.clone(), dealing);
    let input = engine.input(kind, texts, ());
    classify(&mut engine, &spec.shape, texts, kind, &input)?;
    engine.arithmetic.writer.finish()
}

struct Dealing<'w, 'd, S> {
    weights: &'w DealerWeights,
    zero: S,
    one: S,
    kernel: Kernel,
    demand: u64,
    writer: DealtWriter<'d>,
}

impl<S: Streams> Dealing<'_, '_, S> {
    /// The number of the next demand.
    fn next(&mut self) -> u64 {
        self.demand += 1;
        self.demand - 1
    }

    /// Shares a value: P0 finds its half in its stream, P1 is sent the rest.
    fn share(&mut self, demand: u64, purpose: Purpose, mut value: Vec<u64>) -> Result<(), MpcError> {
        let half = self.zero.words(demand, purpose, value.len(), self.kernel);
        sub_assign(&mut value, &half);
        self.send(&value)
    }

    fn send(&mut self, words: &[u64]) -> Result<(), MpcError> {
        let mut bytes = Vec::with_capacity(8 * words.len());
        pack(words, 0, 64, &mut bytes);
        self.writer.write(&bytes)
    }

    fn wire(&mut self, opening: WireOpening) -> Result<Vec<u64>, MpcError> {
        let (demand, count, kept) = (self.next(), opening.count(), opening.kept());
        let half = self.zero.words(demand, Purpose::Mask, count, self.kernel);
        let mut mask = self.one.words(demand, Purpose::Mask, count, self.kernel);
        add_assign(&mut mask, &half);
        mask_assign(&mut mask, low_bits(kept));
        if opening.drop > 0 {
            // P1's half is mask - half: its low bits are P1's own, the high ones are the carry of the halves
            let carry: Vec<u64> = mask.iter().zip(&half).map(|(a, h)| a.wrapping_sub(*h)).collect();
            let mut bytes = Vec::new();
            pack(&carry, kept, opening.drop, &mut bytes);
            self.writer.write(&bytes)?;
        }
        Ok(mask)
    }

    fn phase(&mut self, count: usize, modulus_bits: u32) -> Vec<u64> {
        let demand = self.next();
        let mut mask = self.zero.words(demand, Purpose::Mask, count, self.kernel);
        add_assign(&mut mask, &self.one.words(demand, Purpose::Mask, count, self.kernel));
        mask_assign(&mut mask, low_bits(modulus_bits));
        mask
    }
}

impl<S: Streams> Arithmetic for Dealing<'_, '_, S> {
    type Wire = Vec<u64>;
    type Phase = Vec<Vec<u64>>;
    type Share = ();
    type Error = MpcError;

    fn linear(&mut self, a: &Vec<u64>, weight: Weight, dims: Dims) -> Result<(), MpcError> {
        let demand = self.next();
        let mut product = vec![0; dims.m * dims.n];
        let b = self.weights.mask(weight, dims.k * dims.n)?;
        self.kernel.gemm(dims, a, &b.weight, Rhs::AsIs, &mut product);
        self.share(demand, Purpose::Dealt, product)
    }

    fn add_rows(&mut self, _: (), _: Weight, _: &[usize], _: usize) -> Result<(), MpcError> {
        Ok(())
    }

    fn residual(&mut self, a: &Vec<u64>, weight: Weight, rows: usize, cols: usize) -> Result<(), MpcError> {
        let demand = self.next();
        let (mut products, mut means) = (vec![0; rows * cols], vec![0; rows]);
        let weights = &self.weights.mask(weight, 2 * cols)?.weight;
        residual_products(self.kernel, a, weights, &mut products, &mut means);
        self.share(demand, Purpose::Dealt, products)?;
        self.share(demand, Purpose::Second, means)
    }

    fn matmul(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[Dims], rhs: Rhs) -> Result<Vec<()>, MpcError> {
        for ((a, b), dims) in pairs.iter().zip(dims) {
            let demand = self.next();
            let mut product = vec![0; dims.m * dims.n];
            self.kernel.gemm(*dims, a, b, rhs, &mut product);
            self.share(demand, Purpose::Dealt, product)?;
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

    fn evaluate(&mut self, x: &[(&Vec<Vec<u64>>, usize, &Curve)]) -> Result<Vec<()>, MpcError> {
        for (masks, _, curve) in x {
            for (mask, segment) in masks.iter().zip(&curve.segments) {
                let (demand, count, series) = (self.next(), mask.len(), &segment.series);
                let turn = series.turn().with_kernel(self.kernel);
                let multiples = &series.harmonics;
                let mut waves = vec![0; 2 * multiples.len() * count];
                turn.waves(multiples, series.trig_frac, mask, &mut waves);
                self.share(demand, Purpose::Dealt, waves)?;
            }
        }
        Ok(vec![(); x.len()])
    }

    fn add(&mut self, _: ((), u32), _: ((), u32)) {}

    fn row_sums(&mut self, _: &(), _: usize, _: usize) {}

    fn offset(&mut self, a: Vec<u64>, _: u64) -> Vec<u64> {
        a
    }

    fn block(&mut self, a: &Vec<u64>, cols: usize, of: Block) -> Vec<u64> {
        copy_block(a, cols, of)
    }

    fn assemble(&mut self, grid: &[Vec<(&Vec<u64>, usize, usize)>]) -> Vec<u64> {
        assemble(grid)
    }

    fn open(
        &mut self,
        _: &str,
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
