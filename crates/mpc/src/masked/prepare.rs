//! All that a party can compute before the input: the network interpreted on shares of masks.
//!
//! A wire is this party's half of its mask. Each call leaves one [`Correlation`], which the online phase takes by value:
//! all of them before the input ([`prepare`]), while it computes ([`stream`]), or long before and written down ([`lay_up`], then
//! [`restore`]).

use std::io::{BufRead, Write};
use std::panic::resume_unwind;
use std::thread;

use model::{
    Arithmetic, Block, Evaluation, Fixed, Network, Operation, PhaseOpening, Place, Rhs, RowShift, Weight, WireOpening,
    add_to_columns, assemble, copy_block, outer_product,
};
use ring64::{Dims, Kernel, add_assign, low_bits, mask_assign, neg_assign, shift_left_assign};

use super::correlation::{Call, Correlation, Sink};
use super::pipe::pipe;
use super::spool::Spool;
use super::store::{Correlations, Waiting};
use super::stored::{Reading, Writing};
use super::weights::PartyWeights;
use super::{negated, residual_products, row_sums, subtract_from_rows};
use crate::dealt::DealtReader;
use crate::error::MpcError;
use crate::party::Party;
use crate::run::{Outcome, Run};
use crate::streams::{Purpose, Streams};

/// Prepares one attempt from a party's key and, at P1, from what the dealer sends. Of the result, `hold` bytes are kept in
/// memory and the rest in a file without a name.
pub fn prepare<N: Network, S: Streams>(
    run: &Run<'_, N>,
    weights: &PartyWeights,
    streams: S,
    dealt: Option<DealtReader<'_>>,
    hold: u64,
) -> Result<Correlations, MpcError> {
    let mut spool = Spool::new(hold);
    make(run, weights, streams, dealt, &mut spool)?;
    Ok(correlations(run, weights, Waiting::Ahead(spool)))
}

/// Prepares one attempt while `consume` uses what was prepared, never more than [`MOST_PARTS`](super::MOST_PARTS) parts of the
/// network ahead of its oldest unused one. What the dealer sends is read to its end even where `consume` ends early.
pub fn stream<N, S, E>(
    run: &Run<'_, N>,
    weights: &PartyWeights,
    streams: S,
    dealt: Option<DealtReader<'_>>,
    consume: impl FnOnce(Correlations) -> Result<Outcome, E>,
) -> Result<Outcome, E>
where
    N: Network<Batch: Sync> + Sync,
    S: Streams + Send,
    E: From<MpcError>,
{
    let (mut maker, taker) = pipe();
    thread::scope(|scope| {
        let making = scope.spawn(move || make(run, weights, streams, dealt, &mut maker));
        let consumed = consume(correlations(run, weights, Waiting::Stream(taker)));
        match making.join() {
            Ok(Ok(()) | Err(MpcError::Abandoned)) => consumed,
            // using what was made then failed as well, for want of more: that is the consequence
            Ok(Err(error)) => Err(error.into()),
            Err(panic) => resume_unwind(panic),
        }
    })
}

/// Prepares one attempt and writes what was prepared to `to`, for a request that is still to come.
pub fn lay_up<N: Network, S: Streams>(
    run: &Run<'_, N>,
    weights: &PartyWeights,
    streams: S,
    dealt: Option<DealtReader<'_>>,
    to: &mut dyn Write,
) -> Result<(), MpcError> {
    make(run, weights, streams, dealt, &mut Writing(to))
}

/// What [`lay_up`] wrote by this party, for this attempt and no other: read as it is used.
pub fn restore<N: Network>(run: &Run<'_, N>, weights: &PartyWeights, from: Box<dyn BufRead + Send>) -> Correlations {
    correlations(run, weights, Waiting::Stored(Reading(from)))
}

fn correlations<N: Network>(run: &Run<'_, N>, weights: &PartyWeights, waiting: Waiting) -> Correlations {
    Correlations { party: weights.party, attempt: (run.request, run.attempt), waiting, taken: 0 }
}

