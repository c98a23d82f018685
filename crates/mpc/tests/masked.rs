//! The masked engine against the float network, and its cost against the plan.

mod world;

use model::{InputKind, clear_logits};
use net::HEADER_LEN;
use ring64::Kernel;
use world::{Network, World, config, sample};

#[test]
fn a_private_run_gives_the_logits_of_the_float_network() {
    let mut worst = (0.0f64, 0.0f64);
    for seed in 0..100u64 {
        let (layers, width, heads, inner) =
            [(1, 32, 2, 64), (2, 32, 4, 128), (3, 48, 3, 96), (2, 64, 1, 192)][seed as usize % 4];
        let network = Network::random(&config(layers, width, heads, inner, 20), seed);
        let batch = match seed % 3 {
            0 => vec![sample(seed, 7)],
            1 => vec![sample(seed, 1), sample(seed + 1, 20), sample(seed + 2, 3)],
            _ => vec![sample(seed, 16), sample(seed + 1, 17)],
        };
        let kind = if seed % 2 == 0 { InputKind::OneHot } else { InputKind::Embedded };
        let world = World::new(&network, &batch, kind, seed);
        let run = (0..).find_map(|attempt| world.run_seeded(seed * 50 + attempt).logits()).unwrap();
        let (texts, ids, segments) = network.batch(&batch);
        let clear = clear_logits(&network.spec, &network.quantised, &texts, &ids, &segments).unwrap().concat();
        for ((private, float), clear) in run.iter().zip(network.float(&batch)).zip(clear) {
            worst = (worst.0.max((private - float).abs()), worst.1.max((private - clear).abs()));
            assert!((private - float).abs() < 0.005, "seed {seed}: private {private}, float {float}, clear {clear}");
        }
    }
    println!("largest difference to float {:.5}, to clear {:.5}", worst.0, worst.1);
}

#[test]
fn rounds_and_bytes_are_what_the_plan_says() {
    let network = Network::random(&config(2, 32, 4, 64, 512), 5);
    for (kind, tokens) in [1, 17, 128, 512].into_iter().flat_map(|n| [(InputKind::OneHot, n), (InputKind::Embedded, n)])
    {
        let world = World::new(&network, &[sample(9, tokens)], kind, 3);
        let run = world.run_seeded(11);
        assert!(run.logits().is_some(), "seed 11 does not restart");
        let cost = run.plan.cost();
        for frames in [run.opened.sent(), run.opened.received()] {
            assert_eq!(frames.len(), cost.rounds);
            let bytes: usize = frames.iter().map(|f| f.payload.len()).sum();
            assert_eq!(bytes, cost.opened_bytes, "{tokens} tokens, {kind:?}");
            let on_the_wire: u64 = frames.iter().map(net::Frame::wire_len).sum();
            assert_eq!(on_the_wire as usize, cost.opened_bytes + cost.rounds * HEADER_LEN);
        }
        let dealt: usize = run.dealt.received().iter().map(|f| f.payload.len()).sum();
        assert_eq!(dealt, cost.dealt_bytes);
        assert_eq!(run.dealt.received().len(), mpc::deal_frames(cost.dealt_bytes));
    }
}

#[test]
fn parties_on_different_kernels_send_the_same_words() {
    let kernels = Kernel::available();
    let network = Network::random(&config(2, 32, 4, 64, 16), 8);
    let batch = [sample(1, 9), sample(2, 5)];
    let mut world = World::new(&network, &batch, InputKind::OneHot, 3);
    let mut seen = Vec::new();
    for zero in &kernels {
        for one in &kernels {
            world.kernels = [*zero, *one];
            let run = world.run_seeded(6);
            seen.push((run.opened.sent(), run.opened.received(), run.logits()));
        }
    }
    assert!(seen.iter().all(|s| *s == seen[0]), "{} kernels", kernels.len());
}
