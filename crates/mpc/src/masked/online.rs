//! The online phase: the network interpreted on wires and shares. Only openings send anything.

use std::cell::Ref;
use std::mem::take;
use std::rc::Rc;
use std::vec::IntoIter;

use model::{
    Arithmetic, Block, Evaluation, Fixed, Network, Operation, PhaseOpening, Place, Rhs, RowShift, Weight, WireOpening,
    add_to_columns, assemble, copy_block, join_columns, outer_product, rotate, scale_rows, split_columns,
};
use net::Link;
use ring64::{Dims, Kernel, Product, add_assign, low_bits, packed_len, sub_assign};

use super::beside::beside;
use super::correlation::Call;
use super::exchange::{Exchange, Opened};
use super::frames::opening_frames;
use super::share::Share;
use super::store::Correlations;
use super::weights::PartyWeights;
use super::{residual_products, row_sums, subtract_from_rows};
use crate::error::MpcError;
use crate::party::Party;
use crate::run::{Outcome, OutputShare, Run};
use crate::trace::{Trace, Tracing};

/// Evaluates one attempt on this party's shares of the inputs, one a batch, using up the correlations that were made for it. The
/// inputs are lent: after a restart they are needed again. What it cost is added to `trace`.
pub fn online<N: Network>(
    run: &Run<'_, N>,
    weights: &PartyWeights,
    correlations: Correlations,
    inputs: &mut [Vec<u64>],
    peer: &mut dyn Link,
    trace: &mut Trace,
) -> Result<Outcome, MpcError> {
    let Run { calibrated, batches, request, attempt, kernel } = *run;
    if correlations.party != weights.party {
        return Err(MpcError::Role { party: weights.party, what: "correlations of the other party" });
    }
    if correlations.attempt != (request, attempt) {
        return Err(MpcError::Role { party: weights.party, what: "correlations of another attempt" });
    }
    if inputs.len() != batches.len() {
        return Err(MpcError::Role { party: weights.party, what: "not one input a batch" });
    }
    let (tracing, scope) = (Tracing::begin(trace), Scope::default());
    let arithmetic = Online { weights, correlations, peer, step: 0, kernel, tracing, scope };
    let mut engine = Fixed::new(calibrated.scales.clone(), arithmetic);
    let shares = batches.iter().zip(&mut *inputs).map(|(batch, input)| calibrated.input(batch, Share::of(take(input))));
    let shares: Vec<_> = shares.collect();
    let outcome = engine.run(&calibrated.network, batches, &shares);
    inputs.iter_mut().zip(shares).for_each(|(input, share)| *input = share.data.into_words());
    match outcome {
        Ok(outputs) => {
            let share = |output: model::Output<model::Value<Share<'_>>>| OutputShare {
                frac: output.results.form.frac,
                results: output.results.data.into_words(),
                certificates: output.certificates.into_iter().flat_map(|c| c.data.into_words()).collect(),
            };
            Ok(Outcome::Outputs(outputs.into_iter().map(share).collect()))
        }
        Err(Stop::Restart) => Ok(Outcome::Restart),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// Where the network is.
#[derive(Clone, Copy, Default)]
struct Scope {
    /// The part that it is in, and how many were begun over all runs.
    part: usize,
    parts: usize,
    operation: Operation,
    /// Which operation the last opened phases belong to.
    function: Operation,
}

/// Opened words. A product that is computed later keeps its factors.
pub(super) type Wire = Rc<Vec<u64>>;
/// Of `x (i y - [b]) - [a] y + [ab]`: x, the right factor of the first product, `-[a]`, y, and what both are added to.
type Factors = (Wire, Vec<u64>, Vec<u64>, Wire, Vec<u64>);

pub(super) enum Stop {
    Restart,
    Error(MpcError),
}

impl<E: Into<MpcError>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Error(error.into())
    }
}

