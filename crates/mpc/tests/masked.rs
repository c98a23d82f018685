//! The masked engine against the float network and the integer one in clear, and its cost against the plan.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // seeds and figures are printed

mod world;

use std::io::Write;

use model::{Config, InputKind, clear_logits};
use net::HEADER_LEN;
use ring64::Kernel;
use world::{Network, World, config, sample};

/// Runs of these sizes restart in less than one attempt of a hundred: so many in a row are a fault.
const ATTEMPTS: u64 = 6;
/// Largest difference of a logit to the float network: the fits, the scales and all rounding. Three times what is seen.
const TO_FLOAT: f64 = 0.003;
/// Largest difference to the network in clear on the same integers: random rounding against nearest, and rounded sines.
/// Three times what is seen.
const TO_CLEAR: f64 = 0.003;

#[test]
fn a_private_run_gives_the_logits_of_the_float_network() {
    close("gelu", 0..100);
}

#[test]
fn a_private_run_with_gelu_by_tanh_gives_the_logits_of_the_float_network() {
    close("gelu_new", 100..112);
}

fn close(act: &str, seeds: std::ops::Range<u64>) {
    let mut worst = (0.0f64, 0.0f64);
    for seed in seeds {
        let (layers, width, heads, inner) =
            [(1, 32, 2, 64), (2, 32, 4, 128), (3, 48, 3, 96), (2, 64, 1, 192)][seed as usize % 4];
        let config = Config { hidden_act: act.into(), ..config(layers, width, heads, inner, 20) };
        let network = Network::random(&config, seed);
        let batch = match seed % 3 {
            0 => vec![sample(seed, 7)],
            1 => vec![sample(seed, 1), sample(seed + 1, 20), sample(seed + 2, 3)],
            _ => vec![sample(seed, 16), sample(seed + 1, 17)],
        };
        let kind = if seed % 2 == 0 { InputKind::OneHot } else { InputKind::Embedded };
        let world = World::new(&network, &batch, kind, seed);
        assert!(world.plan().cost().restart_probability < 0.01);
        let attempt = |number| world.run_seeded(seed * 50 + number).logits();
        let run =
            (0..ATTEMPTS).find_map(attempt).unwrap_or_else(|| panic!("seed {seed}: {ATTEMPTS} restarts in a row"));
        let (texts, ids, segments) = network.batch(&batch);
        let clear = clear_logits(&network.spec, &network.quantised, &texts, &ids, &segments).unwrap().concat();
        for ((private, float), clear) in run.iter().zip(network.float(&batch)).zip(clear) {
            worst = (worst.0.max((private - float).abs()), worst.1.max((private - clear).abs()));
            let seen = format!("seed {seed}: private {private}, float {float}, clear {clear}");
            assert!((private - float).abs() < TO_FLOAT && (private - clear).abs() < TO_CLEAR, "{seen}");
        }
    }
    println!("{act}: largest difference to float {:.5}, to clear {:.5}", worst.0, worst.1);
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
fn roles_on_different_kernels_send_the_same_words() {
    let kernels = Kernel::available();
    let [scalar, ref others @ ..] = *kernels else { unreachable!("the portable kernel is there") };
    let Some(&widest) = others.last() else {
        // past the harness, which would swallow it
        return writeln!(std::io::stderr(), "skipped: this CPU has one kernel only, {kernels:?}").unwrap();
    };
    let network = Network::random(&config(2, 32, 4, 64, 16), 8);
    let batch = [sample(1, 9), sample(2, 5)];
    let mut world = World::new(&network, &batch, InputKind::OneHot, 3);
    // products, streams and sines alike: all that a role computes in an attempt
    let mut run = |kernels| {
        world.kernels = kernels;
        let run = world.run_seeded(6);
        (run.opened.sent(), run.opened.received(), run.dealt.received(), run.logits())
    };
    let all_scalar = run([scalar; 3]);
    assert!(all_scalar.3.is_some(), "seed 6 does not restart");
    for &wide in others {
        for kernels in [
            [wide; 3],
            [scalar, wide, wide],
            [wide, scalar, wide],
            [wide, wide, scalar],
            [scalar, wide, scalar],
            [scalar, wide, widest],
        ] {
            assert!(run(kernels) == all_scalar, "P0, P1 and the dealer on {kernels:?}");
        }
    }
}
