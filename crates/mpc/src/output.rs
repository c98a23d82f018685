//! Logits, and what else the client alone may read, on their way to it.
//!
//! Raw shares of logits would let the dealer, posing as a client, solve for the classifier. P0 sends the top K bits of
//! `y_0 + s + 2^d - 1`, P1 those of `y_1 - s`, with `s` from a key that the dealer never has; the client adds.

use ring64::{Key, PackError, Prg, add_assign, decode, low_bits, pack, packed_len, sub_assign, unpack, unpack_add};

use crate::party::Party;

const STREAM: u64 = 0;

/// How a part of the output is opened to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputShape {
    /// Elements.
    pub count: usize,
    /// Bits of the share below the output's unit.
    pub shift: u32,
    /// Fractional bits that the client reads.
    pub frac: i32,
}

impl OutputShape {
    fn kept(&self) -> u32 {
        64 - self.shift
    }

    /// Bytes that each party sends to the client.
    pub fn bytes(&self) -> usize {
        packed_len(self.count, self.kept())
    }
}

/// A party's half of all that the client gets of one attempt: the packed parts one after the other, under words of one stream
/// that each part goes on reading. The key is taken by value: a second call under the same key would use its words twice, and
/// the difference of both halves would be a difference of bare shares.
pub fn mask_outputs(party: Party, key: Key, parts: Vec<(Vec<u64>, OutputShape)>) -> Vec<u8> {
    let mut stream = Prg::new(&key, STREAM);
    let mut packed = Vec::with_capacity(parts.iter().map(|(_, shape)| shape.bytes()).sum());
    for (share, shape) in parts {
        let mask = stream.words(share.len());
        half(party, share, &mask, &shape, &mut packed);
    }
    packed
}

/// A party's half of one part under a mask, appended to `packed`.
fn half(party: Party, mut share: Vec<u64>, mask: &[u64], shape: &OutputShape, packed: &mut Vec<u8>) {
    match party {
        Party::Zero => {
            add_assign(&mut share, mask);
            share.iter_mut().for_each(|w| *w = w.wrapping_add(low_bits(shape.shift)));
        }
        Party::One => sub_assign(&mut share, mask),
    }
    pack(&share, shape.shift, shape.kept(), packed);
}

