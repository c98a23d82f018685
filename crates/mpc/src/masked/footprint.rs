//! A network interpreted on sizes: what each role holds while it works on an attempt, and the most that it ever holds.
//!
//! Where the other interpreters keep words, this one keeps a [`Held`], which counts as long as it lives: liveness follows from
//! ownership, as it does there. Each step says what it keeps and what it needs for a moment.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use model::{
    Arithmetic, Block, Calibrated, Evaluation, Fixed, Network, Operation, PhaseOpening, Place, Rhs, RowShift,
    SpecError, Weight, WireOpening,
};
use ring64::Dims;

use super::pipe::MOST_PARTS;
use crate::party::Party;

/// Bytes of a word.
const WORD: u64 = 8;

/// Bytes held now, and the most that ever were.
#[derive(Clone, Default)]
pub(super) struct Meter(Rc<Cell<(u64, u64)>>);

impl Meter {
    pub(super) fn hold(&self, bytes: u64) -> Held {
        let (now, most) = self.0.get();
        let now = now.saturating_add(bytes);
        self.0.set((now, most.max(now)));
        Held { meter: self.clone(), bytes }
    }

    pub(super) fn words(&self, count: usize) -> Held {
        self.hold(WORD.saturating_mul(count as u64))
    }

    /// What is needed for a moment beside all that is held.
    fn moment(&self, words: usize) {
        drop(self.words(words));
    }

    fn most(&self) -> u64 {
        self.0.get().1
    }
}

/// Bytes that are held as long as this lives.
pub(super) struct Held {
    meter: Meter,
    pub(super) bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (now, most) = self.meter.0.get();
        self.meter.0.set((now - self.bytes, most));
    }
}

/// Most bytes of words that the dealer holds at once while it deals an attempt.
pub(super) fn dealing<N: Network>(calibrated: &Calibrated<N>, batches: &[N::Batch]) -> Result<u64, SpecError> {
    let meter = Meter::default();
    run(Sizes::new(&meter, Phase::Dealing, 0), calibrated, batches)?;
    Ok(meter.most())
}

/// Most bytes of words that a party holds at once while it prepares an attempt and then computes it, where so many bytes of
/// correlations may stay in memory.
pub(super) fn computing<N: Network>(
    calibrated: &Calibrated<N>,
    batches: &[N::Batch],
    party: Party,
    hold: u64,
) -> Result<u64, SpecError> {
    let meter = Meter::default();
    // kept for another attempt, whose correlations are prepared beside it
    let _input = meter.words(inputs(calibrated, batches));
    let made = run(Sizes::new(&meter, Phase::Preparing(party), hold), calibrated, batches)?;
    run(Sizes { queue: made.queue, ..Sizes::new(&meter, Phase::Online, 0) }, calibrated, batches)?;
    Ok(meter.most())
}

/// The same where correlations are made while the party computes, [`MOST_PARTS`] parts of the network ahead at most.
pub(super) fn streaming<N: Network>(
    calibrated: &Calibrated<N>,
    batches: &[N::Batch],
    party: Party,
) -> Result<u64, SpecError> {
    // nothing stays in memory of what is counted here: what waits is added below
    let (preparing, online) = (Meter::default(), Meter::default());
    let made = run(Sizes::new(&preparing, Phase::Preparing(party), 0), calibrated, batches)?;
    let waiting = made.parts.windows(MOST_PARTS).map(|parts| parts.iter().sum::<u64>()).max();
    let waiting = waiting.unwrap_or_else(|| made.parts.iter().sum());
    run(Sizes { queue: made.queue, ..Sizes::new(&online, Phase::Online, 0) }, calibrated, batches)?;
    let input = WORD * inputs(calibrated, batches) as u64;
    Ok(input + waiting + preparing.most() + online.most())
}

/// Words of all inputs.
fn inputs<N: Network>(calibrated: &Calibrated<N>, batches: &[N::Batch]) -> usize {
    batches.iter().map(|batch| calibrated.input_count(batch)).sum()
}

