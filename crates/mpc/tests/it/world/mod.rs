//! Two parties and a dealer in memory, on a random network.
#![allow(dead_code, unreachable_pub)] // each test file uses a part
#![allow(clippy::unwrap_used)]

pub mod beaver;
pub mod checked;
pub mod chosen;
pub mod replay;
pub mod view;

use std::sync::Arc;
use std::thread;

use model::{
    AttentionKind, Bert, BertWeight, Calibrated, Config, Folded, InputKind, Lengths, Network as _, Pace, Part,
    Quantised, Sample, Shape, Spec, Table, Texts, Weight, Words, batch_rows, calibrate, choose, fit_row_shifts, fold,
    quantise, synthetic, weight_mask,
};
use mpc::Planned;
use mpc::masked::{Correlations, DealerWeights, PartyWeights, Plan, deal, lay_up, online, prepare, restore, stream};
use mpc::{
    DealtReader, DealtWriter, MpcError, Outcome, OutputShare, Party, Run as Attempt, Streams, Trace, expand_input,
    share_input, unpack_input,
};
use net::testing::{Recorded, Recording};
use net::{Link, memory_pair};
use ring64::{Kernel, Key, add_assign, sub_assign};

pub const WORDS: u32 = 97;

/// A network with its spec and words.
pub struct Network {
    pub folded: Folded,
    pub spec: Arc<Spec>,
    pub quantised: Quantised,
    pub samples: Vec<Sample>,
    /// What of the lengths of its texts is public.
    pub lengths: Lengths,
}

/// A shape whose random networks are within what can be calibrated: scores are a few units, so a shift of eight keeps the sums of
/// their squares apart from zero. Sums that calibration never saw the like of are its matter, not the protocol's.
pub fn config(layers: usize, width: usize, heads: usize, inner: usize, positions: usize) -> Config {
    let text = format!(
        r#"{{"vocab_size":{WORDS},"hidden_size":{width},"num_hidden_layers":{layers},"num_attention_heads":{heads},
        "intermediate_size":{inner},"max_position_embeddings":{positions},"attention_softmax":"2quad","attention_shift":8}}"#
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
        let [network] = Network::under_one_spec(config, [seed]);
        network
    }

    /// Networks with unrelated weights under one spec, which is public: its ranges hold for all of them.
    pub fn under_one_spec<const N: usize>(config: &Config, seeds: [u64; N]) -> [Network; N] {
        let shape = Shape::of(config);
        let mut folded = seeds.map(|seed| fold(&shape, &synthetic(config, seed)).unwrap());
        // every other text is of one or two tokens: sums over a single score spread most
        let length = |i: usize| if i.is_multiple_of(2) { 1 + i / 2 % 2 } else { 1 + (i * 5) % shape.positions };
        let length = |i: usize| length(i).min(shape.positions);
        let samples = seeds.map(|seed| Vec::from_iter((0..48).map(|i| sample(seed * 1000 + i as u64, length(i)))));
        if shape.attention == AttentionKind::Softmax {
            folded.iter_mut().zip(&samples).for_each(|(folded, s)| fit_row_shifts(folded, s, &|| ()).unwrap());
        }
        let ranges = folded.iter().zip(&samples).map(|(folded, samples)| calibrate(folded, samples, &|| ()).unwrap());
        let choice = choose(&folded[0].shape, &ranges.reduce(|a, b| a.merge(&b)).unwrap()).unwrap();
        let spec = Arc::new(choice.spec);
        let mut samples = samples.into_iter();
        folded.map(|mut folded| {
            choice.orders.iter().enumerate().for_each(|(l, order)| folded.permute_neurons(l, order));
            let scales = spec.calibrated(InputKind::OneHot).scales;
            let quantised = quantise(folded.matrices(), &scales).unwrap();
            Network { folded, spec: spec.clone(), quantised, samples: samples.next().unwrap(), lengths: Lengths::Exact }
        })
    }

    /// What it declares.
    pub fn table(&self) -> &Arc<Table> {
        self.folded.bert().table()
    }

    /// The number of a weight.
    pub fn weight(&self, weight: BertWeight) -> Weight {
        self.folded.bert().weight(weight)
    }

    pub fn float(&self, batch: &[Sample]) -> Vec<f64> {
        let (texts, ids, segments) = self.batch(batch);
        self.folded.logits(&texts, &ids, &segments).unwrap().iter().map(|v| f64::from(*v)).collect()
    }

    /// The same network, which compares at this pace.
    pub fn paced(mut self, pace: Pace) -> Network {
        Arc::make_mut(&mut self.spec).set_pace(pace);
        self
    }

    /// The same network, whose texts are padded.
    pub fn padded(self) -> Network {
        Network { lengths: Lengths::Padded, ..self }
    }

    pub fn batch(&self, batch: &[Sample]) -> (Texts, Vec<u32>, Vec<u32>) {
        let tokens: Vec<_> = batch.iter().map(|s| s.ids.len()).collect();
        let texts = self.spec.texts(&tokens, self.lengths).unwrap();
        let (ids, segments) = batch_rows(&self.spec.shape, &texts, batch).unwrap();
        (texts, ids, segments)
    }

    /// The client's input at the scale of its wire.
    pub fn input(&self, batch: &[Sample], kind: InputKind) -> Vec<u64> {
        match kind {
            InputKind::OneHot => {
                let (texts, ids, segments) = self.batch(batch);
                model::one_hot(&self.spec.shape, &texts, &ids, &segments).unwrap().iter().map(|v| *v as u64).collect()
            }
            InputKind::Embedded => {
                let frac = self.spec.input(kind).frac;
                let (texts, ..) = self.batch(batch);
                let mut values = Vec::new();
                for (sample, rows) in batch.iter().zip(texts.lengths()) {
                    let end = values.len() + rows * (self.spec.shape.width + usize::from(texts.is_padded()));
                    for row in self.folded.embed(&sample.ids, &sample.segments).unwrap().rows() {
                        values.extend(row.iter().map(|v| ring64::encode(f64::from(*v), frac).unwrap()));
                        values.extend(texts.is_padded().then_some(1));
                    }
                    values.resize(end, 0);
                }
                values
            }
        }
    }
}