/// The values of all parts, from both halves.
pub fn join_outputs(halves: [&[u8]; 2], shapes: &[OutputShape]) -> Result<Vec<Vec<f64>>, PackError> {
    let expected: usize = shapes.iter().map(OutputShape::bytes).sum();
    if let Some(wrong) = halves.iter().find(|half| half.len() != expected) {
        return Err(PackError::Length { expected, got: wrong.len() });
    }
    let mut rest = halves;
    let join = |shape: &OutputShape| -> Result<Vec<f64>, PackError> {
        let [zero, one] = rest.map(|half| half.split_at(shape.bytes()));
        rest = [zero.1, one.1];
        let mut sum = vec![0; shape.count];
        unpack(zero.0, shape.kept(), &mut sum)?;
        unpack_add(one.0, shape.kept(), &mut sum)?;
        // the sign is bit K - 1
        let signed = |w: u64| ((w << shape.shift) as i64 >> shape.shift) as u64;
        Ok(sum.into_iter().map(|w| decode(signed(w), shape.frac)).collect())
    };
    shapes.iter().map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: OutputShape = OutputShape { count: 4, shift: 16, frac: 12 };
    const TOTALS: OutputShape = OutputShape { count: 3, shift: 5, frac: 20 };

    fn key(byte: u8) -> Key {
        Key::from_bytes([byte; 32])
    }

    /// Shares of values that the client reads by this shape.
    fn shares(values: &[f64], shape: &OutputShape, seed: u8) -> [Vec<u64>; 2] {
        let words = values.iter().map(|v| ring64::encode(*v, shape.frac + shape.shift as i32).unwrap());
        let zero = Prg::new(&key(seed), 5).words(values.len());
        let one = words.zip(&zero).map(|(y, share)| y.wrapping_sub(*share)).collect();
        [zero, one]
    }

    /// Both halves of these logits and totals.
    fn halves(logits: &[f64], totals: &[f64]) -> [Vec<u8>; 2] {
        let (logits, totals) = (shares(logits, &LOGITS, 9), shares(totals, &TOTALS, 11));
        [Party::Zero, Party::One].map(|party| {
            let parts =
                [(&logits, LOGITS), (&totals, TOTALS)].map(|(part, shape)| (part[party.index()].clone(), shape));
            mask_outputs(party, key(3), parts.into())
        })
    }

    #[test]
    fn the_client_reads_what_the_parties_share() {
        let values = [vec![1.5, -2.25, 0.0, -0.000244140625], vec![0.125, -7.5, 3.0]];
        let [zero, one] = halves(&values[0], &values[1]);
        assert_eq!(zero.len(), LOGITS.bytes() + TOTALS.bytes());
        let read = join_outputs([&zero, &one], &[LOGITS, TOTALS]).unwrap();
        for (part, (read, values)) in read.iter().zip(&values).enumerate() {
            assert_eq!(read.len(), values.len());
            for (r, v) in read.iter().zip(values) {
                assert!((r - v).abs() <= 1.0 / 4096.0, "part {part}: {r} for {v}");
            }
        }
        for wrong in [&zero[1..], &[]] {
            assert!(join_outputs([wrong, &one], &[LOGITS, TOTALS]).is_err());
            assert!(join_outputs([&zero, wrong], &[LOGITS, TOTALS]).is_err());
        }
        assert!(join_outputs([&zero, &one], &[LOGITS]).is_err());
    }

    /// Words of a half, without the bits that are dropped.
    fn words(half: &[u8], shape: &OutputShape) -> Vec<u64> {
        let mut words = vec![0; shape.count];
        unpack(half, shape.kept(), &mut words).unwrap();
        words
    }

    /// What a party sends is nowhere its bare share, and the difference is uniform: each bit is set half of the time.
    #[test]
    fn what_each_party_sends_is_masked_in_every_word_and_bit() {
        const COUNT: usize = 4096;
        let shapes =
            [OutputShape { count: COUNT, shift: 16, frac: 12 }, OutputShape { count: COUNT, shift: 3, frac: 12 }];
        let share = Prg::new(&key(1), 0).words(COUNT);
        for party in [Party::Zero, Party::One] {
            let sent = mask_outputs(party, key(2), shapes.iter().map(|shape| (share.clone(), *shape)).collect());
            let (first, second) = sent.split_at(shapes[0].bytes());
            for (part, shape) in [first, second].into_iter().zip(&shapes) {
                let bare = share.iter().map(|w| w >> shape.shift);
                let masks = words(part, shape).into_iter().zip(bare).map(|(sent, bare)| sent.wrapping_sub(bare));
                let masks: Vec<u64> = masks.map(|mask| mask & low_bits(shape.kept())).collect();
                // the offset of P0 carries by one at most: no mask is that small but by a chance of 2^-34
                assert!(masks.iter().all(|mask| *mask > 1), "{party} sends a bare share");
                for bit in 0..shape.kept() {
                    let set = masks.iter().filter(|mask| *mask >> bit & 1 == 1).count();
                    // eight standard deviations
                    assert!(set.abs_diff(COUNT / 2) < 8 * 32, "{party}: bit {bit} is set {set} times in {COUNT}");
                }
            }
        }
    }

    /// Shares of zero are sent as the mask itself: over both parts it is one stream, read on, and no word of it comes twice.
    #[test]
    fn a_second_part_goes_on_where_the_first_one_ended() {
        let shapes = [OutputShape { count: 300, shift: 0, frac: 0 }, OutputShape { count: 300, shift: 0, frac: 0 }];
        let zeros = || shapes.iter().map(|shape| (vec![0; shape.count], *shape)).collect();
        let sent = mask_outputs(Party::Zero, key(2), zeros());
        let (first, second) = sent.split_at(shapes[0].bytes());
        let mut all = [words(first, &shapes[0]), words(second, &shapes[1])].concat();
        assert_eq!(all, Prg::new(&key(2), STREAM).words(600));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 600, "a word of the mask serves twice");
        // as one part it is the same mask: how the output is cut changes nothing that is sent
        let whole = OutputShape { count: 600, ..shapes[0] };
        assert_eq!(mask_outputs(Party::Zero, key(2), vec![(vec![0; 600], whole)]), sent);
    }

    /// The client's view says nothing but the logits: for any other shares of them there is a mask, as likely as this one, under
    /// which both halves are the same bytes. And one half says nothing at all: there is one for any other logits.
    #[test]
    fn other_shares_and_other_logits_give_the_same_bytes_under_another_mask() {
        let shape = OutputShape { count: 256, shift: 16, frac: 12 };
        let uniform = |number| Prg::new(&key(7), number).words(shape.count);
        let plus = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect::<Vec<_>>();
        let minus = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| a.wrapping_sub(*b)).collect::<Vec<_>>();
        let send = |party, share: &[u64], mask: &[u64]| {
            let mut packed = Vec::new();
            half(party, share.to_vec(), mask, &shape, &mut packed);
            packed
        };
        let (zero, one, mask) = (uniform(0), uniform(1), uniform(2));
        let seen = [send(Party::Zero, &zero, &mask), send(Party::One, &one, &mask)];

        let other = uniform(3);
        let rest = minus(&plus(&zero, &one), &other);
        let coupled = plus(&mask, &minus(&zero, &other));
        assert_ne!(coupled, mask);
        assert_eq!([send(Party::Zero, &other, &coupled), send(Party::One, &rest, &coupled)], seen);

        let (other, mask_of_one) = (uniform(4), plus(&mask, &minus(&uniform(4), &one)));
        assert_eq!(send(Party::Zero, &other, &plus(&mask, &minus(&zero, &other))), seen[0]);
        assert_eq!(send(Party::One, &other, &mask_of_one), seen[1]);
    }
}
