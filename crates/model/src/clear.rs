//! The network in clear on the integers of the private run: same scales, same series, nearest rounding instead of the
//! private run's random one. It tells fixed-point error from protocol error, on whole data sets.

use std::sync::Arc;

use ring64::{Dims, Kernel, Rhs};

use crate::arithmetic::{Arithmetic, Evaluation, Form, PhaseOpening, Place, RowShift, WireOpening};
use crate::comparisons::{Comparing, Comparisons, Flipping, Joining, SignBits};
use crate::engine::Block;
use crate::fixed::Fixed;
use crate::layout::{
    add_to_columns, assemble, copy_block, join_columns, outer_product, rotate, scale_rows, split_columns,
};
use crate::opening::Curve;
use crate::quantise::Quantised;
use crate::scales::Scales;
use crate::spec_error::SpecError;
use crate::table::{Site, Weight};

/// Integers in clear.
pub struct Clear<'a> {
    weights: &'a Quantised,
    kernel: Kernel,
    trace: Option<Vec<(Site, Vec<f64>)>>,
}

impl<'a> Clear<'a> {
    /// The engine.
    pub fn new(scales: Arc<Scales>, weights: &'a Quantised) -> Fixed<Clear<'a>> {
        Fixed::new(scales, Clear { weights, kernel: Kernel::detect(), trace: None })
    }

    /// The engine, which keeps every wire that it opens ([`Clear::into_trace`]).
    pub fn traced(scales: Arc<Scales>, weights: &'a Quantised) -> Fixed<Clear<'a>> {
        Fixed::new(scales, Clear { weights, kernel: Kernel::detect(), trace: Some(Vec::new()) })
    }

    /// Every wire that was opened, in order, as real numbers; defects too.
    pub fn into_trace(self) -> Vec<(Site, Vec<f64>)> {
        self.trace.unwrap_or_default()
    }
}

impl Arithmetic for Clear<'_> {
    type Wire = Vec<u64>;
    type Phase = Vec<Vec<u64>>;
    type Share = Vec<u64>;
    type Error = SpecError;

    fn linear(
        &mut self,
        x: &Vec<u64>,
        weight: Weight,
        dims: Dims,
        gate: Option<&Vec<u64>>,
    ) -> Result<Vec<u64>, SpecError> {
        let w = &self.weights[&weight];
        let mut y = match (&w.bias, gate) {
            (Some(bias), None) => bias.repeat(dims.m),
            (Some(bias), Some(gate)) => outer_product(gate, bias),
            (None, _) => vec![0; dims.m * dims.n],
        };
        self.kernel.gemm(dims, x, &w.weight, Rhs::AsIs, &mut y);
        Ok(y)
    }

    fn add_rows(
        &mut self,
        mut x: Vec<u64>,
        weight: Weight,
        rows: &[usize],
        cols: usize,
    ) -> Result<Vec<u64>, SpecError> {
        let table = &self.weights[&weight].weight;
        for (out, row) in x.chunks_mut(cols).zip(rows) {
            ring64::add_assign(out, &table[row * cols..(row + 1) * cols]);
        }
        Ok(x)
    }

    fn residual(
        &mut self,
        x: &Vec<u64>,
        weight: Weight,
        (_, cols): (usize, usize),
        centred: bool,
    ) -> Result<Vec<u64>, SpecError> {
        let (gamma, share) = self.weights[&weight].weight.split_at(cols);
        let dot = |row: &[u64]| row.iter().zip(share).fold(0u64, |sum, (x, g)| sum.wrapping_add(x.wrapping_mul(*g)));
        let mut y = Vec::with_capacity(x.len());
        for row in x.chunks(cols) {
            let mean = if centred { dot(row) } else { 0 };
            y.extend(row.iter().zip(gamma).map(|(x, g)| x.wrapping_mul(*g).wrapping_sub(mean)));
        }
        Ok(y)
    }

    fn matmul(
        &mut self,
        pairs: &[(&Vec<u64>, &Vec<u64>)],
        dims: &[Dims],
        rhs: Rhs,
    ) -> Result<Vec<Vec<u64>>, SpecError> {
        let product = |((a, b), d): (&(&Vec<u64>, &Vec<u64>), &Dims)| {
            let mut c = vec![0; d.m * d.n];
            self.kernel.gemm(*d, a, b, rhs, &mut c);
            c
        };
        Ok(pairs.iter().zip(dims).map(product).collect())
    }

    fn square(&mut self, x: &[(&Vec<u64>, usize)]) -> Result<Vec<Vec<u64>>, SpecError> {
        Ok(x.iter().map(|(x, _)| x.iter().map(|v| v.wrapping_mul(*v)).collect()).collect())
    }

    fn square_sum(&mut self, x: &Vec<u64>, rows: usize, cols: usize) -> Result<Vec<u64>, SpecError> {
        let mut sums = vec![0; rows];
        self.kernel.row_dot(cols, x, x, &mut sums);
        Ok(sums)
    }

    fn scale_rows(
        &mut self,
        pairs: &[(&Vec<u64>, &Vec<u64>)],
        dims: &[(usize, usize)],
    ) -> Result<Vec<Vec<u64>>, SpecError> {
        let mut scaled = Vec::with_capacity(pairs.len());
        for ((a, r), (_, cols)) in pairs.iter().zip(dims) {
            let mut c = vec![0; a.len()];
            self.kernel.scale_rows_add(*cols, a, r, &mut c);
            scaled.push(c);
        }
        Ok(scaled)
    }

    fn evaluate(&mut self, x: &[Evaluation<'_, Vec<Vec<u64>>, Vec<u64>>]) -> Result<Vec<Vec<u64>>, SpecError> {
        let one = |(asked, curve): (&Evaluation<'_, Vec<Vec<u64>>, Vec<u64>>, &Curve)| {
            let segments = asked.phase.iter().zip(&curve.segments);
            let parts: Vec<_> = segments.map(|(p, s)| (s.series.evaluate(p), s.cols)).collect();
            let mut values = join_columns(&parts, asked.rows);
            if let Some(gate) = asked.gate {
                scale_rows(&mut values, gate);
            }
            values
        };
        Ok(x.iter().flat_map(|asked| asked.curves().map(move |curve| (asked, curve))).map(one).collect())
    }

    fn add(&mut self, a: (Vec<u64>, u32), b: (Vec<u64>, u32)) -> Vec<u64> {
        a.0.iter().zip(&b.0).map(|(x, y)| (x << a.1).wrapping_add(y << b.1)).collect()
    }

    fn row_sums(&mut self, x: &Vec<u64>, _: usize, cols: usize) -> Vec<u64> {
        x.chunks(cols).map(|row| row.iter().fold(0u64, |s, v| s.wrapping_add(*v))).collect()
    }

    fn opened_row_sums(&mut self, x: &Vec<u64>, rows: usize, cols: usize) -> Vec<u64> {
        self.row_sums(x, rows, cols)
    }

    fn rotate(&mut self, x: Vec<u64>, cols: usize, cos: &[u64], sin: &[u64]) -> Vec<u64> {
        rotate(&x, cols, cos, sin)
    }

    fn relative(
        &mut self,
        mut scores: Vec<u64>,
        predicted: &Vec<u64>,
        gates: Option<&Vec<u64>>,
        by: &RowShift,
    ) -> Vec<u64> {
        by.apply(&mut scores, predicted, gates.map(Vec::as_slice), true);
        scores
    }

    fn affine(&mut self, mut x: Vec<u64>, plus: u64, times: u64) -> Vec<u64> {
        x.iter_mut().for_each(|v| *v = v.wrapping_add(plus).wrapping_mul(times));
        x
    }

    fn offset(&mut self, mut x: Vec<u64>, by: u64) -> Vec<u64> {
        x.iter_mut().for_each(|v| *v = v.wrapping_add(by));
        x
    }

    fn gated_offset(&mut self, x: Vec<u64>, by: u64, gate: &Vec<u64>) -> Vec<u64> {
        add_to_columns(x, by, gate)
    }

    fn shared(&mut self, x: &Vec<u64>) -> Result<Vec<u64>, SpecError> {
        Ok(x.clone())
    }

    fn block(&mut self, x: &Vec<u64>, cols: usize, block: Block) -> Vec<u64> {
        copy_block(x, cols, block)
    }

    fn assemble(&mut self, grid: &[Vec<(&Vec<u64>, usize, usize)>]) -> Vec<u64> {
        assemble(grid)
    }

    fn opened(&mut self, site: Site, form: Form, wire: &Vec<u64>) {
        if let Some(trace) = &mut self.trace {
            trace.push((site, ring64::decode_slice(wire, form.frac)));
        }
    }

    fn open(
        &mut self,
        _: &Place<'_>,
        wires: &[(&Vec<u64>, WireOpening)],
        phases: &[(&Vec<u64>, PhaseOpening)],
    ) -> Result<(Vec<Vec<u64>>, Vec<Vec<Vec<u64>>>), SpecError> {
        let round = |x: &[u64], shift: u32| x.iter().map(|v| ring64::shift_round(*v, shift)).collect::<Vec<u64>>();
        let phase = |(x, o): &(&Vec<u64>, PhaseOpening)| {
            let x = round(x, o.shift);
            let masks = o.segments.iter().map(|s| (1u64 << s.modulus_bits) - 1);
            let parts = split_columns(&x, o.rows, &o.segments.iter().map(|s| s.cols).collect::<Vec<_>>());
            parts.into_iter().zip(masks).map(|(p, mask)| p.iter().map(|v| v & mask).collect()).collect()
        };
        Ok((wires.iter().map(|(x, o)| round(x, o.shift)).collect(), phases.iter().map(phase).collect()))
    }
}

/// Nothing is masked, so nothing is borrowed: the first bit is the sign, whatever is cut.
impl Comparisons for Clear<'_> {
    fn difference(&mut self, x: &Vec<u64>, y: &Vec<u64>) -> Vec<u64> {
        x.iter().zip(y).map(|(x, y)| x.wrapping_sub(*y)).collect()
    }

    fn compare(&mut self, x: &[Comparing<'_, Vec<u64>>]) -> Result<Vec<SignBits<Vec<u64>>>, SpecError> {
        let bits = |asked: &Comparing<'_, Vec<u64>>| {
            let top = asked.chunks.cut + asked.chunks.widths().iter().sum::<u32>() - 1;
            let first = asked.wire.iter().map(|v| v >> top & 1).collect();
            SignBits { first, others: vec![0; asked.chunks.others() * asked.count] }
        };
        Ok(x.iter().map(bits).collect())
    }

    fn join(&mut self, x: Vec<Joining<'_, Vec<u64>, Vec<Vec<u64>>>>) -> Result<Vec<Vec<u64>>, SpecError> {
        Ok(x.into_iter().map(|asked| asked.first).collect())
    }

    fn flip(&mut self, x: &[Flipping<'_, Vec<Vec<u64>>, Vec<u64>>]) -> Result<Vec<Vec<Vec<u64>>>, SpecError> {
        let flipped = |asked: &Flipping<'_, Vec<Vec<u64>>, Vec<u64>>| {
            let signs: Vec<u64> = asked.bits[0].concat().iter().map(|bit| 1u64.wrapping_sub(bit << 1)).collect();
            let product = |y: &&Vec<u64>| y.iter().zip(&signs).map(|(y, sign)| y.wrapping_mul(*sign)).collect();
            std::iter::once(signs.clone()).chain(asked.wires.iter().map(product)).collect()
        };
        Ok(x.iter().map(flipped).collect())
    }
}
