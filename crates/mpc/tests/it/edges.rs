//! Values at the ends of their ranges, shapes at the ends of theirs, and every operation within its stated error.

use std::sync::Arc;

use crate::world::chosen::Chosen;
use crate::world::replay::{Worst, replay};
use crate::world::{Network, Run, Split, World, config, key, sample, split, view};
use model::{BertWeight, InputKind, Lengths, Quantised, Sample, gelu};
use mpc::Party;
use mpc::masked::{Demand, PartyWeights};
use ring64::{low_bits, shift_left_assign};

const SEED: u64 = 55;

/// A run with the masks of its openings.
struct Unmasked {
    run: Run,
    opened: std::collections::BTreeMap<u64, Vec<u64>>,
    masks: std::collections::BTreeMap<u64, Vec<u64>>,
}

fn unmasked(world: &World, seed: u64) -> Unmasked {
    let dealers = Chosen::pair(seed, &Default::default());
    let drawn = [dealers[0].drawn(), dealers[1].drawn()];
    let run = world.run(Chosen::pair(seed, &Default::default()), dealers);
    let masks = view::masks(&run.plan, &drawn);
    let opened = view::opened(&run.plan, &run.opened.sent(), &run.opened.received());
    Unmasked { run, opened, masks }
}

/// Every operation of a run is what it should be, and the logits are exact.
fn check(world: &World, weights: &Quantised, seed: u64) -> Worst {
    let Unmasked { run, opened, masks } = unmasked(world, seed);
    let (logits, _) = run.logit_words().expect("this seed does not restart");
    let mut input = world.inputs[0].clone();
    ring64::add_assign(&mut input, &world.inputs[1]);
    let (exact, worst) = replay((&world.spec, weights), (&world.texts, world.kind), input, &opened, &masks);
    assert_eq!(logits, exact, "nothing is rounded after the last opening");
    worst
}

#[test]
fn each_operation_is_right_at_the_ends_of_the_shapes() {
    println!("seed {SEED}");
    let text = |tokens| sample(SEED + tokens as u64, tokens);
    let cases: [(_, Vec<Sample>); 6] = [
        // heads of one column over one token: products of 1 x 1 with 1 x 1
        (config(1, 16, 16, 16, 4), vec![text(1)]),
        (config(2, 16, 1, 32, 8), vec![text(1)]),
        (config(1, 16, 2, 17, 512), vec![text(512)]),
        (config(2, 24, 3, 40, 20), vec![text(20), text(1), text(20), text(7)]),
        (config(1, 16, 4, 16, 33), vec![text(1), text(1)]),
        (config(2, 32, 2, 64, 64), vec![text(64), text(33), text(32)]),
    ];
    for (number, (config, batch)) in cases.into_iter().enumerate() {
        let mut network = Network::random(&config, SEED + number as u64);
        let padded =
            network.spec.texts(&batch.iter().map(|s| s.ids.len()).collect::<Vec<_>>(), Lengths::Padded).is_ok();
        let mut runs = vec![(Lengths::Exact, InputKind::OneHot), (Lengths::Exact, InputKind::Embedded)];
        runs.extend(
            padded
                .then_some([InputKind::OneHot, InputKind::Embedded].map(|kind| (Lengths::Padded, kind)))
                .into_iter()
                .flatten(),
        );
        for (lengths, kind) in runs {
            network.lengths = lengths;
            let world = World::new(&network, &batch, kind, SEED);
            let worst = check(&world, &network.quantised, SEED);
            let float = network.float(&batch);
            let private = world.run_seeded(SEED).logits().unwrap();
            let error = private.iter().zip(float).map(|(p, f)| (p - f).abs()).fold(0.0, f64::max);
            println!("case {number}, {lengths:?}, {kind:?}: {worst:.3?}, logits {error:.5} off float");
            assert!(error < 0.03);
            if number == 0 && lengths == Lengths::Exact {
                let tiny = |d: &&Demand| matches!(d, Demand::Matmul { m: 1, k: 1, n: 1, .. });
                assert_eq!(world.plan().demands.iter().filter(tiny).count(), 2 * 16);
            }
        }
    }
}

/// A world whose first opening is of words that the test chooses, at 16 bits below the unit.
struct FirstOpening {
    world: World,
    count: usize,
    shift: u32,
    bits: u32,
}

impl FirstOpening {
    fn new() -> FirstOpening {
        let network = Network::random(&config(1, 32, 2, 32, 32), SEED);
        let world = World::new(&network, &[sample(SEED, 32)], InputKind::Embedded, SEED);
        let Demand::Wire { count, shift, bits } = world.plan().demands[0] else { panic!("the input is opened first") };
        FirstOpening { world, count, shift, bits }
    }

