//! Two parties and a dealer in memory, on a random network.
#![allow(dead_code, unreachable_pub)] // each test file uses a part
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::thread;

use model::{
    Config, Float, Folded, InputKind, Part, Plan, Quantised, Sample, Shape, Spec, Texts, Weight, Words, calibrate,
    choose, fold, quantise, synthetic, weight_mask,
};
use mpc::{
    Attempt, DealerWeights, DealtReader, DealtWriter, Outcome, Party, PartyWeights, Streams, deal, expand_input,
    online, prepare, share_input, unpack_input,
};
use net::testing::{Recorded, Recording};
use net::{Link, MemoryLink, memory_pair};
use ring64::{Kernel, Key, add_assign, sub_assign};

pub const WORDS: u32 = 97;

/// A network with its spec and words.
pub struct Network {
    pub folded: Folded,
    pub spec: Arc<Spec>,
    pub quantised: Quantised,
    pub samples: Vec<Sample>,
}

pub fn config(layers: usize, width: usize, heads: usize, inner: usize, positions: usize) -> Config {
    let text = format!(
        r#"{{"vocab_size":{WORDS},"hidden_size":{width},"num_hidden_layers":{layers},"num_attention_heads":{heads},
        "intermediate_size":{inner},"max_position_embeddings":{positions},"attention_softmax":"2quad"}}"#
    );
    Config::from_json(&text).unwrap()
}

pub fn sample(seed: u64, tokens: usize) -> Sample {
    let words = ring64::Prg::new(&key(seed), 77).words(2 * tokens);
    Sample {
        ids: words[..tokens].iter().map(|w| (*w % u64::from(WORDS)) as u32).collect(),
        segments: words[tokens..].iter().map(|w| (*w % 2) as u32).collect(),
    }
}

pub fn key(seed: u64) -> Key {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[31] = 0x5a;
    Key::from_bytes(bytes)
}

impl Network {
    pub fn random(config: &Config, seed: u64) -> Network {
        let shape = Shape::of(config);
        let mut folded = fold(&shape, &synthetic(config, seed)).unwrap();
        let longest = shape.positions;
        let samples: Vec<_> = (0..16).map(|i| sample(seed * 1000 + i, 1 + (i as usize * 5) % longest)).collect();
        let choice = choose(&shape, &calibrate(&folded, &samples, &|| ())).unwrap();
        choice.orders.iter().enumerate().for_each(|(l, order)| folded.permute_neurons(l, order));
        let spec = Arc::new(choice.spec);
        let quantised = quantise(&folded, &spec).unwrap();
        Network { folded, spec, quantised, samples }
    }

    pub fn float(&self, batch: &[Sample]) -> Vec<f64> {
        let (texts, ids, segments) = self.batch(batch);
        Float::new(&self.folded, ()).logits(&texts, &ids, &segments).iter().map(|v| f64::from(*v)).collect()
    }

    pub fn batch(&self, batch: &[Sample]) -> (Texts, Vec<u32>, Vec<u32>) {
        let lengths: Vec<_> = batch.iter().map(|s| s.ids.len()).collect();
        let ids = batch.iter().flat_map(|s| s.ids.clone()).collect();
        let segments = batch.iter().flat_map(|s| s.segments.clone()).collect();
        (Texts::new(&lengths, &self.spec.shape).unwrap(), ids, segments)
    }

    /// The client's input at the scale of its wire.
    pub fn input(&self, batch: &[Sample], kind: InputKind) -> Vec<u64> {
        match kind {
            InputKind::OneHot => {
                let (_, ids, segments) = self.batch(batch);
                model::one_hot(&self.spec.shape, &ids, &segments).iter().map(|v| *v as u64).collect()
            }
            InputKind::Embedded => {
                let frac = self.spec.input(kind).0.frac;
                let rows = batch.iter().flat_map(|s| self.folded.embed(&s.ids, &s.segments));
                rows.map(|v| ring64::encode(f64::from(v), frac).unwrap()).collect()
            }
        }
    }
}

/// F and the two expanded masks of a network.
pub struct Split {
    pub masked: Quantised,
    pub seeds: [Key; 2],
}

pub fn split(quantised: &Quantised, seed: u64) -> Split {
    let seeds = [key(seed ^ 0x1111), key(seed ^ 0x2222)];
    let hide = |weight: Weight, part: Part, words: &[u64]| {
        let mut masked = words.to_vec();
        seeds.iter().for_each(|s| sub_assign(&mut masked, &weight_mask(s, weight, part, words.len())));
        masked
    };
    let masked = quantised.iter().map(|(weight, w)| {
        let bias = w.bias.as_ref().map(|b| hide(*weight, Part::Bias, b));
        (*weight, Words { rows: w.rows, cols: w.cols, weight: hide(*weight, Part::Matrix, &w.weight), bias })
    });
    Split { masked: masked.collect(), seeds }
}

