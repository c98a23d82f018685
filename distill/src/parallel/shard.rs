//! One process's shard of a batch, and the weight of its means in the whole batch's.

use std::ops::Range;

use anyhow::Result;
use candle_core::Tensor;

use super::ProcessGroup;

/// The texts of a batch that one process takes.
///
/// A loss is a mean, over texts, tokens or attention scores, of which each process has its own number: a mean over the whole
/// batch is the sum of all processes' means, each times its share of the numbers.
#[derive(Debug)]
pub struct Shard<'a> {
    group: &'a ProcessGroup,
    /// The texts' numbers in the training set; never empty.
    pub texts: &'a [usize],
    of_texts: f64,
    of_tokens: f64,
    of_scores: f64,
    /// Tokens of the whole batch.
    tokens: usize,
}

impl Shard<'_> {
    /// The part `range` of `batch`. Where that is empty, the first text of the batch with weight 0, because every process
    /// must take part in every exchange.
    pub(super) fn new<'a>(
        group: &'a ProcessGroup,
        batch: &'a [usize],
        range: Range<usize>,
        lengths: &[usize],
    ) -> Shard<'a> {
        let counts = |texts: &[usize]| {
            let of = |count: fn(usize) -> usize| texts.iter().map(|&text| count(lengths[text])).sum::<usize>();
            [of(|_| 1), of(|n| n), of(|n| n * n)]
        };
        let (all, mine) = (counts(batch), counts(&batch[range.clone()]));
        let share = |kind: usize| mine[kind] as f64 / all[kind].max(1) as f64;
        let texts = if range.is_empty() { &batch[..1] } else { &batch[range] };
        let [of_texts, of_tokens, of_scores] = [0, 1, 2].map(share);
        Shard { group, texts, of_texts, of_tokens, of_scores, tokens: all[1] }
    }

    /// The part in the whole batch's mean of a mean over texts.
    pub fn over_texts(&self, mean: &Tensor) -> candle_core::Result<Tensor> {
        part(mean, self.of_texts)
    }

    /// The part in the whole batch's mean of a mean over tokens.
    pub fn over_tokens(&self, mean: &Tensor) -> candle_core::Result<Tensor> {
        part(mean, self.of_tokens)
    }

    /// The part in the whole batch's mean of a mean over attention scores.
    pub fn over_scores(&self, mean: &Tensor) -> candle_core::Result<Tensor> {
        part(mean, self.of_scores)
    }

    /// The whole batch's means of numbers of which each token has one, from the sums over this process's tokens; nothing
    /// where those are all.
    pub fn means(&self, sums: impl FnOnce() -> Result<Vec<f32>>) -> Result<Option<Vec<f32>>> {
        if self.group.size() == 1 {
            return Ok(None);
        }
        let mut sums = sums()?;
        if self.of_tokens == 0.0 {
            sums.fill(0.0);
        }
        self.group.all_reduce(&mut sums)?;
        Ok(Some(sums.into_iter().map(|sum| sum / self.tokens.max(1) as f32).collect()))
    }
}

/// A mean times its share; a share of 1 leaves the mean as it is, to the bit. The factor is a tensor, because candle makes no
/// gradients for a product with the number 0, and all processes must have gradients for the same weights.
fn part(mean: &Tensor, share: f64) -> candle_core::Result<Tensor> {
    if share == 1.0 { Ok(mean.clone()) } else { mean.mul(&Tensor::new(share as f32, mean.device())?) }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_shares_of_a_batch_make_a_whole() {
        let (group, lengths) = (ProcessGroup::alone(), [3, 5, 2, 9, 4]);
        let batch = [4, 1, 3, 0, 2];
        for size in 1..8 {
            let parts = (0..size).map(|rank| super::super::ring::segment(batch.len(), rank, size));
            let parts: Vec<_> = parts.map(|range| (range.len(), Shard::new(&group, &batch, range, &lengths))).collect();
            let all = |of: fn(&Shard<'_>) -> f64| parts.iter().map(|(_, share)| of(share)).sum::<f64>();
            for whole in [all(|s| s.of_texts), all(|s| s.of_tokens), all(|s| s.of_scores)] {
                assert!((whole - 1.0).abs() < 1e-12, "{whole}");
            }
            let texts: Vec<usize> =
                parts.iter().filter(|(n, _)| *n > 0).flat_map(|(_, share)| share.texts).copied().collect();
            assert_eq!(texts, batch, "{size}");
            for (_, idle) in parts.iter().filter(|(n, _)| *n == 0) {
                assert_eq!((idle.texts, idle.of_texts), (&batch[..1], 0.0));
            }
        }
    }

    #[test]
    fn a_mean_counts_by_its_numbers() {
        let group = ProcessGroup::alone();
        let share = Shard::new(&group, &[0, 1], 1..2, &[1, 3]);
        let one = Tensor::new(1f32, &Device::Cpu).unwrap();
        let number = |tensor: candle_core::Result<Tensor>| tensor.unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(number(share.over_texts(&one)), 0.5);
        assert_eq!(number(share.over_tokens(&one)), 0.75);
        assert_eq!(number(share.over_scores(&one)), 0.9);
        assert_eq!(share.means(|| Ok(vec![8.0])).unwrap(), None);
    }
}
