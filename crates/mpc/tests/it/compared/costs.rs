//! What comparisons cost: as declared, and how much that is.

use model::{Compared, Pace};
use mpc::Planned;
use mpc::masked::{Demand, Links, Plan, paced};

use super::network::{Task, compares};
use super::{World, paces, values};
use crate::world::stream_keys;

const SEED: u64 = 62;

#[test]
fn what_is_measured_is_what_was_declared() {
    for bits in [17, 18, 20, 24] {
        let values = values(7 * 18, bits - 1, SEED);
        for compared in paces(bits, 0).map(|one| [one, paces(bits, 3)[1]]) {
            for task in [Task::Relu, Task::Negative, Task::Select, Task::Both, Task::Maximum, Task::Argmax] {
                let world = World::new(&compares(task, bits - 1, compared), (7, 18), &values, SEED);
                let run = world.run(stream_keys(SEED), stream_keys(SEED));
                let (plan, cost) = (&run.plan, run.plan.cost());
                for frames in [run.opened.sent(), run.opened.received()] {
                    assert_eq!(frames.iter().map(|f| f.payload.len()).sum::<usize>(), cost.opened_bytes);
                    assert_eq!(frames.len(), cost.frames);
                    let rounds = frames.iter().map(|frame| frame.header.step).max().unwrap() + 1;
                    assert_eq!((rounds as usize, plan.rounds.len()), (cost.rounds, cost.rounds));
                }
                let dealt: usize = run.dealt.received().iter().map(|f| f.payload.len()).sum();
                assert_eq!(dealt, cost.dealt_bytes, "{task:?}, {compared:?}");
                assert_eq!(plan.demands.iter().map(Demand::dealt_bytes).sum::<usize>(), cost.dealt_bytes);
            }
        }
    }
}

/// Bits of one element of ReLU beyond the opening of its value: dealt, and opened each way; and rounds.
fn relu(compared: Compared) -> (f64, f64, usize) {
    let count = 1 << 12;
    let plan = Plan::new(&compares(Task::Relu, compared.bits, [compared; 2]), &[(count, 1)]).unwrap();
    let beyond = |of: fn(&Demand) -> usize| 8.0 * plan.demands[1..].iter().map(of).sum::<usize>() as f64 / count as f64;
    (beyond(Demand::dealt_bytes), beyond(Demand::opened_bytes), plan.rounds.len() - 1)
}

#[test]
fn relu_costs_what_is_stated() {
    let stated = [
        (17, [(160.0, 3.0, 1), (29.875, 9.0, 2)]),
        (18, [(192.0, 3.0, 1), (31.875, 9.0, 2)]),
        (20, [(208.0, 5.0, 1), (35.875, 9.0, 2)]),
        (24, [(288.0, 5.0, 1), (43.875, 11.0, 2)]),
    ];
    for (bits, stated) in stated {
        for (compared, (bytes, opened, rounds)) in paces(bits, 0).into_iter().zip(stated) {
            let (dealt, sent, needed) = relu(compared);
            println!(
                "{:?}, {bits} bits: {} bytes dealt, {sent} bits each way, {needed} rounds",
                compared.pace,
                dealt / 8.0
            );
            assert_eq!((dealt / 8.0, sent, needed), (bytes, opened, rounds), "{:?}, {bits} bits", compared.pace);
        }
    }
}

/// A tournament of seven steps.
#[test]
fn a_maximum_of_128_takes_two_or_three_rounds_a_step() {
    let rows = 64;
    for (compared, a_step) in paces(20, 0).into_iter().zip([2, 3]) {
        for task in [Task::Maximum, Task::Argmax] {
            let plan = Plan::new(&compares(task, 19, [compared; 2]), &[(rows, 128)]).unwrap();
            let each =
                |of: fn(&Demand) -> usize| plan.demands[1..].iter().map(of).sum::<usize>() as f64 / (128 * rows) as f64;
            let (dealt, opened) = (each(Demand::dealt_bytes), each(Demand::opened_bytes));
            let (pace, rounds) = (compared.pace, plan.rounds.len() - 1);
            println!("{task:?} of 128, {pace:?}, 20 bits: {dealt:.1} dealt, {opened:.1} each way, {rounds} rounds");
            assert_eq!(rounds, 7 * a_step);
            let most = match (task, pace) {
                (Task::Maximum, Pace::Fast) => 210.0,
                (_, Pace::Fast) => 260.0,
                (Task::Maximum, Pace::Lean) => 38.0,
                (_, Pace::Lean) => 45.0,
            };
            assert!(dealt < most && opened < 14.0);
        }
    }
}

/// Rounds are spared where they are long, dealt bytes where these are waited for.
#[test]
fn the_pace_follows_from_the_links() {
    let calibrated = compares(Task::Maximum, 19, paces(20, 0));
    let batches = [(128, 128)];
    let chosen = |links| paced(&calibrated, &batches, links).unwrap();
    let far = Links { latency: 0.05, bandwidth: 1e8, dealt: f64::INFINITY };
    let near = Links { latency: 1e-4, bandwidth: 1e9, dealt: 1e8 };
    for (links, pace, rounds) in [(far, Pace::Fast, 14), (near, Pace::Lean, 21)] {
        let (got, paced) = chosen(links);
        assert_eq!((got, Plan::new(&paced, &batches).unwrap().rounds.len() - 1), (pace, rounds));
    }
}