fn run<N: Network>(sizes: Sizes, calibrated: &Calibrated<N>, batches: &[N::Batch]) -> Result<Sizes, SpecError> {
    let inputs: Vec<_> = batches.iter().map(|batch| calibrated.input(batch, sizes.meter.hold(0))).collect();
    let mut engine = Fixed::new(calibrated.scales.clone(), sizes);
    engine.run(&calibrated.network, batches, &inputs)?;
    drop(inputs);
    Ok(engine.arithmetic)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dealing,
    Preparing(Party),
    Online,
}

/// What preparing leaves for a call of the network: pieces in memory, or their sizes where they wait in a file.
enum Left {
    Held(Vec<Held>),
    Spooled(Vec<usize>),
}

pub(super) struct Sizes {
    pub(super) meter: Meter,
    pub(super) phase: Phase,
    /// The part that the network is in.
    part: usize,
    /// What preparing leaves for each call of the network, and the online phase takes.
    queue: VecDeque<Left>,
    /// Bytes of the queue that may stay in memory, and that do.
    hold: u64,
    queued: u64,
    /// Bytes of the queue by parts of the network.
    parts: Vec<u64>,
}

impl Sizes {
    fn begin_part(&mut self, part: usize) {
        self.part = part;
        self.parts.push(0);
    }

    fn new(meter: &Meter, phase: Phase, hold: u64) -> Sizes {
        let (meter, queue, parts) = (meter.clone(), VecDeque::new(), vec![0]);
        Sizes { meter, phase, part: 0, queue, hold, queued: 0, parts }
    }

    /// A value that the dealer deals.
    pub(super) fn dealt(&self, words: usize) {
        match self.phase {
            Phase::Dealing | Phase::Preparing(_) => self.meter.moment(words),
            Phase::Online => {}
        }
    }

    /// One call of the network: preparing keeps pieces of these sizes, the online phase takes them.
    pub(super) fn step(&mut self, pieces: impl IntoIterator<Item = usize>) -> Vec<Held> {
        match self.phase {
            Phase::Dealing => Vec::new(),
            Phase::Preparing(_) => {
                let sizes: Vec<usize> = pieces.into_iter().collect();
                let bytes = sizes.iter().map(|words| WORD * *words as u64).sum::<u64>();
                if let Some(part) = self.parts.last_mut() {
                    *part += bytes;
                }
                // made in memory either way
                let held: Vec<Held> = sizes.iter().map(|words| self.meter.words(*words)).collect();
                self.queued = self.queued.saturating_add(bytes);
                let left = if self.queued <= self.hold { Left::Held(held) } else { Left::Spooled(sizes) };
                self.queue.push_back(left);
                Vec::new()
            }
            Phase::Online => match self.queue.pop_front() {
                Some(Left::Held(pieces)) => pieces,
                Some(Left::Spooled(sizes)) => sizes.iter().map(|words| self.meter.words(*words)).collect(),
                None => Vec::new(),
            },
        }
    }

    fn nothing(&self) -> Held {
        self.meter.hold(0)
    }

    /// Of each so many pieces, the last one becomes the result; the others go as the results are made.
    fn results(&self, pieces: Vec<Held>, each: usize, count: usize) -> Vec<Held> {
        if self.phase != Phase::Online {
            return (0..count).map(|_| self.nothing()).collect();
        }
        let mut results = Vec::with_capacity(count);
        for (at, piece) in pieces.into_iter().enumerate() {
            if at % each == each - 1 {
                results.push(piece);
            }
        }
        results
    }
}

impl Arithmetic for Sizes {
    type Wire = Held;
    type Phase = Held;
    type Share = Held;
    type Error = SpecError;

    fn begin_run(&mut self) -> Result<(), SpecError> {
        self.begin_part(0);
        Ok(())
    }

    fn begin(&mut self, part: usize, _: Operation) -> Result<(), SpecError> {
        if part != self.part {
            self.begin_part(part);
        }
        Ok(())
    }

