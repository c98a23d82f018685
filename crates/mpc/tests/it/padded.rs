//! Padded texts on masked wires: right, as costly as planned, and the same to everybody whatever their lengths.

use crate::world::checked::{apart, finished};
use crate::world::{Network, Run, World, config, sample};
use model::{InputKind, Lengths, Sample};
use mpc::Planned;
use mpc::masked::{Demand, Plan};

const KINDS: [InputKind; 2] = [InputKind::OneHot, InputKind::Embedded];
/// Largest difference of a logit to that of the text alone in floating point; three times what is seen.
const TO_FLOAT: f64 = 0.003;

#[test]
fn a_padded_run_gives_the_logits_of_the_text_alone_and_certifies_them() {
    let mut worst = 0.0f64;
    for seed in 0..24 {
        let (layers, width, heads, inner) =
            [(1, 32, 2, 64), (2, 32, 4, 128), (3, 48, 3, 96), (2, 64, 1, 192)][seed as usize % 4];
        let network = Network::random(&config(layers, width, heads, inner, 40), seed);
        let text = |tokens: usize| sample(seed * 7 + tokens as u64, tokens.max(network.spec.padded.unwrap().fewest));
        let batch: Vec<Sample> = match seed % 3 {
            0 => [2].map(text).into(),
            1 => [33, 9, 17].map(text).into(),
            _ => [15, 40].map(text).into(),
        };
        let float = network.float(&batch);
        let network = network.padded();
        let world = World::new(&network, &batch, KINDS[seed as usize % 2], seed);
        assert!(world.texts.is_padded() && world.texts.rows() > batch.iter().map(|s| s.ids.len()).sum());
        let run = finished(&world, seed);
        let error = apart(&run.logits().unwrap(), &float);
        assert!(error < TO_FLOAT, "seed {seed}: {error} off floating point");
        for (total, rows) in run.certificates().iter().zip(world.texts.lengths()) {
            let class = world.texts.class(*rows, &network.spec.shape);
            let limit = network.spec.certificate_limit(class);
            assert!((0.0..limit / 2.0).contains(total), "seed {seed}: {total} of {limit}");
        }
        worst = worst.max(error);
    }
    println!("largest difference to float {worst:.5}");
}

/// No round more than without padding, and the frames that the plan says.
#[test]
fn rounds_and_bytes_are_what_the_plan_says_and_no_round_is_for_padding() {
    let exact = Network::random(&config(2, 32, 4, 64, 100), 5);
    let classes: Vec<_> =
        [16, 32, 64, 100].map(|tokens| (tokens, World::new(&exact, &[sample(9, tokens)], KINDS[0], 3).plan())).into();
    let padded = exact.padded();
    for kind in KINDS {
        for (tokens, exact) in &classes {
            let world = World::new(&padded, &[sample(9, tokens - 1)], kind, 3);
            let (run, cost) = (finished(&world, 11), world.plan().cost());
            for frames in [run.opened.sent(), run.opened.received()] {
                assert_eq!(frames.len(), cost.frames);
                assert_eq!(frames.iter().map(|f| f.payload.len()).sum::<usize>(), cost.opened_bytes);
            }
            assert_eq!(run.dealt.received().iter().map(|f| f.payload.len()).sum::<usize>(), cost.dealt_bytes);
            if kind == InputKind::OneHot {
                let exact = exact.cost();
                // gates are opened with the input; only sums of the shortest class have a period of their own
                let beyond = if *tokens == 16 { exact.opened_bytes / 200 } else { 0 };
                let opened = exact.opened_bytes..=exact.opened_bytes + beyond;
                assert_eq!(cost.rounds, exact.rounds);
                assert!(opened.contains(&cost.opened_bytes), "{tokens} tokens: {} of {opened:?}", cost.opened_bytes);
                assert!(cost.dealt_bytes > exact.dealt_bytes);
            }
        }
    }
}

/// What is sent, by whom and of which length, between all roles.
fn shapes(run: &Run) -> [Vec<(net::Header, usize)>; 3] {
    let shape = |frames: Vec<net::Frame>| frames.iter().map(|f| (f.header, f.payload.len())).collect();
    [run.opened.sent(), run.opened.received(), run.dealt.received()].map(shape)
}

#[test]
fn texts_of_one_class_send_the_same_frames() {
    let network = Network::random(&config(2, 32, 4, 64, 100), 6).padded();
    for kind in KINDS {
        for lengths in [[5, 16], [17, 32], [40, 64], [65, 100]] {
            let worlds = lengths.map(|tokens| World::new(&network, &[sample(tokens as u64, tokens)], kind, 3));
            assert_eq!(worlds[0].plan().digest(), worlds[1].plan().digest(), "{lengths:?} tokens");
            assert_eq!(worlds[0].inputs[0].len(), worlds[1].inputs[0].len());
            let [one, other] = worlds.map(|world| shapes(&finished(&world, 8)));
            assert!(one == other, "{lengths:?} tokens, {kind:?}");
        }
    }
}

/// Plans of padded texts and of texts as long are told apart, so that no key of one serves the other.
#[test]
fn padding_is_a_part_of_the_plans_digest() {
    let network = Network::random(&config(1, 32, 2, 64, 40), 6);
    let plan = |network: &Network| World::new(network, &[sample(1, 32)], InputKind::OneHot, 3).plan();
    let (exact, digest) = (plan(&network), plan(&network).digest());
    let padded: Plan = plan(&network.padded());
    assert_ne!(padded.digest(), digest);
    let gated = |plan: &Plan| {
        let is = |demand: &&Demand| {
            matches!(demand, Demand::Linear { gated: true, .. } | Demand::Series { gated: true, .. })
        };
        plan.demands.iter().filter(is).count()
    };
    // the keys of a layer; the embedding's LayerNorm. Rows of the only layer that are asked for are tokens.
    assert_eq!((gated(&exact), gated(&padded)), (0, 2));
}

#[test]
fn published_functions_refuse_padded_texts() {
    let network = Network::random(&config(1, 32, 2, 64, 40), 6);
    let texts = network.spec.texts(&[20], Lengths::Padded).unwrap();
    for kind in KINDS {
        let options = mpc::beaver::Options::of(model::Functions::SecFormer);
        let refused = mpc::beaver::Plan::new(&network.spec.calibrated(kind), std::slice::from_ref(&texts), options);
        assert_eq!(refused.err(), Some(model::SpecError::Padding));
    }
}
