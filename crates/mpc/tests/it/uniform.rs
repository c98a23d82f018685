//! What the parties and the dealer send looks uniform, and no randomness serves twice. Statistics alone would not show
//! privacy (see `coupling.rs`); they catch a constant, a range that is too narrow, a bit that was not masked.

use std::collections::BTreeSet;

use crate::world::chosen::{Chosen, Words};
use crate::world::{Network, World, config, key, sample, stream_keys, view};
use model::{InputKind, Sample};
use mpc::Planned;
use mpc::masked::{Demand, Plan};
use mpc::{Agreement, Party, Purpose, Streams};
use net::Frame;
use ring64::{Kernel, Key, pack};

const SEED: u64 = 77;

/// Probability that 256 equally likely bytes are distributed at least so unevenly (Wilson and Hilferty).
fn p_value(counts: &[u64; 256]) -> f64 {
    let total: u64 = counts.iter().sum();
    let expected = total as f64 / 256.0;
    assert!(expected > 20.0, "{total} bytes are too few");
    let chi: f64 = counts.iter().map(|c| (*c as f64 - expected).powi(2) / expected).sum();
    let degrees = 255.0;
    let spread = 2.0 / (9.0 * degrees);
    let normal = ((chi / degrees).cbrt() - (1.0 - spread)) / f64::sqrt(spread);
    upper_tail(normal)
}

/// Abramowitz and Stegun 26.2.17, right to 1e-7.
fn upper_tail(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let coefficients = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let tail =
        coefficients.iter().fold(0.0, |sum, c| (sum + c) * t) * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    if x < 0.0 { 1.0 - tail } else { tail }
}

fn check(what: &str, bytes: impl IntoIterator<Item = u8>) {
    let mut counts = [0; 256];
    bytes.into_iter().for_each(|b| counts[usize::from(b)] += 1);
    let p = p_value(&counts);
    println!("{what}: {} bytes, p = {p:.4}", counts.iter().sum::<u64>());
    assert!(p > 1e-4, "{what}: p = {p:e}");
}

/// Words of openings as a bit stream of their own, without the zeros that fill the last byte of each.
fn bytes<'a>(plan: &Plan, words: impl IntoIterator<Item = (&'a u64, &'a Vec<u64>)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (demand, words) in words {
        let (_, kept) = view::opening(&plan.demands[*demand as usize]).unwrap();
        let whole = words.len() / 8 * 8; // eight words of any width are whole bytes
        pack(&words[..whole], 0, kept, &mut bytes);
    }
    bytes
}

/// A text of one word over and over, and a random one.
fn inputs() -> [Sample; 2] {
    [Sample { ids: vec![3; 20], segments: vec![0; 20] }, sample(SEED, 20)]
}

#[test]
fn the_chi_square_test_tells_uniform_bytes_from_others() {
    let uniform = ring64::Prg::new(&key(1), 0).words(1 << 13);
    let bytes = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    check("a generator", bytes(&uniform));
    // one byte in fifty loses its lowest bit
    let damaged =
        bytes(&uniform).iter().enumerate().map(|(i, b)| if i % 50 == 0 { b & !1 } else { *b }).collect::<Vec<_>>();
    let p = |bytes: &[u8]| {
        let mut counts = [0; 256];
        bytes.iter().for_each(|b| counts[usize::from(*b)] += 1);
        p_value(&counts)
    };
    assert!(p(&damaged[..]) < p(&bytes(&uniform)));
    assert!(p(&bytes(&uniform.iter().map(|w| w >> 1).collect::<Vec<_>>())) < 1e-4);
    // known values of the distribution: median and upper thousandth of the normal
    assert!((upper_tail(0.0) - 0.5).abs() < 1e-6 && (upper_tail(3.090_232) - 1e-3).abs() < 1e-6);
}

#[test]
fn opened_words_are_uniform_for_two_inputs() {
    println!("seed {SEED}");
    let network = Network::random(&config(2, 32, 2, 64, 20), SEED);
    for (name, text) in ["one word over and over", "a random text"].iter().zip(inputs()) {
        for kind in [InputKind::OneHot, InputKind::Embedded] {
            let run = World::new(&network, std::slice::from_ref(&text), kind, SEED).run_seeded(SEED);
            assert!(run.logits().is_some());
            let (sent, received) = (run.opened.sent(), run.opened.received());
            let name = format!("{name}, {kind:?}");
            check(&format!("{name}, P0's halves"), bytes(&run.plan, &view::halves(&run.plan, &sent)));
            check(&format!("{name}, P1's halves"), bytes(&run.plan, &view::halves(&run.plan, &received)));
            check(&format!("{name}, their sums"), bytes(&run.plan, &view::opened(&run.plan, &sent, &received)));
            let dealt = view::dealt(&run.plan, &run.dealt.received());
            let carries = dealt.iter().filter(|((_, purpose), _)| *purpose == Purpose::Mask);
            let corrections = dealt.iter().filter(|((_, purpose), _)| *purpose != Purpose::Mask);
            let whole = |(_, words): (&(u64, Purpose), &Vec<u64>)| {
                words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>()
            };
            check(&format!("{name}, dealt corrections"), corrections.flat_map(whole));
            // carries of 16 bits and more: their two lowest bytes
            let low = |(_, words): (&(u64, Purpose), &Vec<u64>)| {
                words.iter().flat_map(|w| [*w as u8, (w >> 8) as u8]).collect::<Vec<_>>()
            };
            let wide = |((demand, _), _): &(&(u64, Purpose), &Vec<u64>)| matches!(run.plan.demands[*demand as usize], Demand::Wire { shift, .. } if shift >= 16);
            check(&format!("{name}, dealt carries"), carries.filter(wide).flat_map(low));
        }
    }
}

