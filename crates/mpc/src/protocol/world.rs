//! Two parties and a dealer in memory, for tests of single protocols.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use crate::engine::Planned;
use model::{
    Bert, Calibrated, Config, Form, Functions, InputKind, Operation, Sample, Shape, Value, calibrate, choose, fold,
    synthetic,
};
use net::testing::{Recorded, Recording};
use net::{Link, memory_pair};
use ring64::{Kernel, Key, Prg, sub_assign};

use super::fixed::{FixedPoint, Tensor};
use super::ring::Ring;
use super::truncate::Truncation;
use crate::beaver::{Demand, FRAC, Online, Options, Plan, Planner, Shares, deal};
use crate::dealt::{DealtReader, DealtWriter};
use crate::party::Party;
use crate::trace::{Trace, Tracing};

/// A protocol on some values, over any ring.
pub(super) trait Protocol: Sync {
    fn run<R: Ring>(&self, ring: &mut R, inputs: &[R::Share]) -> Result<Vec<R::Share>, R::Error>;
}

/// What a run gave.
pub(super) struct Seen {
    /// Sums of both parties' shares.
    pub(super) outputs: Vec<Vec<u64>>,
    /// Each party's own.
    pub(super) shares: [Vec<Vec<u64>>; 2],
    /// What was demanded.
    pub(super) demands: Vec<Demand>,
    /// Frames between the parties, as P0 saw them.
    pub(super) opened: Recording,
}

pub(super) fn key(seed: u64) -> Key {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Key::from_bytes(bytes)
}

/// Runs a protocol on inputs that are shared by addition, with measured rounds and bytes held against the plan.
pub(super) fn run(protocol: &impl Protocol, inputs: &[Vec<u64>], seed: u64) -> Seen {
    let shares = inputs.iter().enumerate().map(|(i, x)| {
        let zero = Prg::new(&key(seed), 1000 + i as u64).words(x.len());
        let mut one = x.clone();
        sub_assign(&mut one, &zero);
        [zero, one]
    });
    run_shared(protocol, &shares.collect::<Vec<_>>(), seed)
}

/// The same on inputs whose shares are chosen.
pub(super) fn run_shared(protocol: &impl Protocol, inputs: &[[Vec<u64>; 2]], seed: u64) -> Seen {
    let mut planner = Planner::default();
    let counts: Vec<usize> = inputs.iter().map(|x| x[0].len()).collect();
    let planned = protocol.run(&mut planner, &counts).unwrap();
    let plan = Plan { table: Arc::default(), options: Options::of(Functions::SecFormer), demands: planner.demands };
    let (cost, keys) = (plan.cost(), [key(seed ^ 1), key(seed ^ 2)]);
    let (zero, mut one) = memory_pair("party0", "party1");
    let (mut zero, (mut dealer, mut assisted)) = (Recorded::new(zero), memory_pair("dealer", "party1"));
    let opened = zero.recording();
    let [key0, key1] = keys;
    let dealt = [key(seed ^ 1), key(seed ^ 2)];
    let shares = thread::scope(|scope| {
        let plan = &plan;
        scope.spawn(move || deal(plan, dealt, Kernel::detect(), DealtWriter::new(&mut dealer, 1, 0)).unwrap());
        let one = scope.spawn(move || {
            let reader = DealtReader::new(&mut assisted, 1, 0, cost.dealt_bytes);
            party(protocol, Party::One, inputs, key1, Some(reader), &mut one, plan)
        });
        [party(protocol, Party::Zero, inputs, key0, None, &mut zero, plan), one.join().unwrap()]
    });
    let sent: usize = opened.sent().iter().map(|frame| frame.payload.len()).sum();
    assert_eq!((sent, opened.sent().len()), (cost.opened_bytes, cost.frames), "what the link carried is as declared");
    assert_eq!(shares[0].iter().map(Vec::len).collect::<Vec<_>>(), planned, "lengths are as planned");
    let outputs = shares[0].iter().zip(&shares[1]).map(|(a, b)| {
        let mut sum = a.clone();
        ring64::add_assign(&mut sum, b);
        sum
    });
    let demands = plan.demands.iter().map(|(_, demand)| demand.clone()).collect();
    Seen { outputs: outputs.collect(), shares, demands, opened }
}

