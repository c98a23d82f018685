//! Logits, and what else the client alone may read, on their way to it.
//!
//! Raw shares of logits would let the dealer, posing as a client, solve for the classifier. P0 sends the top K bits of
//! `y_0 + s + 2^d - 1`, P1 those of `y_1 - s`, with `s` from a key that the dealer never has; the client adds.

use ring64::{Key, PackError, Prg, decode, low_bits, pack, packed_len, unpack, unpack_add};

use crate::weights::Party;

const STREAM: u64 = 0;

/// How a part of the output is opened to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputShape {
    /// Elements.
    pub count: usize,
    /// Bits of the share below the output's unit.
    pub drop: u32,
    /// Fractional bits that the client reads.
    pub frac: i32,
}

impl OutputShape {
    fn kept(&self) -> u32 {
        64 - self.drop
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
    for (mut share, shape) in parts {
        match party {
            Party::Zero => {
                stream.add_to(&mut share);
                share.iter_mut().for_each(|w| *w = w.wrapping_add(low_bits(shape.drop)));
            }
            Party::One => stream.subtract_from(&mut share),
        }
        pack(&share, shape.drop, shape.kept(), &mut packed);
    }
    packed
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
        let signed = |w: u64| ((w << shape.drop) as i64 >> shape.drop) as u64;
        Ok(sum.into_iter().map(|w| decode(signed(w), shape.frac)).collect())
    };
    shapes.iter().map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: OutputShape = OutputShape { count: 4, drop: 16, frac: 12 };
    const TOTALS: OutputShape = OutputShape { count: 3, drop: 5, frac: 20 };

    fn key(byte: u8) -> Key {
        Key::from_bytes([byte; 32])
    }

    /// Shares of values that the client reads by this shape.
    fn shares(values: &[f64], shape: &OutputShape, seed: u8) -> [Vec<u64>; 2] {
        let words = values.iter().map(|v| ring64::encode(*v, shape.frac + shape.drop as i32).unwrap());
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
}
