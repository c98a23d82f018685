//! Another network than BERT on every interpreter, without a change in any crate: floating point, clear fixed point, the plan,
//! and masked wires by three roles, whose three runs share one cache. What is measured is what was planned.

use std::sync::Arc;
use std::thread;

use model::{
    Calibrated, Clear, Curve, Float, Functions, Matrices, Matrix, Network, Opening, Quantised, Scales, quantise,
};
use mpc::Planned;
use mpc::masked::{DealerWeights, PartyWeights, Plan, deal, online, prepare, stream};
use mpc::{DealtReader, DealtWriter, Outcome, Party, Run, Trace, beaver};
use ndarray::Array2;
use net::testing::Recorded;
use net::{Link, memory_pair};
use ring64::{Kernel, Key, Prg};

use crate::gated::{Gated, WIDTH};
use crate::world::{key, split, stream_keys};

const SEED: u64 = 5;
/// Rows of the three runs of one attempt.
const BATCHES: [usize; 3] = [3, 1, 2];
const FRAC: i32 = 12;

/// Numbers from -1 to 1.
fn numbers(stream: u64, count: usize) -> Vec<f32> {
    let words = Prg::new(&key(SEED), stream).words(count);
    words.iter().map(|word| (*word >> 40) as f32 / f64::powi(2.0, 23) as f32 - 1.0).collect()
}

fn matrices(gated: &Gated) -> Matrices {
    let matrix = |rows: usize, cols: usize, stream| {
        let weight = Array2::from_shape_vec((rows, cols), numbers(stream, rows * cols)).unwrap() * 0.6;
        Matrix { weight, bias: None }
    };
    let of = gated.table().parameters();
    of.map(|(weight, of)| (weight, matrix(of.rows, of.cols, of.stream))).collect()
}

fn calibrated() -> Calibrated<Gated> {
    let network = Gated::new();
    let (opening, curve) = (Opening { frac: FRAC, bits: 18 }, Curve { frac: 0, stretch: 0, segments: Vec::new() });
    let curve = Arc::new(curve);
    let scales = Scales::new(network.table().clone(), 16, |_| opening, |_| (curve.clone(), 0), |_| 14);
    Calibrated { network, scales: Arc::new(scales) }
}

/// The inputs as numbers.
fn inputs() -> Vec<Array2<f32>> {
    let rows = BATCHES.iter().zip(100..);
    rows.map(|(rows, stream)| Array2::from_shape_vec((*rows, WIDTH), numbers(stream, rows * WIDTH)).unwrap()).collect()
}

fn words(input: &Array2<f32>) -> Vec<u64> {
    input.iter().map(|v| ring64::encode(f64::from((v * 4096.0).round() / 4096.0), FRAC + 16).unwrap()).collect()
}

fn float(network: &Gated) -> Vec<f64> {
    let matrices = matrices(network);
    let mut engine = Float::new(network.table(), &matrices, (), Functions::Series);
    let mut state = network.begin::<Float<'_, ()>>();
    let runs = BATCHES.iter().zip(inputs());
    let outputs = runs.flat_map(|(rows, x)| network.run(&mut engine, rows, &mut state, &x).unwrap().results);
    outputs.map(f64::from).collect()
}

fn clear(calibrated: &Calibrated<Gated>, quantised: &Quantised) -> Vec<f64> {
    let mut engine = Clear::new(calibrated.scales.clone(), quantised);
    let shares: Vec<_> = BATCHES.iter().zip(inputs()).map(|(b, x)| calibrated.input(b, words(&x))).collect();
    let outputs = engine.run(&calibrated.network, &BATCHES, &shares).unwrap();
    outputs.iter().flat_map(|o| ring64::decode_slice(&o.results.data, o.results.form.frac)).collect()
}

fn close(a: &[f64], b: &[f64], most: f64) {
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("largest difference {worst:.5}");
    assert!(worst < most, "{worst}: {a:?} and {b:?}");
}

/// What a party holds, and how it runs.
struct Role<'w> {
    run: Run<'w, Gated>,
    weights: &'w PartyWeights,
    inputs: Vec<Vec<u64>>,
}

impl Role<'_> {
    fn outputs(&self, own: Key, dealt: Option<DealtReader<'_>>, peer: &mut dyn Link, streamed: bool) -> Vec<f64> {
        let (mut inputs, mut trace) = (self.inputs.clone(), Trace::default());
        let mut consume = |made| online(&self.run, self.weights, made, &mut inputs, peer, &mut trace);
        let outcome = match streamed {
            true => stream(&self.run, self.weights, own, dealt, consume),
            false => consume(prepare(&self.run, self.weights, own, dealt, u64::MAX).unwrap()),
        };
        let Outcome::Outputs(outputs) = outcome.unwrap() else { panic!("this seed does not restart") };
        assert_eq!(outputs.len(), BATCHES.len());
        // shares as numbers modulo 2^64, to be added by the caller
        outputs.iter().flat_map(|o| o.results.iter().map(|word| f64::from_bits(*word))).collect()
    }
}

