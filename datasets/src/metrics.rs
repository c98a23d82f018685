//! How good the answers are.

use std::collections::BTreeMap;

/// The scores of a model on a set, by name; every task of classes has an accuracy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// Examples judged.
    pub samples: usize,
    /// Share of right classes.
    pub accuracy: f64,
}

impl Metrics {
    /// Judges class numbers against the true ones. What has no partner on the other side does not count.
    pub fn of_classes(predicted: &[usize], truth: &[usize]) -> Metrics {
        let samples = predicted.len().min(truth.len());
        let right = predicted.iter().zip(truth).filter(|(p, t)| p == t).count();
        Metrics { samples, accuracy: if samples == 0 { 0.0 } else { right as f64 / samples as f64 } }
    }

    /// The scores under the names they have in result files.
    pub fn named(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::from([("accuracy", self.accuracy)])
    }

    /// The one score by which the better of two models is chosen.
    pub fn main(&self) -> f64 {
        self.accuracy
    }
}

/// The number of the largest logit; the first of equals. `None` without any.
pub fn largest<T: PartialOrd>(logits: &[T]) -> Option<usize> {
    let better = |best: usize, next: usize| if logits[next] > logits[best] { next } else { best };
    (0..logits.len()).reduce(better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_the_share_of_right_classes() {
        let metrics = Metrics::of_classes(&[1, 0, 1, 1], &[1, 1, 1, 0]);
        assert_eq!((metrics.samples, metrics.accuracy), (4, 0.5));
        assert_eq!(metrics.named()["accuracy"], 0.5);
        assert_eq!(Metrics::of_classes(&[], &[]).main(), 0.0);
    }

    #[test]
    fn the_largest_logit_names_the_class() {
        assert_eq!(largest(&[0.1, 3.0, -2.0]), Some(1));
        assert_eq!(largest(&[2.0, 2.0]), Some(0));
        assert_eq!(largest::<f64>(&[]), None);
    }
}
