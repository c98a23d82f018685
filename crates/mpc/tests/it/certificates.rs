//! A text's certificate: next to nothing where a run kept its promises, and beyond its bound where a series, a scale, a key or a
//! mask is wrong. Each fault below gave wrong logits without a word before there were certificates.

use std::sync::Arc;

use crate::world::chosen::{Chosen, Words, edit};
use crate::world::{Network, Run, World, config, key, sample, stream_keys};
use model::{Curve, InputKind, Opening, Sample, Series, Spec, clear_certified, token_class};
use mpc::Purpose;

/// What is done to a spec.
type Fault = Box<dyn Fn(&mut Spec)>;

/// More restarts in a row than chance would give.
const ATTEMPTS: u64 = 6;

fn network(seed: u64) -> Network {
    Network::random(&config(2, 32, 4, 64, 20), seed)
}

/// Whether each text of a run is certified; a run that restarts is made again.
fn certified(network: &Network, batch: &[Sample], attempt: impl Fn(u64) -> Run) -> Vec<bool> {
    let run = (0..ATTEMPTS).map(attempt).find(|run| run.logits().is_some()).unwrap();
    let totals = run.certificates();
    batch
        .iter()
        .zip(totals)
        .map(|(text, total)| network.spec.certificate(token_class(text.ids.len()), total).holds())
        .collect()
}

/// The same of a network whose spec was changed, with keys of all roles in step.
fn certified_with(change: impl Fn(&mut Spec)) -> Vec<bool> {
    let mut network = network(7);
    change(Arc::make_mut(&mut network.spec));
    let batch = [sample(1, 9), sample(2, 20)];
    let world = World::new(&network, &batch, InputKind::OneHot, 3);
    certified(&network, &batch, |seed| world.run_seeded(seed))
}

#[test]
fn a_run_that_keeps_its_promises_is_certified_text_by_text() {
    for seed in 0..6 {
        let network = network(seed);
        let batch = [sample(seed, 12), sample(seed + 1, 1), sample(seed + 2, 20)];
        let kind = if seed % 2 == 0 { InputKind::OneHot } else { InputKind::Embedded };
        let world = World::new(&network, &batch, kind, seed);
        let run = (0..ATTEMPTS).map(|n| world.run_seeded(seed * 50 + n)).find(|run| run.logits().is_some()).unwrap();
        let (texts, ids, segments) = network.batch(&batch);
        let clear = clear_certified(&network.spec, &network.quantised, &texts, &ids, &segments).unwrap();
        for ((text, total), (_, in_clear)) in batch.iter().zip(run.certificates()).zip(clear) {
            let limit = network.spec.certificate_limit(token_class(text.ids.len()));
            // ordinary texts leave room for rounding at random, which has twice the mean square of rounding to nearest
            assert!((0.0..limit / 2.0).contains(&total), "{total} of {limit}, {in_clear} in clear");
            assert!(total < 20.0 * in_clear + 1e-6 && in_clear < limit / 4.0, "{total}, {in_clear} in clear");
        }
    }
    assert_eq!(certified_with(|_| ()), [true, true]);
}

/// The series of a LayerNorm.
fn root(spec: &mut Spec, norm: usize) -> &mut Curve {
    &mut spec.norms[norm].division.as_mut().unwrap().inverse_root
}

#[test]
fn wrong_series_and_scales_are_not_certified() {
    let louder = |series: &mut Series| series.cosines[0] += series.cosines[0] / 4 + (1 << series.coefficient_frac) / 50;
    let finer = |normal: Opening| Opening { frac: 18, bits: normal.bits + (18 - normal.frac) as u32 };
    assert_eq!(certified_with(|s| s.norms[1].normal = finer(s.norms[1].normal)), [true, true]);
    let faults: [(&str, Fault); 6] = [
        ("a cosine of 1/sqrt", Box::new(move |s| louder(&mut root(s, 1).segments[0].series))),
        (
            "a cosine of 1/sqrt, of rows that are opened finer than usual",
            Box::new(move |s| {
                louder(&mut root(s, 1).segments[0].series);
                s.norms[1].normal = finer(s.norms[1].normal);
            }),
        ),
        ("the constant of 1/sqrt", Box::new(|s| root(s, 2).segments[0].series.constant += 1 << 36)),
        ("a cosine of 1/D", Box::new(move |s| louder(&mut s.layers[0].heads[1].reciprocal.segments[0].series))),
        ("the period of 1/D", Box::new(|s| s.layers[0].heads[0].reciprocal.segments[0].series.modulus_bits -= 3)),
        ("the argument's scale of 1/sqrt", Box::new(|s| root(s, 0).frac -= 1)),
    ];
    for (name, fault) in faults {
        let certified = certified_with(fault);
        assert!(certified.iter().all(|certified| !certified), "{name}: {certified:?}");
    }
}

/// One role computes with other words than the others.
fn certified_beside(faulty: impl Fn(u64) -> [Chosen; 2]) -> Vec<bool> {
    let network = network(11);
    let batch = [sample(4, 17)];
    let world = World::new(&network, &batch, InputKind::OneHot, 5);
    let right = |seed| stream_keys(seed).map(|key| Chosen::new(key, &Words::new()));
    certified(&network, &batch, |seed| world.run(faulty(seed), right(seed)))
}

#[test]
fn wrong_keys_and_masks_are_not_certified() {
    let none = Words::new();
    assert_eq!(certified_beside(|seed| stream_keys(seed).map(|key| Chosen::new(key, &none))), [true]);
    // P0 has another key than the one that the dealer dealt under
    let other = |seed| {
        let [_, one] = stream_keys(seed);
        [Chosen::new(key(seed ^ 0x7777), &none), Chosen::new(one, &none)]
    };
    assert_eq!(certified_beside(other), [false]);
    // one word of a correlation of an early row is off
    let plan = {
        let network = network(11);
        World::new(&network, &[sample(4, 17)], InputKind::OneHot, 5).plan()
    };
    let of = |wanted: fn(&mpc::masked::Demand) -> bool| plan.demands.iter().position(wanted).unwrap() as u64;
    for (demand, by) in [
        // a square sum is read modulo the period of 1/sqrt: less than that
        (of(|d| matches!(d, mpc::masked::Demand::SquareSum { .. })), 1 << 27),
        (of(|d| matches!(d, mpc::masked::Demand::ScaleRows { .. })), 1 << 40),
        (of(|d| matches!(d, mpc::masked::Demand::Series { .. })), 1 << 40),
    ] {
        let (at, count) = ((demand, Purpose::Dealt), plan.demands[demand as usize].dealt_bytes() / 8);
        let mut words = Words::new();
        edit(&mut words, at, count, 3, by);
        let faulty = |seed: u64| {
            let [zero, one] = stream_keys(seed);
            [Chosen::new(zero, &words), Chosen::new(one, &none)]
        };
        assert_eq!(certified_beside(faulty), [false], "{at:?}");
    }
}

/// Every text has a certificate of its own: one that is wrong does not take another along, nor hide behind it.
#[test]
fn each_text_of_a_batch_is_judged_alone() {
    let network = network(7);
    let batch = [sample(1, 9), sample(2, 20), sample(3, 5)];
    let (texts, ids, segments) = network.batch(&batch);
    let together = clear_certified(&network.spec, &network.quantised, &texts, &ids, &segments).unwrap();
    for (text, (logits, total)) in batch.iter().zip(together) {
        let (texts, ids, segments) = network.batch(std::slice::from_ref(text));
        let alone = clear_certified(&network.spec, &network.quantised, &texts, &ids, &segments).unwrap();
        assert_eq!(alone, [(logits, total)]);
    }
}
