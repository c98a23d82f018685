//! Relative positions: a secret bias by the distance of two tokens, added to their score. The places are public, so this is linear
//! in shares and takes no message.

use super::{BertWeight, Pass};
use crate::engine::Engine;

/// Classes of distances, each with a bias a head: half of them for tokens before, half for tokens after.
pub const RELATIVE_BUCKETS: usize = 32;
/// From which class on distances of one direction share a class.
const EXACT: usize = RELATIVE_BUCKETS / 4;

/// The class of the distance from a token to another. Beyond [`EXACT`] there are two classes to each doubling, as MPNet and T5 have
/// them up to a distance of 128; whole numbers, so that no rounding decides.
fn bucket(from: usize, to: usize) -> usize {
    let distance = from.abs_diff(to);
    let class = match distance {
        near if near < EXACT => near,
        far => (EXACT + ((far * far).ilog2() - (EXACT * EXACT).ilog2()) as usize).min(2 * EXACT - 1),
    };
    if to > from { 2 * EXACT + class } else { class }
}

impl<E: Engine> Pass<'_, E> {
    /// Scores of all texts and heads with their biases, where the network has any.
    pub(super) fn with_positions(&mut self, layer: usize, scores: Vec<E::Share>) -> Result<Vec<E::Share>, E::Error> {
        let (shape, texts) = (&self.bert.shape, self.texts);
        if !shape.relative_positions {
            return Ok(scores);
        }
        let weight = self.bert.weight(BertWeight::RelativeBias(layer));
        let last = self.reads_first_rows_only(layer);
        let (mut scores, mut biased) = (scores.into_iter(), Vec::new());
        for text in texts.blocks(false) {
            let asks = if last { 1 } else { text.rows };
            let buckets = (0..asks).flat_map(|from| (0..text.rows).map(move |to| bucket(from, to)));
            let buckets: Vec<usize> = buckets.collect();
            for (head, scores) in scores.by_ref().take(shape.heads).enumerate() {
                let entries: Vec<usize> = buckets.iter().map(|bucket| head * RELATIVE_BUCKETS + bucket).collect();
                biased.push(self.engine.add_entries(scores, weight, &entries)?);
            }
        }
        Ok(biased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula as it is published, in floating point.
    fn published(from: usize, to: usize) -> usize {
        let (half, exact, most) = (16, 8, 128.0f64);
        let distance = from.abs_diff(to);
        let far = || (8.0 * (distance as f64 / 8.0).ln() / (most / 8.0).ln() + 1e-9) as usize;
        let class = if distance < exact { distance } else { (exact + far()).min(half - 1) };
        if to > from { half + class } else { class }
    }

    #[test]
    fn distances_fall_into_the_classes_of_the_published_formula() {
        for (from, to) in (0..512).flat_map(|far| [(far, 0), (0, far), (511, 511 - far)]) {
            assert_eq!(bucket(from, to), published(from, to), "from {from} to {to}");
        }
        let edges = [(0, 0), (7, 7), (8, 8), (11, 8), (12, 9), (16, 10), (23, 11), (64, 14), (91, 15), (511, 15)];
        for (distance, class) in edges {
            assert_eq!((bucket(distance, 0), bucket(0, distance)), (class, class + if distance > 0 { 16 } else { 0 }));
        }
    }
}
