//! Students of other functions than 2Quad and GeLU on masked wires: right, certified, and as costly as planned.

use model::{AttentionKind, AttentionShift, Config, Functions, InputKind, Pace, Pooler, Sample, clear_logits};
use mpc::beaver::{Options, Truncation};

use crate::world::beaver::Deployment;
use crate::world::checked::{apart, certified_as_planned, finished};
use crate::world::{Network, Schedule, World, config, sample};

/// Largest difference of a logit to floating point, and to the network in clear; three times what is seen.
const TO_FLOAT: f64 = 0.01;
const TO_CLEAR: f64 = 0.01;

/// Students in which other functions are mixed: all that are open to all, and some of each.
pub(crate) fn mixtures(layers: usize, width: usize, heads: usize, inner: usize, positions: usize) -> [Config; 2] {
    // scores are larger where LayerNorms do not divide
    let usual =
        Config { attention_shift: AttentionShift::Uniform(16.0), ..config(layers, width, heads, inner, positions) };
    let relu = Config {
        attention_softmax: AttentionKind::TwoRelu,
        hidden_act: "relu".into(),
        linear_layer_norms: (0..layers).collect(),
        pooler: Pooler::Relu,
        ..usual.clone()
    };
    [relu, Config { hidden_act: "quad".into(), linear_layer_norms: vec![layers - 1], ..usual }]
}

/// Runs a network on texts of these lengths, and holds it to floating point, to clear, to its certificates and to its plan.
fn check(network: &Network, lengths: &[usize], (kind, schedule): (InputKind, Schedule), seed: u64) -> usize {
    let batch: Vec<Sample> = lengths.iter().map(|n| sample(seed * 7 + *n as u64, *n)).collect();
    let float = network.float(&batch);
    let mut world = World::new(network, &batch, kind, seed);
    world.schedule = schedule;
    let run = finished(&world, seed);
    let logits = run.logits().unwrap();
    let (texts, ids, segments) = network.batch(&batch);
    let clear = clear_logits(&network.spec, &network.quantised, &texts, &ids, &segments).unwrap().concat();
    let off = [apart(&logits, &float), apart(&logits, &clear)];
    println!("{lengths:?}: {off:.5?} off floating point and clear");
    assert!(off[0] < TO_FLOAT && off[1] < TO_CLEAR, "{lengths:?}: {off:?}");
    certified_as_planned(network, &world, &run).rounds
}

#[test]
fn each_substitution_and_all_of_them_give_what_they_give_in_clear_and_cost_what_was_planned() {
    let usual = || Config { attention_shift: AttentionShift::Uniform(16.0), ..config(2, 32, 2, 64, 24) };
    // rounds of both layers together, fast and lean
    let alone = [
        (Config { hidden_act: "relu".into(), ..usual() }, [32, 34]),
        (Config { hidden_act: "quad".into(), ..usual() }, [30, 30]),
        (Config { linear_layer_norms: vec![0, 1], ..usual() }, [18, 18]),
        (Config { attention_softmax: AttentionKind::TwoRelu, ..usual() }, [38, 40]),
    ];
    let [all, some] = mixtures(2, 32, 2, 64, 24);
    let designs = alone.into_iter().chain([(all, [28, 32]), (some, [24, 24])]);
    for (seed, (config, of_layers)) in designs.enumerate() {
        let (seed, mut network) = (seed as u64, Network::random(&config, seed as u64));
        for (pace, (of_layers, of_pooler)) in
            [Pace::Fast, Pace::Lean].into_iter().zip(of_layers.into_iter().zip([1, 2]))
        {
            network = network.paced(pace);
            let of_pooler = if config.pooler == Pooler::Relu { of_pooler } else { 0 };
            for (lengths, kind) in [(&[2, 13][..], InputKind::OneHot), (&[24], InputKind::Embedded)] {
                let schedule = if seed.is_multiple_of(2) { Schedule::Stored } else { Schedule::Ahead(u64::MAX) };
                let rounds = check(&network, lengths, (kind, schedule), seed);
                let around = if kind == InputKind::OneHot { 7 } else { 3 };
                assert_eq!(rounds, of_layers + of_pooler + around, "design {seed}, {pace:?}");
            }
        }
        let padded = network.padded();
        let fewest = padded.spec.padded.map_or_else(|| panic!("design {seed} is not padded"), |padded| padded.fewest);
        check(&padded, &[fewest.max(3), 23], (InputKind::OneHot, Schedule::Stream), seed);
    }
}

/// The published engine compares on all 64 bits, and divides as it does of 2Quad's sums.
#[test]
fn the_published_engine_gives_the_logits_of_floating_point_too() {
    for design in 0..2 {
        for functions in [Functions::Series, Functions::SecFormer] {
            let network = Network::random(&mixtures(2, 16, 2, 32, 12)[design], 71);
            let batch = [sample(72, 3), sample(73, 7), sample(74, 1)];
            let options = Options { truncation: Truncation::Dealt, ..Options::of(functions) };
            let deployment = Deployment::new(network, &batch, InputKind::OneHot, options, 71);
            let off = apart(&deployment.run_seeded(71).logits, &deployment.float());
            println!("design {design}, {functions}: {off:.4} off floating point");
            assert!(off < TO_FLOAT, "design {design}, {functions}: {off}");
        }
    }
}