fn make<N: Network, S: Streams>(
    run: &Run<'_, N>,
    weights: &PartyWeights,
    streams: S,
    dealt: Option<DealtReader<'_>>,
    sink: &mut dyn Sink,
) -> Result<(), MpcError> {
    let Run { calibrated, batches, kernel, .. } = *run;
    // with the streams of the other role all would run, and mean nothing
    match (weights.party, &dealt) {
        (Party::Zero, Some(_)) => return Err(MpcError::Role { party: Party::Zero, what: "a stream from the dealer" }),
        (Party::One, None) => return Err(MpcError::Role { party: Party::One, what: "no stream from the dealer" }),
        _ => {}
    }
    let source = Source { streams, dealt, demand: 0, kernel };
    let preparing = Preparing { weights, source, kernel, part: 0, parts: 0, sink };
    let mut engine = Fixed::new(calibrated.scales.clone(), preparing);
    let inputs: Vec<_> = batches.iter().map(|batch| calibrated.input(batch, ())).collect();
    let made = engine.run(&calibrated.network, batches, &inputs);
    let dealt = engine.arithmetic.source.dealt;
    match (made, dealt) {
        (Ok(_), Some(dealt)) => dealt.finish(),
        (Ok(_), None) => Ok(()),
        // the frames of this attempt are on their way, and others will follow them
        (Err(MpcError::Abandoned), Some(dealt)) => {
            // whoever abandoned them knows why; a link that is lost says so again when it is used next
            let _ = dealt.skip();
            Err(MpcError::Abandoned)
        }
        (Err(error), _) => Err(error),
    }
}

/// Where a party's halves come from: P0's all from its key, P1's masks from its key and the rest from the dealer.
pub(super) struct Source<'a, S> {
    streams: S,
    dealt: Option<DealtReader<'a>>,
    demand: u64,
    kernel: Kernel,
}

impl<S: Streams> Source<'_, S> {
    pub(super) fn next(&mut self) -> u64 {
        self.demand += 1;
        self.demand - 1
    }

    pub(super) fn dealt(&mut self, demand: u64, purpose: Purpose, count: usize) -> Result<Vec<u64>, MpcError> {
        match &mut self.dealt {
            None => Ok(self.streams.words(demand, purpose, count, self.kernel)),
            Some(reader) => reader.words(count, 64),
        }
    }

    fn wire(&mut self, opening: &WireOpening) -> Result<Vec<u64>, MpcError> {
        let (demand, count, kept) = (self.next(), opening.count(), opening.kept());
        let mut half = self.streams.words(demand, Purpose::Mask, count, self.kernel);
        if let (Some(reader), true) = (&mut self.dealt, opening.shift > 0) {
            mask_assign(&mut half, low_bits(kept));
            let carry = reader.words(count, opening.shift)?;
            half.iter_mut().zip(&carry).for_each(|(h, c)| *h |= c << kept);
        }
        Ok(half)
    }

    fn phase(&mut self, count: usize) -> Vec<u64> {
        let demand = self.next();
        self.streams.words(demand, Purpose::Mask, count, self.kernel)
    }
}

pub(super) struct Preparing<'w, 'd, 's, S> {
    weights: &'w PartyWeights,
    pub(super) source: Source<'d, S>,
    kernel: Kernel,
    /// The part that the network is in, and how many were begun over all runs.
    part: usize,
    parts: usize,
    sink: &'s mut dyn Sink,
}

impl<S: Streams> Preparing<'_, '_, '_, S> {
    fn begin_part(&mut self, part: usize) -> Result<(), MpcError> {
        (self.part, self.parts) = (part, self.parts + 1);
        self.sink.begin_part(self.parts)
    }

    pub(super) fn put(&mut self, call: Call, pieces: Vec<Vec<u64>>) -> Result<(), MpcError> {
        self.sink.put(Correlation { call, pieces })
    }

    /// `-[a]`, `-[b]` and `[ab]` of each pair, whose product has so many elements.
    fn products(
        &mut self,
        pairs: &[(&Vec<u64>, &Vec<u64>)],
        counts: impl Iterator<Item = usize>,
    ) -> Result<Vec<Vec<u64>>, MpcError> {
        let mut pieces = Vec::with_capacity(3 * pairs.len());
        for ((a, b), count) in pairs.iter().zip(counts) {
            let demand = self.source.next();
            let product = self.source.dealt(demand, Purpose::Dealt, count)?;
            pieces.extend([negated(a), negated(b), product]);
        }
        Ok(pieces)
    }
}

