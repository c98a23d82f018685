//! SecFormer's engine on whole networks: beside floating point, beside its plan, and what each role sees.

use crate::world::beaver::Deployment;
use crate::world::{Network, config, sample, stream_keys};
use model::{Functions, InputKind, Operation, Sample};
use mpc::Planned;
use mpc::beaver::{Options, Plan, Sines, Truncation};
use mpc::{DealtReader, MpcError, Party, Trace};
use net::memory_pair;

const SEED: u64 = 71;

fn network() -> Network {
    Network::random(&config(2, 16, 2, 32, 12), SEED)
}

fn batch() -> Vec<Sample> {
    vec![sample(SEED + 1, 3), sample(SEED + 2, 7), sample(SEED + 3, 1)]
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn every_set_of_functions_gives_the_logits_that_it_gives_in_floating_point() {
    for functions in Functions::ALL {
        for truncation in [Truncation::Local, Truncation::Dealt] {
            for kind in [InputKind::OneHot, InputKind::Embedded] {
                let options = Options { truncation, ..Options::of(functions) };
                let deployment = Deployment::new(network(), &batch(), kind, options, SEED);
                let off = worst(&deployment.run_seeded(SEED).logits, &deployment.float());
                println!("{functions}, {truncation:?}, {kind:?}: {off:.4} off floating point");
                // the published sines are up to 0.02 off GeLU
                let allowed = if functions == Functions::SecFormer { 0.05 } else { 0.005 };
                assert!(off < allowed, "{functions} {truncation:?} {kind:?}: {off}");
            }
        }
    }
    let options = Options { sines: Sines::Refitted, ..Options::of(Functions::SecFormer) };
    let deployment = Deployment::new(network(), &batch(), InputKind::OneHot, options, SEED);
    let off = worst(&deployment.run_seeded(SEED).logits, &deployment.float());
    println!("secformer, refitted sines: {off:.4} off floating point");
    assert!(off < 0.005, "{off}");
}

#[test]
fn what_a_run_costs_is_what_its_plan_says_operation_by_operation() {
    for functions in Functions::ALL {
        for truncation in [Truncation::Local, Truncation::Dealt] {
            let options = Options { truncation, ..Options::of(functions) };
            let deployment = Deployment::new(network(), &batch(), InputKind::OneHot, options, SEED);
            let (plan, run) = (deployment.plan(), deployment.run_seeded(SEED));
            for operation in Operation::ALL {
                let cost = plan.cost_of(operation);
                for trace in &run.traces {
                    let seen = trace.operations[operation.index()];
                    let (rounds, bytes) = (seen.rounds as usize, seen.bytes as usize);
                    assert_eq!((rounds, bytes), (cost.rounds, cost.opened_bytes), "{functions} {}", operation.name());
                }
            }
            let (cost, sent) = (plan.cost(), run.opened.sent());
            assert_eq!(sent.len(), cost.frames);
            assert_eq!(sent.iter().map(|f| f.payload.len()).sum::<usize>(), cost.opened_bytes);
            let dealt: usize = run.dealt.received().iter().map(|f| f.payload.len()).sum();
            assert_eq!(dealt, cost.dealt_bytes);
            // parts of the network add up to the same
            for trace in &run.traces {
                assert_eq!(trace.parts.iter().map(|p| p.rounds).sum::<u64>(), cost.rounds as u64);
                assert_eq!(trace.parts.len(), 2 + deployment.network.spec.shape.layers);
            }
        }
    }
}

#[test]
fn other_streams_give_the_same_answer_but_for_rounding() {
    let options = Options::of(Functions::SecFormer);
    let deployment = Deployment::new(network(), &batch(), InputKind::Embedded, options, SEED);
    let runs: Vec<_> = (0..4).map(|seed| deployment.run_seeded(SEED + seed).logits).collect();
    assert_eq!(runs[0], deployment.run_seeded(SEED).logits, "the same streams give the same words");
    for run in &runs[1..] {
        assert_ne!(run, &runs[0], "roundings are others");
        assert!(worst(run, &runs[0]) < 0.01);
    }
}

#[test]
fn roles_and_plans_that_do_not_fit_are_refused() {
    let deployment = Deployment::new(network(), &batch(), InputKind::OneHot, Options::of(Functions::SecFormer), SEED);
    let (mut end, _other) = memory_pair("party1", "party0");
    let [_, key] = stream_keys(SEED);
    let error = deployment.party(1, key, None, &mut end, &mut Trace::default());
    assert!(matches!(error, Err(MpcError::Role { party: Party::One, .. })), "{error:?}");
    let [key, _] = stream_keys(SEED);
    let (mut dealer, _far) = memory_pair("party0", "dealer");
    let reader = DealtReader::new(&mut dealer, 1, 0, 8);
    let error = deployment.party(0, key, Some(reader), &mut end, &mut Trace::default());
    assert!(matches!(error, Err(MpcError::Role { party: Party::Zero, .. })), "{error:?}");

    let base = deployment.plan();
    let others = [
        Options { truncation: Truncation::Dealt, ..deployment.options },
        Options { sines: Sines::Refitted, ..deployment.options },
        Options::of(Functions::MpcFormer),
        Options::as_timed(),
    ];
    for options in others {
        let plan = Plan::new(&deployment.calibrated, std::slice::from_ref(&deployment.texts), options).unwrap();
        assert_ne!(plan.digest(), base.digest(), "{options:?}");
    }
}
