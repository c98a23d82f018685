//! All that a party can compute before the input: the network interpreted on shares of masks.
//!
//! A wire is this party's half of its mask. Each demand leaves one [`Correlation`], which the online phase takes by value.

use std::collections::VecDeque;
use std::fmt;

use model::{Arithmetic, Block, Curve, Fixed, PhaseOpening, Rhs, Weight, WireOpening, assemble, classify, copy_block};
use ring64::{Dims, Kernel, add_assign, low_bits, mask_assign, packed_len, shift_left_assign, unpack};

use super::{Attempt, negated, residual_products, subtract_from_rows};
use crate::dealt::DealtReader;
use crate::error::MpcError;
use crate::streams::{Purpose, Streams};
use crate::weights::{Party, PartyWeights};

/// What one call of the network needs online. Not `Clone`: it is used once.
pub(crate) enum Correlation {
    /// The masks of an opening, shifted to the share's scale.
    Open { wires: Vec<Vec<u64>>, phases: Vec<Vec<Vec<u64>>> },
    /// `[b] - [aW]`.
    Linear(Vec<u64>),
    /// `[mean(a g)] - [a g]`, by elements.
    Residual(Vec<u64>),
    /// Of each product, `-[a]`, `-[b]` and `[ab]`.
    Matmul(Vec<[Vec<u64>; 3]>),
    /// Of each matrix, `-[a]` and `[a^2]`.
    Square(Vec<[Vec<u64>; 2]>),
    /// `-[a]` and the row sums of `[a^2]`.
    SquareSum([Vec<u64>; 2]),
    /// Of each product, `-[a]`, `-[b]` and `[ab]`.
    ScaleRows(Vec<[Vec<u64>; 3]>),
    /// Of each segment, cosines and sines in turn, harmonic by harmonic, as `Turn::waves` lays them.
    Series(Vec<Vec<u64>>),
}

impl Correlation {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Correlation::Open { .. } => "an opening",
            Correlation::Linear(_) => "a linear layer",
            Correlation::Residual(_) => "a residual",
            Correlation::Matmul(_) => "a matrix product",
            Correlation::Square(_) => "a square",
            Correlation::SquareSum(_) => "a sum of squares",
            Correlation::ScaleRows(_) => "a scaling of rows",
            Correlation::Series(_) => "a series",
        }
    }
}

/// Everything a party needs to evaluate one batch once.
pub struct Correlations {
    pub(crate) party: Party,
    /// Request and attempt that they were made for.
    pub(crate) attempt: (u64, u32),
    pub(crate) queue: VecDeque<Correlation>,
    pub(crate) taken: usize,
}

impl fmt::Debug for Correlations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Correlations of {} ({} left, redacted)", self.party, self.queue.len())
    }
}

/// Prepares one batch from a party's key and, at P1, from what the dealer sends.
pub fn prepare<S: Streams>(
    attempt: &Attempt<'_>,
    streams: S,
    dealt: Option<DealtReader<'_>>,
) -> Result<Correlations, MpcError> {
    let Attempt { spec, weights, texts, kind, request, number, kernel } = *attempt;
    // with the streams of the other role all would run, and mean nothing
    match (weights.party, &dealt) {
        (Party::Zero, Some(_)) => return Err(MpcError::Role { party: Party::Zero, what: "a stream from the dealer" }),
        (Party::One, None) => return Err(MpcError::Role { party: Party::One, what: "no stream from the dealer" }),
        _ => {}
    }
    let source = Source { streams, dealt, demand: 0, kernel };
    let preparing = Preparing { weights, source, kernel, queue: VecDeque::new() };
    let mut engine = Fixed::new(spec.clone(), preparing);
    let input = engine.input(kind, texts, ());
    classify(&mut engine, &spec.shape, texts, kind, &input)?;
    let Preparing { source, queue, .. } = engine.arithmetic;
    if let Some(dealt) = source.dealt {
        dealt.finish()?;
    }
    Ok(Correlations { party: weights.party, attempt: (request, number), queue, taken: 0 })
}

/// Where a party's halves come from: P0's all from its key, P1's masks from its key and the rest from the dealer.
struct Source<'a, S> {
    streams: S,
    dealt: Option<DealtReader<'a>>,
    demand: u64,
    kernel: Kernel,
}

impl<S: Streams> Source<'_, S> {
    fn next(&mut self) -> u64 {
        self.demand += 1;
        self.demand - 1
    }

    fn dealt(&mut self, demand: u64, purpose: Purpose, count: usize) -> Result<Vec<u64>, MpcError> {
        match &mut self.dealt {
            None => Ok(self.streams.words(demand, purpose, count, self.kernel)),
            Some(reader) => words(reader, count, 64),
        }
    }

    fn wire(&mut self, opening: &WireOpening) -> Result<Vec<u64>, MpcError> {
        let (demand, count, kept) = (self.next(), opening.count(), opening.kept());
        let mut half = self.streams.words(demand, Purpose::Mask, count, self.kernel);
        if let (Some(reader), true) = (&mut self.dealt, opening.drop > 0) {
            mask_assign(&mut half, low_bits(kept));
            let carry = words(reader, count, opening.drop)?;
            half.iter_mut().zip(&carry).for_each(|(h, c)| *h |= c << kept);
        }
        Ok(half)
    }

    fn phase(&mut self, count: usize) -> Vec<u64> {
        let demand = self.next();
        self.streams.words(demand, Purpose::Mask, count, self.kernel)
    }
}

fn words(reader: &mut DealtReader<'_>, count: usize, bits: u32) -> Result<Vec<u64>, MpcError> {
    let bytes = reader.take(packed_len(count, bits))?;
    let mut words = vec![0; count];
    let peer = reader.peer();
    let refused = |source| MpcError::Packed { peer: peer.to_string(), what: "correlation", source };
    unpack(&bytes, bits, &mut words).map_err(refused)?;
    Ok(words)
}