#[test]
fn another_network_runs_on_every_interpreter_and_costs_what_was_planned() {
    let calibrated = calibrated();
    let network = &calibrated.network;
    let quantised = quantise(&matrices(network), &calibrated.scales).unwrap();
    let (float, clear) = (float(network), clear(&calibrated, &quantised));
    close(&clear, &float, 0.02);

    let (table, kernel) = (network.table(), Kernel::detect());
    let split = split(table, &quantised, SEED);
    let weights = [Party::Zero, Party::One]
        .map(|p| PartyWeights::expand(p, table, split.masked.clone(), &split.seeds[p.index()], kernel));
    let dealer_weights = DealerWeights::expand(table, quantised.keys().copied(), &split.seeds, kernel);
    let run = Run { calibrated: &calibrated, batches: &BATCHES, request: 1, attempt: 0, kernel };
    let plan = Plan::new(&calibrated, &BATCHES).unwrap();
    let cost = plan.cost();
    for streamed in [false, true] {
        let (zero, mut one) = memory_pair("party0", "party1");
        let (mut dealer, assisted) = memory_pair("dealer", "party1");
        let (mut zero, mut assisted) = (Recorded::new(zero), Recorded::new(assisted));
        let (opened, dealt) = (zero.recording(), assisted.recording());
        let shares: Vec<[Vec<u64>; 2]> = inputs()
            .iter()
            .zip(1..)
            .map(|(x, n)| {
                let zero = Prg::new(&key(SEED ^ n), 9).words(x.len());
                let one = words(x).iter().zip(&zero).map(|(x, z)| x.wrapping_sub(*z)).collect();
                [zero, one]
            })
            .collect();
        let role = |i: usize| Role { run, weights: &weights[i], inputs: shares.iter().map(|s| s[i].clone()).collect() };
        let (a, b) = thread::scope(|scope| {
            scope
                .spawn(|| deal(&run, &dealer_weights, stream_keys(SEED), DealtWriter::new(&mut dealer, 1, 0)).unwrap());
            let [zeros, ones] = stream_keys(SEED);
            let of_one = scope.spawn(|| {
                let reader = DealtReader::new(&mut assisted, 1, 0, cost.dealt_bytes);
                role(1).outputs(ones, Some(reader), &mut one, streamed)
            });
            (role(0).outputs(zeros, None, &mut zero, streamed), of_one.join().unwrap())
        });
        let frac = FRAC + 14;
        let sum = |(a, b): (&f64, &f64)| ring64::decode(a.to_bits().wrapping_add(b.to_bits()), frac);
        close(&a.iter().zip(&b).map(sum).collect::<Vec<_>>(), &clear, 0.02);
        for frames in [opened.sent(), opened.received()] {
            assert_eq!(frames.len(), cost.frames);
            assert_eq!(frames.iter().map(|f| f.payload.len()).sum::<usize>(), cost.opened_bytes);
        }
        assert_eq!(dealt.received().iter().map(|f| f.payload.len()).sum::<usize>(), cost.dealt_bytes);
        assert_eq!(plan.rounds.len(), cost.rounds);
    }
}

/// A later run reads what an earlier one of the attempt opened: without the cache its results are others.
#[test]
fn the_cache_of_one_attempt_is_read_by_its_later_runs() {
    let calibrated = calibrated();
    let quantised = quantise(&matrices(&calibrated.network), &calibrated.scales).unwrap();
    let together = clear(&calibrated, &quantised);
    let mut engine = Clear::new(calibrated.scales.clone(), &quantised);
    let last = calibrated.input(&BATCHES[2], words(&inputs()[2]));
    let alone = engine.run(&calibrated.network, &BATCHES[2..], &[last]).unwrap().remove(0).results;
    let alone = ring64::decode_slice(&alone.data, alone.form.frac);
    let apart = alone.iter().zip(&together[together.len() - alone.len()..]).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f64::max) > 0.05);
}

/// On additive shares the same network is planned too, and every plan has a digest of its own.
#[test]
fn plans_of_both_engines_and_of_other_batches_have_digests_of_their_own() {
    let calibrated = calibrated();
    let masked = |batches: &[usize]| Plan::new(&calibrated, batches).unwrap().digest();
    let options = beaver::Options::of(Functions::Series);
    let shares = beaver::Plan::new(&calibrated, &BATCHES, options).unwrap().digest();
    let all = [masked(&BATCHES), masked(&[3, 2, 1]), masked(&[6]), shares];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
}

#[test]
fn the_definition_of_another_network_takes_at_most_sixty_lines() {
    let text = include_str!("gated.rs");
    // its own line of documentation, blank lines and the imports are not the definition
    let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with("//!") && !l.starts_with("use "));
    assert!(lines.count() <= 60);
}

/// A batch without its input would otherwise be left out of the answer without a word.
#[test]
fn a_run_without_an_input_for_each_batch_is_refused() {
    let (calibrated, kernel) = (calibrated(), Kernel::detect());
    let table = calibrated.network.table();
    let quantised = quantise(&matrices(&calibrated.network), &calibrated.scales).unwrap();
    let split = split(table, &quantised, SEED);
    let weights = PartyWeights::expand(Party::Zero, table, split.masked.clone(), &split.seeds[0], kernel);
    let run = Run { calibrated: &calibrated, batches: &BATCHES, request: 1, attempt: 0, kernel };
    for given in [0, 2, 4] {
        let [streams, _] = stream_keys(SEED);
        let made = prepare(&run, &weights, streams, None, u64::MAX).unwrap();
        let (mut peer, _other) = memory_pair("party0", "party1");
        let mut inputs = vec![vec![0; WIDTH]; given];
        let outcome = online(&run, &weights, made, &mut inputs, &mut peer, &mut Trace::default());
        assert!(outcome.unwrap_err().to_string().contains("not one input a batch"));
    }
}
