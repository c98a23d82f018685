//! What belongs to the other party, or to another network, is refused before anything is sent.

use crate::world::{Network, World, config, sample, split, stream_keys};
use model::{BertWeight, InputKind, Quantised};
use mpc::Planned;
use mpc::masked::{PartyWeights, online};
use mpc::{DealtReader, MpcError, Outcome, OutputShare, Party, Trace};
use net::{Link, memory_pair};

const SEED: u64 = 12;

fn network() -> Network {
    println!("seed {SEED}");
    Network::random(&config(1, 16, 2, 32, 8), SEED)
}

fn world() -> World {
    World::new(&network(), &[sample(SEED, 5)], InputKind::OneHot, SEED)
}

#[test]
fn p1_needs_a_stream_from_the_dealer_and_p0_has_none() {
    let world = world();
    let [zero, one] = stream_keys(SEED);
    assert!(matches!(world.prepare(1, one, None), Err(MpcError::Role { party: Party::One, .. })));
    let (_dealer, mut link) = memory_pair("dealer", "party0");
    let reader = DealtReader::new(&mut link, 1, 0, world.plan().cost().dealt_bytes);
    let refused = world.prepare(0, zero, Some(reader)).map(|_| ());
    assert!(matches!(refused, Err(MpcError::Role { party: Party::Zero, .. })), "{refused:?}");
}

#[test]
fn a_party_does_not_take_the_other_ones_correlations() {
    let world = world();
    let [zero, _] = stream_keys(SEED);
    let of_zero = world.prepare(0, zero, None).unwrap();
    let (mut peer, _other) = memory_pair("party1", "party0");
    let refused = world.online(1, of_zero, &mut peer);
    assert!(matches!(refused, Err(MpcError::Role { party: Party::One, .. })), "{refused:?}");
    assert_eq!(peer.counters().frames_sent, 0);
}

#[test]
fn correlations_of_one_attempt_do_not_serve_another() {
    let world = world();
    let [zero, _] = stream_keys(SEED);
    let of_first = world.prepare(0, zero, None).unwrap();
    let (mut peer, _other) = memory_pair("party1", "party0");
    let (attempt, mut inputs) = (world.as_attempt(0, 1), [world.inputs[0].clone()]);
    let refused = online(&attempt, &world.parties[0], of_first, &mut inputs, &mut peer, &mut Trace::default());
    assert!(matches!(refused, Err(MpcError::Role { party: Party::Zero, .. })), "{refused:?}");
    assert_eq!(peer.counters().frames_sent, 0);
}

#[test]
fn correlations_and_shares_do_not_print() {
    let [zero, _] = stream_keys(SEED);
    let printed = format!("{:?}", world().prepare(0, zero, None).unwrap());
    assert!(printed.contains("redacted") && printed.len() < 60, "{printed}");
    let word = 0x0123_4567_89ab_cdef_u64;
    let share = OutputShare { results: vec![word; 3], frac: 12, certificates: vec![word] };
    let printed = format!("{share:?} {:?}", Outcome::Outputs(vec![share.clone()]));
    assert!(!printed.contains(&word.to_string()) && !printed.contains("123456789abcdef"), "{printed}");
}

/// A world in which P0's weights were changed.
fn damaged(change: Change) -> Result<(), MpcError> {
    let network = network();
    let mut world = World::new(&network, &[sample(SEED, 5)], InputKind::OneHot, SEED);
    let mut masked = split(network.table(), &network.quantised, SEED).masked;
    change(&network, &mut masked);
    world.parties[0] = PartyWeights::from_parts(Party::Zero, network.table(), masked.clone(), masked);
    let [zero, _] = stream_keys(SEED);
    let (mut peer, other) = memory_pair("party0", "party1");
    let correlations = world.prepare(0, zero, None)?;
    drop(other);
    world.online(0, correlations, &mut peer).map(|_| ())
}

type Change = fn(&Network, &mut Quantised);

#[test]
fn weights_that_are_missing_or_of_another_size_are_refused_by_name() {
    let drops: [(&str, Change); 4] = [
        ("layer.0.up", |of, all| drop(all.remove(&of.weight(BertWeight::Up(0))))),
        ("layer.0.key", |of, all| {
            let key = all.get_mut(&of.weight(BertWeight::Key(0))).unwrap();
            key.weight.truncate(key.cols);
            key.rows = 1;
        }),
        ("layer.0.down bias", |of, all| {
            all.get_mut(&of.weight(BertWeight::Down(0))).unwrap().bias.as_mut().unwrap().truncate(9);
        }),
        ("norm.1.residual", |of, all| {
            all.get_mut(&of.weight(BertWeight::Residual(1))).unwrap().weight.clear();
        }),
    ];
    for (name, change) in drops {
        match damaged(change) {
            Err(MpcError::Weight { weight, .. }) => assert_eq!(weight, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}
