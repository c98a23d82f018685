//! The masked engine against the float network and the integer one in clear, and its cost against the plan.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::world::{Links, Network, Schedule, World, config, sample, stream_keys};
use model::{Config, InputKind, clear_logits};
use mpc::Planned;
use mpc::masked::online;
use mpc::{DealtReader, Trace};
use net::HEADER_LEN;
use ring64::Kernel;

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
        let (plan, cost) = (world.plan(), world.plan().cost());
        assert!(cost.restart_probability < 0.01);
        assert_eq!(cost.rounds, 15 * layers + if kind == InputKind::OneHot { 7 } else { 3 });
        assert_eq!((plan.opened.len(), plan.opened.iter().sum::<usize>()), (cost.rounds, cost.opened_bytes));
        let waiting = 0.02 * cost.rounds as f64 + cost.opened_bytes as f64 / 1e6;
        assert!((plan.seconds(0.02, 1e6, 0.5) - 0.5 - waiting).abs() < 1e-9);
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
            assert_eq!(frames.len(), cost.frames);
            let bytes: usize = frames.iter().map(|f| f.payload.len()).sum();
            assert_eq!(bytes, cost.opened_bytes, "{tokens} tokens, {kind:?}");
            let on_the_wire: u64 = frames.iter().map(net::Frame::wire_len).sum();
            assert_eq!(on_the_wire as usize, cost.opened_bytes + cost.frames * HEADER_LEN);
        }
        let dealt: usize = run.dealt.received().iter().map(|f| f.payload.len()).sum();
        assert_eq!(dealt, cost.dealt_bytes);
        assert_eq!(run.dealt.received().len(), mpc::deal_frames(cost.dealt_bytes));
    }
}

/// What everybody sent and what came out.
fn seen(world: &World) -> (Vec<net::Frame>, Vec<net::Frame>, Vec<net::Frame>, Option<Vec<f64>>) {
    let run = world.run_seeded(6);
    (run.opened.sent(), run.opened.received(), run.dealt.received(), run.logits())
}

#[test]
fn roles_on_different_kernels_send_the_same_words() {
    let kernels = Kernel::available();
    if kernels.len() == 1 {
        // past the harness, which would swallow it
        return writeln!(std::io::stderr(), "skipped: this CPU has one kernel only, {kernels:?}").unwrap();
    }
    let network = Network::random(&config(2, 32, 4, 64, 16), 8);
    let batch = [sample(1, 9), sample(2, 5)];
    // products, streams and sines alike: all that a role computes in an attempt
    let run = |kernels| seen(&World::on(kernels, &network, &batch, InputKind::OneHot, 3));
    let scalar = Kernel::Scalar;
    let all_scalar = run([scalar; 3]);
    assert!(all_scalar.3.is_some(), "seed 6 does not restart");
    for wide in kernels.into_iter().filter(|k| *k != scalar) {
        for kernels in [[wide; 3], [scalar, wide, wide], [wide, scalar, scalar], [scalar, scalar, wide]] {
            assert!(run(kernels) == all_scalar, "P0, P1 and the dealer on {kernels:?}");
        }
    }
}

#[test]
fn when_correlations_are_made_and_where_they_wait_changes_nothing_that_is_sent() {
    let network = Network::random(&config(5, 32, 4, 64, 16), 8);
    let mut world = World::new(&network, &[sample(1, 9), sample(2, 5)], InputKind::OneHot, 3);
    let ahead = seen(&world);
    assert!(ahead.3.is_some(), "seed 6 does not restart");
    for schedule in [Schedule::Ahead(0), Schedule::Ahead(200_000), Schedule::Stream, Schedule::Stored] {
        world.schedule = schedule;
        assert!(seen(&world) == ahead, "{schedule:?}");
    }
}

#[test]
fn the_trace_accounts_for_every_round_and_byte() {
    let network = Network::random(&config(3, 32, 4, 64, 16), 8);
    let world = World::new(&network, &[sample(1, 9)], InputKind::OneHot, 3);
    let (mut links, [zero, one], mut trace) = (Links::new(), stream_keys(6), Trace::default());
    let dealers = stream_keys(6);
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| world.deal(dealers, &mut links.dealer).unwrap());
        scope.spawn(|| {
            let reader = DealtReader::new(&mut links.assisted, 1, 0, world.plan().cost().dealt_bytes);
            world.party(1, one, Some(reader), &mut links.one).unwrap()
        });
        let correlations = world.prepare(0, zero, None).unwrap();
        let (attempt, mut inputs) = (world.as_attempt(0, 0), [world.inputs[0].clone()]);
        online(&attempt, &world.parties[0], correlations, &mut inputs, &mut links.zero, &mut trace).unwrap();
        assert_eq!(inputs[0], world.inputs[0], "the input is given back");
    });
    // the embedding, three layers and the head
    let rounds: Vec<u64> = trace.parts.iter().map(|p| p.rounds).collect();
    assert_eq!(rounds, [5, 15, 15, 15, 2]);
    assert_eq!(trace.parts.iter().map(|p| p.bytes).sum::<u64>(), world.plan().cost().opened_bytes as u64);
    let time: Duration = trace.parts.iter().map(|p| p.compute + p.wait).sum();
    assert!(!time.is_zero() && time <= begin.elapsed());
}