/// One party's outputs; its rounds and bytes are the plan's.
fn party(
    protocol: &impl Protocol,
    party: Party,
    inputs: &[[Vec<u64>; 2]],
    streams: Key,
    dealt: Option<DealtReader<'_>>,
    peer: &mut dyn Link,
    plan: &Plan,
) -> Vec<Vec<u64>> {
    let weights = Shares::from_parts(party, &Arc::default(), BTreeMap::new());
    let own: Vec<_> = inputs.iter().map(|x| x[party.index()].clone()).collect();
    let mut trace = Trace::default();
    let (kernel, tracing) = (Kernel::detect(), Tracing::begin(&mut trace));
    let mut ring = Online { weights: &weights, streams, dealt, peer, request: 1, number: 0, kernel, tracing };
    let outputs = protocol.run(&mut ring, &own).unwrap();
    if let Some(dealt) = ring.dealt.take() {
        dealt.finish().unwrap();
    }
    drop(ring);
    let rounds: u64 = trace.operations.iter().map(|cost| cost.rounds).sum();
    let bytes: u64 = trace.operations.iter().map(|cost| cost.bytes).sum();
    let cost = plan.cost();
    assert_eq!((rounds as usize, bytes as usize), (cost.rounds, cost.opened_bytes), "measured is as declared");
    outputs
}

/// A random network with its scales: one layer, two heads, eight wide, up to 512 tokens.
pub(super) fn calibrated() -> Calibrated<Bert> {
    let config = r#"{"vocab_size":31,"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
        "max_position_embeddings":512,"attention_softmax":"2quad","attention_shift":8}"#;
    let config = Config::from_json(config).unwrap();
    let shape = Shape::of(&config);
    let folded = fold(&shape, &synthetic(&config, 3)).unwrap();
    let sample =
        |i: usize| Sample { ids: (0..=i).map(|t| ((7 * t + i) % 31) as u32).collect(), segments: vec![0; i + 1] };
    let samples: Vec<_> = (0..24).map(sample).collect();
    let ranges = calibrate(&folded, &samples, &|| ()).unwrap();
    choose(&shape, &ranges).unwrap().spec.calibrated(InputKind::OneHot)
}

/// A protocol on one matrix of 16 fractional bits, over any ring.
pub(super) trait OnMatrix: Sync {
    fn apply<R: Ring>(&self, fixed: &mut FixedPoint<'_, R>, x: Tensor<R>) -> Result<Tensor<R>, R::Error>;
}

/// Such a protocol on a matrix with so many columns.
struct WithColumns<'f, F>(usize, &'f F);

impl<F: OnMatrix> Protocol for WithColumns<'_, F> {
    fn run<R: Ring>(&self, ring: &mut R, inputs: &[R::Share]) -> Result<Vec<R::Share>, R::Error> {
        let WithColumns(cols, function) = self;
        let (count, data) = (ring.count(&inputs[0]), super::layout::copy(ring, &inputs[0]));
        let mut fixed = FixedPoint { ring, frac: FRAC, truncation: Truncation::Local };
        let x = Value { form: Form { rows: count / cols, cols: *cols, frac: FRAC }, data };
        let y = function.apply(&mut fixed, x)?;
        Ok(vec![fixed.at_scale(&y, FRAC)?.data])
    }
}

/// A protocol's values and what it demanded.
pub(super) fn apply(function: &impl OnMatrix, cols: usize, x: &[f64], seed: u64) -> (Vec<f64>, Vec<Demand>) {
    let seen = run(&WithColumns(cols, function), &[fixed(x)], seed);
    (ring64::decode_slice(&seen.outputs[0], FRAC), seen.demands)
}

/// Numbers at 16 fractional bits.
pub(super) fn fixed(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| ring64::encode(*x, FRAC).unwrap()).collect()
}

/// SecFormer's bytes of all demands.
pub(super) fn published(demands: &[Demand]) -> usize {
    let demands = demands.iter().map(|d| (Operation::Others, d.clone())).collect();
    let options = Options::of(Functions::SecFormer);
    Plan { table: Arc::default(), options, demands }.published_bytes(Operation::Others)
}
