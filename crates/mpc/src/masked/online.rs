//! The online phase: the network interpreted on wires and shares. Only openings send anything.

use std::fmt;

use model::{
    Arithmetic, Block, Curve, Fixed, PhaseOpening, Rhs, Weight, WireOpening, assemble, classify, copy_block,
    join_columns, split_columns,
};
use net::{Frame, Header, Link};
use ring64::{Dims, Kernel, add_assign, low_bits, mask_assign, pack, packed_len, unpack_add};

use super::prepare::{Correlation, Correlations};
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

/// Evaluates one batch on this party's share of the input, using up the correlations that were made for this attempt.
pub fn online(
    attempt: &Attempt<'_>,
    correlations: Correlations,
    input: Vec<u64>,
    peer: &mut dyn Link,
) -> Result<Outcome, MpcError> {
    let Attempt { spec, weights, texts, kind, request, number, kernel } = *attempt;
    if correlations.party != weights.party {
        return Err(MpcError::Role { party: weights.party, what: "correlations of the other party" });
    }
    if correlations.attempt != (request, number) {
        return Err(MpcError::Role { party: weights.party, what: "correlations of another attempt" });
    }
    let arithmetic = Online { weights, correlations, peer, step: 0, kernel };
    let mut engine = Fixed::new(spec.clone(), arithmetic);
    let input = engine.input(kind, texts, input);
    match classify(&mut engine, &spec.shape, texts, kind, &input) {
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

struct Online<'w, 'p> {
    weights: &'w PartyWeights,
    correlations: Correlations,
    peer: &'p mut dyn Link,
    step: u32,
    kernel: Kernel,
}

/// Takes the next correlation, which must be of the kind that the network asks for.
macro_rules! take {
    ($self:ident, $variant:pat => $value:expr, $expected:literal) => {{
        let index = $self.correlations.taken;
        $self.correlations.taken += 1;
        match $self.correlations.queue.pop_front() {
            Some($variant) => $value,
            other => {
                let got = other.map_or("nothing", |c| c.name());
                return Err(Stop::Error(MpcError::Correlation { index, expected: $expected, got }));
            }
        }
    }};
}

impl Online<'_, '_> {
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
        self.peer.send(Frame::new(Header::new(kind::OPEN, request, number, step), mine))?;
        Ok(self.peer.expect(kind::OPEN, request, number, step, Some(length))?)
    }
}

/// One item of an opening: shares plus masks, of which so many bits above `drop` are exchanged.
struct Item {
    words: Vec<u64>,
    drop: u32,
    kept: u32,
}

impl Item {
    fn new(share: &[u64], mask: Vec<u64>, offset: u64, drop: u32, kept: u32) -> Result<Item, MpcError> {
        if share.len() != mask.len() {
            return Err(MpcError::Opening { expected: mask.len(), got: share.len() });
        }
        let mut words = mask;
        words.iter_mut().zip(share).for_each(|(m, z)| *m = m.wrapping_add(*z).wrapping_add(offset));
        Ok(Item { words, drop, kept })
    }
}

impl Arithmetic for Online<'_, '_> {
    type Wire = Vec<u64>;
    type Phase = Vec<Vec<u64>>;
    type Share = Vec<u64>;
    type Error = Stop;

    fn linear(&mut self, x: &Vec<u64>, weight: Weight, dims: Dims) -> Result<Vec<u64>, Stop> {
        let mut z = take!(self, Correlation::Linear(rest) => rest, "a linear layer");
        let share = self.weights.share(weight, dims.k * dims.n)?;
        self.kernel.gemm(dims, x, &share.weight, Rhs::AsIs, &mut z);
        Ok(z)
    }

    fn add_rows(&mut self, mut x: Vec<u64>, weight: Weight, rows: &[usize], cols: usize) -> Result<Vec<u64>, Stop> {
        // the table may have more rows than this batch reads
        let least = rows.iter().max().map_or(0, |row| (row + 1) * cols);
        let expected = self.weights.share.get(&weight).map_or(0, |w| w.rows * cols).max(least);
        let table = &self.weights.share(weight, expected)?.weight;
        for (out, row) in x.chunks_mut(cols).zip(rows) {
            add_assign(out, &table[row * cols..(row + 1) * cols]);
        }
        Ok(x)
    }

    fn residual(&mut self, x: &Vec<u64>, weight: Weight, rows: usize, cols: usize) -> Result<Vec<u64>, Stop> {
        let mut z = take!(self, Correlation::Residual(rest) => rest, "a residual");
        let mut means = vec![0; rows];
        residual_products(self.kernel, x, &self.weights.share(weight, 2 * cols)?.weight, &mut z, &mut means);
        subtract_from_rows(&mut z, cols, &means);
        Ok(z)
    }

    fn matmul(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[Dims], rhs: Rhs) -> Result<Vec<Vec<u64>>, Stop> {
        let dealt = take!(self, Correlation::Matmul(dealt) => dealt, "a matrix product");
        let mut products = Vec::with_capacity(pairs.len());
        for (((x, y), dims), [minus_a, minus_b, mut z]) in pairs.iter().zip(dims).zip(dealt) {
            let right = self.right(minus_b, y);
            self.kernel.gemm(*dims, x, &right, rhs, &mut z);
            self.kernel.gemm(*dims, &minus_a, y, rhs, &mut z);
            products.push(z);
        }
        Ok(products)
    }

    fn square(&mut self, x: &[(&Vec<u64>, usize)]) -> Result<Vec<Vec<u64>>, Stop> {
        let dealt = take!(self, Correlation::Square(dealt) => dealt, "a square");
        let one = |((x, _), [minus_a, mut z]): (&(&Vec<u64>, usize), [Vec<u64>; 2])| {
            // x (i x - 2 [a])
            let mut right = minus_a;
            ring64::shift_left_assign(&mut right, 1);
            let right = self.right(right, x);
            self.kernel.mul_add(x, &right, &mut z);
            z
        };
        Ok(x.iter().zip(dealt).map(one).collect())
    }

    fn square_sum(&mut self, x: &Vec<u64>, _: usize, cols: usize) -> Result<Vec<u64>, Stop> {
        let [minus_a, mut z] = take!(self, Correlation::SquareSum(dealt) => dealt, "a sum of squares");
        let mut right = minus_a;
        ring64::shift_left_assign(&mut right, 1);
        let right = self.right(right, x);
        self.kernel.row_dot(cols, x, &right, &mut z);
        Ok(z)
    }

    fn scale_rows(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[(usize, usize)]) -> Result<Vec<Vec<u64>>, Stop> {
        let dealt = take!(self, Correlation::ScaleRows(dealt) => dealt, "a scaling of rows");
        let mut scaled = Vec::with_capacity(pairs.len());
        for (((x, r), (_, cols)), [minus_a, minus_b, mut z]) in pairs.iter().zip(dims).zip(dealt) {
            let right = self.right(minus_b, r);
            self.kernel.scale_rows_add(*cols, x, &right, &mut z);
            self.kernel.scale_rows_add(*cols, &minus_a, r, &mut z);
            scaled.push(z);
        }
        Ok(scaled)
    }

    fn evaluate(&mut self, x: &[(&Vec<Vec<u64>>, usize, &Curve)]) -> Result<Vec<Vec<u64>>, Stop> {
        let mut dealt = take!(self, Correlation::Series(dealt) => dealt, "a series").into_iter();
        let mut results = Vec::with_capacity(x.len());
        for (phases, rows, curve) in x {
            let mut parts = Vec::with_capacity(phases.len());
            for (phase, segment) in phases.iter().zip(&curve.segments) {
                let (series, count) = (&segment.series, phase.len());
                let turn = series.turn().with_kernel(self.kernel);
                let constant = match self.correlations.party {
                    Party::Zero => 0,
                    Party::One => series.constant as u64,
                };
                let mut z = vec![constant; count];
                let waves = dealt.next().unwrap_or_default();
                turn.series_add(series.terms(), phase, &waves, &mut z);
                parts.push((z, segment.cols));
            }
            results.push(join_columns(&parts, *rows));
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
        let (masks, phase_masks) = take!(self, Correlation::Open { wires, phases } => (wires, phases), "an opening");
        let zero = self.correlations.party == Party::Zero;
        let mut items = Vec::new();
        for ((share, o), mask) in wires.iter().zip(masks) {
            let offset = (1u64 << (o.bits - 1 + o.drop)).wrapping_add(low_bits(o.drop));
            items.push(Item::new(share, mask, if zero { offset } else { 0 }, o.drop, o.kept())?);
        }
        for ((share, o), masks) in phases.iter().zip(phase_masks) {
            let widths: Vec<_> = o.segments.iter().map(|s| s.cols).collect();
            let parts = split_columns(share, o.rows, &widths);
            let offset = if zero { low_bits(o.drop) } else { 0 };
            for ((part, mask), segment) in parts.iter().zip(masks).zip(&o.segments) {
                items.push(Item::new(part, mask, offset, o.drop, segment.modulus_bits)?);
            }
        }
        let mut mine = Vec::with_capacity(items.iter().map(|i| packed_len(i.words.len(), i.kept)).sum());
        for item in &items {
            pack(&item.words, item.drop, item.kept, &mut mine);
        }
        let theirs = self.exchange(mine)?;
        let mut at = 0;
        let mut opened = Vec::with_capacity(items.len());
        for Item { mut words, drop, kept } in items {
            let range = at..at + packed_len(words.len(), kept);
            at = range.end;
            // what was sent of our own words, without a way through bytes
            words.iter_mut().for_each(|w| *w >>= drop);
            let refused = |source| MpcError::Packed { peer: self.peer.peer().to_string(), what: "opening", source };
            unpack_add(&theirs[range], kept, &mut words).map_err(refused)?;
            mask_assign(&mut words, low_bits(kept));
            opened.push(words);
        }
        let mut opened = opened.into_iter();
        let mut restart = false;
        let lift = |(words, (_, o)): (Vec<u64>, &(&Vec<u64>, WireOpening))| {
            let mut words = words;
            restart |= words.iter().any(|w| *w < 1 << o.bits);
            words.iter_mut().for_each(|w| *w = w.wrapping_sub(1 << (o.bits - 1)));
            words
        };
        let lifted: Vec<_> = opened.by_ref().take(wires.len()).zip(wires).map(lift).collect();
        if restart {
            return Err(Stop::Restart);
        }
        let phases = phases.iter().map(|(_, o)| opened.by_ref().take(o.segments.len()).collect()).collect();
        Ok((lifted, phases))
    }
}
