//! What roles say to one another, word for word, as it was recorded when the house was redrawn: eight worlds whose spec, weights,
//! inputs and keys are fixed. A change that is meant to change no behaviour reproduces every payload.
//!
//! Everything here is integers (`golden/spec.json`, `golden/weights.bin`), so that the record holds on every machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crate::world::beaver::parties;
use crate::world::chosen::{Chosen, Words, edit};
use crate::world::{Schedule, World, config, key, sample, split, stream_keys};
use model::{Bert, Functions, InputKind, Network as _, Quantised, Sample, Spec, Texts, batch_rows, token_class};
use mpc::Planned;
use mpc::beaver::{self, Options, Shares, Truncation};
use mpc::masked::{DealerWeights, PartyWeights, deal, online, stream};
use mpc::{
    DealtReader, DealtWriter, Outcome, OutputShape, OutputShare, Party, Purpose, Run as Attempt, Trace, expand_input,
    mask_outputs, share_input, unpack_input,
};
use net::testing::{Recorded, Recording};
use net::{Frame, Link, memory_pair};
use ring64::{Kernel, Key, Prg};
use sha2::{Digest, Sha256};

const SEED: u64 = 14;

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(name)
}

/// The recorded spec, and words for its weights: those of a random network when it was calibrated.
fn network() -> (Arc<Spec>, Quantised) {
    let spec: Spec = serde_json::from_slice(&fs::read(place("spec.json")).unwrap()).unwrap();
    spec.check().unwrap();
    let bert = Bert::new(spec.shape.clone(), InputKind::OneHot);
    let bytes = fs::read(place("weights.bin")).unwrap();
    let mut words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
    let mut take = |count: usize| Vec::from_iter(words.by_ref().take(count));
    // in the order of the enumeration that weights once were
    let mut order: Vec<_> = bert.table().parameters().collect();
    order.sort_by_key(|(weight, _)| bert.weight_of(*weight));
    let all = order.into_iter().map(|(weight, of)| {
        let (matrix, bias) = (take(of.rows * of.cols), of.bias.then(|| take(of.cols)));
        (weight, model::Words { rows: of.rows, cols: of.cols, weight: matrix, bias })
    });
    let quantised = all.collect();
    assert_eq!(words.next(), None);
    (Arc::new(spec), quantised)
}

/// The client's words: ones in the columns of tokens, or rows of ones and minus ones, whose squares sum to the width.
fn input(spec: &Spec, batch: &[Sample], kind: InputKind) -> Vec<u64> {
    match kind {
        InputKind::OneHot => {
            let texts = Texts::new(&batch.iter().map(|s| s.ids.len()).collect::<Vec<_>>(), &spec.shape).unwrap();
            let (ids, segments) = batch_rows(&spec.shape, &texts, batch).unwrap();
            model::one_hot(&spec.shape, &texts, &ids, &segments).unwrap().iter().map(|v| *v as u64).collect()
        }
        InputKind::Embedded => {
            let count = batch.iter().map(|s| s.ids.len()).sum::<usize>() * spec.shape.width;
            let one = 1u64 << spec.input(kind).frac;
            let signs = Prg::new(&key(SEED), 5).words(count);
            signs.iter().map(|sign| if sign & 1 == 0 { one } else { one.wrapping_neg() }).collect()
        }
    }
}

/// Payloads as they were sent, by who sent what: digests of all of a kind, one after the other.
type Said = BTreeMap<String, String>;