impl<S: Streams> Arithmetic for Preparing<'_, '_, '_, S> {
    type Wire = Vec<u64>;
    type Phase = ();
    type Share = ();
    type Error = MpcError;

    fn begin_run(&mut self) -> Result<(), MpcError> {
        self.begin_part(0)
    }

    fn begin(&mut self, part: usize, _: Operation) -> Result<(), MpcError> {
        match part == self.part {
            true => Ok(()),
            false => self.begin_part(part),
        }
    }

    fn linear(&mut self, a: &Vec<u64>, weight: Weight, dims: Dims, gate: Option<&Vec<u64>>) -> Result<(), MpcError> {
        let demand = self.source.next();
        let mut rest = self.source.dealt(demand, Purpose::Dealt, dims.m * dims.n)?;
        self.weights.masked(weight, dims)?.multiply_add(dims.m, a, &mut rest);
        if let (Some(gate), Some(bias)) = (gate, self.weights.masked_bias(weight, dims.n)?) {
            add_assign(&mut rest, &outer_product(gate, bias));
        }
        neg_assign(&mut rest);
        if let (None, Some(bias)) = (gate, self.weights.bias(weight, dims.n)?) {
            rest.chunks_mut(dims.n).for_each(|row| add_assign(row, bias));
        }
        self.put(Call::Linear, vec![rest])
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
        let demand = self.source.next();
        let mut products = self.source.dealt(demand, Purpose::Dealt, rows * cols)?;
        let mut means = centred.then(|| self.source.dealt(demand, Purpose::Second, rows)).transpose()?;
        let weights = self.weights.masked_rows(weight, 2 * cols)?;
        residual_products(self.kernel, a, weights, &mut products, means.as_deref_mut());
        subtract_from_rows(&mut products, cols, means.as_deref().unwrap_or_default());
        neg_assign(&mut products);
        self.put(Call::Residual, vec![products])
    }

    fn matmul(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[Dims], _: Rhs) -> Result<Vec<()>, MpcError> {
        let products = self.products(pairs, dims.iter().map(|d| d.m * d.n))?;
        self.put(Call::Matmul, products)?;
        Ok(vec![(); pairs.len()])
    }

    fn square(&mut self, x: &[(&Vec<u64>, usize)]) -> Result<Vec<()>, MpcError> {
        let mut pieces = Vec::with_capacity(2 * x.len());
        for (a, count) in x {
            let demand = self.source.next();
            pieces.extend([minus_twice(a), self.source.dealt(demand, Purpose::Dealt, *count)?]);
        }
        self.put(Call::Square, pieces)?;
        Ok(vec![(); x.len()])
    }

    fn square_sum(&mut self, a: &Vec<u64>, rows: usize, _: usize) -> Result<(), MpcError> {
        let demand = self.source.next();
        let sums = self.source.dealt(demand, Purpose::Dealt, rows)?;
        self.put(Call::SquareSum, vec![minus_twice(a), sums])
    }

    fn scale_rows(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[(usize, usize)]) -> Result<Vec<()>, MpcError> {
        let products = self.products(pairs, dims.iter().map(|(rows, cols)| rows * cols))?;
        self.put(Call::ScaleRows, products)?;
        Ok(vec![(); pairs.len()])
    }

    fn evaluate(&mut self, x: &[Evaluation<'_, (), Vec<u64>>]) -> Result<Vec<()>, MpcError> {
        let mut pieces = Vec::new();
        for Evaluation { rows, curve, gate, .. } in x {
            pieces.extend(gate.map(|gate| negated(gate)));
            for segment in &curve.segments {
                let (demand, count) = (self.source.next(), rows * segment.cols);
                let waves = 2 * segment.series.harmonics.len();
                pieces.push(self.source.dealt(demand, Purpose::Dealt, waves * count)?);
                if gate.is_some() {
                    pieces.push(self.source.dealt(demand, Purpose::Second, waves * count)?);
                }
            }
        }
        self.put(Call::Series, pieces)?;
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

    fn shared(&mut self, a: &Vec<u64>) -> Result<(), MpcError> {
        self.put(Call::Shared, vec![negated(a)])
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
    ) -> Result<(Vec<Vec<u64>>, Vec<()>), MpcError> {
        let halves: Vec<_> = wires.iter().map(|(_, o)| self.source.wire(o)).collect::<Result<_, _>>()?;
        let mut masks: Vec<Vec<u64>> = halves.iter().zip(wires).map(|(half, (_, o))| shifted(half, o.shift)).collect();
        for (_, o) in phases {
            for segment in &o.segments {
                let mut mask = self.source.phase(o.rows * segment.cols);
                shift_left_assign(&mut mask, o.shift);
                masks.push(mask);
            }
        }
        self.put(Call::Opening, masks)?;
        Ok((halves, vec![(); phases.len()]))
    }
}

fn shifted(x: &[u64], by: u32) -> Vec<u64> {
    x.iter().map(|v| v << by).collect()
}

fn minus_twice(x: &[u64]) -> Vec<u64> {
    x.iter().map(|v| (v << 1).wrapping_neg()).collect()
}