pub(super) struct Online<'w, 'p, 't> {
    weights: &'w PartyWeights,
    pub(super) correlations: Correlations,
    peer: &'p mut dyn Link,
    step: u32,
    kernel: Kernel,
    tracing: Tracing<'t>,
    scope: Scope,
}

/// The next piece of a correlation; a missing one is empty, which no length check lets pass.
pub(super) fn next(pieces: &mut IntoIter<Vec<u64>>) -> Vec<u64> {
    pieces.next().unwrap_or_default()
}

impl Online<'_, '_, '_> {
    /// Parts of all runs are counted through.
    fn begin_part(&mut self, part: usize) {
        (self.scope.part, self.scope.parts) = (part, self.scope.parts + 1);
        self.tracing.begin_part(part);
        self.correlations.begin_part(self.scope.parts);
    }

    /// `i y - [b]`: what multiplies `x` in `[xy] = i x y - x [b] - [a] y + [ab]`, and `y` itself as a share.
    fn as_share(&self, y: &[u64], minus_b: Vec<u64>) -> Vec<u64> {
        let mut share = minus_b;
        if self.correlations.party == Party::One {
            add_assign(&mut share, y);
        }
        share
    }
}

impl<'w> Arithmetic for Online<'w, '_, '_> {
    type Wire = Wire;
    type Phase = Vec<Vec<u64>>;
    type Share = Share<'w>;
    type Error = Stop;

    fn begin_run(&mut self) -> Result<(), Stop> {
        self.begin_part(0);
        Ok(())
    }

    fn begin(&mut self, part: usize, operation: Operation) -> Result<(), Stop> {
        if part != self.scope.part {
            self.begin_part(part);
        }
        self.scope.operation = operation;
        self.tracing.begin_operation(operation);
        Ok(())
    }

