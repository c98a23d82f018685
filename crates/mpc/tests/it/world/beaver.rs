//! SecFormer's engine in memory: both parties and the dealer on one network.

use std::thread;

use std::slice;

use model::{Bert, Calibrated, InputKind, Sample, Texts};
use mpc::Planned;
use mpc::beaver::{Options, Plan, Shares, deal, online};
use mpc::{
    DealtReader, DealtWriter, MpcError, OutputShare, Party, Run as Attempt, Streams, Trace, expand_input, share_input,
    unpack_input,
};
use net::testing::{Recorded, Recording};
use net::{Link, memory_pair};
use ring64::{Kernel, Key, add_assign};

use super::{Network, key, split, stream_keys};

/// A plan's dealer and both parties, each on a thread of its own: over the links of P0, P1, the dealer, and P1 to the dealer. `party`
/// runs one with the key of its streams and what it is dealt.
pub fn parties<T: Send>(
    plan: &Plan,
    seed: u64,
    [zero, one, dealer, assisted]: [&mut dyn Link; 4],
    party: impl Fn(usize, Key, Option<DealtReader<'_>>, &mut dyn Link) -> T + Sync,
) -> [T; 2] {
    thread::scope(|scope| {
        let writer = DealtWriter::new(dealer, 1, 0);
        scope.spawn(move || deal(plan, stream_keys(seed), Kernel::detect(), writer).unwrap());
        let [zeros, ones] = stream_keys(seed);
        let (reader, party) = (DealtReader::new(assisted, 1, 0, plan.cost().dealt_bytes), &party);
        let other = scope.spawn(move || party(1, ones, Some(reader), one));
        [party(0, zeros, None, zero), other.join().unwrap()]
    })
}

/// All roles' possessions.
pub struct Deployment {
    pub network: Network,
    pub calibrated: Calibrated<Bert>,
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
        let table = network.table();
        let split = split(table, &network.quantised, seed);
        let weights =
            [Party::Zero, Party::One].map(|p| Shares::expand(p, table, split.masked.clone(), &split.seeds[p.index()]));
        let (values, extra) = (network.input(batch, kind), network.spec.input_extra);
        let client = key(seed ^ 0x3333);
        let packed = share_input(&client, &values, extra);
        let inputs = [expand_input(&client, values.len(), extra), unpack_input(&packed, values.len(), extra).unwrap()];
        let (texts, _, _) = network.batch(batch);
        let calibrated = network.spec.calibrated(kind);
        Deployment { network, calibrated, batch: batch.to_vec(), texts, kind, options, weights, inputs }
    }

    pub fn plan(&self) -> Plan {
        Plan::new(&self.calibrated, slice::from_ref(&self.texts), self.options).unwrap()
    }

    /// The run of request 1.
    pub fn attempt(&self) -> Attempt<'_, Bert> {
        let (calibrated, batches) = (&self.calibrated, slice::from_ref(&self.texts));
        Attempt { calibrated, batches, request: 1, attempt: 0, kernel: Kernel::detect() }
    }

    /// A party's part in it.
    pub fn party<S: Streams>(
        &self,
        i: usize,
        streams: S,
        dealt: Option<DealtReader<'_>>,
        peer: &mut dyn Link,
        trace: &mut Trace,
    ) -> Result<OutputShare, MpcError> {
        let inputs = vec![self.inputs[i].clone()];
        let attempt = self.attempt();
        let outputs = online(&attempt, self.options, &self.weights[i], streams, dealt, inputs, peer, trace)?;
        Ok(outputs.into_iter().next().unwrap())
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
                self.party(1, streams1, Some(reader), &mut one, trace1).unwrap()
            });
            let zero = self.party(0, streams0, None, &mut zero, trace0).unwrap();
            (zero, one.join().unwrap())
        });
        let (mut sum, frac) = (a.results, a.frac);
        add_assign(&mut sum, &b.results);
        Run { logits: ring64::decode_slice(&sum, frac), opened, dealt, traces }
    }

    pub fn run_seeded(&self, seed: u64) -> Run {
        self.run(stream_keys(seed), stream_keys(seed))
    }

    /// The same functions in floating point.
    pub fn float(&self) -> Vec<f64> {
        let (texts, ids, segments) = self.network.batch(&self.batch);
        let (folded, functions) = (&self.network.folded, self.options.functions);
        let logits = folded.observed(functions, &mut (), &texts, &ids, &segments).unwrap();
        logits.iter().map(|v| f64::from(*v)).collect()
    }
}
