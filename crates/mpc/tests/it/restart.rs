//! An opened word below its range may have wrapped: both parties stop, and everything is drawn anew.

use std::thread;

use crate::world::chosen::{Chosen, Words, edit};
use crate::world::{Links, Network, Run, World, config, sample, view};
use model::{InputKind, Opening, Spec};
use mpc::Planned;
use mpc::masked::{Demand, Plan, deal, online, stream};
use mpc::{DealtReader, DealtWriter, Outcome, Purpose, Run as Attempt, Trace};
use net::Link;

const SEED: u64 = 23;

fn world() -> (Network, World) {
    println!("seed {SEED}");
    let network = Network::random(&config(2, 16, 2, 32, 8), SEED);
    let world = World::new(&network, &[sample(SEED, 4), sample(SEED + 1, 3)], InputKind::OneHot, SEED);
    (network, world)
}

/// The run in which element `index` of an opening comes out as `word`: P1's mask is moved.
fn run_opening(world: &World, before: &Run, demand: u64, index: usize, word: u64) -> Run {
    let words = &view::opened(&before.plan, &before.opened.sent(), &before.opened.received())[&demand];
    let mut edits = [Words::new(), Words::new()];
    edit(&mut edits[1], (demand, Purpose::Mask), words.len(), index, word.wrapping_sub(words[index]));
    world.run(Chosen::pair(SEED, &edits), Chosen::pair(SEED, &edits))
}

#[test]
fn a_wrap_at_any_opening_ends_the_attempt_and_the_next_one_is_right() {
    let (network, world) = world();
    let before = world.run_seeded(SEED);
    let expected = before.logits().unwrap();
    let wires: Vec<_> =
        before.plan.demands.iter().enumerate().filter(|(_, d)| matches!(d, Demand::Wire { .. })).collect();
    let rounds = before.plan.rounds.len();
    let mut stopped = Vec::new();
    for (number, (demand, wire)) in [wires[0], wires[wires.len() / 2], wires[wires.len() - 1]].into_iter().enumerate() {
        let Demand::Wire { count, bits, .. } = *wire else { unreachable!() };
        // exactly the words below 2^bits are refused, wherever they stand
        for (index, word) in [(0, 0), (count - 1, (1 << bits) - 1)] {
            let run = run_opening(&world, &before, demand as u64, index, word);
            assert!(matches!(run.outcomes, [Outcome::Restart, Outcome::Restart]), "{:?}", run.outcomes);
            assert_eq!(format!("{:?}", run.outcomes[0]), "Restart");
            // nothing is sent after the round that was refused
            assert_eq!(run.opened.sent().len(), run.opened.received().len());
            stopped.push(run.opened.sent().len());
            let (seen, all) = (run.opened.sent(), before.opened.sent());
            assert_eq!(seen[..seen.len() - 1], all[..seen.len() - 1], "the rounds before it are untouched");
        }
        // the first word that is not refused gives the same answer as any other
        let run = run_opening(&world, &before, demand as u64, count / 2, 1 << bits);
        let logits = run.logits().expect("2^bits is within the range");
        assert!(logits.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.02), "opening {number}");
    }
    println!("stopped after rounds {stopped:?} of {rounds}");
    assert_eq!((stopped[0], stopped[4]), (1, rounds));

    let again = world.run_seeded(SEED + 1).logits().unwrap();
    let batch = [sample(SEED, 4), sample(SEED + 1, 3)];
    let float = network.float(&batch);
    assert!(again.iter().zip(float).all(|(a, f)| (a - f).abs() < 0.02));
}

/// The price of restarts, known and bounded (see `docs/masked-wires.md`): P0 and P1 do not know the mask, and to them a restart is
/// independent of the value. The dealer does know it. Where a mask is within a range of its end, which happens for about
/// twice as many elements as restart, the dealer learns on which side of a known threshold that one value is.
#[test]
fn a_restart_tells_the_dealer_one_comparison_where_its_mask_is_at_its_end() {
    let (network, here) = world();
    let there = World::new(&network, &[sample(SEED + 7, 4), sample(SEED + 8, 3)], InputKind::OneHot, SEED);
    // the same keys: the same masks, so opened words differ by as much as the values do
    let runs = [here.run_seeded(SEED), there.run_seeded(SEED)];
    let [of_here, of_there] = runs.each_ref().map(|r| view::opened(&r.plan, &r.opened.sent(), &r.opened.received()));
    let demand = runs[0].plan.rounds.iter().position(|r| r == "layer 0: query").unwrap();
    let demand = openings_of_round(&runs[0].plan, demand);
    let (of_here, of_there) = (&of_here[&demand], &of_there[&demand]);
    let smaller = of_here.iter().zip(of_there).position(|(a, b)| b < a).unwrap();
    let larger = of_here.iter().zip(of_there).position(|(a, b)| b > a).unwrap();
    for (index, restarts) in [(smaller, false), (larger, true)] {
        let mut edits = [Words::new(), Words::new()];
        edit(&mut edits[1], (demand, Purpose::Mask), of_here.len(), index, of_here[index].wrapping_neg());
        let [here, there] = [&here, &there].map(|w| w.run(Chosen::pair(SEED, &edits), Chosen::pair(SEED, &edits)));
        assert_eq!(here.dealt.received(), there.dealt.received(), "all else that the dealer does is the same");
        assert!(here.logits().is_none());
        assert_eq!(there.logits().is_none(), restarts);
    }
}

