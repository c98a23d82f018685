//! Comparisons on wires: tables are read at public places, and words are summed with public factors.

use std::rc::Rc;

use model::{Comparing, Comparisons, Flipping, Joining, SignBits};
use ring64::sub_assign;

use super::super::correlation::Call;
use super::super::online::{Online, Stop, Wire, next};
use super::super::share::Share;
use super::bits::bits;
use super::signs::{Words, public, public_bits};
use super::tables::read;
use crate::party::Party;

impl<'w> Comparisons for Online<'w, '_, '_> {
    fn difference(&mut self, x: &Wire, y: &Wire) -> Wire {
        let mut difference = x.to_vec();
        sub_assign(&mut difference, y);
        Rc::new(difference)
    }

    fn compare(&mut self, x: &[Comparing<'_, Wire>]) -> Result<Vec<SignBits<Share<'w>>>, Stop> {
        let mut dealt = self.correlations.take(Call::Compare)?;
        let adds = self.correlations.party == Party::Zero;
        let read = |asked: &Comparing<'_, Wire>| {
            let (first, others) = read(&next(&mut dealt), asked.wire, &asked.chunks, adds);
            SignBits { first: Share::of(first), others: Share::of(others) }
        };
        Ok(x.iter().map(read).collect())
    }

    fn join(&mut self, x: Vec<Joining<'_, Share<'w>, Vec<Vec<u64>>>>) -> Result<Vec<Share<'w>>, Stop> {
        let mut dealt = self.correlations.take(Call::Join)?;
        let adds = u64::from(self.correlations.party == Party::Zero);
        let joined = |asked: Joining<'_, Share<'w>, Vec<Vec<u64>>>| {
            let Joining { first, others, count, chunks } = asked;
            let (dealt, each, opened) = (next(&mut dealt), chunks.joined_bits(), &others[0]);
            let mut joined = first.into_words();
            for (element, bit) in joined.iter_mut().enumerate() {
                let (chosen, known) = public_bits(chunks.depth(), |row| opened[row * count + element]);
                let sum = (bits(&dealt, element * each, each) & chosen).count_ones();
                *bit ^= u64::from(sum & 1) ^ known & adds;
            }
            Share::of(joined)
        };
        Ok(x.into_iter().map(joined).collect())
    }

    /// `sign y = sign (y^ - a)`, with the sign and the sign times `a` sums of dealt words.
    fn flip(&mut self, x: &[Flipping<'_, Vec<Vec<u64>>, Wire>]) -> Result<Vec<Vec<Share<'w>>>, Stop> {
        let mut dealt = self.correlations.take(Call::Flip)?;
        let (mut all, mut factors) = (Vec::with_capacity(x.len()), Words::default());
        for Flipping { bits, depth, count, wires } in x {
            let (first, others) = (&bits[0][0], bits.get(1).map_or(&[][..], |bits| &bits[0]));
            let words = next(&mut dealt);
            let of_masks = Vec::from_iter(wires.iter().map(|_| next(&mut dealt)));
            let mut signs = Vec::with_capacity(*count);
            let mut products = Vec::from_iter(wires.iter().map(|_| Vec::with_capacity(*count)));
            for element in 0..*count {
                public(&mut factors, *depth, first[element], |row| others[row * count + element]);
                let sign = factors.sum(&words, element);
                for ((wire, of_mask), product) in wires.iter().zip(&of_masks).zip(&mut products) {
                    product.push(wire[element].wrapping_mul(sign).wrapping_sub(factors.sum(of_mask, element)));
                }
                signs.push(sign);
            }
            all.push(std::iter::once(signs).chain(products).map(Share::of).collect());
        }
        Ok(all)
    }
}
