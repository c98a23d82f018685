//! Whatever a peer or the dealer sends, or does not send: a named error within the deadline, never a panic, never a hang.

use std::time::{Duration, Instant};

use crate::world::{Ends, Links, Network, World, config, sample, stream_keys};
use model::InputKind;
use mpc::Planned;
use mpc::{DEAL_CHUNK, DealtReader, MpcError, Outcome, deal_frames};
use net::testing::{Fault, Faulty};
use net::{Frame, Link, NetError, Wait, memory_pair};

const SEED: u64 = 91;
/// How long a role waits here. Only faults that leave somebody waiting take so long.
const DEADLINE: Duration = Duration::from_millis(150);
/// The same where a party that is slow for another reason would be taken for the one that waits.
const SECONDS: Duration = Duration::from_secs(4);
/// More than any of them needs on a busy machine.
const LONG: Duration = Duration::from_secs(120);

fn world(layers: usize, tokens: usize) -> World {
    let network = Network::random(&config(layers, 16, 2, 32, tokens), SEED);
    World::new(&network, &[sample(SEED, tokens)], InputKind::OneHot, SEED)
}

fn run(world: &World, links: Links) -> Ends {
    let start = Instant::now();
    let ends = world.attempt(stream_keys(SEED), stream_keys(SEED), links);
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    ends
}

fn patient(deadline: Duration, links: Links) -> Links {
    let set = |mut link: Box<dyn Link>| {
        link.set_deadline(deadline);
        link
    };
    Links { zero: set(links.zero), one: set(links.one), dealer: set(links.dealer), assisted: set(links.assisted) }
}

/// The error of a role, which names its peer and does not print a payload.
fn error<T>(outcome: Result<T, MpcError>) -> MpcError {
    let error = outcome.err().expect("a fault ends the attempt");
    let text = error.to_string();
    assert!(text.contains("party") || text.contains("dealer"), "{text}");
    println!("  {text}");
    error
}

/// A run in which this fault befalls the opening of that round on its way from P0 to P1 or back.
fn peer_fault(world: &World, from_zero: bool, round: u64, fault: Fault, deadline: Duration) -> Ends {
    let mut links = Links::new();
    println!("{fault:?} of round {round}, from party {}", u8::from(!from_zero));
    if from_zero {
        links.zero = Box::new(Faulty::sending(links.zero, round, fault));
    } else {
        links.one = Box::new(Faulty::sending(links.one, round, fault));
    }
    run(world, patient(deadline, links))
}

#[test]
fn an_opening_of_the_wrong_length_is_refused_by_name() {
    let world = world(1, 5);
    for from_zero in [true, false] {
        for round in [0, 9, 21] {
            let longer = |frame: &mut Frame| frame.payload.push(0);
            for fault in [Fault::Truncate(0), Fault::Truncate(7), Fault::Edit(Box::new(longer))] {
                let Ends { outcomes: [zero, one], dealer } = peer_fault(&world, from_zero, round, fault, LONG);
                let (wronged, other) = if from_zero { (one, zero) } else { (zero, one) };
                let step = round as u32;
                assert!(matches!(error(wronged), MpcError::Net(NetError::WrongLength { step: s, .. }) if s == step));
                // the other one has its frame and stops one round later, because its peer is gone
                if round < 21 {
                    assert!(matches!(error(other), MpcError::Net(NetError::Lost { .. })));
                }
                dealer.unwrap();
            }
        }
    }
}

#[test]
fn an_opening_of_another_step_attempt_request_or_kind_is_refused_by_name() {
    let world = world(1, 5);
    let edits: [fn(&mut Frame); 4] = [
        |frame| frame.header.step += 1,
        |frame| frame.header.attempt += 1,
        |frame| frame.header.request += 1,
        |frame| frame.header.kind = mpc::kind::DEAL,
    ];
    for edit in edits {
        for from_zero in [true, false] {
            let Ends { outcomes: [zero, one], .. } =
                peer_fault(&world, from_zero, 4, Fault::Edit(Box::new(edit)), LONG);
            let wronged = if from_zero { one } else { zero };
            assert!(matches!(error(wronged), MpcError::Net(NetError::OutOfStep { .. })));
        }
    }
}

#[test]
fn a_dropped_opening_ends_both_parties_at_their_deadline() {
    let world = world(1, 5);
    for (from_zero, round) in [(true, 0), (false, 3), (true, 21)] {
        let Ends { outcomes: [zero, one], .. } = peer_fault(&world, from_zero, round, Fault::Drop, SECONDS);
        let (wronged, other) = if from_zero { (one, zero) } else { (zero, one) };
        // what the other one was sent was good; it went on to the next round, whose frame is then of the wrong step
        match error(wronged) {
            MpcError::Net(NetError::Timeout { wait: Wait::Receive(Some(step)), .. }) => {
                assert_eq!(u64::from(step), round)
            }
            MpcError::Net(NetError::OutOfStep { expected, .. }) => assert_eq!(u64::from(expected.step), round),
            MpcError::Net(NetError::Lost { wait: Wait::Receive(Some(step)), .. }) => assert_eq!(u64::from(step), round),
            unexpected => panic!("{unexpected}"),
        }
        if round < 21 {
            error(other);
        }
    }
}

