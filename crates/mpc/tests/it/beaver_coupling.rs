//! SecFormer's engine: whatever a role saw, it would also have seen, bit for bit, with another text and other weights and some
//! other randomness of the others. As in `coupling.rs`, the honest party's words are found by running the other world again
//! and again; only the real code runs.

use crate::world::beaver::{Deployment, Run};
use crate::world::chosen::Words;
use crate::world::{Network, config, difference, sample, shares, split, stream_keys};
use model::{Functions, InputKind, Sample};
use mpc::beaver::{Demand, Options, Plan, Shares, Truncation, deal};
use mpc::{DealtWriter, Party, Purpose, Streams};
use net::testing::Recorded;
use net::{Frame, memory_pair};
use ring64::{Kernel, Key, packed_len, shift_left_assign, sub_assign, unpack};

const SEED: u64 = 91;

/// A key's words, but for those that a test has chosen.
struct Told {
    key: Key,
    chosen: Words,
}

impl Streams for Told {
    fn words(&mut self, demand: u64, purpose: Purpose, count: usize, kernel: Kernel) -> Vec<u64> {
        match self.chosen.get(&(demand, purpose)) {
            Some(words) => words.clone(),
            None => self.key.words(demand, purpose, count, kernel),
        }
    }
}

fn stream_key(party: usize) -> Key {
    let [zero, one] = stream_keys(SEED);
    if party == 0 { zero } else { one }
}

fn told(chosen: &[Words; 2]) -> [Told; 2] {
    let [zero, one] = stream_keys(SEED);
    [Told { key: zero, chosen: chosen[0].clone() }, Told { key: one, chosen: chosen[1].clone() }]
}

/// How words of a stream hide what is sent: in which way a difference of what is sent goes into them.
#[derive(Clone, Copy)]
enum Hides {
    /// `sent = x - word`, or a dealt value less the word.
    Subtracted,
    /// `sent = x + word`.
    Added,
    /// `sent = x ^ word`.
    Flipped,
    /// `sent = x + word` modulo a period.
    AddedModulo(u64),
}

impl Hides {
    /// The word under which `wanted` is sent where under this one it is `got`.
    fn word(self, word: u64, got: u64, wanted: u64) -> u64 {
        match self {
            Hides::Subtracted => word.wrapping_add(got).wrapping_sub(wanted),
            Hides::Added => word.wrapping_add(wanted).wrapping_sub(got),
            Hides::Flipped => word ^ got ^ wanted,
            Hides::AddedModulo(period) => (word % period + period + wanted - got) % period,
        }
    }
}

/// Words of one stream: purpose, count, bits sent of each, and how they hide it.
type Part = (Purpose, usize, u32, Hides);

/// The streams under which a demand's openings go, in order.
fn openings(demand: &Demand) -> Vec<Part> {
    let two = |left: usize, right: usize| {
        vec![(Purpose::Mask, left, 64, Hides::Subtracted), (Purpose::Right, right, 64, Hides::Subtracted)]
    };
    match demand {
        Demand::Multiply { count } => two(*count, *count),
        Demand::Square { count } => vec![(Purpose::Mask, *count, 64, Hides::Subtracted)],
        Demand::ScaleRows { parts } => {
            two(parts.iter().map(|(r, c)| r * c).sum(), parts.iter().map(|(rows, _)| rows).sum())
        }
        Demand::Matmul { products, .. } => {
            two(products.iter().map(|[m, k, _]| m * k).sum(), products.iter().map(|[_, k, n]| k * n).sum())
        }
        Demand::Linear { dims: [m, k, n], .. } => two(m * k, k * n),
        Demand::Residual { rows, cols, .. } => two(rows * cols, 2 * cols),
        Demand::And { count } => {
            vec![(Purpose::Mask, *count, 64, Hides::Flipped), (Purpose::Right, *count, 64, Hides::Flipped)]
        }
        Demand::Bit { count } => vec![(Purpose::Mask, *count, 1, Hides::Flipped)],
        Demand::Sine { count, wave } => {
            vec![(Purpose::Mask, *count, wave.bits(), Hides::AddedModulo(wave.period))]
        }
        Demand::Truncate { parts } => {
            vec![(Purpose::Mask, parts.iter().map(|(count, _)| count).sum(), 64, Hides::Added)]
        }
    }
}

/// The streams of P0 that hide what a demand deals, in order.
fn dealings(demand: &Demand) -> Vec<Part> {
    let all = demand.dealt_words();
    let hides = if matches!(demand, Demand::And { .. }) { Hides::Flipped } else { Hides::Subtracted };
    let second = match demand {
        Demand::Residual { rows, .. } => *rows,
        Demand::Truncate { .. } => all / 2,
        _ => 0,
    };
    let mut parts = vec![(Purpose::Dealt, all - second, 64, hides)];
    if second > 0 {
        parts.push((Purpose::Second, second, 64, hides));
    }
    parts
}

/// All frames that a party received, those it sent, and what it was dealt.
fn view_of(party: Party, run: &Run) -> [Vec<Frame>; 3] {
    match party {
        Party::Zero => [run.opened.received(), run.opened.sent(), Vec::new()],
        Party::One => [run.opened.sent(), run.opened.received(), run.dealt.received()],
    }
}