    /// Opens shares of `values`, given with the bits that will be dropped, and returns the wire's errors in units.
    fn errors(&mut self, values: &[i64], seed: u64) -> Vec<f64> {
        let share = ring64::Prg::new(&key(seed ^ 0x7777), 0).words(self.count);
        let rest = values.iter().zip(&share).map(|(v, s)| (*v as u64).wrapping_sub(*s)).collect();
        self.world.inputs = [share, rest];
        let Unmasked { opened, masks, .. } = unmasked(&self.world, seed);
        let kept = 64 - self.shift;
        let wire = |((opened, mask), value): ((&u64, &u64), &i64)| {
            let offset = 1u64 << (self.bits - 1);
            let x = opened.wrapping_sub(*mask).wrapping_sub(offset) & low_bits(kept);
            let x = (x << self.shift) as i64 >> self.shift;
            // lifting is exact unless the word is flagged: x^ - offset - a over the integers
            if *opened >= 1 << self.bits {
                assert_eq!(opened.wrapping_sub(offset).wrapping_sub(*mask) as i64, x);
            }
            x as f64 - *value as f64 / f64::powi(2.0, self.shift as i32)
        };
        opened[&0].iter().zip(&masks[&0]).zip(values).map(wire).collect()
    }
}

#[test]
fn values_at_the_ends_of_the_range_open_within_one_unit() {
    let mut first = FirstOpening::new();
    println!("seed {SEED}: {} values of {} bits, {} dropped", first.count, first.bits, first.shift);
    let end = ((1i64 << (first.bits - 1)) - 1) << first.shift;
    let unit = 1i64 << first.shift;
    let edges =
        [end, -end, end - 1, 1 - end, end - unit / 2, unit / 2 - end, 0, 1, -1, unit - 1, 1 - unit, unit, -unit];
    let values: Vec<_> = (0..first.count).map(|i| edges[i % edges.len()]).collect();
    for seed in 0..8 {
        let errors = first.errors(&values, SEED + seed);
        assert!(errors.iter().all(|e| e.abs() < 1.0), "{errors:?}");
        let whole = values.iter().zip(&errors).filter(|(v, _)| *v % unit == 0);
        assert!(whole.clone().count() > 100);
        assert!(whole.clone().all(|(_, e)| *e == 0.0), "nothing to round, nothing rounded");
    }
}

#[test]
fn rounding_has_mean_zero_whatever_is_dropped() {
    let mut first = FirstOpening::new();
    let unit = f64::powi(2.0, first.shift as i32);
    // sums and counts of errors, by eighths of the fraction that is dropped
    let mut classes = [(0.0, 0usize); 8];
    let (mut sum, mut squares, mut total) = (0.0, 0.0, 0usize);
    for seed in 0..40 {
        let words = ring64::Prg::new(&key(SEED + seed), 3).words(first.count);
        let values: Vec<_> = words.iter().map(|w| *w as i64 >> (64 - first.shift - first.bits + 1)).collect();
        for (value, error) in values.iter().zip(first.errors(&values, SEED * 100 + seed)) {
            assert!(error.abs() < 1.0);
            let eighth = (*value & (unit as i64 - 1)) >> (first.shift - 3);
            classes[eighth as usize].0 += error;
            classes[eighth as usize].1 += 1;
            (sum, squares, total) = (sum + error, squares + error * error, total + 1);
        }
    }
    // up with probability f, the fraction: variance f (1 - f), a sixth over all f
    let (mean, variance) = (sum / total as f64, squares / total as f64);
    println!("seed {SEED}: {total} roundings, mean {mean:.5}, variance {variance:.4}");
    assert!(mean.abs() < 5.0 * (1.0 / 6.0 / total as f64).sqrt(), "mean {mean}");
    assert!((variance - 1.0 / 6.0).abs() < 0.01);
    for (eighth, (sum, count)) in classes.iter().enumerate() {
        let f = (eighth as f64 + 0.5) / 8.0;
        let (mean, deviation) = (sum / *count as f64, (f * (1.0 - f) / *count as f64).sqrt());
        println!("fraction {f:.4}: mean {mean:+.4}, deviation {deviation:.4}");
        assert!(mean.abs() < 5.0 * deviation, "fraction {f}: mean {mean}");
    }
}

