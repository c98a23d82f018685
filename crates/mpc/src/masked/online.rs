//! The online phase: the network interpreted on wires and shares. Only openings send anything.

use std::fmt;
use std::mem::take;
use std::time::Instant;
use std::vec::IntoIter;

use model::{
    Arithmetic, Block, Curve, Fixed, PhaseOpening, Rhs, Weight, WireOpening, assemble, classify, copy_block,
    join_columns, split_columns,
};
use net::{Frame, Header, Link};
use ring64::{Dims, Kernel, add_assign, low_bits, packed_len};

use super::correlation::{Call, Correlations};
use super::trace::{Trace, Tracing};
use super::{Attempt, residual_products, subtract_from_rows};
use crate::error::MpcError;
use crate::kind;
use crate::weights::{Party, PartyWeights};

/// How an attempt ended.
pub enum Outcome {
    /// This party's share of the logits, one row a text, and its scale.
    Logits {
        /// Words.
        share: Vec<u64>,
        /// Fractional bits.
        frac: i32,
    },
    /// An opened word fell below its range: the sum may have wrapped. Both parties see the same words, so both stop here;
    /// start again with entirely fresh correlations.
    Restart,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Logits { share, .. } => write!(f, "Logits({} words, redacted)", share.len()),
            Outcome::Restart => write!(f, "Restart"),
        }
    }
}

/// Evaluates one batch on this party's share of the input, using up the correlations that were made for this attempt. The
/// input is lent: after a restart it is needed again. What it cost is added to `trace`.
pub fn online(
    attempt: &Attempt<'_>,
    correlations: Correlations,
    input: &mut Vec<u64>,
    peer: &mut dyn Link,
    trace: &mut Trace,
) -> Result<Outcome, MpcError> {
    let Attempt { spec, weights, texts, kind, request, number, kernel } = *attempt;
    if correlations.party != weights.party {
        return Err(MpcError::Role { party: weights.party, what: "correlations of the other party" });
    }
    if correlations.attempt != (request, number) {
        return Err(MpcError::Role { party: weights.party, what: "correlations of another attempt" });
    }
    let (layers, tracing) = (spec.shape.layers, Tracing::begin(trace));
    let arithmetic = Online { weights, correlations, peer, step: 0, kernel, layers, tracing };
    let mut engine = Fixed::new(spec.clone(), arithmetic);
    let share = engine.input(kind, texts, take(input));
    let outcome = classify(&mut engine, &spec.shape, texts, kind, &share);
    *input = share.data;
    match outcome {
        Ok(logits) => Ok(Outcome::Logits { share: logits.data, frac: logits.form.frac }),
        Err(Stop::Restart) => Ok(Outcome::Restart),
        Err(Stop::Error(error)) => Err(error),
    }
}

enum Stop {
    Restart,
    Error(MpcError),
}

impl<E: Into<MpcError>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Error(error.into())
    }
}

struct Online<'w, 'p, 't> {
    weights: &'w PartyWeights,
    correlations: Correlations,
    peer: &'p mut dyn Link,
    step: u32,
    kernel: Kernel,
    layers: usize,
    tracing: Tracing<'t>,
}

/// The next piece of a correlation; a missing one is empty, which no length check lets pass.
fn next(pieces: &mut IntoIter<Vec<u64>>) -> Vec<u64> {
    pieces.next().unwrap_or_default()
}

impl Online<'_, '_, '_> {
    /// `i y - [b]`: what multiplies `x` in `[xy] = i x y - x [b] - [a] y + [ab]`.
    fn right(&self, minus_b: Vec<u64>, y: &[u64]) -> Vec<u64> {
        let mut right = minus_b;
        if self.correlations.party == Party::One {
            add_assign(&mut right, y);
        }
        right
    }

    fn exchange(&mut self, mine: Vec<u8>) -> Result<Vec<u8>, MpcError> {
        let (length, step) = (mine.len(), self.step);
        self.step += 1;
        let (request, number) = self.correlations.attempt;
        let begin = Instant::now();
        self.peer.send(Frame::new(Header::new(kind::OPEN, request, number, step), mine))?;
        let theirs = self.peer.expect(kind::OPEN, request, number, step, Some(length))?;
        self.tracing.opened(length, begin.elapsed());
        Ok(theirs)
    }
}

/// One item of an opening: our own bits, to which the peer's are added, and the range to which wires are lifted.
struct Item {
    words: Vec<u64>,
    kept: u32,
    lift: Option<u32>,
}

/// The masks of an opening must be as many as its words.
fn fitting(share: &[u64], mask: Vec<u64>) -> Result<Vec<u64>, MpcError> {
    match share.len() == mask.len() {
        true => Ok(mask),
        false => Err(MpcError::Opening { expected: mask.len(), got: share.len() }),
    }
}

