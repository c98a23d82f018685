//! Numbered random streams. A stream serves one purpose of one demand of one attempt of one request, once.

use ring64::{Kernel, Key, Prg, add_assign, sub_assign};

/// What a stream's words become. A stream that served two purposes would give a mask away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Half of a mask.
    Mask,
    /// Half of the mask of a product's right factor.
    Right,
    /// P0's half of a dealt value.
    Dealt,
    /// P0's half of the second value of a demand that deals two.
    Second,
}

/// Where the words of a role come from: its key, or a test that chooses them.
pub trait Streams {
    /// `count` uniform words for one purpose of demand number `demand`; the same ones whatever the kernel that makes them.
    fn words(&mut self, demand: u64, purpose: Purpose, count: usize, kernel: Kernel) -> Vec<u64>;

    /// Adds these words to others.
    fn add_to(&mut self, demand: u64, purpose: Purpose, words: &mut [u64], kernel: Kernel) {
        add_assign(words, &self.words(demand, purpose, words.len(), kernel));
    }

    /// Subtracts these words from others.
    fn subtract_from(&mut self, demand: u64, purpose: Purpose, words: &mut [u64], kernel: Kernel) {
        sub_assign(words, &self.words(demand, purpose, words.len(), kernel));
    }
}

impl Streams for Key {
    fn words(&mut self, demand: u64, purpose: Purpose, count: usize, kernel: Kernel) -> Vec<u64> {
        Prg::with_kernel(self, stream(demand, purpose), kernel).words(count)
    }

    fn add_to(&mut self, demand: u64, purpose: Purpose, words: &mut [u64], kernel: Kernel) {
        Prg::with_kernel(self, stream(demand, purpose), kernel).add_to(words);
    }

    fn subtract_from(&mut self, demand: u64, purpose: Purpose, words: &mut [u64], kernel: Kernel) {
        Prg::with_kernel(self, stream(demand, purpose), kernel).subtract_from(words);
    }
}

impl<S: Streams + ?Sized> Streams for &mut S {
    fn words(&mut self, demand: u64, purpose: Purpose, count: usize, kernel: Kernel) -> Vec<u64> {
        (**self).words(demand, purpose, count, kernel)
    }
}

/// Injective while there are fewer than 2^56 demands.
fn stream(demand: u64, purpose: Purpose) -> u64 {
    let purpose = match purpose {
        Purpose::Mask => 0,
        Purpose::Dealt => 1,
        Purpose::Second => 2,
        Purpose::Right => 3,
    };
    demand << 8 | purpose
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PURPOSES: [Purpose; 4] = [Purpose::Mask, Purpose::Right, Purpose::Dealt, Purpose::Second];

    /// Small numbers of demands, as plans have them, numbers about each power of two, and random ones.
    fn demands() -> BTreeSet<u64> {
        let near_powers = (0..56u32).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        let random = Prg::new(&Key::from_bytes([5; 32]), 0).words_below_bits(20_000, 56);
        (0..20_000).chain(near_powers).chain(random).filter(|demand| *demand < 1 << 56).collect()
    }

    #[test]
    fn no_two_purposes_of_any_demands_share_a_stream() {
        let demands = demands();
        assert!(demands.len() > 39_000);
        let numbers = demands.iter().flat_map(|demand| PURPOSES.map(|purpose| stream(*demand, purpose)));
        assert_eq!(numbers.collect::<BTreeSet<_>>().len(), PURPOSES.len() * demands.len());
    }

    /// What the sums and differences of streams are made of is what is drawn.
    #[test]
    fn words_that_are_added_or_subtracted_are_those_of_the_stream() {
        let mut key = Key::from_bytes([6; 32]);
        let kernel = Kernel::detect();
        for (demand, purpose) in [(0, Purpose::Mask), (130, Purpose::Right), (1 << 40, Purpose::Second)] {
            let words = key.words(demand, purpose, 9, kernel);
            let (mut sum, mut difference) = (vec![0; 9], words.clone());
            key.add_to(demand, purpose, &mut sum, kernel);
            key.subtract_from(demand, purpose, &mut difference, kernel);
            assert_eq!((sum, difference), (words, vec![0; 9]));
        }
    }
}