struct Preparing<'w, 'd, S> {
    weights: &'w PartyWeights,
    source: Source<'d, S>,
    kernel: Kernel,
    queue: VecDeque<Correlation>,
}

impl<S: Streams> Preparing<'_, '_, S> {
    /// `-[a]`, `-[b]` and `[ab]` of each pair, whose product has so many elements.
    fn products(
        &mut self,
        pairs: &[(&Vec<u64>, &Vec<u64>)],
        counts: impl Iterator<Item = usize>,
    ) -> Result<Vec<[Vec<u64>; 3]>, MpcError> {
        let mut products = Vec::with_capacity(pairs.len());
        for ((a, b), count) in pairs.iter().zip(counts) {
            let demand = self.source.next();
            let product = self.source.dealt(demand, Purpose::Dealt, count)?;
            products.push([negated(a.to_vec()), negated(b.to_vec()), product]);
        }
        Ok(products)
    }
}

impl<S: Streams> Arithmetic for Preparing<'_, '_, S> {
    type Wire = Vec<u64>;
    type Phase = ();
    type Share = ();
    type Error = MpcError;

    fn linear(&mut self, a: &Vec<u64>, weight: Weight, dims: Dims) -> Result<(), MpcError> {
        let demand = self.source.next();
        let mut product = self.source.dealt(demand, Purpose::Dealt, dims.m * dims.n)?;
        let masked = self.weights.masked(weight, dims.k * dims.n)?;
        self.kernel.gemm(dims, a, &masked.weight, Rhs::AsIs, &mut product);
        let mut rest = negated(product);
        if let Some(bias) = &self.weights.share(weight, dims.k * dims.n)?.bias {
            if bias.len() != dims.n {
                let (weight, got) = (format!("{weight} bias"), bias.len());
                return Err(MpcError::Weight { weight, got, expected: dims.n });
            }
            rest.chunks_mut(dims.n).for_each(|row| add_assign(row, bias));
        }
        self.queue.push_back(Correlation::Linear(rest));
        Ok(())
    }

    fn add_rows(&mut self, _: (), _: Weight, _: &[usize], _: usize) -> Result<(), MpcError> {
        Ok(())
    }

    fn residual(&mut self, a: &Vec<u64>, weight: Weight, rows: usize, cols: usize) -> Result<(), MpcError> {
        let demand = self.source.next();
        let mut products = self.source.dealt(demand, Purpose::Dealt, rows * cols)?;
        let mut means = self.source.dealt(demand, Purpose::Second, rows)?;
        let weights = &self.weights.masked(weight, 2 * cols)?.weight;
        residual_products(self.kernel, a, weights, &mut products, &mut means);
        subtract_from_rows(&mut products, cols, &means);
        self.queue.push_back(Correlation::Residual(negated(products)));
        Ok(())
    }

    fn matmul(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[Dims], _: Rhs) -> Result<Vec<()>, MpcError> {
        let products = self.products(pairs, dims.iter().map(|d| d.m * d.n))?;
        self.queue.push_back(Correlation::Matmul(products));
        Ok(vec![(); pairs.len()])
    }

    fn square(&mut self, x: &[(&Vec<u64>, usize)]) -> Result<Vec<()>, MpcError> {
        let mut squares = Vec::with_capacity(x.len());
        for (a, count) in x {
            let demand = self.source.next();
            squares.push([negated(a.to_vec()), self.source.dealt(demand, Purpose::Dealt, *count)?]);
        }
        self.queue.push_back(Correlation::Square(squares));
        Ok(vec![(); x.len()])
    }

    fn square_sum(&mut self, a: &Vec<u64>, rows: usize, _: usize) -> Result<(), MpcError> {
        let demand = self.source.next();
        let sums = self.source.dealt(demand, Purpose::Dealt, rows)?;
        self.queue.push_back(Correlation::SquareSum([negated(a.clone()), sums]));
        Ok(())
    }

    fn scale_rows(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[(usize, usize)]) -> Result<Vec<()>, MpcError> {
        let products = self.products(pairs, dims.iter().map(|(rows, cols)| rows * cols))?;
        self.queue.push_back(Correlation::ScaleRows(products));
        Ok(vec![(); pairs.len()])
    }

    fn evaluate(&mut self, x: &[(&(), usize, &Curve)]) -> Result<Vec<()>, MpcError> {
        let mut segments = Vec::new();
        for (_, rows, curve) in x {
            for segment in &curve.segments {
                let (demand, count) = (self.source.next(), rows * segment.cols);
                let waves = 2 * segment.series.harmonics.len();
                segments.push(self.source.dealt(demand, Purpose::Dealt, waves * count)?);
            }
        }
        self.queue.push_back(Correlation::Series(segments));
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
    ) -> Result<(Vec<Vec<u64>>, Vec<()>), MpcError> {
        let halves: Vec<_> = wires.iter().map(|(_, o)| self.source.wire(o)).collect::<Result<_, _>>()?;
        let shift = |half: &Vec<u64>, drop: u32| {
            let mut mask = half.clone();
            shift_left_assign(&mut mask, drop);
            mask
        };
        let masks = halves.iter().zip(wires).map(|(half, (_, o))| shift(half, o.drop)).collect();
        let mut phase_masks = Vec::with_capacity(phases.len());
        for (_, o) in phases {
            let parts = o.segments.iter().map(|s| shift(&self.source.phase(o.rows * s.cols), o.drop));
            phase_masks.push(parts.collect());
        }
        self.queue.push_back(Correlation::Open { wires: masks, phases: phase_masks });
        Ok((halves, vec![(); phases.len()]))
    }
}
