//! What a party keeps for comparisons: what was dealt, as it came.

use model::{Comparing, Comparisons, Flipping, Joining, SignBits, sign_words};
use ring64::sub_assign;

use super::super::correlation::Call;
use super::super::prepare::Preparing;
use super::bits::words_of_bits;
use crate::error::MpcError;
use crate::streams::{Purpose, Streams};

impl<S: Streams> Preparing<'_, '_, '_, S> {
    /// What is dealt for one demand more, in words.
    fn dealt(&mut self, count: usize) -> Result<Vec<u64>, MpcError> {
        let demand = self.source.next();
        self.source.dealt(demand, Purpose::Dealt, count)
    }
}

impl<S: Streams> Comparisons for Preparing<'_, '_, '_, S> {
    fn difference(&mut self, a: &Vec<u64>, b: &Vec<u64>) -> Vec<u64> {
        let mut difference = a.clone();
        sub_assign(&mut difference, b);
        difference
    }

    fn compare(&mut self, x: &[Comparing<'_, Vec<u64>>]) -> Result<Vec<SignBits<()>>, MpcError> {
        let words = x.iter().map(|asked| words_of_bits(asked.count, asked.chunks.table_bits()));
        let pieces = words.map(|words| self.dealt(words)).collect::<Result<_, _>>()?;
        self.put(Call::Compare, pieces)?;
        Ok(x.iter().map(|_| SignBits { first: (), others: () }).collect())
    }

    fn join(&mut self, x: Vec<Joining<'_, (), ()>>) -> Result<Vec<()>, MpcError> {
        let words = x.iter().map(|asked| words_of_bits(asked.count, asked.chunks.joined_bits()));
        let pieces = words.map(|words| self.dealt(words)).collect::<Result<_, _>>()?;
        self.put(Call::Join, pieces)?;
        Ok(vec![(); x.len()])
    }

    fn flip(&mut self, x: &[Flipping<'_, (), Vec<u64>>]) -> Result<Vec<Vec<()>>, MpcError> {
        let each = x
            .iter()
            .flat_map(|asked| std::iter::repeat_n(asked.count * sign_words(asked.depth), 1 + asked.wires.len()));
        let pieces = each.map(|words| self.dealt(words)).collect::<Result<_, _>>()?;
        self.put(Call::Flip, pieces)?;
        Ok(x.iter().map(|asked| vec![(); 1 + asked.wires.len()]).collect())
    }
}
