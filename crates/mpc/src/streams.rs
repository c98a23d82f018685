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