#[test]
fn a_repeated_or_cut_opening_is_an_error_at_both_ends() {
    let world = world(1, 5);
    for from_zero in [true, false] {
        let Ends { outcomes: [zero, one], .. } = peer_fault(&world, from_zero, 2, Fault::Duplicate, LONG);
        let (wronged, other) = if from_zero { (one, zero) } else { (zero, one) };
        assert!(matches!(error(wronged), MpcError::Net(NetError::OutOfStep { .. })));
        assert!(matches!(error(other), MpcError::Net(NetError::Lost { .. })));
        let Ends { outcomes, .. } = peer_fault(&world, from_zero, 2, Fault::Cut, LONG);
        for outcome in outcomes {
            assert!(matches!(error(outcome), MpcError::Net(NetError::Lost { .. })));
        }
    }
}

/// Bits after the last word are no part of any word: a peer that sets them is not running this protocol.
#[test]
fn bits_beyond_the_last_word_are_refused_by_name() {
    let network = Network::random(&config(1, 16, 2, 32, 5), SEED);
    let world = World::new(&network, &[sample(SEED, 5)], InputKind::OneHot, SEED);
    let plan = world.plan();
    // the first round that opens a single demand whose words do not fill their bytes
    let mut step = 0;
    let mut fresh = true;
    for demand in &plan.demands {
        let Some((count, kept)) = crate::world::view::opening(demand) else {
            fresh = true;
            continue;
        };
        if fresh && !(count * kept as usize).is_multiple_of(8) {
            break;
        }
        step += u64::from(fresh);
        fresh = false;
    }
    let last = |frame: &mut Frame| *frame.payload.last_mut().unwrap() |= 0x80;
    for from_zero in [true, false] {
        let Ends { outcomes: [zero, one], .. } = peer_fault(&world, from_zero, step, Fault::Edit(Box::new(last)), LONG);
        let wronged = if from_zero { one } else { zero };
        assert!(matches!(error(wronged), MpcError::Packed { what: "opening", .. }));
    }
}

/// Wrong words of the right length cannot be told from right ones: the parties trust one another to follow the protocol.
/// They still must not crash on them.
#[test]
fn flipped_bits_change_the_answer_and_nothing_else() {
    let world = world(1, 5);
    let rounds = world.plan().rounds.len() as u64;
    let mut ended = 0;
    for round in 0..rounds {
        let Ends { outcomes, .. } =
            peer_fault(&world, round % 2 == 0, round, Fault::Flip(13 * round as usize + 5), DEADLINE);
        for outcome in outcomes {
            match outcome {
                Ok(Outcome::Outputs(outputs)) => assert_eq!(outputs[0].results.len(), 2),
                Ok(Outcome::Restart) => {}
                Err(_) => ended += 1, // one restarted, the other not
            }
        }
    }
    println!("{rounds} flips, {ended} ends in an error");
}

type Expected = fn(&NetError) -> bool;

/// A run in which this fault befalls a frame from the dealer. The text is long enough for two frames.
fn dealer_fault(world: &World, sending: bool, at: u64, fault: Fault, deadline: Duration) -> Ends {
    let mut links = Links::new();
    println!("{fault:?} of frame {at} from the dealer");
    if sending {
        links.dealer = Box::new(Faulty::sending(links.dealer, at, fault));
    } else {
        links.assisted = Box::new(Faulty::receiving(links.assisted, at, fault));
    }
    run(world, patient(deadline, links))
}

#[test]
fn damaged_frames_from_the_dealer_are_refused_by_name() {
    let world = world(2, 300);
    let bytes = world.plan().cost().dealt_bytes;
    assert!(bytes > DEAL_CHUNK && deal_frames(bytes) >= 2, "{bytes} bytes");
    let undisturbed = run(&world, Links::new());
    assert!(undisturbed.outcomes.iter().all(|o| matches!(o, Ok(Outcome::Outputs(_)))));
    let edit = |edit: fn(&mut Frame)| Fault::Edit(Box::new(edit));
    for at in [0, deal_frames(bytes) as u64 - 1] {
        let step = at as u32;
        let faults: [(Fault, Expected); 7] = [
            (Fault::Truncate(0), |e| matches!(e, NetError::WrongLength { .. })),
            (Fault::Truncate(99), |e| matches!(e, NetError::WrongLength { .. })),
            (edit(|f| f.payload.push(7)), |e| matches!(e, NetError::WrongLength { .. })),
            (edit(|f| f.header.step += 1), |e| matches!(e, NetError::OutOfStep { .. })),
            (edit(|f| f.header.attempt += 1), |e| matches!(e, NetError::OutOfStep { .. })),
            (edit(|f| f.header.kind = mpc::kind::OPEN), |e| matches!(e, NetError::OutOfStep { .. })),
            (Fault::Cut, |e| matches!(e, NetError::Lost { .. })),
        ];
        for (fault, expected) in faults {
            let Ends { outcomes: [zero, one], .. } = dealer_fault(&world, true, at, fault, LONG);
            let text = error(one);
            let MpcError::Net(net) = &text else { panic!("{text}") };
            assert!(expected(net), "{net}");
            assert!(net.step().is_none_or(|s| s == step) && text.to_string().contains("dealer"), "{net}");
            // P0 hears of it because P1 leaves
            assert!(matches!(error(zero), MpcError::Net(NetError::Lost { .. })));
        }
    }
}