    fn linear(&mut self, _: &Held, _: Weight, dims: Dims, gate: Option<&Held>) -> Result<Held, SpecError> {
        // beside a gated bias that is added
        self.dealt(dims.m * dims.n * (1 + usize::from(gate.is_some())));
        let pieces = self.step([dims.m * dims.n]);
        Ok(self.results(pieces, 1, 1).remove(0))
    }

    fn add_rows(&mut self, x: Held, _: Weight, _: &[usize], _: usize) -> Result<Held, SpecError> {
        Ok(x)
    }

    fn residual(
        &mut self,
        _: &Held,
        _: Weight,
        (rows, cols): (usize, usize),
        centred: bool,
    ) -> Result<Held, SpecError> {
        self.dealt(rows * (cols + usize::from(centred)));
        let pieces = self.step([rows * cols]);
        Ok(self.results(pieces, 1, 1).remove(0))
    }

    fn matmul(&mut self, pairs: &[(&Held, &Held)], dims: &[Dims], _: Rhs) -> Result<Vec<Held>, SpecError> {
        // all products of a call at once
        self.dealt(dims.iter().map(|d| d.m * d.n).sum());
        let pieces = self.step(dims.iter().flat_map(|d| [d.m * d.k, d.k * d.n, d.m * d.n]));
        Ok(self.results(pieces, 3, pairs.len()))
    }

    fn square(&mut self, x: &[(&Held, usize)]) -> Result<Vec<Held>, SpecError> {
        x.iter().for_each(|(_, count)| self.dealt(*count));
        let pieces = self.step(x.iter().flat_map(|(_, count)| [*count, *count]));
        Ok(self.results(pieces, 2, x.len()))
    }

    fn square_sum(&mut self, _: &Held, rows: usize, cols: usize) -> Result<Held, SpecError> {
        self.dealt(rows);
        let pieces = self.step([rows * cols, rows]);
        Ok(self.results(pieces, 2, 1).remove(0))
    }

    fn scale_rows(&mut self, pairs: &[(&Held, &Held)], dims: &[(usize, usize)]) -> Result<Vec<Held>, SpecError> {
        dims.iter().for_each(|(rows, cols)| self.dealt(rows * cols));
        let pieces = self.step(dims.iter().flat_map(|(rows, cols)| [rows * cols, *rows, rows * cols]));
        Ok(self.results(pieces, 3, pairs.len()))
    }

    fn evaluate(&mut self, x: &[Evaluation<'_, Held, Held>]) -> Result<Vec<Held>, SpecError> {
        // pieces of a segment: once, or a second time times the mask of a gate
        let times = |asked: &Evaluation<'_, Held, Held>| 1 + usize::from(asked.gate.is_some());
        let mut sizes = Vec::new();
        for asked in x {
            sizes.extend(asked.gate.map(|_| asked.rows));
            for segment in &asked.curve.segments {
                let words = asked.rows * segment.cols * 2 * segment.series.harmonics.len();
                // the dealer makes both before it sends one
                self.dealt(words * times(asked));
                sizes.extend(std::iter::repeat_n(words, times(asked)));
            }
        }
        let mut pieces = self.step(sizes).into_iter();
        let result = |asked: &Evaluation<'_, Held, Held>| {
            let Evaluation { rows, curve, also, .. } = asked;
            if self.phase != Phase::Online {
                return (0..1 + also.len()).map(|_| self.nothing()).collect::<Vec<_>>();
            }
            let mut parts = Vec::new();
            let _share = asked.gate.and_then(|_| pieces.next());
            for segment in &curve.segments {
                let waves = Vec::from_iter(pieces.by_ref().take(times(asked)));
                parts.extend((0..1 + also.len()).map(|_| self.meter.words(rows * segment.cols)));
                self.meter.moment((1 + times(asked)) * rows * segment.cols);
                drop(waves);
            }
            // joined, beside the parts
            (0..1 + also.len()).map(|_| self.meter.words(rows * curve.cols())).collect()
        };
        Ok(x.iter().flat_map(result).collect())
    }

