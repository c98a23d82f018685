//! What a party received, word by word, under the number of the demand it belongs to.

use std::collections::BTreeMap;

use mpc::masked::{Demand, Plan};
use mpc::{Party, Purpose};
use net::Frame;
use net::testing::Recording;
use ring64::{low_bits, packed_len, unpack};

use super::chosen::{Drawn, Words, edit};

/// What a party received from the other one, what it sent to it, and what it received from the dealer.
pub type View = [Vec<Frame>; 3];

/// All frames that a party received, and those it sent. Links are recorded at P0 and, to the dealer, at P1.
pub fn of(party: Party, opened: &Recording, dealt: &Recording) -> View {
    match party {
        Party::Zero => [opened.received(), opened.sent(), Vec::new()],
        Party::One => [opened.sent(), opened.received(), dealt.received()],
    }
}

/// Adds to the other party's words, which were drawn as `drawn` says, what its frames, and at P1 the dealer's, differ by.
pub fn correct(plan: &Plan, corrupted: Party, [run, target]: [&View; 2], drawn: &Words, edits: &mut Words) {
    let wanted = halves(plan, &target[0]);
    for (demand, halves) in halves(plan, &run[0]) {
        let Some(wanted) = wanted.get(&demand) else { continue };
        let (count, kept) = opening(&plan.demands[demand as usize]).unwrap();
        for (i, (got, wanted)) in halves.iter().zip(wanted).enumerate() {
            edit(edits, (demand, Purpose::Mask), count, i, wanted.wrapping_sub(*got) & low_bits(kept));
        }
    }
    if corrupted == Party::Zero {
        return; // the dealer sends it nothing
    }
    let wanted = dealt(plan, &target[2]);
    for (at, dealt) in dealt(plan, &run[2]) {
        for (i, (got, wanted)) in dealt.iter().zip(&wanted[&at]).enumerate() {
            // dealt = value - half; of a mask only the bits above the kept ones are dealt, and only those move
            let by = match plan.demands[at.0 as usize] {
                Demand::Wire { shift, .. } => got.wrapping_sub(*wanted) << (64 - shift),
                // shared by exclusive or
                Demand::Compare { .. } | Demand::Join { .. } => {
                    let half = drawn[&at][i];
                    (half ^ got ^ wanted).wrapping_sub(half)
                }
                _ => got.wrapping_sub(*wanted),
            };
            edit(edits, at, dealt.len(), i, by);
        }
    }
}

/// Elements of an opening and bits of each that are exchanged; nothing for other demands.
pub fn opening(demand: &Demand) -> Option<(usize, u32)> {
    match demand {
        Demand::Wire { count, shift, .. } => Some((*count, 64 - shift)),
        Demand::Phase { count, modulus_bits, .. } => Some((*count, *modulus_bits)),
        _ => None,
    }
}

/// One side's halves of all openings that frames between the parties carry.
pub fn halves(plan: &Plan, frames: &[Frame]) -> BTreeMap<u64, Vec<u64>> {
    let bytes = payloads(frames);
    let mut rest = &bytes[..];
    let mut words = BTreeMap::new();
    for (number, demand) in plan.demands.iter().enumerate() {
        let Some((count, kept)) = opening(demand) else { continue };
        if rest.is_empty() {
            break; // the attempt restarted here
        }
        words.insert(number as u64, take(&mut rest, count, kept));
    }
    assert!(rest.is_empty(), "{} bytes are beyond the plan", rest.len());
    words
}

/// Opened words: the sums of both sides' halves, as they come, before any offset is taken off.
pub fn opened(plan: &Plan, sent: &[Frame], received: &[Frame]) -> BTreeMap<u64, Vec<u64>> {
    let mut words = halves(plan, sent);
    for (number, halves) in halves(plan, received) {
        let mask = low_bits(opening(&plan.demands[number as usize]).unwrap().1);
        words.get_mut(&number).unwrap().iter_mut().zip(halves).for_each(|(w, h)| *w = w.wrapping_add(h) & mask);
    }
    words
}

/// Number of the first opening, its elements, and its first word as it came.
pub fn first_opened(plan: &Plan, opened: &Recording) -> (u64, usize, u64) {
    let demand = plan.demands.iter().position(|d| opening(d).is_some()).unwrap() as u64;
    let words = &self::opened(plan, &opened.sent(), &opened.received())[&demand];
    (demand, words.len(), words[0])
}

/// What the dealer sent: carries of masks under [`Purpose::Mask`], corrections under the others.
pub fn dealt(plan: &Plan, frames: &[Frame]) -> Words {
    let bytes = payloads(frames);
    let mut rest = &bytes[..];
    let mut words = Words::new();
    for (number, demand) in plan.demands.iter().enumerate() {
        let number = number as u64;
        match demand {
            Demand::Wire { count, shift, .. } if *shift > 0 => {
                words.insert((number, Purpose::Mask), take(&mut rest, *count, *shift));
            }
            Demand::Residual { rows, cols, .. } => {
                words.insert((number, Purpose::Dealt), take(&mut rest, rows * cols, 64));
                words.insert((number, Purpose::Second), take(&mut rest, *rows, 64));
            }
            Demand::Series { count, harmonics, gated: true } => {
                for purpose in [Purpose::Dealt, Purpose::Second] {
                    words.insert((number, purpose), take(&mut rest, 2 * count * harmonics, 64));
                }
            }
            other if other.dealt_bytes() > 0 => {
                words.insert((number, Purpose::Dealt), take(&mut rest, other.dealt_bytes() / 8, 64));
            }
            _ => {}
        }
    }
    assert!(rest.is_empty(), "{} bytes are beyond the plan", rest.len());
    words
}

/// Masks of all openings, from what the dealer drew of both keys.
pub fn masks(plan: &Plan, drawn: &[Drawn; 2]) -> BTreeMap<u64, Vec<u64>> {
    let [zero, one] = [drawn[0].words(), drawn[1].words()];
    let mask = |(number, demand): (usize, &Demand)| {
        let (number, bits) = (number as u64, low_bits(opening(demand)?.1));
        let of = (number, Purpose::Mask);
        let sum = zero[&of].iter().zip(&one[&of]).map(|(a, b)| a.wrapping_add(*b) & bits);
        Some((number, sum.collect()))
    };
    plan.demands.iter().enumerate().filter_map(mask).collect()
}

fn payloads(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|f| f.payload.iter().copied()).collect()
}

fn take(rest: &mut &[u8], count: usize, bits: u32) -> Vec<u64> {
    let (now, later) = rest.split_at(packed_len(count, bits));
    *rest = later;
    let mut words = vec![0; count];
    unpack(now, bits, &mut words).unwrap();
    words
}
