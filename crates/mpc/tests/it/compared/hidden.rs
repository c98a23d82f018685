//! What parties see of comparisons: the same for other values, uniform, and nothing twice.

use std::collections::BTreeSet;

use mpc::masked::Demand;
use mpc::{Party, Purpose};

use super::network::{EXTRA, Task, compares};
use super::{Ran, World, paces, values};
use crate::world::chosen::{Chosen, Drawn, Words, edit};
use crate::world::view::{self, View};
use crate::world::{Schedule, stream_keys};

const SEED: u64 = 63;
const TASKS: [Task; 5] = [Task::Relu, Task::Select, Task::Both, Task::Maximum, Task::Argmax];
const SHAPE: (usize, usize) = (8, 12);

fn view_of(party: Party, run: &Ran) -> View {
    view::of(party, &run.opened, &run.dealt)
}

fn run(world: &World, edits: &[Words; 2]) -> (Ran, [Drawn; 2]) {
    let dealers = Chosen::pair(SEED, edits);
    let drawn = [dealers[0].drawn(), dealers[1].drawn()];
    (world.run(Chosen::pair(SEED, edits), dealers), drawn)
}

/// Finds the other party's words under which `world` gives a party the view that it had in `target`.
fn couple(world: &World, party: Party, target: &Ran) -> Ran {
    let mut edits = [Words::new(), Words::new()];
    // one run a round, and at P1 another one: new bits of a mask move what is dealt for it
    for _ in 0..3 * target.plan.rounds.len() + 3 {
        let (run, drawn) = run(world, &edits);
        let views = [view_of(party, &run), view_of(party, target)];
        if views[0] == views[1] {
            return run;
        }
        let other = party.other().index();
        view::correct(&target.plan, party, views.each_ref(), &drawn[other].words(), &mut edits[other]);
    }
    panic!("no words of the other party give this view");
}

/// The same network on other values, of which this party has the same share.
fn other(world: &World, party: Party, values: &[i64]) -> World {
    let (mut inputs, party) = (world.inputs.clone(), party.index());
    let rest = values.iter().zip(&world.inputs[party]).map(|(v, own)| ((*v as u64) << EXTRA).wrapping_sub(*own));
    inputs[1 - party] = rest.collect();
    World { calibrated: world.calibrated.clone(), shape: world.shape, inputs, schedule: world.schedule }
}

/// Bit for bit, headers included, and with it the party's own share of the result.
#[test]
fn each_party_sees_the_same_whatever_is_compared() {
    let [here, there] = [SEED, SEED + 1].map(|seed| values(96 + 118, 19, seed).split_off(118));
    for task in TASKS {
        for compared in [paces(20, 0), paces(20, 4)].concat() {
            let world = World::new(&compares(task, 19, [compared, paces(20, 0)[0]]), SHAPE, &here, SEED);
            let (target, _) = run(&world, &Default::default());
            for party in [Party::Zero, Party::One] {
                let coupled = couple(&other(&world, party, &there), party, &target);
                assert_eq!(view_of(party, &coupled), view_of(party, &target));
                let [one, two] = [&coupled, &target].map(|run| run.outputs().unwrap());
                let (own, others) = (party.index(), party.other().index());
                assert_eq!(one[own], two[own], "its share of the result");
                assert_ne!(one[others], two[others], "{task:?}: the results are the same, so this shows nothing");
                let results = coupled.results().unwrap();
                assert!(compared.cut > 0 || results == other(&world, party, &there).clear(), "{task:?}");
            }
        }
    }
}

/// Values that give the same result: then the client, who gets both shares, sees the same too.
#[test]
fn a_party_and_the_client_together_see_the_same_where_the_result_is_the_same() {
    let here = values(96 + 118, 19, SEED).split_off(118);
    let there: Vec<i64> = here.iter().map(|v| if *v < 0 { -1 - (*v & 0xffff) } else { *v }).collect();
    assert!(here.iter().zip(&there).filter(|(h, t)| h != t).count() > 30);
    for compared in paces(20, 0) {
        let world = World::new(&compares(Task::Relu, 19, [compared; 2]), SHAPE, &here, SEED);
        let (target, _) = run(&world, &Default::default());
        for party in [Party::Zero, Party::One] {
            let coupled = couple(&other(&world, party, &there), party, &target);
            assert_eq!(view_of(party, &coupled), view_of(party, &target));
            assert_eq!(coupled.outputs().unwrap(), target.outputs().unwrap());
        }
    }
}