    fn add(&mut self, a: (Held, u32), _: (Held, u32)) -> Held {
        a.0
    }

    fn row_sums(&mut self, _: &Held, rows: usize, _: usize) -> Held {
        if self.phase == Phase::Online { self.meter.words(rows) } else { self.nothing() }
    }

    fn opened_row_sums(&mut self, _: &Held, rows: usize, _: usize) -> Held {
        self.meter.words(rows)
    }

    fn rotate(&mut self, x: Held, _: usize, _: &[u64], _: &[u64]) -> Held {
        x
    }

    fn relative(&mut self, scores: Held, _: &Held, _: Option<&Held>, _: &RowShift) -> Held {
        scores
    }

    fn affine(&mut self, x: Held, _: u64, _: u64) -> Held {
        x
    }

    fn offset(&mut self, x: Held, _: u64) -> Held {
        x
    }

    fn gated_offset(&mut self, x: Held, _: u64, _: &Held) -> Held {
        x
    }

    fn shared(&mut self, x: &Held) -> Result<Held, SpecError> {
        let words = (x.bytes / WORD) as usize;
        let pieces = self.step([words]);
        Ok(self.results(pieces, 1, 1).remove(0))
    }

    fn block(&mut self, _: &Held, _: usize, block: Block) -> Held {
        self.meter.words(block.rows * block.cols)
    }

    fn assemble(&mut self, grid: &[Vec<(&Held, usize, usize)>]) -> Held {
        let count: usize = grid.iter().flatten().map(|(_, rows, cols)| rows * cols).sum();
        self.meter.words(count)
    }

    fn open(
        &mut self,
        _: &Place<'_>,
        wires: &[(&Held, WireOpening)],
        phases: &[(&Held, PhaseOpening)],
    ) -> Result<(Vec<Held>, Vec<Held>), SpecError> {
        let counts = wires.iter().map(|(_, o)| o.count());
        let of_phases = phases.iter().map(|(_, o)| o.rows * o.cols());
        let phase_count: usize = of_phases.clone().sum();
        let pieces = match self.phase {
            Phase::Dealing => {
                // both halves and what P1's lacks, in words and packed
                wires.iter().for_each(|(_, o)| self.meter.moment(4 * o.count()));
                self.meter.moment(2 * phase_count);
                Vec::new()
            }
            Phase::Preparing(party) => {
                if party == Party::One {
                    wires.iter().for_each(|(_, o)| self.meter.moment(2 * o.count()));
                }
                self.step(counts.clone().chain(of_phases.clone()));
                self.meter.moment(phase_count);
                Vec::new()
            }
            Phase::Online => {
                // masks become the words that are opened; phases of several classes of columns are cut into them first
                let pieces = self.step([]);
                let cut = phases.iter().filter(|(_, o)| o.segments.len() > 1).map(|(_, o)| o.rows * o.cols());
                self.meter.moment(2 * cut.sum::<usize>());
                let bits = |o: &PhaseOpening| {
                    o.segments.iter().map(|s| (o.rows * s.cols) as u64 * u64::from(s.modulus_bits)).sum::<u64>()
                };
                let sent = wires.iter().map(|(_, o)| o.count() as u64 * u64::from(o.kept())).sum::<u64>()
                    + phases.iter().map(|(_, o)| bits(o)).sum::<u64>();
                // our half on its way out beside the peer's
                drop(self.meter.hold(2 * sent.div_ceil(8)));
                pieces
            }
        };
        let mut pieces = pieces.into_iter();
        let mut take = |count: usize| match self.phase {
            Phase::Online => pieces.next().unwrap_or_else(|| self.nothing()),
            _ => self.meter.words(count),
        };
        let opened: Vec<Held> = counts.map(&mut take).collect();
        let phases =
            of_phases.map(|count| if matches!(self.phase, Phase::Preparing(_)) { self.nothing() } else { take(count) });
        Ok((opened, phases.collect()))
    }
}
