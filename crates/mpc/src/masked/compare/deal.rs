//! What the dealer deals for comparisons.

use model::{Comparing, Comparisons, Flipping, Joining, SignBits, sign_words};
use ring64::sub_assign;

use super::super::deal::Dealing;
use super::bits::{flip, words_of_bits};
use super::signs::{Words, dealt, dealt_bits};
use super::tables::tables;
use crate::error::MpcError;
use crate::streams::{Purpose, Streams};

impl<S: Streams> Dealing<'_, '_, S> {
    /// Shares bits by exclusive or.
    fn share_bits(&mut self, demand: u64, mut value: Vec<u64>) -> Result<(), MpcError> {
        let half = self.zero.words(demand, Purpose::Dealt, value.len(), self.kernel);
        value.iter_mut().zip(&half).for_each(|(value, half)| *value ^= half);
        self.writer.words(&value, 0, 64)
    }
}

impl<S: Streams> Comparisons for Dealing<'_, '_, S> {
    fn difference(&mut self, a: &Vec<u64>, b: &Vec<u64>) -> Vec<u64> {
        let mut difference = a.clone();
        sub_assign(&mut difference, b);
        difference
    }

    fn compare(&mut self, x: &[Comparing<'_, Vec<u64>>]) -> Result<Vec<SignBits<()>>, MpcError> {
        for asked in x {
            let demand = self.next();
            self.share_bits(demand, tables(asked.wire, &asked.chunks))?;
        }
        Ok(x.iter().map(|_| SignBits { first: (), others: () }).collect())
    }

    fn join(&mut self, x: Vec<Joining<'_, (), Vec<Vec<u64>>>>) -> Result<Vec<()>, MpcError> {
        for Joining { others, count, chunks, .. } in &x {
            let (demand, each, masks) = (self.next(), chunks.joined_bits(), &others[0]);
            let mut bits = vec![0; words_of_bits(*count, each)];
            for element in 0..*count {
                let of = dealt_bits(chunks.depth(), |row| masks[row * count + element]);
                flip(&mut bits, element * each, each, of);
            }
            self.share_bits(demand, bits)?;
        }
        Ok(vec![(); x.len()])
    }

    fn flip(&mut self, x: &[Flipping<'_, Vec<Vec<u64>>, Vec<u64>>]) -> Result<Vec<Vec<()>>, MpcError> {
        let mut one = Words::default();
        for Flipping { bits, depth, count, wires } in x {
            let (demand, each) = (self.next(), sign_words(*depth));
            let mut words = Vec::with_capacity(count * each);
            for element in 0..*count {
                dealt(&mut one, *depth, bits[0][0][element], |row| bits[1][0][row * count + element]);
                words.extend_from_slice(one.as_slice());
            }
            self.share(demand, Purpose::Dealt, words.clone())?;
            for mask in *wires {
                let (demand, mut products) = (self.next(), Vec::with_capacity(count * each));
                for (words, a) in words.chunks(each).zip(mask.iter()) {
                    products.extend(words.iter().map(|word| word.wrapping_mul(*a)));
                }
                self.share(demand, Purpose::Dealt, products)?;
            }
        }
        Ok(x.iter().map(|asked| vec![(); 1 + asked.wires.len()]).collect())
    }
}