fn digest<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for payload in payloads {
        hash.update((payload.len() as u64).to_le_bytes());
        hash.update(payload);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn frames(said: &mut Said, name: &str, frames: &[Frame]) {
    said.insert(name.to_string(), digest(frames.iter().map(|frame| frame.payload.as_slice())));
}

/// Openings in both directions and the dealt stream, from P0's and P1's ends.
fn passed(said: &mut Said, attempt: &str, opened: &Recording, dealt: &Recording) {
    frames(said, &format!("OPEN of party0{attempt}"), &opened.sent());
    frames(said, &format!("OPEN of party1{attempt}"), &opened.received());
    frames(said, &format!("DEAL{attempt}"), &dealt.received());
}

/// Both parties' halves of what the client gets, under the key of the seed.
fn outputs(said: &mut Said, spec: &Spec, texts: &Texts, shares: [OutputShare; 2]) {
    for (party, output) in [Party::Zero, Party::One].into_iter().zip(shares) {
        let OutputShare { results: share, frac, certificates } = output;
        let kept = frac.min(spec.logits.frac);
        let logits = OutputShape { count: share.len(), shift: (frac - kept) as u32, frac: kept };
        let certificate = |tokens: &usize| {
            let frac = spec.certificate_frac(token_class(*tokens));
            OutputShape { count: 1, shift: (model::CERTIFICATE_FRAC - frac) as u32, frac }
        };
        let of_texts = certificates.iter().zip(texts.lengths()).map(|(word, n)| (vec![*word], certificate(n)));
        let parts = std::iter::once((share, logits)).chain(of_texts).collect();
        let half = mask_outputs(party, key(SEED ^ 0x6666), parts);
        said.insert(format!("OUTPUT of {party}"), digest([half.as_slice()]));
    }
}

fn batch(lengths: &[usize]) -> Vec<Sample> {
    lengths.iter().enumerate().map(|(i, tokens)| sample(SEED + i as u64, *tokens)).collect()
}

/// What the client sends, and what both parties make of it.
fn shared(said: &mut Said, spec: &Spec, batch: &[Sample], kind: InputKind) -> [Vec<u64>; 2] {
    let (values, extra, client) = (input(spec, batch, kind), spec.input_extra, key(SEED ^ 0x3333));
    let packed = share_input(&client, &values, extra);
    said.insert("INPUT".into(), digest([packed.as_slice()]));
    [expand_input(&client, values.len(), extra), unpack_input(&packed, values.len(), extra).unwrap()]
}

fn lengths(batch: &[Sample]) -> Vec<usize> {
    batch.iter().map(|s| s.ids.len()).collect()
}

fn masked(lengths_of: &[usize], kind: InputKind, schedule: Schedule, restart: bool) -> Said {
    let ((spec, quantised), batch, mut said) = (network(), batch(lengths_of), Said::new());
    let inputs = shared(&mut said, &spec, &batch, kind);
    let bert = Bert::new(spec.shape.clone(), kind);
    let table = bert.table();
    let (split, kernels) = (split(table, &quantised, SEED), [Kernel::detect(); 3]);
    let world = World {
        texts: Texts::new(&lengths(&batch), &spec.shape).unwrap(),
        calibrated: spec.calibrated(kind),
        spec,
        kind,
        parties: [Party::Zero, Party::One]
            .map(|p| PartyWeights::expand(p, table, split.masked.clone(), &split.seeds[p.index()], kernels[0])),
        dealer: DealerWeights::expand(table, quantised.keys().copied(), &split.seeds, kernels[2]),
        inputs,
        kernels,
        schedule,
    };
    let outcomes = match restart {
        false => {
            let run = world.run_seeded(SEED);
            passed(&mut said, "", &run.opened, &run.dealt);
            run.outcomes
        }
        true => restarted(&world, &mut said),
    };
    let shares = outcomes.map(|outcome| match outcome {
        Outcome::Outputs(mut outputs) => outputs.remove(0),
        Outcome::Restart => panic!("the attempt was restarted"),
    });
    outputs(&mut said, &world.spec, &world.texts, shares);
    said
}

/// A first attempt whose first opened word comes out as zero, and a second one with other keys.
fn restarted(world: &World, said: &mut Said) -> [Outcome; 2] {
    let before = world.run_seeded(SEED);
    let (demand, count, word) = crate::world::view::first_opened(&before.plan, &before.opened);
    let mut edits = [Words::new(), Words::new()];
    edit(&mut edits[1], (demand, Purpose::Mask), count, 0, word.wrapping_neg());
    let first = world.run(Chosen::pair(SEED, &edits), Chosen::pair(SEED, &edits));
    assert!(matches!(first.outcomes, [Outcome::Restart, Outcome::Restart]));
    passed(said, ", attempt 0", &first.opened, &first.dealt);
    let (zero, mut one) = memory_pair("party0", "party1");
    let (mut dealer, assisted) = memory_pair("dealer", "party1");
    let (mut zero, mut assisted) = (Recorded::new(zero), Recorded::new(assisted));
    let (opened, dealt) = (zero.recording(), assisted.recording());
    let bytes = before.plan.cost().dealt_bytes;
    let party = |i: usize, own: Key, dealt: Option<DealtReader<'_>>, peer: &mut dyn Link| {
        let attempt = world.as_attempt(i, 1);
        let (weights, mut inputs) = (&world.parties[i], [world.inputs[i].clone()]);
        let consume = |made| online(&attempt, weights, made, &mut inputs, peer, &mut Trace::default());
        stream(&attempt, weights, own, dealt, consume).unwrap()
    };
    let outcomes = thread::scope(|scope| {
        scope.spawn(|| {
            let writer = DealtWriter::new(&mut dealer, 1, 1);
            deal(&world.as_attempt(0, 1), &world.dealer, stream_keys(SEED + 1), writer).unwrap();
        });
        let [zeros, ones] = stream_keys(SEED + 1);
        let one = scope.spawn(|| party(1, ones, Some(DealtReader::new(&mut assisted, 1, 1, bytes)), &mut one));
        [party(0, zeros, None, &mut zero), one.join().unwrap()]
    });
    passed(said, ", attempt 1", &opened, &dealt);
    outcomes
}