#[test]
fn frames_that_the_dealer_leaves_out_are_missed() {
    let world = world(2, 300);
    let last = deal_frames(world.plan().cost().dealt_bytes) as u64 - 1;
    // left out by the dealer: the next one is of the wrong step, or none comes
    let Ends { outcomes: [_, one], .. } = dealer_fault(&world, true, 0, Fault::Drop, LONG);
    assert!(matches!(error(one), MpcError::Net(NetError::OutOfStep { .. })));
    let Ends { outcomes: [_, one], .. } = dealer_fault(&world, true, last, Fault::Drop, LONG);
    assert!(matches!(error(one), MpcError::Net(NetError::Lost { .. })));
    // lost or repeated on the way
    for fault in [Fault::Drop, Fault::Duplicate] {
        let Ends { outcomes: [_, one], .. } = dealer_fault(&world, false, 0, fault, LONG);
        assert!(matches!(error(one), MpcError::Net(NetError::OutOfSequence { .. })));
    }
}

#[test]
fn a_silent_dealer_or_peer_ends_the_wait_at_its_deadline() {
    let world = world(1, 5);
    let start = Instant::now();
    let (silent, mut assisted) = memory_pair("dealer", "party1");
    assisted.set_deadline(DEADLINE);
    let reader = DealtReader::new(&mut assisted, 1, 0, world.plan().cost().dealt_bytes);
    let [zero, one] = stream_keys(SEED);
    assert!(matches!(error(world.prepare(1, one, Some(reader))), MpcError::Net(NetError::Timeout { .. })));

    let (mut peer, quiet) = memory_pair("party0", "party1");
    peer.set_deadline(DEADLINE);
    let outcome = world.party(0, zero, None, &mut peer);
    let wait = Wait::Receive(Some(0));
    assert!(matches!(error(outcome), MpcError::Net(NetError::Timeout { wait: w, .. }) if w == wait));
    assert!(start.elapsed() >= 2 * DEADLINE && start.elapsed() < LONG);
    drop((silent, quiet));
}

#[test]
fn plans_that_differ_end_in_an_error() {
    let network = Network::random(&config(1, 16, 2, 32, 12), SEED);
    let of = |tokens: &[usize], kind| {
        let batch: Vec<_> = tokens.iter().map(|n| sample(SEED, *n)).collect();
        World::new(&network, &batch, kind, SEED)
    };
    let here = of(&[5], InputKind::OneHot);
    let others = [
        of(&[6], InputKind::OneHot),
        of(&[4], InputKind::OneHot),
        of(&[5], InputKind::Embedded),
        of(&[2, 3], InputKind::OneHot),
    ];
    for other in &others {
        println!("{:?}, {:?} tokens", other.kind, other.texts.lengths());
        for odd in 0..3 {
            let mut worlds = [&here; 3];
            worlds[odd] = other;
            let ends = World::between(worlds, stream_keys(SEED), stream_keys(SEED), Links::new());
            for outcome in ends.outcomes {
                error(outcome);
            }
        }
    }
}

#[test]
fn correlations_for_another_batch_are_refused() {
    let network = Network::random(&config(1, 16, 2, 32, 12), SEED);
    let of = |tokens: &[usize]| {
        let batch: Vec<_> = tokens.iter().map(|n| sample(SEED, *n)).collect();
        World::new(&network, &batch, InputKind::OneHot, SEED)
    };
    let (here, other) = (of(&[5]), of(&[6]));
    let [zero, _] = stream_keys(SEED);
    let correlations = other.prepare(0, zero, None).unwrap();
    assert_eq!(format!("{correlations:?}"), "Correlations of party0 (54 left, redacted)");
    let (mut peer, _quiet) = memory_pair("party0", "party1");
    let outcome = here.online(0, correlations, &mut peer);
    assert!(matches!(outcome, Err(MpcError::Opening { .. })), "{outcome:?}");
    assert_eq!(peer.counters().frames_sent, 0, "nothing was sent under masks of another plan");
}
