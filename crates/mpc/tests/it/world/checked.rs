//! What holds of every run that ends: it is certified, and it costs what was planned.

use mpc::{Cost, Planned};

use super::{Network, Run, World};

/// Runs of the sizes of these tests restart in less than one attempt of a hundred.
const ATTEMPTS: u64 = 6;

/// The first of some runs that does not restart.
pub fn finished(world: &World, seed: u64) -> Run {
    let attempt = |number| Some(world.run_seeded(seed * 50 + number)).filter(|run| run.logits().is_some());
    (0..ATTEMPTS).find_map(attempt).unwrap_or_else(|| panic!("seed {seed}: {ATTEMPTS} restarts in a row"))
}

/// The largest difference of two numbers at one place.
pub fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Holds a run to its certificates and to its plan, whose cost it gives.
pub fn certified_as_planned(network: &Network, world: &World, run: &Run) -> Cost {
    let lengths = world.texts.lengths();
    for (total, rows) in run.certificates().iter().zip(lengths) {
        let limit = network.spec.certificate_limit(world.texts.class(*rows, &network.spec.shape));
        assert!((0.0..limit).contains(total), "{lengths:?}: {total} of {limit}");
    }
    let cost = world.plan().cost();
    for frames in [run.opened.sent(), run.opened.received()] {
        assert_eq!(frames.len(), cost.frames);
        assert_eq!(frames.iter().map(|f| f.payload.len()).sum::<usize>(), cost.opened_bytes);
        let rounds = frames.iter().map(|frame| frame.header.step).max().unwrap() + 1;
        assert_eq!(rounds as usize, cost.rounds);
    }
    assert_eq!(run.dealt.received().iter().map(|f| f.payload.len()).sum::<usize>(), cost.dealt_bytes);
    cost
}
