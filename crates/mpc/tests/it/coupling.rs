//! Privacy as a deterministic test: whatever a role saw, it would also have seen, bit for bit, with another text and other
//! weights and some other randomness of the others. The test finds that randomness; only the real code runs.
//!
//! The corrupted role keeps its words. The honest party's words are found by running the other world again and again: where
//! its opening (or the dealer's correction) differs from the one to be reproduced, the difference goes into the word that
//! pads it. Earlier rounds settle first. Each word that is changed is uniform, so both worlds give that view equally often.

use crate::world::chosen::{Chosen, Words, edit};
use crate::world::{Network, Run, Schedule, World, config, difference, key, sample, shares, split, stream_keys, view};
use model::{InputKind, Pace, Sample};
use mpc::masked::{DealerWeights, Demand, PartyWeights, deal};
use mpc::{DealtWriter, Party, Purpose, Run as Attempt, Streams, expand_input};
use net::testing::Recorded;
use net::{Frame, memory_pair};
use ring64::{Kernel, low_bits, shift_left_assign, sub_assign};

const SEED: u64 = 41;

/// Two networks with unrelated weights under one public spec.
fn networks() -> [Network; 2] {
    println!("seed {SEED}");
    Network::under_one_spec(&config(2, 16, 2, 32, 12), [SEED, SEED + 1])
}

/// Other texts of the same lengths.
fn texts() -> [[Sample; 2]; 2] {
    [1, 100].map(|i| [sample(SEED + i, 3), sample(SEED + i + 1, 5)])
}

/// The world of other texts and weights in which `corrupted` holds the same weights' bytes and the same share of the input.
fn other_world(corrupted: Party, here: (&Network, &[Sample]), there: (&Network, &[Sample]), kind: InputKind) -> World {
    let table = here.0.table();
    let split = split(table, &here.0.quantised, SEED);
    let seed = &split.seeds[corrupted.index()];
    let kept = PartyWeights::expand(corrupted, table, split.masked.clone(), seed, Kernel::detect());
    // [W]_i of the corrupted party: F + G(k0) or G(k1); the other one holds the rest of the other weights
    let own = shares(table, &split.masked, corrupted, seed);
    let rest = difference(&there.0.quantised, &own);
    let honest = PartyWeights::from_parts(corrupted.other(), table, split.masked.clone(), rest);
    // the dealer's B = W - F
    let dealer = DealerWeights::from_parts(table, difference(&there.0.quantised, &split.masked));
    let mut inputs = World::new(here.0, here.1, kind, SEED).inputs;
    let mut rest = there.0.input(there.1, kind);
    shift_left_assign(&mut rest, there.0.spec.input_extra);
    sub_assign(&mut rest, &inputs[corrupted.index()]);
    inputs[corrupted.other().index()] = rest;
    let parties = match corrupted {
        Party::Zero => [kept, honest],
        Party::One => [honest, kept],
    };
    let (texts, _, _) = there.0.batch(there.1);
    let spec = there.0.spec.clone();
    World {
        calibrated: spec.calibrated(kind),
        spec,
        texts,
        kind,
        parties,
        dealer,
        inputs,
        kernels: [Kernel::detect(); 3],
        schedule: Schedule::Ahead(u64::MAX),
    }
}

fn view_of(party: Party, run: &Run) -> view::View {
    view::of(party, &run.opened, &run.dealt)
}

/// Finds the honest party's words under which `world` gives the corrupted party the view it had in `target`.
fn couple(world: &World, corrupted: Party, target: &Run, mut edits: [Words; 2]) -> (Run, usize) {
    let honest = corrupted.other().index();
    // one run a round, and at P1 another one or two: new bits of a mask move its carry, and the tables that are dealt for it
    let limit = 3 * target.plan.rounds.len() + 3;
    for iteration in 0..limit {
        let dealers = Chosen::pair(SEED, &edits);
        let drawn = dealers[honest].drawn();
        let run = world.run(Chosen::pair(SEED, &edits), dealers);
        let views = [view_of(corrupted, &run), view_of(corrupted, target)];
        if views[0] == views[1] {
            return (run, iteration);
        }
        view::correct(&target.plan, corrupted, views.each_ref(), &drawn.words(), &mut edits[honest]);
    }
    panic!("no words of the honest party give this view after {limit} runs");
}

/// The coupling of one party's whole view, from a run with some words of P1 (or P0) changed.
fn check(corrupted: Party, kind: InputKind, edits: [Words; 2], restarts: bool) {
    check_between((networks(), texts()), (corrupted, kind), edits, restarts);
}