/// F and the two expanded masks of a network.
pub struct Split {
    pub masked: Quantised,
    pub seeds: [Key; 2],
}

pub fn split(table: &Table, quantised: &Quantised, seed: u64) -> Split {
    let seeds = [key(seed ^ 0x1111), key(seed ^ 0x2222)];
    let hide = |weight: Weight, part: Part, words: &[u64]| {
        let mut masked = words.to_vec();
        seeds.iter().for_each(|s| sub_assign(&mut masked, &weight_mask(s, table[weight].stream, part, words.len())));
        masked
    };
    let masked = quantised.iter().map(|(weight, w)| {
        let bias = w.bias.as_ref().map(|b| hide(*weight, Part::Bias, b));
        (*weight, Words { rows: w.rows, cols: w.cols, weight: hide(*weight, Part::Matrix, &w.weight), bias })
    });
    Split { masked: masked.collect(), seeds }
}

/// A party's additive shares of weights.
pub fn shares(table: &Table, masked: &Quantised, party: Party, seed: &Key) -> Quantised {
    let zero = Key::from_bytes(*seed.as_bytes());
    let mut shares = masked.clone();
    for (weight, words) in &mut shares {
        let part = |part, words: &mut Vec<u64>| {
            let mask = model::weight_mask(&zero, table[*weight].stream, part, words.len());
            match party {
                Party::Zero => ring64::add_assign(words, &mask),
                Party::One => *words = mask,
            }
        };
        part(model::Part::Matrix, &mut words.weight);
        words.bias.iter_mut().for_each(|b| part(model::Part::Bias, b));
    }
    shares
}

/// Weights that, added to the second ones, make the first.
pub fn difference(a: &Quantised, b: &Quantised) -> Quantised {
    let mut rest = a.clone();
    for (weight, words) in &mut rest {
        sub_assign(&mut words.weight, &b[weight].weight);
        if let (Some(bias), Some(other)) = (&mut words.bias, &b[weight].bias) {
            sub_assign(bias, other);
        }
    }
    rest
}

/// Everything a run needs.
pub struct World {
    pub spec: Arc<Spec>,
    /// The network under that spec.
    pub calibrated: Calibrated<Bert>,
    pub texts: Texts,
    pub kind: InputKind,
    pub parties: [PartyWeights; 2],
    pub dealer: DealerWeights,
    pub inputs: [Vec<u64>; 2],
    /// Of P0, P1 and the dealer.
    pub kernels: [Kernel; 3],
    pub schedule: Schedule,
}

