//! Softmax attention on masked wires: right, certified, and as costly as planned.

use model::{Config, InputKind, Sample};
use mpc::Planned;
use mpc::masked::Demand;

use crate::world::checked::{apart, certified_as_planned, finished};
use crate::world::{Network, Schedule, World, sample};

/// Largest difference of a logit to softmax in floating point; three times what is seen.
const TO_FLOAT: f64 = 0.01;

pub(crate) fn config(layers: usize, width: usize, heads: usize, inner: usize, positions: usize) -> Config {
    let text = format!(
        r#"{{"vocab_size":97,"hidden_size":{width},"num_hidden_layers":{layers},"num_attention_heads":{heads},
        "intermediate_size":{inner},"max_position_embeddings":{positions}}}"#
    );
    Config::from_json(&text).unwrap()
}

#[test]
fn softmax_gives_what_it_gives_in_floating_point_is_certified_and_costs_what_was_planned() {
    let mut worst = 0.0f64;
    for (seed, (layers, width, heads, inner)) in
        [(1, 32, 2, 64), (2, 32, 4, 128), (3, 48, 3, 96)].into_iter().enumerate()
    {
        let seed = seed as u64;
        let network = Network::random(&config(layers, width, heads, inner, 40), seed);
        let two_steps = network.spec.layers.iter().flat_map(|l| &l.softmax).any(|head| head.two_steps.is_some());
        for lengths in [&[2][..], &[31, 9, 17], &[40]] {
            let batch: Vec<Sample> = lengths.iter().map(|n| sample(seed * 7 + *n as u64, *n)).collect();
            let float = network.float(&batch);
            let mut world = World::new(&network, &batch, InputKind::OneHot, seed);
            if seed == 1 {
                world.schedule = Schedule::Stored;
            }
            let run = finished(&world, seed);
            let error = apart(&run.logits().unwrap(), &float);
            assert!(error < TO_FLOAT, "seed {seed}, {lengths:?}: {error} off floating point");
            let cost = certified_as_planned(&network, &world, &run);
            // two rounds more a layer than 2Quad would be one too many: one, and another where a head takes two steps
            let layers_rounds = cost.rounds - 4 - 1 - 2;
            assert!(layers_rounds <= layers * if two_steps { 17 } else { 16 }, "{} rounds", cost.rounds);
            worst = worst.max(error);
        }
    }
    println!("largest difference to float {worst:.5}");
}

/// No round more than without padding, and what the text alone gives in floating point.
#[test]
fn padded_texts_of_softmax_give_what_they_give_alone() {
    let mut worst = 0.0f64;
    for (seed, (layers, width, heads, inner)) in [(2, 32, 4, 128), (3, 48, 3, 96)].into_iter().enumerate() {
        let seed = seed as u64 + 1;
        let exact = Network::random(&config(layers, width, heads, inner, 40), seed);
        for (kind, lengths) in
            [(InputKind::OneHot, &[2][..]), (InputKind::Embedded, &[31, 9, 17]), (InputKind::OneHot, &[40, 16])]
        {
            let batch: Vec<Sample> = lengths.iter().map(|n| sample(seed * 7 + *n as u64, *n)).collect();
            let float = exact.float(&batch);
            let rounds = World::new(&exact, &batch, kind, seed).plan().cost().rounds;
            let network = Network::random(&config(layers, width, heads, inner, 40), seed).padded();
            let mut world = World::new(&network, &batch, kind, seed);
            if seed == 1 {
                world.schedule = Schedule::Stored;
            }
            let run = finished(&world, seed);
            let error = apart(&run.logits().unwrap(), &float);
            assert!(error < TO_FLOAT, "seed {seed}, {lengths:?}: {error} off floating point");
            let cost = certified_as_planned(&network, &world, &run);
            assert_eq!(cost.rounds, rounds, "no round is for padding");
            worst = worst.max(error);
        }
    }
    println!("largest difference to float {worst:.5}");
}

/// A bias by the distance of two tokens, as an MPNet has it: shares of secret words at public places.
#[test]
fn relative_positions_are_added_in_shares_without_a_round_or_a_byte() {
    let plain = config(2, 32, 4, 64, 40);
    let relative = Config { relative_positions: true, ..plain.clone() };
    let (network, without) = (Network::random(&relative, 5), Network::random(&plain, 5));
    for lengths in [&[40][..], &[31, 9]] {
        let batch: Vec<Sample> = lengths.iter().map(|n| sample(35 + *n as u64, *n)).collect();
        let float = network.float(&batch);
        assert!(apart(&float, &without.float(&batch)) > 10.0 * TO_FLOAT, "the bias changes the answer");
        // scores with padding would not be zero
        let refused = network.spec.texts(lengths, model::Lengths::Padded).unwrap_err().to_string();
        assert!(refused.contains("relative positions") && refused.contains("--exact-lengths"), "{refused}");
        for kind in [InputKind::OneHot, InputKind::Embedded] {
            let world = World::new(&network, &batch, kind, 5);
            let run = finished(&world, 5);
            let error = apart(&run.logits().unwrap(), &float);
            assert!(error < TO_FLOAT, "{lengths:?}: {error} off floating point");
            for (total, rows) in run.certificates().iter().zip(world.texts.lengths()) {
                let limit = network.spec.certificate_limit(world.texts.class(*rows, &network.spec.shape));
                assert!((0.0..limit).contains(total), "{lengths:?}: {total} of {limit}");
            }
            let (cost, other) = (world.plan().cost(), World::new(&without, &batch, kind, 5).plan().cost());
            let two_steps = |network: &Network| {
                network.spec.layers.iter().flat_map(|l| &l.softmax).filter(|head| head.two_steps.is_some()).count()
            };
            if two_steps(&network) == two_steps(&without) {
                assert_eq!(cost.rounds, other.rounds);
            }
            assert_eq!(run.opened.sent().len(), cost.frames);
        }
    }
}

/// What serves a phase's exponential serves its identity too: nothing more is dealt for the check.
#[test]
fn the_check_of_exponentials_deals_nothing() {
    let network = Network::random(&config(1, 32, 2, 64, 24), 4);
    let world = World::new(&network, &[sample(3, 20)], InputKind::OneHot, 4);
    let harmonics: Vec<usize> =
        network.spec.layers[0].softmax.iter().map(|head| head.exponential.segments[0].series.harmonics.len()).collect();
    // after a root for each of the twenty rows of the embeddings: the layer is the last one and computes one row, of twenty scores,
    // for each of its two heads
    let dealt = world.plan().demands.into_iter().filter_map(|demand| match demand {
        Demand::Series { count: 20, harmonics, .. } => Some(harmonics),
        _ => None,
    });
    assert_eq!(dealt.skip(1).collect::<Vec<_>>(), harmonics);
}