fn check_between(
    ([here, there], [text, other]): ([Network; 2], [[Sample; 2]; 2]),
    (corrupted, kind): (Party, InputKind),
    edits: [Words; 2],
    restarts: bool,
) {
    let world = World::new(&here, &text, kind, SEED);
    let target = world.run(Chosen::pair(SEED, &edits), Chosen::pair(SEED, &edits));
    assert_eq!(target.logits().is_none(), restarts);

    let coupled = other_world(corrupted, (&here, &text), (&there, &other), kind);
    // the view's fixed part is the same object by construction: F, own seed, own words, own share of the input
    assert_eq!(coupled.inputs[corrupted.index()], world.inputs[corrupted.index()]);
    assert_ne!(coupled.inputs[corrupted.other().index()], world.inputs[corrupted.other().index()]);
    let changed = here.quantised.iter().filter(|(w, words)| words.weight != there.quantised[w].weight);
    assert_eq!(changed.count(), here.quantised.len(), "every weight is another");
    let (run, iterations) = couple(&coupled, corrupted, &target, edits);
    println!("{corrupted}, {kind:?}: the same view after {iterations} runs, {} rounds", target.plan.rounds.len());

    // all that it received and all that it sent, headers included
    assert_eq!(view_of(corrupted, &run), view_of(corrupted, &target));
    assert_eq!(run.logits().is_none(), restarts);
    if let (Some(one), Some(two)) = (target.logits(), run.logits()) {
        let floats = [here.float(&text), there.float(&other)];
        for (private, float) in [(&one, &floats[0]), (&two, &floats[1])] {
            let worst = private.iter().zip(float).map(|(p, f)| (p - f).abs()).fold(0.0, f64::max);
            assert!(worst < 0.02, "{worst} off the float network");
        }
        let apart = one.iter().zip(&two).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart > 0.2, "the two worlds have the same answer, {apart} apart, so this shows nothing");
    }
}

#[test]
fn p0_sees_the_same_with_another_text_and_other_weights() {
    for kind in [InputKind::OneHot, InputKind::Embedded] {
        check(Party::Zero, kind, Default::default(), false);
    }
}

#[test]
fn p1_sees_the_same_with_another_text_and_other_weights() {
    for kind in [InputKind::OneHot, InputKind::Embedded] {
        check(Party::One, kind, Default::default(), false);
    }
}

/// Texts of other lengths in the same classes: a padded text's length is as private as its words.
#[test]
fn the_parties_see_the_same_with_texts_of_other_lengths() {
    for party in [Party::Zero, Party::One] {
        for kind in [InputKind::OneHot, InputKind::Embedded] {
            let networks = networks().map(Network::padded);
            let fewest = networks[0].spec.padded.unwrap().fewest;
            let texts = [[3, 9], [11, fewest]].map(|tokens| tokens.map(|n| sample(SEED + n as u64, n)));
            check_between((networks, texts), (party, kind), Default::default(), false);
        }
    }
}

/// The same of softmax: exponentials, rough and other reciprocals, and the check of each.
#[test]
fn the_parties_see_the_same_with_softmax() {
    for party in [Party::Zero, Party::One] {
        let networks = Network::under_one_spec(&crate::softmax::config(2, 16, 2, 32, 12), [SEED, SEED + 1]);
        check_between((networks, texts()), (party, InputKind::OneHot), Default::default(), false);
    }
}

/// Which rows are padding is multiplied into what softmax shifts its scores by, and shows as little.
#[test]
fn the_parties_see_the_same_with_softmax_and_texts_of_other_lengths() {
    for party in [Party::Zero, Party::One] {
        for kind in [InputKind::OneHot, InputKind::Embedded] {
            let networks = Network::under_one_spec(&crate::softmax::config(2, 16, 2, 32, 12), [SEED, SEED + 1]);
            let fewest = networks[0].spec.padded.unwrap().fewest;
            let texts = [[3, 9], [11, fewest]].map(|tokens| tokens.map(|n| sample(SEED + n as u64, n)));
            check_between((networks.map(Network::padded), texts), (party, kind), Default::default(), false);
        }
    }
}

/// The same of comparisons within a network, in one round and in two, of squares and of LayerNorms that do not divide.
#[test]
fn the_parties_see_the_same_with_other_functions() {
    for (design, pace) in [(0, Pace::Fast), (0, Pace::Lean), (1, Pace::Lean)] {
        for party in [Party::Zero, Party::One] {
            let config = crate::functions::mixtures(2, 16, 2, 32, 12)[design].clone();
            let networks = Network::under_one_spec(&config, [SEED, SEED + 1]).map(|network| network.paced(pace));
            check_between((networks, texts()), (party, InputKind::OneHot), Default::default(), false);
        }
    }
}

/// Values of a network are small next to their masks: a mask whose upper bits were constant would hide them almost always. So once
/// more with weights and an input of uniform words, whose answer means nothing, in which every bit of every value differs.
#[test]
fn the_parties_see_the_same_for_any_words_at_all() {
    let [here, mut there] = networks();
    let [text, other] = texts();
    for (number, words) in there.quantised.values_mut().enumerate() {
        let mut uniform = ring64::Prg::new(&key(SEED ^ 0x6666), number as u64);
        uniform.fill(&mut words.weight);
        words.bias.iter_mut().for_each(|bias| uniform.fill(bias));
    }
    let kind = InputKind::Embedded;
    let target = World::new(&here, &text, kind, SEED).run_seeded(SEED);
    assert!(target.logits().is_some());
    for party in [Party::Zero, Party::One] {
        let mut coupled = other_world(party, (&here, &text), (&there, &other), kind);
        ring64::Prg::new(&key(SEED ^ 0x6666), 999).fill(&mut coupled.inputs[party.other().index()]);
        let (run, iterations) = couple(&coupled, party, &target, Default::default());
        println!("{party}, uniform words: the same view after {iterations} runs");
        assert_eq!(view_of(party, &run), view_of(party, &target));
        assert!(run.logits().is_some(), "a restart is a part of the view");
    }
}

