//! What comparisons hold.

use model::{Comparing, Comparisons, Flipping, Joining, SignBits, SpecError, sign_words};

use super::super::footprint::{Held, Phase, Sizes};
use super::bits::words_of_bits;

impl Comparisons for Sizes {
    fn difference(&mut self, x: &Held, _: &Held) -> Held {
        self.meter.hold(x.bytes)
    }

    fn compare(&mut self, x: &[Comparing<'_, Held>]) -> Result<Vec<SignBits<Held>>, SpecError> {
        let words = |asked: &Comparing<'_, Held>| words_of_bits(asked.count, asked.chunks.table_bits());
        // the dealer's beside P0's half of them
        x.iter().for_each(|asked| self.dealt(self.halves() * words(asked)));
        let mut pieces = self.step(x.iter().map(words)).into_iter();
        let bits = |asked: &Comparing<'_, Held>| {
            let _tables = pieces.next();
            let (first, others) = (self.computed(asked.count), self.computed(asked.count * asked.chunks.others()));
            SignBits { first, others }
        };
        Ok(x.iter().map(bits).collect())
    }

    fn join(&mut self, x: Vec<Joining<'_, Held, Held>>) -> Result<Vec<Held>, SpecError> {
        let words = |asked: &Joining<'_, Held, Held>| words_of_bits(asked.count, asked.chunks.joined_bits());
        x.iter().for_each(|asked| self.dealt(self.halves() * words(asked)));
        let _pieces = self.step(x.iter().map(words));
        Ok(x.into_iter().map(|asked| asked.first).collect())
    }

    fn flip(&mut self, x: &[Flipping<'_, Held, Held>]) -> Result<Vec<Vec<Held>>, SpecError> {
        let words = |asked: &Flipping<'_, Held, Held>| asked.count * sign_words(asked.depth);
        // the dealer's words, beside a copy of them or their products with a mask
        x.iter().for_each(|asked| self.dealt(self.halves() * words(asked)));
        let pieces = self.step(x.iter().flat_map(|asked| std::iter::repeat_n(words(asked), 1 + asked.wires.len())));
        let mut pieces = pieces.into_iter();
        let flipped = |asked: &Flipping<'_, Held, Held>| {
            let held = Vec::from_iter(pieces.by_ref().take(1 + asked.wires.len()));
            let sums = (0..=asked.wires.len()).map(|_| self.computed(asked.count)).collect();
            drop(held);
            sums
        };
        Ok(x.iter().map(flipped).collect())
    }
}

impl Sizes {
    /// How often the dealer holds what it deals, and a party what it is dealt.
    fn halves(&self) -> usize {
        if self.phase == Phase::Dealing { 2 } else { 1 }
    }

    /// What is computed online, and by nobody before.
    fn computed(&self, words: usize) -> Held {
        self.meter.words(if self.phase == Phase::Online { words } else { 0 })
    }
}