    fn linear(&mut self, x: &Wire, weight: Weight, dims: Dims, gate: Option<&Wire>) -> Result<Share<'w>, Stop> {
        let mut z = next(&mut self.correlations.take(Call::Linear)?);
        if let (Some(gate), Some(bias)) = (gate, self.weights.bias(weight, dims.n)?) {
            add_assign(&mut z, &outer_product(gate, bias));
        }
        let (share, x) = (self.weights.share(weight, dims)?, x.clone());
        Ok(Share::later(z, move |z| share.multiply_add(dims.m, &x, z)))
    }

    fn add_rows(&mut self, x: Share<'w>, weight: Weight, rows: &[usize], cols: usize) -> Result<Share<'w>, Stop> {
        let mut x = x.into_words();
        let least = rows.iter().max().map_or(0, |row| (row + 1) * cols);
        let table = self.weights.share_rows(weight, least)?;
        for (out, row) in x.chunks_mut(cols).zip(rows) {
            add_assign(out, &table[row * cols..(row + 1) * cols]);
        }
        Ok(Share::of(x))
    }

    fn residual(
        &mut self,
        x: &Wire,
        weight: Weight,
        (rows, cols): (usize, usize),
        centred: bool,
    ) -> Result<Share<'w>, Stop> {
        let mut z = next(&mut self.correlations.take(Call::Residual)?);
        let mut means = centred.then(|| vec![0; rows]);
        let weights = self.weights.share_rows(weight, 2 * cols)?;
        residual_products(self.kernel, x, weights, &mut z, means.as_deref_mut());
        subtract_from_rows(&mut z, cols, means.as_deref().unwrap_or_default());
        Ok(Share::of(z))
    }

    fn matmul(&mut self, pairs: &[(&Wire, &Wire)], dims: &[Dims], rhs: Rhs) -> Result<Vec<Share<'w>>, Stop> {
        let mut dealt = self.correlations.take(Call::Matmul)?;
        let mut factors: Vec<Factors> = Vec::with_capacity(pairs.len());
        for (x, y) in pairs {
            let (minus_a, minus_b, z) = (next(&mut dealt), next(&mut dealt), next(&mut dealt));
            let right = self.as_share(y, minus_b);
            factors.push((Rc::clone(x), right, minus_a, Rc::clone(y), z));
        }
        let kernel = self.kernel;
        if ring64::threads() > 1 {
            // products that are too small to share threads share them among each other, all at once
            for first in [true, false] {
                let mut products = Vec::with_capacity(factors.len());
                for ((x, right, minus_a, y, c), dims) in factors.iter_mut().zip(dims) {
                    let (a, b) = if first { (&x[..], &right[..]) } else { (&minus_a[..], &y[..]) };
                    products.push(Product { dims: *dims, a, b, rhs, c });
                }
                kernel.gemm_batch(&mut products);
            }
            return Ok(factors.into_iter().map(|(.., z)| Share::of(z)).collect());
        }
        let later = |((x, right, minus_a, y, z), dims): (Factors, &Dims)| {
            let dims = *dims;
            Share::later(z, move |z| {
                kernel.gemm(dims, &x, &right, rhs, z);
                kernel.gemm(dims, &minus_a, &y, rhs, z);
            })
        };
        Ok(factors.into_iter().zip(dims).map(later).collect())
    }

    fn square(&mut self, x: &[(&Wire, usize)]) -> Result<Vec<Share<'w>>, Stop> {
        let mut dealt = self.correlations.take(Call::Square)?;
        let mut squares = Vec::with_capacity(x.len());
        for (x, _) in x {
            // x (i x - 2 [a])
            let (minus_twice_a, mut z) = (next(&mut dealt), next(&mut dealt));
            self.kernel.mul_add(x, &self.as_share(x, minus_twice_a), &mut z);
            squares.push(Share::of(z));
        }
        Ok(squares)
    }

    fn square_sum(&mut self, x: &Wire, _: usize, cols: usize) -> Result<Share<'w>, Stop> {
        let mut dealt = self.correlations.take(Call::SquareSum)?;
        let (minus_twice_a, mut z) = (next(&mut dealt), next(&mut dealt));
        self.kernel.row_dot(cols, x, &self.as_share(x, minus_twice_a), &mut z);
        Ok(Share::of(z))
    }

    fn scale_rows(&mut self, pairs: &[(&Wire, &Wire)], dims: &[(usize, usize)]) -> Result<Vec<Share<'w>>, Stop> {
        let mut dealt = self.correlations.take(Call::ScaleRows)?;
        let mut scaled = Vec::with_capacity(pairs.len());
        for ((x, r), (_, cols)) in pairs.iter().zip(dims) {
            let (minus_a, minus_b, mut z) = (next(&mut dealt), next(&mut dealt), next(&mut dealt));
            let right = self.as_share(r, minus_b);
            self.kernel.scale_rows_add(*cols, x, &right, &mut z);
            self.kernel.scale_rows_add(*cols, &minus_a, r, &mut z);
            scaled.push(Share::of(z));
        }
        Ok(scaled)
    }

    fn evaluate(&mut self, x: &[Evaluation<'_, Vec<Vec<u64>>, Wire>]) -> Result<Vec<Share<'w>>, Stop> {
        self.tracing.begin_operation(self.scope.function);
        let mut dealt = self.correlations.take(Call::Series)?;
        let mut results = Vec::with_capacity(x.len());
        for asked in x {
            if !asked.also.is_empty() {
                let waves: Vec<_> = asked.phase.iter().map(|_| next(&mut dealt)).collect();
                results.extend(beside(asked, &waves, self.correlations.party, self.kernel).into_iter().map(Share::of));
                continue;
            }
            let Evaluation { phase: phases, rows, curve, gate, .. } = asked;
            let mut parts = Vec::with_capacity(phases.len());
            let gate = gate.map(|opened| (opened, self.as_share(opened, next(&mut dealt))));
            for (phase, segment) in phases.iter().zip(&curve.segments) {
                let series = &segment.series;
                let constant = match self.correlations.party {
                    Party::One if gate.is_none() => series.constant as u64,
                    _ => 0,
                };
                let mut z = vec![constant; phase.len()];
                let turn = series.turn().with_kernel(self.kernel);
                turn.series_add(series.terms(), phase, &next(&mut dealt), &mut z);
                if let Some((opened, share)) = &gate {
                    // [g f] = g^ [f - c] - [a (f - c)] + c [g], where c is the constant term and a the gate's mask
                    scale_rows(&mut z, opened);
                    let mut of_mask = vec![0; phase.len()];
                    turn.series_add(series.terms(), phase, &next(&mut dealt), &mut of_mask);
                    sub_assign(&mut z, &of_mask);
                    add_assign(&mut z, &outer_product(share, &vec![series.constant as u64; segment.cols]));
                }
                parts.push((z, segment.cols));
            }
            results.push(Share::of(match parts.len() {
                1 => parts.remove(0).0,
                _ => join_columns(&parts, *rows),
            }));
        }
        self.tracing.begin_operation(self.scope.operation);
        Ok(results)
    }

    fn add(&mut self, a: (Share<'w>, u32), b: (Share<'w>, u32)) -> Share<'w> {
        let (mut z, mut other) = (a.0.into_words(), b.0.into_words());
        shift_left(&mut z, a.1);
        shift_left(&mut other, b.1);
        add_assign(&mut z, &other);
        Share::of(z)
    }

    fn row_sums(&mut self, x: &Share<'w>, rows: usize, cols: usize) -> Share<'w> {
        Share::of(row_sums(self.kernel, &x.read(), rows, cols))
    }

    fn opened_row_sums(&mut self, x: &Wire, rows: usize, cols: usize) -> Wire {
        Rc::new(row_sums(self.kernel, x, rows, cols))
    }

    fn rotate(&mut self, x: Share<'w>, cols: usize, cos: &[u64], sin: &[u64]) -> Share<'w> {
        Share::of(rotate(&x.into_words(), cols, cos, sin))
    }

    fn relative(
        &mut self,
        scores: Share<'w>,
        predicted: &Share<'w>,
        gates: Option<&Share<'w>>,
        by: &RowShift,
    ) -> Share<'w> {
        let mut words = scores.into_words();
        let gates = gates.map(Share::read);
        let gates = gates.as_ref().map(|gates| gates.as_slice());
        by.apply(&mut words, &predicted.read(), gates, self.correlations.party == Party::Zero);
        Share::of(words)
    }

    fn affine(&mut self, x: Share<'w>, plus: u64, times: u64) -> Share<'w> {
        let plus = if self.correlations.party == Party::Zero { plus } else { 0 };
        let mut words = x.into_words();
        words.iter_mut().for_each(|w| *w = w.wrapping_add(plus).wrapping_mul(times));
        Share::of(words)
    }

    fn offset(&mut self, mut x: Wire, by: u64) -> Wire {
        Rc::make_mut(&mut x).iter_mut().for_each(|v| *v = v.wrapping_add(by));
        x
    }

    fn gated_offset(&mut self, mut x: Wire, by: u64, gate: &Wire) -> Wire {
        Rc::new(add_to_columns(take(Rc::make_mut(&mut x)), by, gate))
    }

    fn shared(&mut self, x: &Wire) -> Result<Share<'w>, Stop> {
        let minus_a = next(&mut self.correlations.take(Call::Shared)?);
        Ok(Share::of(self.as_share(x, minus_a)))
    }

    fn block(&mut self, x: &Wire, cols: usize, of: Block) -> Wire {
        Rc::new(copy_block(x, cols, of))
    }

    fn assemble(&mut self, grid: &[Vec<(&Wire, usize, usize)>]) -> Wire {
        let words: Vec<Vec<_>> =
            grid.iter().map(|line| line.iter().map(|(b, rows, cols)| (b.as_slice(), *rows, *cols)).collect()).collect();
        Rc::new(assemble(&words))
    }

    /// `x^ = top_K(z_0 + r_0 + offset) + top_K(z_1 + r_1) mod 2^K`. P0 adds the public offset: half the range, so that the sum is
    /// positive, and `2^shift - 1`, so that shifting rounds without bias.
    fn open(
        &mut self,
        place: &Place<'_>,
        wires: &[(&Share<'w>, WireOpening)],
        phases: &[(&Share<'w>, PhaseOpening)],
    ) -> Result<(Vec<Wire>, Vec<Vec<Vec<u64>>>), Stop> {
        self.tracing.begin_operation(place.wires);
        let mut masks = self.correlations.take(Call::Opening)?;
        let zero = self.correlations.party == Party::Zero;
        let (request, number) = self.correlations.attempt;
        let (wire_lengths, phase_lengths) = item_lengths(wires, phases);
        let frames = opening_frames(wire_lengths.iter().chain(&phase_lengths).copied());
        let mut exchange = Exchange::new(&mut *self.peer, self.kernel, (request, number, self.step), frames);
        self.step += 1;
        for (share, o) in wires {
            let offset = (1u64 << (o.bits - 1 + o.shift)).wrapping_add(low_bits(o.shift));
            let offset = if zero { offset } else { 0 };
            let share = words(share, &mut self.tracing, &mut exchange);
            exchange.offer(&share, next(&mut masks), offset, (o.shift, o.kept()), Some(o.bits))?;
        }
        if !phases.is_empty() {
            self.tracing.waited(exchange.waited());
            self.tracing.begin_operation(place.phases);
            self.tracing.sent(phase_lengths.iter().sum());
            self.scope.function = place.phases;
        }
        for (share, o) in phases {
            let offset = if zero { low_bits(o.shift) } else { 0 };
            let share = words(share, &mut self.tracing, &mut exchange);
            let widths = Vec::from_iter(o.segments.iter().map(|s| s.cols));
            let cut = if widths.len() > 1 { split_columns(&share, o.rows, &widths) } else { Vec::new() };
            for (at, segment) in o.segments.iter().enumerate() {
                let part = cut.get(at).unwrap_or(&share);
                exchange.offer(part, next(&mut masks), offset, (o.shift, segment.modulus_bits), None)?;
            }
        }
        self.tracing.waited(exchange.waited());
        self.tracing.begin_operation(place.wires);
        let Opened { items, within, waited } = exchange.finish()?;
        self.tracing.opened(wire_lengths.iter().sum(), waited);
        self.tracing.begin_operation(self.scope.operation);
        if !within {
            return Err(Stop::Restart);
        }
        let mut opened = items.into_iter();
        let wires = opened.by_ref().take(wires.len()).map(Rc::new).collect();
        let phases = phases.iter().map(|(_, o)| opened.by_ref().take(o.segments.len()).collect()).collect();
        Ok((wires, phases))
    }
}

fn shift_left(words: &mut [u64], by: u32) {
    if by > 0 {
        ring64::shift_left_assign(words, by);
    }
}

/// The words of a share that is being opened. A product that is still to be computed belongs to none of the functions.
fn words<'s>(share: &'s Share<'_>, tracing: &mut Tracing<'_>, exchange: &mut Exchange<'_>) -> Ref<'s, Vec<u64>> {
    if !share.is_later() {
        return share.read();
    }
    tracing.waited(exchange.waited());
    let opening = tracing.begin_operation(Operation::Others);
    let words = share.read();
    tracing.begin_operation(opening);
    words
}

/// Bytes of each item of an opening: wires and phases.
fn item_lengths<S>(wires: &[(S, WireOpening)], phases: &[(S, PhaseOpening)]) -> (Vec<usize>, Vec<usize>) {
    let of_wires = wires.iter().map(|(_, o)| packed_len(o.count(), o.kept()));
    let of_phases = phases
        .iter()
        .flat_map(|(_, o)| o.segments.iter().map(|segment| packed_len(o.rows * segment.cols, segment.modulus_bits)));
    (of_wires.collect(), of_phases.collect())
}