#[test]
fn gelu_holds_to_the_ends_of_each_column_class() {
    let mut network = Network::random(&config(1, 16, 2, 256, 8), SEED);
    // the input of every neuron is its bias: from end to end of the domain of its class, which is four less than half the period
    let spec = network.spec.clone();
    let curve = spec.layers[0].function.gelu().unwrap();
    let up = network.weight(BertWeight::Up(0));
    let frac = spec.calibrated(InputKind::OneHot).scales.bias_frac(up);
    let mut inputs = Vec::new();
    for segment in &curve.segments {
        let limit = f64::powi(2.0, segment.series.modulus_bits as i32 - curve.frac - 1) - 4.0;
        let place = |i: usize| limit * (2.0 * i as f64 / (segment.cols - 1).max(1) as f64 - 1.0);
        inputs.extend((0..segment.cols).map(place));
        println!("{} neurons up to {limit}", segment.cols);
    }
    let up = network.quantised.get_mut(&up).unwrap();
    up.weight.fill(0);
    up.bias = Some(inputs.iter().map(|x| ring64::encode(*x, frac).unwrap()).collect());

    let world = World::new(&network, &[sample(SEED, 8)], InputKind::OneHot, SEED);
    let worst = check(&world, &network.quantised, SEED);
    println!("seed {SEED}: {worst:.3?}");

    // the activation of the only row that the last layer computes, against the exact function
    let Unmasked { run, opened, masks } = unmasked(&world, SEED);
    let activation = spec.layers[0].activation;
    let wire = |d: &Demand| matches!(d, Demand::Wire { count: 256, bits, .. } if *bits == activation.bits);
    let demand = run.plan.demands.iter().rposition(wire).unwrap() as u64;
    let mut largest: f64 = 0.0;
    for ((opened, mask), x) in opened[&demand].iter().zip(&masks[&demand]).zip(&inputs) {
        let value = opened.wrapping_sub(*mask).wrapping_sub(1 << (activation.bits - 1)) as i64;
        let value = value as f64 / f64::powi(2.0, activation.frac);
        largest = largest.max((value - gelu(*x)).abs());
    }
    println!("largest error of GeLU {largest:.5}");
    // the series within 5e-4, the input within a unit (slope up to 1.13), the output within another; a unit is 2^-12
    assert!(largest < 5e-4 + 2.3 / 4096.0, "{largest}");
}

/// The share of a weight is `F + G(k0)` at P0 and `G(k1)` at P1, and the two engines that expand them agree on it.
#[test]
fn chosen_parts_and_expanded_seeds_are_the_same_weights() {
    let network = Network::random(&config(1, 16, 2, 32, 8), SEED);
    let world = World::new(&network, &[sample(SEED, 5)], InputKind::OneHot, SEED);
    let Split { masked, seeds } = split(network.table(), &network.quantised, SEED);
    let mask = |i: usize, add: bool| {
        let mut all = masked.clone();
        for (weight, words) in &mut all {
            let one = |part, words: &mut Vec<u64>| {
                let mut mask = model::weight_mask(&seeds[i], network.table()[*weight].stream, part, words.len());
                if add {
                    ring64::add_assign(&mut mask, words);
                }
                *words = mask;
            };
            one(model::Part::Matrix, &mut words.weight);
            words.bias.iter_mut().for_each(|b| one(model::Part::Bias, b));
        }
        all
    };
    let mut by_hand = World::new(&network, &[sample(SEED, 5)], InputKind::OneHot, SEED);
    by_hand.parties = [
        PartyWeights::from_parts(Party::Zero, network.table(), masked.clone(), mask(0, true)),
        PartyWeights::from_parts(Party::One, network.table(), masked.clone(), mask(1, false)),
    ];
    let [one, two] = [&world, &by_hand].map(|w| w.run_seeded(SEED));
    assert_eq!(one.opened.all(), two.opened.all());
    assert_eq!(one.logits(), two.logits());
}

/// The client's one-hot rows open exactly: their shares have zeros below the unit.
#[test]
fn the_clients_input_opens_exactly() {
    let network = Network::random(&config(1, 16, 2, 32, 8), SEED);
    for kind in [InputKind::OneHot, InputKind::Embedded] {
        let batch = [sample(SEED, 5)];
        let world = World::new(&network, &batch, kind, SEED);
        let spec = Arc::clone(&world.spec);
        let Unmasked { opened, masks, .. } = unmasked(&world, SEED);
        let opening = spec.input(kind);
        let offset = 1u64 << (opening.bits - 1);
        let values: Vec<u64> =
            opened[&0].iter().zip(&masks[&0]).map(|(x, a)| x.wrapping_sub(*a).wrapping_sub(offset)).collect();
        assert_eq!(values, network.input(&batch, kind));
        let mut shifted = values;
        shift_left_assign(&mut shifted, spec.input_extra);
        let mut sum = world.inputs[0].clone();
        ring64::add_assign(&mut sum, &world.inputs[1]);
        assert_eq!(shifted, sum);
    }
}
