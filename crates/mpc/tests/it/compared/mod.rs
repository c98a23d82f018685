//! Comparisons on every interpreter: right, costed, hidden.

mod costs;
mod exact;
mod hidden;
pub(crate) mod network;
mod published;

use std::thread;

use model::{Calibrated, Clear, Compared, Network as _, Pace, Quantised};
use mpc::masked::{DealerWeights, PartyWeights, Plan, deal, lay_up, online, prepare, restore, stream};
use mpc::{DealtReader, DealtWriter, Outcome, OutputShare, Party, Planned, Run as Attempt, Streams, Trace};
use net::memory_pair;
use net::testing::{Recorded, Recording};
use ring64::{Kernel, Prg};

use crate::world::{Schedule, key};
use network::{Compares, EXTRA, FRAC};

/// Both paces on so many bits.
fn paces(bits: u32, cut: u32) -> [Compared; 2] {
    [Pace::Fast, Pace::Lean].map(|pace| Compared { bits, cut, pace })
}

/// Values of a signed range, of which the first are those where comparisons may go wrong.
fn values(count: usize, bits: u32, seed: u64) -> Vec<i64> {
    let end = (1i64 << (bits - 1)) - 1;
    let steps = (0..bits - 1).flat_map(|bit| [1i64 << bit, (1 << bit) - 1, (1 << bit) + 1]);
    let mut values: Vec<i64> = [0, end, end - 1].into_iter().chain(steps).filter(|v| *v <= end).collect();
    values.extend(values.clone().iter().map(|v| -v));
    values.truncate(count);
    let words = Prg::new(&key(seed), 3).words(count - values.len());
    values.extend(words.iter().map(|word| *word as i64 >> (64 - bits)).map(|v| v.max(-end)));
    values
}

/// A run of the network on one matrix.
struct World {
    calibrated: Calibrated<Compares>,
    shape: (usize, usize),
    inputs: [Vec<u64>; 2],
    schedule: Schedule,
}

struct Ran {
    outcomes: [Outcome; 2],
    opened: Recording,
    dealt: Recording,
    plan: Plan,
}

impl Ran {
    fn outputs(&self) -> Option<[&OutputShare; 2]> {
        match &self.outcomes {
            [Outcome::Outputs(zero), Outcome::Outputs(one)] => Some([&zero[0], &one[0]]),
            [Outcome::Restart, Outcome::Restart] => None,
            other => panic!("the parties disagree: {other:?}"),
        }
    }

    /// The results as integers at their scale, and that scale.
    fn results(&self) -> Option<(Vec<i64>, i32)> {
        let [zero, one] = self.outputs()?;
        let sums = zero.results.iter().zip(&one.results).map(|(a, b)| a.wrapping_add(*b) as i64);
        Some((sums.collect(), zero.frac))
    }
}

impl World {
    /// Shares of values at the scale of their wire.
    fn new(calibrated: &Calibrated<Compares>, shape: (usize, usize), values: &[i64], seed: u64) -> World {
        assert_eq!(values.len(), shape.0 * shape.1);
        let zero = Prg::new(&key(seed), 9).words(values.len());
        let one = values.iter().zip(&zero).map(|(v, z)| ((*v as u64) << EXTRA).wrapping_sub(*z)).collect();
        World { calibrated: calibrated.clone(), shape, inputs: [zero, one], schedule: Schedule::Ahead(u64::MAX) }
    }

    fn attempt(&self) -> Attempt<'_, Compares> {
        let batches = std::slice::from_ref(&self.shape);
        Attempt { calibrated: &self.calibrated, batches, request: 1, attempt: 0, kernel: Kernel::detect() }
    }

    fn plan(&self) -> Plan {
        Plan::new(&self.calibrated, &[self.shape]).unwrap()
    }

    fn party<S: Streams + Send>(&self, i: usize, own: S, dealt: Option<DealtReader<'_>>, peer: &mut Peer) -> Outcome {
        let party = [Party::Zero, Party::One][i];
        let (table, kernel) = (self.calibrated.network.table(), Kernel::detect());
        let weights = PartyWeights::expand(party, table, Quantised::new(), &key(0), kernel);
        let (attempt, mut inputs) = (self.attempt(), [self.inputs[i].clone()]);
        let mut trace = Trace::default();
        let consume = |made| online(&attempt, &weights, made, &mut inputs, peer, &mut trace);
        match self.schedule {
            Schedule::Stream => stream(&attempt, &weights, own, dealt, consume),
            Schedule::Ahead(hold) => prepare(&attempt, &weights, own, dealt, hold).and_then(consume),
            Schedule::Stored => {
                let mut kept = Vec::new();
                lay_up(&attempt, &weights, own, dealt, &mut kept).unwrap();
                let mut consume = consume;
                consume(restore(&attempt, &weights, Box::new(std::io::Cursor::new(kept))))
            }
        }
        .unwrap()
    }

    fn run<S: Streams + Send>(&self, streams: [S; 2], dealers: [S; 2]) -> Ran {
        let (zero, mut one) = memory_pair("party0", "party1");
        let (mut dealer, assisted) = memory_pair("dealer", "party1");
        let (mut zero, mut assisted) = (Recorded::new(zero), Recorded::new(assisted));
        let (opened, dealt, plan) = (zero.recording(), assisted.recording(), self.plan());
        let bytes = plan.cost().dealt_bytes;
        let [zeros, ones] = streams;
        let outcomes = thread::scope(|scope| {
            scope.spawn(|| {
                let table = self.calibrated.network.table();
                let weights = DealerWeights::expand(table, std::iter::empty(), &[key(0), key(0)], Kernel::detect());
                deal(&self.attempt(), &weights, dealers, DealtWriter::new(&mut dealer, 1, 0)).unwrap();
            });
            let one = scope.spawn(|| self.party(1, ones, Some(DealtReader::new(&mut assisted, 1, 0, bytes)), &mut one));
            [self.party(0, zeros, None, &mut zero), one.join().unwrap()]
        });
        Ran { outcomes, opened, dealt, plan }
    }

    /// Results under the keys of the first of some seeds that does not restart.
    fn results(&self, seed: u64) -> (Vec<i64>, i32) {
        let run = |seed| self.run(crate::world::stream_keys(seed), crate::world::stream_keys(seed)).results();
        (seed..seed + 4).find_map(run).expect("four attempts in a row restart")
    }

    /// The same in clear.
    fn clear(&self) -> (Vec<i64>, i32) {
        let quantised = Quantised::new();
        let mut engine = Clear::new(self.calibrated.scales.clone(), &quantised);
        let words = self.inputs[0].iter().zip(&self.inputs[1]).map(|(a, b)| a.wrapping_add(*b)).collect();
        let input = self.calibrated.input(&self.shape, words);
        let output = engine.run(&self.calibrated.network, &[self.shape], &[input]).unwrap().remove(0).results;
        (output.data.iter().map(|word| *word as i64).collect(), output.form.frac)
    }
}

type Peer = dyn net::Link;

/// Results in units of values.
fn in_units((words, frac): &(Vec<i64>, i32), of: i32) -> Vec<i64> {
    let by = frac - of;
    assert!(words.iter().all(|word| word & ((1 << by) - 1) == 0), "nothing below a unit");
    words.iter().map(|word| word >> by).collect()
}

fn units_of_values(results: &(Vec<i64>, i32)) -> Vec<i64> {
    in_units(results, FRAC)
}