/// Chooses the honest party's words anew where what is sent differs.
fn correct(plan: &Plan, parts: fn(&Demand) -> Vec<Part>, [got, wanted]: [&[Frame]; 2], honest: &mut Told) {
    let bytes = |frames: &[Frame]| frames.iter().flat_map(|f| f.payload.clone()).collect::<Vec<u8>>();
    let (got, wanted) = (bytes(got), bytes(wanted));
    let (mut at, kernel) = (0, Kernel::detect());
    for (number, (_, demand)) in plan.demands.iter().enumerate() {
        for (purpose, count, bits, hides) in parts(demand) {
            let length = packed_len(count, bits);
            let [mut got_words, mut wanted_words] = [vec![0; count], vec![0; count]];
            unpack(&got[at..at + length], bits, &mut got_words).unwrap();
            unpack(&wanted[at..at + length], bits, &mut wanted_words).unwrap();
            at += length;
            if got_words != wanted_words {
                let mut words = honest.words(number as u64, purpose, count, kernel);
                for (word, (got, wanted)) in words.iter_mut().zip(got_words.iter().zip(&wanted_words)) {
                    *word = hides.word(*word, *got, *wanted);
                }
                honest.chosen.insert((number as u64, purpose), words);
            }
        }
    }
    assert_eq!((at, at), (got.len(), wanted.len()), "the plan accounts for every byte");
}

/// The deployment of other texts and weights in which `corrupted` holds the same words.
fn other_world(corrupted: Party, here: &Deployment, there: Network, batch: &[Sample]) -> Deployment {
    let table = here.network.table();
    let seeds = split(table, &here.network.quantised, SEED);
    let own = shares(table, &seeds.masked, corrupted, &seeds.seeds[corrupted.index()]);
    let rest = difference(&there.quantised, &own);
    let mut other = Deployment::new(there, batch, here.kind, here.options, SEED);
    let mut values = other.network.input(batch, here.kind);
    shift_left_assign(&mut values, other.network.spec.input_extra);
    sub_assign(&mut values, &here.inputs[corrupted.index()]);
    let honest = corrupted.other();
    other.weights[corrupted.index()] = Shares::from_parts(corrupted, table, own);
    other.weights[honest.index()] = Shares::from_parts(honest, table, rest);
    other.inputs[corrupted.index()] = here.inputs[corrupted.index()].clone();
    other.inputs[honest.index()] = values;
    other
}

fn check(corrupted: Party, kind: InputKind, options: Options) {
    let [here, there] = Network::under_one_spec(&config(1, 8, 2, 8, 4), [SEED, SEED + 1]);
    let [text, other] = [1, 100].map(|i| [sample(SEED + i, 2), sample(SEED + i + 1, 1)]);
    let here = Deployment::new(here, &text, kind, options, SEED);
    let target = here.run_seeded(SEED);
    let coupled = other_world(corrupted, &here, there, &other);
    assert_ne!(coupled.inputs[corrupted.other().index()], here.inputs[corrupted.other().index()]);
    let plan = here.plan();
    let [wanted, _, wanted_dealt] = view_of(corrupted, &target);
    let mut chosen = [Words::new(), Words::new()];
    // a run settles a round at least; at P1 another one settles what is dealt
    let limit = 2 * plan.demands.len() + 3;
    for iteration in 0..limit {
        let run = coupled.run(told(&chosen), told(&chosen));
        if view_of(corrupted, &run) == view_of(corrupted, &target) {
            let functions = options.functions;
            println!(
                "{corrupted}, {functions}, {kind:?}: the same view after {iteration} runs, {} rounds",
                plan.demands.len()
            );
            let apart = run.logits.iter().zip(&target.logits).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart > 0.05, "the two worlds have the same answer, {apart} apart, so this shows nothing");
            let float = coupled.float();
            let off = run.logits.iter().zip(&float).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 0.1, "{off} off the other world's network");
            return;
        }
        let [got, _, got_dealt] = view_of(corrupted, &run);
        let honest = corrupted.other().index();
        let mut streams = Told { key: stream_key(honest), chosen: std::mem::take(&mut chosen[honest]) };
        correct(&plan, openings, [&got, &wanted], &mut streams);
        if corrupted == Party::One {
            correct(&plan, dealings, [&got_dealt, &wanted_dealt], &mut streams);
        }
        chosen[honest] = streams.chosen;
    }
    panic!("no words of the honest party give this view after {limit} runs");
}

#[test]
fn p0_sees_the_same_with_another_text_and_other_weights() {
    check(Party::Zero, InputKind::OneHot, Options::of(Functions::SecFormer));
    check(Party::Zero, InputKind::Embedded, Options::of(Functions::Exact));
}

#[test]
fn p1_sees_the_same_with_another_text_and_other_weights() {
    check(Party::One, InputKind::OneHot, Options::of(Functions::SecFormer));
    check(Party::One, InputKind::Embedded, Options::of(Functions::Exact));
}

#[test]
fn dealt_truncations_show_nothing_either() {
    let options = Options { truncation: Truncation::Dealt, ..Options::of(Functions::MpcFormer) };
    check(Party::Zero, InputKind::Embedded, options);
    check(Party::One, InputKind::Embedded, options);
}

/// The dealer is given a plan and keys, no weights and no link between the parties: what it does is a function of those.
#[test]
fn the_dealer_does_the_same_for_another_text_and_other_weights() {
    let networks = Network::under_one_spec(&config(1, 8, 2, 8, 4), [SEED, SEED + 1]);
    let dealt = networks.map(|network| {
        let batch = [sample(SEED + network.samples.len() as u64, 2)];
        let deployment = Deployment::new(network, &batch, InputKind::OneHot, Options::of(Functions::SecFormer), SEED);
        let (link, _other) = memory_pair("dealer", "party1");
        let mut link = Recorded::new(link);
        let recording = link.recording();
        deal(&deployment.plan(), stream_keys(SEED), Kernel::detect(), DealtWriter::new(&mut link, 1, 0)).unwrap();
        (recording.sent(), deployment.run_seeded(SEED).dealt.received())
    });
    let [(planned, received), other] = dealt;
    assert_eq!(planned, received);
    assert_eq!((&planned, &received), (&other.0, &other.1));
}