/// When parties make their correlations.
#[derive(Clone, Copy, Debug)]
pub enum Schedule {
    /// Before the input; so many bytes stay in memory.
    Ahead(u64),
    /// While they compute.
    Stream,
    /// Long before, and written down.
    Stored,
}

/// Both ends of both connections.
pub struct Links {
    /// P0's end towards P1.
    pub zero: Box<dyn Link>,
    /// P1's end towards P0.
    pub one: Box<dyn Link>,
    /// The dealer's end.
    pub dealer: Box<dyn Link>,
    /// P1's end towards the dealer.
    pub assisted: Box<dyn Link>,
}

impl Links {
    pub fn new() -> Links {
        let (zero, one) = memory_pair("party0", "party1");
        let (dealer, assisted) = memory_pair("dealer", "party1");
        Links { zero: Box::new(zero), one: Box::new(one), dealer: Box::new(dealer), assisted: Box::new(assisted) }
    }
}

/// How each role ended.
pub struct Ends {
    pub outcomes: [Result<Outcome, MpcError>; 2],
    pub dealer: Result<(), MpcError>,
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
        let (sum, frac) = self.logit_words()?;
        Some(ring64::decode_slice(&sum, frac))
    }

    /// The certificate of each text.
    pub fn certificates(&self) -> Vec<f64> {
        let [Some(a), Some(b)] = self.outcomes.each_ref().map(output) else {
            panic!("an attempt that restarted has no certificates");
        };
        let mut sum = a.certificates.clone();
        add_assign(&mut sum, &b.certificates);
        ring64::decode_slice(&sum, model::CERTIFICATE_FRAC)
    }

    /// The logits as integers, with their fractional bits.
    pub fn logit_words(&self) -> Option<(Vec<u64>, i32)> {
        match self.outcomes.each_ref().map(output) {
            [Some(a), Some(b)] => {
                let mut sum = a.results.clone();
                add_assign(&mut sum, &b.results);
                Some((sum, a.frac))
            }
            [None, None] => None,
            other => panic!("the parties disagree: {other:?}"),
        }
    }
}

/// A party's share of what the only run of an attempt gave; nothing where it was restarted.
pub fn output(outcome: &Outcome) -> Option<&OutputShare> {
    match outcome {
        Outcome::Outputs(outputs) => Some(&outputs[0]),
        Outcome::Restart => None,
    }
}

impl World {
    pub fn new(network: &Network, batch: &[Sample], kind: InputKind, seed: u64) -> World {
        World::on([Kernel::detect(); 3], network, batch, kind, seed)
    }

    /// A world whose roles compute by these kernels.
    pub fn on(kernels: [Kernel; 3], network: &Network, batch: &[Sample], kind: InputKind, seed: u64) -> World {
        let table = network.table();
        let split = split(table, &network.quantised, seed);
        let (texts, _, _) = network.batch(batch);
        let parties = [Party::Zero, Party::One]
            .map(|p| PartyWeights::expand(p, table, split.masked.clone(), &split.seeds[p.index()], kernels[p.index()]));
        let values = network.input(batch, kind);
        let extra = network.spec.input_extra;
        let client = key(seed ^ 0x3333);
        let packed = share_input(&client, &values, extra);
        let inputs = [expand_input(&client, values.len(), extra), unpack_input(&packed, values.len(), extra).unwrap()];
        World {
            spec: network.spec.clone(),
            calibrated: network.spec.calibrated(kind),
            texts,
            kind,
            parties,
            dealer: DealerWeights::expand(table, network.quantised.keys().copied(), &split.seeds, kernels[2]),
            inputs,
            kernels,
            schedule: Schedule::Ahead(u64::MAX),
        }
    }

    pub fn plan(&self) -> Plan {
        Plan::new(&self.calibrated, std::slice::from_ref(&self.texts)).unwrap()
    }

    /// Under another spec.
    pub fn set_spec(&mut self, spec: Spec) {
        (self.calibrated, self.spec) = (spec.calibrated(self.kind), Arc::new(spec));
    }

    /// One attempt. `streams` are P0's and P1's; the dealer has copies of both.
    pub fn run<S: Streams + Send>(&self, streams: [S; 2], dealers: [S; 2]) -> Run {
        let links = Links::new();
        let (zero, assisted) = (Recorded::new(links.zero), Recorded::new(links.assisted));
        let (opened, dealt) = (zero.recording(), assisted.recording());
        let links = Links { zero: Box::new(zero), assisted: Box::new(assisted), ..links };
        let Ends { outcomes, dealer } = self.attempt(streams, dealers, links);
        dealer.unwrap();
        Run { outcomes: outcomes.map(|o| o.unwrap()), opened, dealt, plan: self.plan() }
    }