/// The keys of one attempt as a deployment derives them.
fn attempt_keys(plan: &Plan, attempt: u32, nonce: u8) -> [Key; 2] {
    let agreement = Agreement {
        bundle: [1; 16],
        spec: [2; 32],
        plan: plan.digest(),
        session: [3; 16],
        request: 4,
        attempt,
        nonces: [[nonce; 32]; 3],
    };
    [Party::Zero, Party::One].map(|party| agreement.stream_key(&key(SEED), &key(SEED + 1), party))
}

fn streams(plan: &Plan, attempt: u32, nonce: u8) -> [Chosen; 2] {
    attempt_keys(plan, attempt, nonce).map(|key| Chosen::new(key, &Words::new()))
}

#[test]
fn no_mask_is_seen_twice_in_fifty_runs() {
    println!("seed {SEED}");
    let network = Network::random(&config(1, 16, 2, 32, 8), SEED);
    let world = World::new(&network, &[sample(SEED, 6)], InputKind::OneHot, SEED);
    let plan = world.plan();
    let mut seen = [(); 3].map(|()| Vec::new());
    // half of the runs differ in the attempt only, half in the nonces only
    for run in 0..50u8 {
        let (attempt, nonce) = if run < 25 { (u32::from(run), 0) } else { (0, run) };
        let dealers = streams(&plan, attempt, nonce);
        let drawn = [dealers[0].drawn(), dealers[1].drawn()];
        world.run(streams(&plan, attempt, nonce), dealers);
        for (seen, drawn) in seen.iter_mut().zip(&drawn) {
            seen.extend(drawn.words().into_values().flatten());
        }
        // masks themselves: of so few bits that single words meet by chance, but not three in a row
        let masks = view::masks(&plan, &drawn);
        seen[2].extend(
            masks
                .values()
                .flat_map(|m| m.chunks_exact(3))
                .map(|m| m.iter().fold(0u64, |hash, w| hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ w)),
        );
    }
    // across both roles too: P0's words are none of P1's
    let [zero, one, masks] = seen;
    for mut words in [zero.into_iter().chain(one).collect::<Vec<_>>(), masks] {
        let total = words.len();
        words.sort_unstable();
        words.dedup();
        println!("{total} words of 50 runs");
        assert_eq!(words.len(), total);
    }
}

#[test]
fn the_same_keys_give_the_same_bytes_and_others_give_others() {
    println!("seed {SEED}");
    let network = Network::random(&config(1, 16, 2, 32, 8), SEED);
    let world = World::new(&network, &[sample(SEED, 6)], InputKind::OneHot, SEED);
    let frames = |seed| {
        let run = world.run_seeded(seed);
        [run.opened.sent(), run.opened.received(), run.dealt.received()]
    };
    assert_eq!(frames(1), frames(1));
    let payloads = |frames: [Vec<Frame>; 3]| frames.into_iter().flatten().map(|f| f.payload).collect::<BTreeSet<_>>();
    let (one, two) = (payloads(frames(1)), payloads(frames(2)));
    assert!(one.is_disjoint(&two), "not one frame is the same under other keys");
}

#[test]
fn no_stream_is_drawn_twice_and_the_dealer_draws_what_the_parties_draw() {
    let network = Network::random(&config(2, 16, 2, 32, 8), SEED);
    for kind in [InputKind::OneHot, InputKind::Embedded] {
        let world = World::new(&network, &[sample(1, 6), sample(2, 1)], kind, SEED);
        let [parties, dealers] = [(); 2].map(|()| Chosen::pair(SEED, &Default::default()));
        let drawn = [&parties, &dealers].map(|pair| [pair[0].drawn(), pair[1].drawn()]);
        assert!(world.run(parties, dealers).logits().is_some());
        let mut streams = [0, 0];
        for party in [Party::Zero, Party::One] {
            let calls = drawn[0][party.index()].calls();
            let once: BTreeSet<_> = calls.iter().map(|(demand, purpose, _)| (*demand, *purpose)).collect();
            assert_eq!(once.len(), calls.len(), "{party} draws a stream twice");
            streams[party.index()] = calls.len();
            let sorted = |mut calls: Vec<(u64, Purpose, usize)>| {
                calls.sort_unstable();
                calls
            };
            // the same streams, of the same lengths
            assert_eq!(sorted(drawn[1][party.index()].calls()), sorted(calls), "the dealer and {party}");
        }
        // P1's key serves masks only: whatever else P1 holds was corrected by P0's words, which P1 cannot know
        let plan = world.plan();
        let demands = plan.demands.iter().filter(|d| view::opening(d).is_some()).count();
        assert!(drawn[0][1].calls().iter().all(|(_, purpose, _)| *purpose == Purpose::Mask));
        assert_eq!(streams[1], demands);
        let second = plan.demands.iter().filter(|d| matches!(d, Demand::Residual { .. })).count();
        assert_eq!(streams[0], plan.demands.len() + second, "one stream a demand, two for a residual");
    }
    // the two roles' streams of the same number are streams of unrelated keys
    let [mut zero, mut one] = stream_keys(SEED);
    let kernel = Kernel::detect();
    assert_ne!(zero.words(0, Purpose::Mask, 4, kernel), one.words(0, Purpose::Mask, 4, kernel));
}
