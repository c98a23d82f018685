//! What a party received, word by word, under the number of the demand it belongs to.

use std::collections::BTreeMap;

use mpc::Purpose;
use mpc::masked::{Demand, Plan};
use net::Frame;
use net::testing::Recording;
use ring64::{low_bits, packed_len, unpack};

use super::chosen::{Drawn, Words};

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