/// Number of the first demand that a round opens.
fn openings_of_round(plan: &Plan, round: usize) -> u64 {
    let opens = |i: usize| view::opening(&plan.demands[i]).is_some();
    let starts = (0..plan.demands.len()).filter(|i| opens(*i) && (*i == 0 || !opens(*i - 1)));
    starts.map(|i| i as u64).nth(round).unwrap()
}

/// All wires of a spec.
fn openings(spec: &mut Spec) -> Vec<&mut Opening> {
    let mut all = vec![&mut spec.one_hot, &mut spec.pooled];
    for norm in &mut spec.norms {
        let division = norm.division.as_mut().unwrap();
        all.extend([&mut division.input, &mut division.inverse_deviation, &mut norm.normal]);
    }
    for layer in &mut spec.layers {
        all.extend([&mut layer.query, &mut layer.key, &mut layer.value, &mut layer.scores]);
        all.extend([&mut layer.attention, &mut layer.activation]);
        for head in &mut layer.heads {
            all.extend(head.squares.iter_mut().chain(&mut head.mixed).chain([&mut head.reciprocal_out]));
        }
    }
    all
}

/// The spec with every range as wide as head-room permits: the same numbers, but many words are refused.
fn tight(spec: &Spec, plan: impl Fn(&Spec) -> Option<Plan>) -> Spec {
    let mut spec = spec.clone();
    for number in 0..openings(&mut spec).len() {
        for _ in 0..64 {
            openings(&mut spec)[number].bits += 1;
            if plan(&spec).is_none() {
                openings(&mut spec)[number].bits -= 1;
                break;
            }
        }
    }
    spec
}

#[test]
fn restarts_are_as_frequent_as_planned() {
    let network = Network::random(&config(1, 16, 2, 32, 8), SEED);
    let mut world = World::new(&network, &[sample(SEED, 8)], InputKind::OneHot, SEED);
    let plan = |spec: &Spec| Plan::new(&spec.calibrated(world.kind), std::slice::from_ref(&world.texts)).ok();
    let tight = tight(&world.spec, plan);
    world.set_spec(tight);
    let planned = world.plan().cost().restart_probability;

    let runs = 500;
    let mut restarts = 0;
    for seed in 0..runs {
        let run = world.run_seeded(SEED * 1000 + seed);
        restarts += usize::from(run.logits().is_none());
    }
    let expected = planned * runs as f64;
    let deviation = (expected * (1.0 - planned)).sqrt();
    println!("seed {SEED}: {restarts} restarts of {runs}, {expected:.1} planned, deviation {deviation:.1}");
    assert!((0.03..0.9).contains(&planned), "{planned} cannot be told from chance");
    assert!((restarts as f64 - expected).abs() < 4.0 * deviation);
}

#[test]
fn a_streamed_attempt_that_wraps_leaves_the_dealers_link_in_step_for_the_next() {
    let (network, world) = world();
    let before = world.run_seeded(SEED);
    // the first opening comes out as zero: both parties stop there, while the dealer is still at work
    let demand = before.plan.demands.iter().position(|d| matches!(d, Demand::Wire { .. })).unwrap() as u64;
    let words = &view::opened(&before.plan, &before.opened.sent(), &before.opened.received())[&demand];
    let mut edits = [Words::new(), Words::new()];
    edit(&mut edits[1], (demand, Purpose::Mask), words.len(), 0, words[0].wrapping_neg());
    let none = [Words::new(), Words::new()];
    let streams = |number: u32| match number {
        0 => Chosen::pair(SEED, &edits),
        _ => Chosen::pair(SEED + 1, &none),
    };
    let Links { mut zero, mut one, mut dealer, mut assisted } = Links::new();
    let bytes = before.plan.cost().dealt_bytes;
    let party = |i: usize, number, dealt: Option<DealtReader<'_>>, peer: &mut dyn Link| {
        let [zero, one] = streams(number);
        let (attempt, own) = (world.as_attempt(i, number), if i == 0 { zero } else { one });
        let (weights, mut inputs) = (&world.parties[i], [world.inputs[i].clone()]);
        let consume = |made| online(&attempt, weights, made, &mut inputs, peer, &mut Trace::default());
        stream(&attempt, weights, own, dealt, consume).unwrap()
    };
    let outcomes = thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..2 {
                let writer = DealtWriter::new(&mut dealer, 1, number);
                let attempt = Attempt { attempt: number, ..world.as_attempt(0, 0) };
                deal(&attempt, &world.dealer, streams(number), writer).unwrap();
            }
        });
        let others = scope.spawn(|| {
            [0, 1].map(|number| party(1, number, Some(DealtReader::new(&mut assisted, 1, number, bytes)), &mut one))
        });
        let own = [0, 1].map(|number| party(0, number, None, &mut zero));
        [own, others.join().unwrap()]
    });
    let [[Outcome::Restart, Outcome::Outputs(a)], [Outcome::Restart, Outcome::Outputs(b)]] = outcomes else {
        panic!("{outcomes:?}")
    };
    let frac = a[0].frac;
    let sums: Vec<u64> = a[0].results.iter().zip(&b[0].results).map(|(a, b)| a.wrapping_add(*b)).collect();
    let float = network.float(&[sample(SEED, 4), sample(SEED + 1, 3)]);
    assert!(ring64::decode_slice(&sums, frac).iter().zip(&float).all(|(a, b)| (a - b).abs() < 0.02));
}
