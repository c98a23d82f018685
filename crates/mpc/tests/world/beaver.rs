//! SecFormer's engine in memory: both parties and the dealer on one network.

use std::thread;

use model::{Float, InputKind, Sample, Texts};
use mpc::beaver::{Attempt, Options, Plan, Shares, deal, online};
use mpc::{DealtReader, DealtWriter, Party, Streams, Trace, expand_input, share_input, unpack_input};
use net::memory_pair;
use net::testing::{Recorded, Recording};
use ring64::{Kernel, add_assign};

use super::{Network, key, split, stream_keys};

/// All roles' possessions.
pub struct Deployment {
    pub network: Network,
    pub batch: Vec<Sample>,
    pub texts: Texts,
    pub kind: InputKind,
    pub options: Options,
    pub weights: [Shares; 2],
    pub inputs: [Vec<u64>; 2],
}

pub struct Run {
    pub logits: Vec<f64>,
    pub opened: Recording,
    pub dealt: Recording,
    pub traces: [Trace; 2],
}

impl Deployment {
    pub fn new(network: Network, batch: &[Sample], kind: InputKind, options: Options, seed: u64) -> Deployment {
        let split = split(&network.quantised, seed);
        let weights =
            [Party::Zero, Party::One].map(|p| Shares::expand(p, split.masked.clone(), &split.seeds[p.index()]));
        let (values, extra) = (network.input(batch, kind), network.spec.input_extra);
        let client = key(seed ^ 0x3333);
        let packed = share_input(&client, &values, extra);
        let inputs = [expand_input(&client, values.len(), extra), unpack_input(&packed, values.len(), extra).unwrap()];
        let (texts, _, _) = network.batch(batch);
        Deployment { network, batch: batch.to_vec(), texts, kind, options, weights, inputs }
    }

    pub fn plan(&self) -> Plan {
        Plan::new(&self.network.spec, &self.texts, self.kind, self.options).unwrap()
    }

    /// A party's run of request 1.
    pub fn attempt(&self, i: usize) -> Attempt<'_> {
        Attempt {
            spec: &self.network.spec,
            weights: &self.weights[i],
            texts: &self.texts,
            kind: self.kind,
            options: self.options,
            request: 1,
            kernel: Kernel::detect(),
        }
    }

    pub fn run<S: Streams + Send>(&self, streams: [S; 2], dealers: [S; 2]) -> Run {
        let plan = self.plan();
        let (zero, mut one) = memory_pair("party0", "party1");
        let (mut dealer, assisted) = memory_pair("dealer", "party1");
        let (mut zero, mut assisted) = (Recorded::new(zero), Recorded::new(assisted));
        let (opened, dealt) = (zero.recording(), assisted.recording());
        let [streams0, streams1] = streams;
        let mut traces = [Trace::default(), Trace::default()];
        let [trace0, trace1] = &mut traces;
        let (a, b) = thread::scope(|scope| {
            let plan = &plan;
            scope.spawn(move || deal(plan, dealers, Kernel::detect(), DealtWriter::new(&mut dealer, 1, 0)).unwrap());
            let one = scope.spawn(move || {
                let mut reader = DealtReader::new(&mut assisted, 1, 0, plan.cost().dealt_bytes);
                reader.hold().unwrap();
                online(&self.attempt(1), streams1, Some(reader), self.inputs[1].clone(), &mut one, trace1).unwrap()
            });
            let zero = online(&self.attempt(0), streams0, None, self.inputs[0].clone(), &mut zero, trace0).unwrap();
            (zero, one.join().unwrap())
        });
        let (mut sum, frac) = a;
        add_assign(&mut sum, &b.0);
        Run { logits: ring64::decode_slice(&sum, frac), opened, dealt, traces }
    }

    pub fn run_seeded(&self, seed: u64) -> Run {
        self.run(stream_keys(seed), stream_keys(seed))
    }

    /// The same functions in floating point.
    pub fn float(&self) -> Vec<f64> {
        let (texts, ids, segments) = self.network.batch(&self.batch);
        let mut engine = Float::with_functions(&self.network.folded, (), self.options.functions);
        engine.logits(&texts, &ids, &segments).unwrap().iter().map(|v| f64::from(*v)).collect()
    }
}