/// Where P0's half of a mask is zero in its low bits, any larger value of the other world makes it wrap below zero, and the
/// carry of the halves is another one. A carry dealt in clear would tell P1 so; random words come that near once in `2^28`.
#[test]
fn p1_learns_nothing_from_carries_at_their_edge() {
    let [here, _] = networks();
    let plan = World::new(&here, &texts()[0], InputKind::OneHot, SEED).plan();
    let [mut zero, _] = stream_keys(SEED);
    let mut edits = [Words::new(), Words::new()];
    for (number, demand) in plan.demands.iter().enumerate() {
        if let Demand::Wire { count, shift, .. } = demand {
            let at = (number as u64, Purpose::Mask);
            let words = zero.words(at.0, at.1, *count, Kernel::detect());
            let low = words.iter().map(|w| (w & low_bits(64 - shift)).wrapping_neg());
            edits[0].insert(at, low.collect());
        }
    }
    check(Party::One, InputKind::OneHot, edits, false);
}

#[test]
fn a_view_that_ends_in_a_restart_is_reproduced_too() {
    let [here, _] = networks();
    let world = World::new(&here, &texts()[0], InputKind::OneHot, SEED);
    let run = world.run_seeded(SEED);
    let plan = &run.plan;
    // a wire half-way: P1's mask word is lowered by the opened word, which becomes zero
    let wires = plan.demands.iter().enumerate().filter(|(_, d)| matches!(d, Demand::Wire { .. }));
    let (demand, middle) = wires.clone().nth(wires.count() / 2).unwrap();
    let count = view::opening(middle).unwrap().0;
    let word = view::opened(plan, &run.opened.sent(), &run.opened.received())[&(demand as u64)][count - 1];
    let mut edits = [Words::new(), Words::new()];
    edit(&mut edits[1], (demand as u64, Purpose::Mask), count, count - 1, word.wrapping_neg());
    for party in [Party::Zero, Party::One] {
        check(party, InputKind::OneHot, edits.clone(), true);
    }
}

/// Frames that a dealer of these weights sends.
fn dealer_view<S: Streams>(network: &Network, batch: &[Sample], streams: [S; 2]) -> Vec<Frame> {
    let table = network.table();
    let seeds = split(table, &network.quantised, SEED).seeds;
    let weights = DealerWeights::expand(table, network.quantised.keys().copied(), &seeds, Kernel::detect());
    let (texts, _, _) = network.batch(batch);
    let (link, _other) = memory_pair("dealer", "party1");
    let mut link = Recorded::new(link);
    let recording = link.recording();
    let writer = DealtWriter::new(&mut link, 1, 0);
    let (calibrated, batches) = (network.spec.calibrated(InputKind::OneHot), [texts]);
    let (kernel, calibrated, batches) = (Kernel::detect(), &calibrated, &batches[..]);
    deal(&Attempt { calibrated, batches, request: 1, attempt: 0, kernel }, &weights, streams, writer).unwrap();
    assert!(recording.received().is_empty(), "the dealer reads nothing");
    recording.sent()
}

/// Nothing comes in at the dealer but shapes, lengths and keys, so its view is what it deals: a function of those alone.
#[test]
fn the_dealer_does_the_same_for_another_text_and_other_weights() {
    let [here, there] = networks();
    let [text, other] = texts();
    let masked = [&here, &there].map(|n| split(n.table(), &n.quantised, SEED).masked);
    assert!(masked[0].iter().all(|(weight, words)| words.weight != masked[1][weight].weight), "another F");
    let dealt = dealer_view(&here, &text, stream_keys(SEED));
    assert_eq!(dealt, dealer_view(&there, &other, stream_keys(SEED)));

    // and it is what P1 received in both worlds, whose answers differ
    let runs =
        [(&here, &text), (&there, &other)].map(|(n, t)| World::new(n, t, InputKind::OneHot, SEED).run_seeded(SEED));
    assert_eq!(runs[0].dealt.received(), dealt);
    assert_eq!(runs[1].dealt.received(), dealt);
    assert_ne!(runs[0].logits(), runs[1].logits());
    assert_ne!(runs[0].opened.sent(), runs[1].opened.sent(), "the dealer must not see this link");
}

/// P0's share of the input is its seed's expansion: a seed for another text is the same seed.
#[test]
fn p0_gets_the_same_seed_for_every_text() {
    let [here, _] = networks();
    let shares = texts().map(|text| World::new(&here, &text, InputKind::OneHot, SEED).inputs);
    assert_eq!(shares[0][0], shares[1][0]);
    let count = shares[0][0].len();
    assert_eq!(shares[0][0], expand_input(&key(SEED ^ 0x3333), count, here.spec.input_extra));
    assert_ne!(shares[0][1], shares[1][1]);
}
