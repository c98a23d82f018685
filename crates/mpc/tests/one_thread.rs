//! Parties with one thread each compute a round's products as they send them; with several, all at once. The other tests run
//! with as many threads as there are cores, this one with one.
#![allow(clippy::unwrap_used)]

#[path = "it/world/mod.rs"]
mod world;

use model::InputKind;
use world::{Network, Schedule, World, config, sample};

#[test]
fn products_that_are_computed_as_they_are_sent_give_the_logits_of_the_float_network() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    assert_eq!(ring64::threads(), 1);
    // long enough for openings of several frames
    let network = Network::random(&config(2, 64, 4, 128, 300), 4);
    let batch = [sample(1, 300), sample(2, 9)];
    for kind in [InputKind::OneHot, InputKind::Embedded] {
        let mut world = World::new(&network, &batch, kind, 3);
        assert!(world.plan().frames.iter().any(|frames| *frames > 1));
        for schedule in [Schedule::Ahead(u64::MAX), Schedule::Ahead(0), Schedule::Stream] {
            world.schedule = schedule;
            let private = (0..6).find_map(|seed| world.run_seeded(seed).logits()).unwrap();
            for (private, float) in private.iter().zip(network.float(&batch)) {
                assert!((private - float).abs() < 0.01, "{kind:?}, {schedule:?}: private {private}, float {float}");
            }
        }
    }
}
