//! Logits on their way to the client.
//!
//! Raw shares of logits would let the dealer, posing as a client, solve for the classifier. P0 sends the top K bits of
//! `y_0 + s + 2^d - 1`, P1 those of `y_1 - s`, with `s` from a key that the dealer never has; the client adds.

use ring64::{Key, PackError, Prg, add_assign, decode, low_bits, pack, packed_len, sub_assign, unpack, unpack_add};

use crate::weights::Party;

const STREAM: u64 = 0;

/// How logits are opened to the client.
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

/// A party's half of the logits, as the client gets it. The key serves one attempt at one request.
pub fn mask_output(party: Party, key: &Key, mut share: Vec<u64>, shape: &OutputShape) -> Vec<u8> {
    let mask = Prg::new(key, STREAM).words(share.len());
    match party {
        Party::Zero => {
            add_assign(&mut share, &mask);
            share.iter_mut().for_each(|w| *w = w.wrapping_add(low_bits(shape.drop)));
        }
        Party::One => sub_assign(&mut share, &mask),
    }
    let mut packed = Vec::with_capacity(shape.bytes());
    pack(&share, shape.drop, shape.kept(), &mut packed);
    packed
}

/// The logits, from both halves.
pub fn join_output(halves: [&[u8]; 2], shape: &OutputShape) -> Result<Vec<f64>, PackError> {
    let mut sum = vec![0; shape.count];
    unpack(halves[0], shape.kept(), &mut sum)?;
    unpack_add(halves[1], shape.kept(), &mut sum)?;
    // the sign is bit K - 1
    let signed = |w: u64| ((w << shape.drop) as i64 >> shape.drop) as u64;
    Ok(sum.into_iter().map(|w| decode(signed(w), shape.frac)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_reads_what_the_parties_share() {
        let key = Key::from_bytes([3; 32]);
        let shape = OutputShape { count: 4, drop: 16, frac: 12 };
        let values = [1.5, -2.25, 0.0, -0.000244140625];
        let ys: Vec<u64> = values.iter().map(|v| ring64::encode(*v, 28).unwrap()).collect();
        let y0 = Prg::new(&Key::from_bytes([9; 32]), 5).words(4);
        let y1: Vec<u64> = ys.iter().zip(&y0).map(|(y, a)| y.wrapping_sub(*a)).collect();
        let halves = [mask_output(Party::Zero, &key, y0, &shape), mask_output(Party::One, &key, y1, &shape)];
        assert_eq!(halves[0].len(), shape.bytes());
        let read = join_output([&halves[0], &halves[1]], &shape).unwrap();
        for (r, v) in read.iter().zip(values) {
            assert!((r - v).abs() <= 1.0 / 4096.0, "{r} for {v}");
        }
        assert!(join_output([&halves[0][1..], &halves[1]], &shape).is_err());
    }
}
