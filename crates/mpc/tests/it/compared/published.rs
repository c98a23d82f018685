//! The same network on additive shares: its comparisons there are those of SecFormer, on all bits.

use model::{Functions, Network as _, Quantised};
use mpc::beaver::{self, Options, Shares};
use mpc::{DealtReader, Party, Trace};
use net::{Link, memory_pair};
use ring64::Key;

use super::network::{FRAC, Task, compares};
use super::{World, paces, values};
use crate::world::beaver::parties;
use crate::world::key;

const SEED: u64 = 64;

/// Results as numbers.
fn run(world: &World) -> Vec<f64> {
    let (options, table) = (Options::of(Functions::Series), world.calibrated.network.table());
    let plan = beaver::Plan::new(&world.calibrated, &[world.shape], options).unwrap();
    let (mut zero, mut one) = memory_pair("party0", "party1");
    let (mut dealer, mut assisted) = memory_pair("dealer", "party1");
    let party = |i: usize, own: Key, dealt: Option<DealtReader<'_>>, peer: &mut dyn Link| {
        let weights = Shares::expand([Party::Zero, Party::One][i], table, Quantised::new(), &key(0));
        let (input, mut trace) = (vec![world.inputs[i].clone()], Trace::default());
        beaver::online(&world.attempt(), options, &weights, own, dealt, input, peer, &mut trace).unwrap().remove(0)
    };
    let [a, b] = parties(&plan, SEED, [&mut zero, &mut one, &mut dealer, &mut assisted], party);
    a.results.iter().zip(&b.results).map(|(x, y)| ring64::decode(x.wrapping_add(*y), a.frac)).collect()
}

#[test]
fn additive_shares_give_the_same_within_their_truncations() {
    let (values, shape) = (values(240 + 118, 19, SEED).split_off(118), (20, 12));
    let unit = f64::powi(2.0, -FRAC);
    for task in [Task::Relu, Task::Abs, Task::Negative, Task::Select, Task::Both, Task::Maximum, Task::Argmax] {
        let world = World::new(&compares(task, 19, paces(20, 0)), shape, &values, SEED);
        let (clear, frac) = world.clear();
        let clear = clear.iter().map(|word| ring64::decode(*word as u64, frac));
        let worst = run(&world).iter().zip(clear).map(|(got, clear)| (got - clear).abs()).fold(0.0, f64::max);
        println!("{task:?}: {:.2} units", worst / unit);
        assert!(worst < 8.0 * unit, "{task:?}: {worst}");
    }
}