/// Everything a run needs.
pub struct World {
    pub spec: Arc<Spec>,
    pub texts: Texts,
    pub kind: InputKind,
    pub parties: [PartyWeights; 2],
    pub dealer: DealerWeights,
    pub inputs: [Vec<u64>; 2],
    pub kernels: [Kernel; 2],
}

pub struct Run {
    pub outcomes: [Outcome; 2],
    /// Frames between the parties, as P0 saw them.
    pub opened: Recording,
    /// Frames from the dealer, as P1 saw them.
    pub dealt: Recording,
    pub plan: Plan,
}

impl Run {
    /// The logits, if the attempt was not restarted.
    pub fn logits(&self) -> Option<Vec<f64>> {
        match &self.outcomes {
            [Outcome::Logits { share: a, frac }, Outcome::Logits { share: b, .. }] => {
                let mut sum = a.clone();
                add_assign(&mut sum, b);
                Some(ring64::decode_slice(&sum, *frac))
            }
            [Outcome::Restart, Outcome::Restart] => None,
            other => panic!("the parties disagree: {other:?}"),
        }
    }
}

impl World {
    pub fn new(network: &Network, batch: &[Sample], kind: InputKind, seed: u64) -> World {
        let split = split(&network.quantised, seed);
        let (texts, _, _) = network.batch(batch);
        let shapes: Vec<_> = network.quantised.iter().map(|(w, m)| (*w, m.rows, m.cols)).collect();
        let parties =
            [Party::Zero, Party::One].map(|p| PartyWeights::expand(p, split.masked.clone(), &split.seeds[p.index()]));
        let values = network.input(batch, kind);
        let extra = network.spec.input_extra;
        let client = key(seed ^ 0x3333);
        let packed = share_input(&client, &values, extra);
        let inputs = [expand_input(&client, values.len(), extra), unpack_input(&packed, values.len(), extra).unwrap()];
        World {
            spec: network.spec.clone(),
            texts,
            kind,
            parties,
            dealer: DealerWeights::expand(&shapes, &split.seeds),
            inputs,
            kernels: [Kernel::detect(); 2],
        }
    }

    /// One attempt. `streams` are P0's and P1's; the dealer has copies of both.
    pub fn run<S: Streams + Send>(&self, streams: [S; 2], dealers: [S; 2]) -> Run {
        let (peer0, peer1) = memory_pair("party0", "party1");
        let (dealer, assisted) = memory_pair("dealer", "party1");
        let (mut peer0, mut peer1) = (Recorded::new(peer0), peer1);
        let mut assisted = Recorded::new(assisted);
        let mut dealer: MemoryLink = dealer;
        let (opened, dealt) = (peer0.recording(), assisted.recording());
        let plan = Plan::new(&self.spec, &self.texts, self.kind).unwrap();
        let bytes = plan.cost().dealt_bytes;
        let [streams0, streams1] = streams;
        let party = |i: usize, streams: S, dealt: Option<DealtReader<'_>>, peer: &mut dyn Link| {
            let (weights, kernel) = (&self.parties[i], self.kernels[i]);
            let correlations = prepare(&self.spec, weights, &self.texts, self.kind, streams, dealt, kernel).unwrap();
            let attempt = Attempt { peer, request: 1, attempt: 0 };
            let input = self.inputs[i].clone();
            online(&self.spec, weights, &self.texts, self.kind, correlations, input, attempt, kernel).unwrap()
        };
        let outcomes = thread::scope(|scope| {
            scope.spawn(|| {
                let writer = DealtWriter::new(&mut dealer, 1, 0);
                deal(&self.spec, &self.dealer, &self.texts, self.kind, dealers, Kernel::detect(), writer).unwrap();
            });
            let one = scope.spawn(|| {
                let reader = DealtReader::new(&mut assisted, 1, 0, bytes);
                party(1, streams1, Some(reader), &mut peer1)
            });
            let zero = party(0, streams0, None, &mut peer0);
            [zero, one.join().unwrap()]
        });
        Run { outcomes, opened, dealt, plan }
    }

    /// One attempt with fresh keys of that seed.
    pub fn run_seeded(&self, seed: u64) -> Run {
        let keys = || [key(seed ^ 0x4444), key(seed ^ 0x5555)];
        self.run(keys(), keys())
    }
}