fn published(lengths_of: &[usize], kind: InputKind, options: Options) -> Said {
    let ((spec, quantised), batch, mut said) = (network(), batch(lengths_of), Said::new());
    let inputs = shared(&mut said, &spec, &batch, kind);
    let calibrated = spec.calibrated(kind);
    let table = calibrated.network.table();
    let split = split(table, &quantised, SEED);
    let weights =
        [Party::Zero, Party::One].map(|p| Shares::expand(p, table, split.masked.clone(), &split.seeds[p.index()]));
    let texts = Texts::new(&lengths(&batch), &spec.shape).unwrap();
    let batches = std::slice::from_ref(&texts);
    let plan = beaver::Plan::new(&calibrated, batches, options).unwrap();
    let (zero, mut one) = memory_pair("party0", "party1");
    let (mut dealer, assisted) = memory_pair("dealer", "party1");
    let (mut zero, mut assisted) = (Recorded::new(zero), Recorded::new(assisted));
    let (opened, dealt) = (zero.recording(), assisted.recording());
    let party = |i: usize, own: Key, dealt: Option<DealtReader<'_>>, peer: &mut dyn Link| {
        let (calibrated, kernel, input) = (&calibrated, Kernel::detect(), vec![inputs[i].clone()]);
        let attempt = Attempt { calibrated, batches, request: 1, attempt: 0, kernel };
        let mut trace = Trace::default();
        beaver::online(&attempt, options, &weights[i], own, dealt, input, peer, &mut trace).unwrap().remove(0)
    };
    let shares = parties(&plan, SEED, [&mut zero, &mut one, &mut dealer, &mut assisted], party);
    passed(&mut said, "", &opened, &dealt);
    outputs(&mut said, &spec, &texts, shares);
    said
}

#[test]
fn eight_worlds_say_word_for_word_what_was_recorded() {
    let ahead = Schedule::Ahead(u64::MAX);
    let (private, client) = (InputKind::OneHot, InputKind::Embedded);
    let exact = Options { truncation: Truncation::Dealt, ..Options::of(Functions::Exact) };
    let seen = BTreeMap::from([
        ("masked, private embedding", masked(&[5], private, ahead, false)),
        ("masked, client embedding", masked(&[6], client, ahead, false)),
        ("masked, a batch", masked(&[4, 1, 9], private, ahead, false)),
        ("masked, a restart", masked(&[4, 3], private, ahead, true)),
        ("masked, streamed", masked(&[7, 2], client, Schedule::Stream, false)),
        ("masked, 512 tokens", masked(&[512], client, Schedule::Ahead(0), false)),
        ("beaver, private embedding", published(&[4, 2], private, Options::of(Functions::SecFormer))),
        ("beaver, client embedding, exact functions", published(&[3], client, exact)),
    ]);
    let recorded: serde_json::Value = serde_json::from_slice(&fs::read(place("record.json")).unwrap()).unwrap();
    let seen = serde_json::to_value(&seen).unwrap();
    assert!(
        seen == recorded,
        "payloads have changed; those of now are\n{}",
        serde_json::to_string_pretty(&seen).unwrap()
    );
}

/// Writes `spec.json` and `weights.bin` of a random network (not the record): cargo test -p mpc --test it golden:: -- --ignored
#[test]
#[ignore = "makes the fixture anew, on which the record depends"]
fn the_fixture_is_made_of_a_random_network() {
    let network = crate::world::Network::random(&config(2, 16, 2, 32, 512), SEED);
    fs::write(place("spec.json"), serde_json::to_vec(&*network.spec).unwrap()).unwrap();
    let bert = Bert::new(network.spec.shape.clone(), InputKind::OneHot);
    // in the order in which they are read
    let mut weights: Vec<_> = network.quantised.iter().collect();
    weights.sort_by_key(|(weight, _)| bert.weight_of(**weight));
    let words = weights.into_iter().flat_map(|(_, w)| w.weight.iter().chain(w.bias.iter().flatten()));
    fs::write(place("weights.bin"), words.flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
}