impl Arithmetic for Online<'_, '_, '_> {
    type Wire = Vec<u64>;
    type Phase = Vec<Vec<u64>>;
    type Share = Vec<u64>;
    type Error = Stop;

    fn linear(&mut self, x: &Vec<u64>, weight: Weight, dims: Dims) -> Result<Vec<u64>, Stop> {
        if let Some(part) = weight.begins_part(self.layers) {
            self.tracing.begin_part(part);
            self.correlations.begin_part(part);
        }
        let mut z = next(&mut self.correlations.take(Call::Linear)?);
        self.weights.share(weight, dims)?.multiply_add(dims.m, x, &mut z);
        Ok(z)
    }

    fn add_rows(&mut self, mut x: Vec<u64>, weight: Weight, rows: &[usize], cols: usize) -> Result<Vec<u64>, Stop> {
        let least = rows.iter().max().map_or(0, |row| (row + 1) * cols);
        let table = self.weights.share_rows(weight, least)?;
        for (out, row) in x.chunks_mut(cols).zip(rows) {
            add_assign(out, &table[row * cols..(row + 1) * cols]);
        }
        Ok(x)
    }

    fn residual(&mut self, x: &Vec<u64>, weight: Weight, rows: usize, cols: usize) -> Result<Vec<u64>, Stop> {
        let mut z = next(&mut self.correlations.take(Call::Residual)?);
        let mut means = vec![0; rows];
        residual_products(self.kernel, x, self.weights.share_rows(weight, 2 * cols)?, &mut z, &mut means);
        subtract_from_rows(&mut z, cols, &means);
        Ok(z)
    }

    fn matmul(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[Dims], rhs: Rhs) -> Result<Vec<Vec<u64>>, Stop> {
        let mut dealt = self.correlations.take(Call::Matmul)?;
        let mut products = Vec::with_capacity(pairs.len());
        for ((x, y), dims) in pairs.iter().zip(dims) {
            let (minus_a, minus_b, mut z) = (next(&mut dealt), next(&mut dealt), next(&mut dealt));
            let right = self.right(minus_b, y);
            self.kernel.gemm(*dims, x, &right, rhs, &mut z);
            self.kernel.gemm(*dims, &minus_a, y, rhs, &mut z);
            products.push(z);
        }
        Ok(products)
    }

    fn square(&mut self, x: &[(&Vec<u64>, usize)]) -> Result<Vec<Vec<u64>>, Stop> {
        let mut dealt = self.correlations.take(Call::Square)?;
        let mut squares = Vec::with_capacity(x.len());
        for (x, _) in x {
            // x (i x - 2 [a])
            let (minus_twice_a, mut z) = (next(&mut dealt), next(&mut dealt));
            self.kernel.mul_add(x, &self.right(minus_twice_a, x), &mut z);
            squares.push(z);
        }
        Ok(squares)
    }

    fn square_sum(&mut self, x: &Vec<u64>, _: usize, cols: usize) -> Result<Vec<u64>, Stop> {
        let mut dealt = self.correlations.take(Call::SquareSum)?;
        let (minus_twice_a, mut z) = (next(&mut dealt), next(&mut dealt));
        self.kernel.row_dot(cols, x, &self.right(minus_twice_a, x), &mut z);
        Ok(z)
    }

    fn scale_rows(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[(usize, usize)]) -> Result<Vec<Vec<u64>>, Stop> {
        let mut dealt = self.correlations.take(Call::ScaleRows)?;
        let mut scaled = Vec::with_capacity(pairs.len());
        for ((x, r), (_, cols)) in pairs.iter().zip(dims) {
            let (minus_a, minus_b, mut z) = (next(&mut dealt), next(&mut dealt), next(&mut dealt));
            let right = self.right(minus_b, r);
            self.kernel.scale_rows_add(*cols, x, &right, &mut z);
            self.kernel.scale_rows_add(*cols, &minus_a, r, &mut z);
            scaled.push(z);
        }
        Ok(scaled)
    }

    fn evaluate(&mut self, x: &[(&Vec<Vec<u64>>, usize, &Curve)]) -> Result<Vec<Vec<u64>>, Stop> {
        let mut dealt = self.correlations.take(Call::Series)?;
        let mut results = Vec::with_capacity(x.len());
        for (phases, rows, curve) in x {
            let mut parts = Vec::with_capacity(phases.len());
            for (phase, segment) in phases.iter().zip(&curve.segments) {
                let series = &segment.series;
                let constant = match self.correlations.party {
                    Party::Zero => 0,
                    Party::One => series.constant as u64,
                };
                let mut z = vec![constant; phase.len()];
                let turn = series.turn().with_kernel(self.kernel);
                turn.series_add(series.terms(), phase, &next(&mut dealt), &mut z);
                parts.push((z, segment.cols));
            }
            results.push(match parts.len() {
                1 => parts.remove(0).0,
                _ => join_columns(&parts, *rows),
            });
        }
        Ok(results)
    }

    fn add(&mut self, a: (Vec<u64>, u32), b: (Vec<u64>, u32)) -> Vec<u64> {
        let (mut z, mut other) = (a.0, b.0);
        ring64::shift_left_assign(&mut z, a.1);
        ring64::shift_left_assign(&mut other, b.1);
        add_assign(&mut z, &other);
        z
    }

    fn row_sums(&mut self, x: &Vec<u64>, _: usize, cols: usize) -> Vec<u64> {
        x.chunks(cols).map(|row| row.iter().fold(0u64, |sum, v| sum.wrapping_add(*v))).collect()
    }

    fn offset(&mut self, mut x: Vec<u64>, by: u64) -> Vec<u64> {
        x.iter_mut().for_each(|v| *v = v.wrapping_add(by));
        x
    }

    fn block(&mut self, x: &Vec<u64>, cols: usize, of: Block) -> Vec<u64> {
        copy_block(x, cols, of)
    }

    fn assemble(&mut self, grid: &[Vec<(&Vec<u64>, usize, usize)>]) -> Vec<u64> {
        assemble(grid)
    }

    /// `x^ = top_K(z_0 + r_0 + offset) + top_K(z_1 + r_1) mod 2^K`. P0 adds the public offset: half the range, so that the sum is
    /// positive, and `2^drop - 1`, so that dropping bits rounds without bias.
    fn open(
        &mut self,
        _: &str,
        wires: &[(&Vec<u64>, WireOpening)],
        phases: &[(&Vec<u64>, PhaseOpening)],
    ) -> Result<(Vec<Vec<u64>>, Vec<Vec<Vec<u64>>>), Stop> {
        let mut masks = self.correlations.take(Call::Opening)?;
        let zero = self.correlations.party == Party::Zero;
        let mut items = Vec::new();
        let mut mine = Vec::with_capacity(opened_len(wires, phases));
        for (share, o) in wires {
            let offset = (1u64 << (o.bits - 1 + o.drop)).wrapping_add(low_bits(o.drop));
            let (offset, kept) = (if zero { offset } else { 0 }, o.kept());
            let mut words = fitting(share, next(&mut masks))?;
            self.kernel.open_send(share, offset, o.drop, kept, &mut words, &mut mine);
            items.push(Item { words, kept, lift: Some(o.bits) });
        }
        for (share, o) in phases {
            let offset = if zero { low_bits(o.drop) } else { 0 };
            let widths: Vec<_> = o.segments.iter().map(|s| s.cols).collect();
            let cut = if widths.len() > 1 { split_columns(share, o.rows, &widths) } else { Vec::new() };
            for (at, segment) in o.segments.iter().enumerate() {
                let (part, kept) = (cut.get(at).unwrap_or(share), segment.modulus_bits);
                let mut words = fitting(part, next(&mut masks))?;
                self.kernel.open_send(part, offset, o.drop, kept, &mut words, &mut mine);
                items.push(Item { words, kept, lift: None });
            }
        }
        let theirs = self.exchange(mine)?;
        let (mut at, mut within) = (0, true);
        let mut opened = Vec::with_capacity(items.len());
        for Item { mut words, kept, lift } in items {
            let range = at..at + packed_len(words.len(), kept);
            at = range.end;
            let refused = |source| MpcError::Packed { peer: self.peer.peer().to_string(), what: "opening", source };
            within &= self.kernel.open_receive(&theirs[range], kept, lift, &mut words).map_err(refused)?;
            opened.push(words);
        }
        if !within {
            return Err(Stop::Restart);
        }
        let mut opened = opened.into_iter();
        let wires = opened.by_ref().take(wires.len()).collect();
        let phases = phases.iter().map(|(_, o)| opened.by_ref().take(o.segments.len()).collect()).collect();
        Ok((wires, phases))
    }
}

/// Bytes that each party sends in an opening.
fn opened_len(wires: &[(&Vec<u64>, WireOpening)], phases: &[(&Vec<u64>, PhaseOpening)]) -> usize {
    let of_wires = wires.iter().map(|(_, o)| packed_len(o.count(), o.kept()));
    let of_phases = phases
        .iter()
        .flat_map(|(_, o)| o.segments.iter().map(|segment| packed_len(o.rows * segment.cols, segment.modulus_bits)));
    of_wires.chain(of_phases).sum()
}
