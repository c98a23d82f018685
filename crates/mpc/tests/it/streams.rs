//! Pads are used once: over a plan as long as those of real models no word of any stream comes back, under either key.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::chosen::Chosen;
use crate::world::{Network, World, config, sample, stream_keys};
use model::InputKind;
use mpc::{Party, Purpose, Streams};
use net::{Link, memory_pair};
use ring64::Kernel;

const SEED: u64 = 91;
/// Words of each stream that are compared; a pad that is used twice begins with the same ones.
const FIRST: usize = 4;

/// Many short texts: each has products of its own, so that a small network has as many demands as a large one.
fn long() -> World {
    println!("seed {SEED}");
    let network = Network::random(&config(2, 16, 2, 32, 8), SEED);
    let texts: Vec<_> = (0..40).map(|text| sample(SEED + text, 1 + text as usize % 3)).collect();
    World::new(&network, &texts, InputKind::OneHot, SEED)
}

/// Which streams of which lengths the dealer reads of P0's key and of P1's.
fn read_by_the_dealer(world: &World) -> [BTreeMap<(u64, Purpose), usize>; 2] {
    let dealers = Chosen::pair(SEED, &Default::default());
    let drawn = [dealers[0].drawn(), dealers[1].drawn()];
    let (mut link, _party) = memory_pair("dealer", "party1");
    world.deal(dealers, &mut link).unwrap();
    assert!(link.counters().bytes_sent > 0);
    drawn.map(|drawn| {
        let calls = drawn.calls();
        let streams: BTreeMap<_, _> =
            calls.iter().map(|(demand, purpose, count)| ((*demand, *purpose), *count)).collect();
        assert_eq!(streams.len(), calls.len(), "a stream is read twice");
        streams
    })
}

#[test]
fn no_word_returns_over_a_plan_of_more_than_a_thousand_demands() {
    let world = long();
    let demands = world.plan().demands.len();
    assert!(demands > 1000, "{demands} demands");
    let streams = read_by_the_dealer(&world);
    assert!(streams[0].len() >= demands, "P0's key serves every demand");
    let mut seen = BTreeSet::new();
    let mut total = 0;
    // 64-bit words of so few that two equal ones meet once in 2^37 runs: an equal one is a pad that was used before
    for (party, mut key) in [Party::Zero, Party::One].into_iter().zip(stream_keys(SEED)) {
        for ((demand, purpose), count) in &streams[party.index()] {
            for word in key.words(*demand, *purpose, FIRST.min(*count), Kernel::detect()) {
                assert!(
                    seen.insert(word),
                    "{party}: {purpose:?} of demand {demand} begins with a word that was there before"
                );
                total += 1;
            }
        }
    }
    println!("{total} words of {demands} demands");
}