/// The bits of an element that are open together: all combinations are equally frequent, whatever is compared.
#[test]
fn opened_bits_are_uniform_together() {
    let count = 1 << 15;
    for compared in paces(20, 0) {
        for values in [vec![0; count], vec![-1; count], values(count, 19, SEED)] {
            let world = World::new(&compares(Task::Relu, 20, [compared; 2]), (count, 1), &values, SEED);
            let (run, _) = run(&world, &Default::default());
            let opened = view::opened(&run.plan, &run.opened.sent(), &run.opened.received());
            let bits = opened.iter().filter(|(demand, _)| {
                matches!(run.plan.demands[**demand as usize], Demand::Phase { modulus_bits: 1, .. })
            });
            let rows: Vec<&[u64]> = bits.flat_map(|(_, words)| words.chunks(count)).collect();
            let mut counts = vec![0u32; 1 << rows.len()];
            (0..count).for_each(|i| counts[rows.iter().fold(0, |all, row| 2 * all + row[i] as usize)] += 1);
            let expected = count as f64 / counts.len() as f64;
            let chi: f64 = counts.iter().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum();
            let degrees = (counts.len() - 1) as f64;
            println!("{:?}: {} bits, chi square {chi:.1} of {degrees}", compared.pace, rows.len());
            assert!((chi - degrees).abs() < 5.0 * (2.0 * degrees).sqrt(), "{chi} of {degrees}");
        }
    }
}

/// Each table, each word and each mask has a stream of its own, and the dealer draws what the parties draw.
#[test]
fn no_stream_of_a_comparison_is_drawn_twice() {
    let values = values(96 + 118, 19, SEED).split_off(118);
    for task in TASKS {
        for compared in paces(20, 0) {
            let world = World::new(&compares(task, 19, [compared, paces(20, 0)[1]]), SHAPE, &values, SEED);
            let (parties, dealers) = (Chosen::pair(SEED, &Default::default()), Chosen::pair(SEED, &Default::default()));
            let drawn = [&parties, &dealers].map(|pair| [pair[0].drawn(), pair[1].drawn()]);
            world.run(parties, dealers);
            for party in [0, 1] {
                let sorted = |drawn: &Drawn| {
                    let mut calls = drawn.calls();
                    calls.sort_unstable();
                    calls
                };
                let calls = sorted(&drawn[0][party]);
                let once: BTreeSet<_> = calls.iter().map(|(demand, purpose, _)| (*demand, *purpose)).collect();
                assert_eq!(once.len(), calls.len(), "a stream is drawn twice");
                assert_eq!(sorted(&drawn[1][party]), calls);
            }
            // P1's key serves masks only, and P0's one purpose of each demand
            let plan = world.plan();
            assert!(drawn[0][1].calls().iter().all(|(_, purpose, _)| *purpose == Purpose::Mask));
            assert_eq!(drawn[0][0].calls().len(), plan.demands.len());
        }
    }
}

/// Bits have no range that they could leave: an attempt restarts where a wire does, also in the middle of a tournament.
#[test]
fn an_attempt_restarts_where_a_winner_is_below_its_range() {
    let values = values(96 + 118, 19, SEED).split_off(118);
    for compared in paces(20, 0) {
        let world = World::new(&compares(Task::Maximum, 19, [compared; 2]), SHAPE, &values, SEED);
        let (before, _) = run(&world, &Default::default());
        let opened = view::opened(&before.plan, &before.opened.sent(), &before.opened.received());
        let wires = before.plan.demands.iter().enumerate().filter(|(_, d)| matches!(d, Demand::Wire { .. }));
        for (demand, _) in wires {
            let (demand, words) = (demand as u64, &opened[&(demand as u64)]);
            let mut edits = [Words::new(), Words::new()];
            edit(&mut edits[1], (demand, Purpose::Mask), words.len(), 0, words[0].wrapping_neg());
            assert!(run(&world, &edits).0.outputs().is_none(), "a word of zero at demand {demand}");
        }
        // with other keys the result is the same
        let again = world.run(stream_keys(SEED + 1), stream_keys(SEED + 1));
        assert_eq!(again.results(), before.results());
    }
}

#[test]
fn what_is_sent_does_not_depend_on_when_correlations_are_made() {
    let values = values(96 + 118, 19, SEED).split_off(118);
    for task in TASKS {
        let mut world = World::new(&compares(task, 19, paces(20, 0)), SHAPE, &values, SEED);
        let frames = |world: &World| {
            let (run, _) = run(world, &Default::default());
            [run.opened.sent(), run.opened.received(), run.dealt.received()]
        };
        let ahead = frames(&world);
        for schedule in [Schedule::Ahead(0), Schedule::Stream, Schedule::Stored] {
            world.schedule = schedule;
            assert_eq!(frames(&world), ahead, "{schedule:?}");
        }
    }
}