    /// One attempt over these links, which may misbehave. A role that ends closes its links.
    pub fn attempt<S: Streams + Send>(&self, streams: [S; 2], dealers: [S; 2], links: Links) -> Ends {
        World::between([self, self, self], streams, dealers, links)
    }

    /// One attempt in which P0, P1 and the dealer each live in their own world.
    pub fn between<S: Streams + Send>(worlds: [&World; 3], streams: [S; 2], dealers: [S; 2], links: Links) -> Ends {
        let [streams0, streams1] = streams;
        let Links { zero: mut peer1, one: mut peer0, mut dealer, mut assisted } = links;
        thread::scope(|scope| {
            let dealer = scope.spawn(move || worlds[2].deal(dealers, &mut dealer));
            let one = scope.spawn(move || {
                let reader = DealtReader::new(&mut assisted, 1, 0, worlds[1].plan().cost().dealt_bytes);
                worlds[1].party(1, streams1, Some(reader), &mut peer0)
            });
            let zero = worlds[0].party(0, streams0, None, &mut peer1);
            drop(peer1);
            Ends { outcomes: [zero, one.join().unwrap()], dealer: dealer.join().unwrap() }
        })
    }

    /// The dealer's part of an attempt.
    pub fn deal<S: Streams>(&self, streams: [S; 2], link: &mut dyn Link) -> Result<(), MpcError> {
        let writer = DealtWriter::new(link, 1, 0);
        deal(&Attempt { kernel: self.kernels[2], ..self.as_attempt(0, 0) }, &self.dealer, streams, writer)
    }

    /// A party's part of an attempt.
    pub fn party<S: Streams + Send>(
        &self,
        i: usize,
        streams: S,
        dealt: Option<DealtReader<'_>>,
        peer: &mut dyn Link,
    ) -> Result<Outcome, MpcError> {
        match self.schedule {
            Schedule::Ahead(_) => self.online(i, self.prepare(i, streams, dealt)?, peer),
            Schedule::Stream => {
                let made = |made| self.online(i, made, peer);
                stream(&self.as_attempt(i, 0), &self.parties[i], streams, dealt, made)
            }
            Schedule::Stored => {
                let (attempt, mut kept) = (self.as_attempt(i, 0), Vec::new());
                lay_up(&attempt, &self.parties[i], streams, dealt, &mut kept)?;
                let restored = restore(&attempt, &self.parties[i], Box::new(std::io::Cursor::new(kept)));
                self.online(i, restored, peer)
            }
        }
    }

    /// What a party does before the input.
    pub fn prepare<S: Streams>(
        &self,
        i: usize,
        streams: S,
        dealt: Option<DealtReader<'_>>,
    ) -> Result<Correlations, MpcError> {
        let hold = match self.schedule {
            Schedule::Ahead(hold) => hold,
            Schedule::Stream | Schedule::Stored => u64::MAX,
        };
        prepare(&self.as_attempt(i, 0), &self.parties[i], streams, dealt, hold)
    }

    /// What a party does with it.
    pub fn online(&self, i: usize, correlations: Correlations, peer: &mut dyn Link) -> Result<Outcome, MpcError> {
        let (attempt, mut inputs) = (self.as_attempt(i, 0), [self.inputs[i].clone()]);
        online(&attempt, &self.parties[i], correlations, &mut inputs, peer, &mut Trace::default())
    }

    /// A party's attempt at request 1.
    pub fn as_attempt(&self, i: usize, attempt: u32) -> Attempt<'_, Bert> {
        let (calibrated, batches) = (&self.calibrated, std::slice::from_ref(&self.texts));
        Attempt { calibrated, batches, request: 1, attempt, kernel: self.kernels[i] }
    }

    /// One attempt with fresh keys of that seed.
    pub fn run_seeded(&self, seed: u64) -> Run {
        self.run(stream_keys(seed), stream_keys(seed))
    }
}

/// Keys of P0's and P1's streams.
pub fn stream_keys(seed: u64) -> [Key; 2] {
    [key(seed ^ 0x4444), key(seed ^ 0x5555)]
}
