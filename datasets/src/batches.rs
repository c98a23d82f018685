//! The order in which examples are seen.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A way to cut a data set into batches that depends on nothing but its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// Examples in a batch; the last one of an epoch may be shorter.
    pub size: usize,
    /// Batches whose examples are sorted by length together. With 1 a batch is any handful of examples; with more,
    /// its lengths are nearly equal, so that a padded tensor wastes little.
    pub pool: usize,
    /// What the order is drawn from.
    pub seed: u64,
}

impl Batches {
    /// Batches in an epoch over `examples` examples.
    pub fn count(&self, examples: usize) -> usize {
        examples.div_ceil(self.size.max(1))
    }

    /// The batches of one epoch, as numbers of examples whose lengths are `lengths`.
    pub fn epoch(&self, epoch: u64, lengths: &[usize]) -> Vec<Vec<usize>> {
        let size = self.size.max(1);
        let mut random = self.generator(epoch);
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        shuffle(&mut order, &mut random);
        for pool in order.chunks_mut(size.saturating_mul(self.pool.max(1))) {
            pool.sort_by_key(|&example| lengths[example]);
        }
        let mut batches: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
        shuffle(&mut batches, &mut random);
        batches
    }

    fn generator(&self, epoch: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&epoch.to_le_bytes());
        key[16..23].copy_from_slice(b"batches");
        ChaCha8Rng::from_seed(key)
    }
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        // The bias of a remainder of 64 bits is far below anything a training run could show.
        let other = (random.next_u64() % (last as u64 + 1)) as usize;
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 25] = [9, 3, 4, 8, 1, 1, 7, 5, 30, 12, 3, 3, 3, 22, 17, 9, 4, 2, 6, 8, 40, 11, 19, 5, 2];

    #[test]
    fn the_same_seed_and_epoch_give_the_same_batches() {
        let batches = Batches { size: 4, pool: 3, seed: 7 };
        assert_eq!(batches.epoch(2, &LENGTHS), batches.epoch(2, &LENGTHS));
        assert_ne!(batches.epoch(2, &LENGTHS), batches.epoch(3, &LENGTHS));
        assert_ne!(batches.epoch(2, &LENGTHS), Batches { seed: 8, ..batches }.epoch(2, &LENGTHS));
    }

    #[test]
    fn every_example_is_seen_once_an_epoch() {
        for (size, pool) in [(4, 1), (4, 3), (1, 1), (100, 2), (5, 5)] {
            let batches = Batches { size, pool, seed: 1 };
            let epoch = batches.epoch(0, &LENGTHS);
            assert_eq!(epoch.len(), batches.count(LENGTHS.len()));
            let mut seen: Vec<usize> = epoch.into_iter().flatten().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..LENGTHS.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn pooled_batches_waste_less_on_padding() {
        let waste = |pool| -> usize {
            let batches = Batches { size: 4, pool, seed: 3 }.epoch(0, &LENGTHS);
            let padded = |batch: &Vec<usize>| batch.len() * batch.iter().map(|&i| LENGTHS[i]).max().unwrap();
            batches.iter().map(padded).sum()
        };
        assert!(waste(25) < waste(1), "{} against {}", waste(25), waste(1));
    }

    #[test]
    fn no_examples_make_no_batches() {
        assert!(Batches { size: 4, pool: 1, seed: 0 }.epoch(0, &[]).is_empty());
    }
}
