//! How good the answers are.

use std::collections::BTreeMap;

use crate::multilabel::{self, chosen};
use crate::ratio::ratio;
use crate::target::Label;

/// A way to judge answers, by its name in result files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Share of right classes; of several labels a text, the share of texts with all of them right.
    Accuracy,
    /// Harmonic mean of precision and recall of class 1.
    F1,
    /// F1 of several labels a text, over all answers of all labels together.
    F1Micro,
    /// The mean of the labels' own F1; a label that is neither called nor true has 0.
    F1Macro,
    /// Matthews correlation of the classes (Gorodkin's for more than two).
    Matthews,
    /// Pearson correlation of numbers.
    Pearson,
    /// Spearman rank correlation of numbers, ties sharing their mean rank.
    Spearman,
}

impl Metric {
    /// The name that `evaluate` and Trainer give it.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::F1 => "f1",
            Metric::F1Micro => "f1_micro",
            Metric::F1Macro => "f1_macro",
            Metric::Matthews => "matthews_correlation",
            Metric::Pearson => "pearson",
            Metric::Spearman => "spearmanr",
        }
    }
}

/// The scores of a model on a set.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Examples judged.
    pub samples: usize,
    /// The scores, in the order in which they were asked for; never empty.
    pub scores: Vec<(Metric, f64)>,
}

impl Metrics {
    /// Judges rows of logits against the true answers: the largest logit is the class, those above 0 are the labels, a single
    /// one is the number. What has no partner on the other side does not count.
    pub fn of<T: Copy + Into<f64>>(metrics: &[Metric], logits: &[Vec<T>], truth: &[Label]) -> Metrics {
        let (mut classes, mut sets, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (row, truth) in logits.iter().zip(truth) {
            match truth {
                Label::Class(class) => {
                    let row: Vec<f64> = row.iter().map(|v| (*v).into()).collect();
                    classes.push((largest(&row).unwrap_or(usize::MAX), *class));
                }
                Label::Set(set) => sets.push((chosen(row), set.as_slice())),
                Label::Number(number) => {
                    numbers.push((row.first().map_or(f64::NAN, |v| (*v).into()), f64::from(*number)));
                }
            }
        }
        let score = |metric| match metric {
            Metric::Accuracy if !sets.is_empty() => multilabel::subset_accuracy(&sets),
            Metric::Accuracy => accuracy(&classes),
            Metric::F1 => f1(&classes),
            Metric::F1Micro => multilabel::f1_micro(&sets),
            Metric::F1Macro => multilabel::f1_macro(&sets),
            Metric::Matthews => matthews(&classes),
            Metric::Pearson => pearson(&numbers),
            Metric::Spearman => spearman(&numbers),
        };
        let samples = classes.len() + sets.len() + numbers.len();
        Metrics { samples, scores: metrics.iter().map(|metric| (*metric, score(*metric))).collect() }
    }

    /// The scores under the names they have in result files; where none is the main one, also their mean as
    /// `combined_score`.
    pub fn named(&self) -> BTreeMap<&'static str, f64> {
        let mut named: BTreeMap<_, _> = self.scores.iter().map(|(metric, score)| (metric.name(), *score)).collect();
        named.insert(self.main_name(), self.main());
        named
    }

    /// The one score by which the better of two models is chosen: micro F1 of several labels a text, else the mean of all.
    pub fn main(&self) -> f64 {
        let mean = || self.scores.iter().map(|(_, score)| score).sum::<f64>() / self.scores.len().max(1) as f64;
        self.micro().unwrap_or_else(mean)
    }

    /// The name of [`Metrics::main`].
    pub fn main_name(&self) -> &'static str {
        match self.scores[..] {
            _ if self.micro().is_some() => Metric::F1Micro.name(),
            [(only, _)] => only.name(),
            _ => "combined_score",
        }
    }

    fn micro(&self) -> Option<f64> {
        self.scores.iter().find(|(metric, _)| *metric == Metric::F1Micro).map(|(_, score)| *score)
    }

    /// The scores in words: `accuracy 0.8750, f1 0.9123`.
    pub fn words(&self) -> String {
        let words: Vec<String> = self.scores.iter().map(|(m, score)| format!("{} {score:.4}", m.name())).collect();
        words.join(", ")
    }
}

/// The number of the largest logit; the first of equals. `None` without any.
pub fn largest<T: PartialOrd>(logits: &[T]) -> Option<usize> {
    let better = |best: usize, next: usize| if logits[next] > logits[best] { next } else { best };
    (0..logits.len()).reduce(better)
}

/// Share of pairs (predicted, true) that are equal.
fn accuracy(pairs: &[(usize, usize)]) -> f64 {
    ratio(pairs.iter().filter(|(p, t)| p == t).count() as f64, pairs.len() as f64)
}

fn f1(pairs: &[(usize, usize)]) -> f64 {
    let count = |wanted: fn(bool, bool) -> bool| pairs.iter().filter(|(p, t)| wanted(*p == 1, *t == 1)).count() as f64;
    let both = count(|p, t| p && t);
    ratio(2.0 * both, 2.0 * both + count(|p, t| p != t))
}

fn matthews(pairs: &[(usize, usize)]) -> f64 {
    let mut predicted: BTreeMap<usize, f64> = BTreeMap::new();
    let mut truth: BTreeMap<usize, f64> = BTreeMap::new();
    for (p, t) in pairs {
        *predicted.entry(*p).or_default() += 1.0;
        *truth.entry(*t).or_default() += 1.0;
    }
    let (all, right) = (pairs.len() as f64, pairs.iter().filter(|(p, t)| p == t).count() as f64);
    let together: f64 = predicted.iter().map(|(class, n)| n * truth.get(class).copied().unwrap_or(0.0)).sum();
    let squares = |counts: &BTreeMap<usize, f64>| counts.values().map(|n| n * n).sum::<f64>();
    let spread = (all * all - squares(&predicted)) * (all * all - squares(&truth));
    ratio(all * right - together, spread.sqrt())
}

fn pearson(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let (mut a, mut b) = (0.0, 0.0);
    for (x, y) in pairs {
        (a, b) = (a + x / n, b + y / n);
    }
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (x, y) = (x - a, y - b);
        (xy, xx, yy) = (xy + x * y, xx + x * x, yy + y * y);
    }
    ratio(xy, (xx * yy).sqrt())
}

fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let ranked: Vec<(f64, f64)> = ranks(&a).into_iter().zip(ranks(&b)).collect();
    pearson(&ranked)
}

/// The rank of each value; equal ones share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && values[order[end]] == values[order[start]] {
            end += 1;
        }
        let mean = (start + end - 1) as f64 / 2.0;
        order[start..end].iter().for_each(|place| ranks[*place] = mean);
        start = end;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(predicted: &[usize], truth: &[usize], metric: Metric) -> f64 {
        let logits: Vec<Vec<f32>> =
            predicted.iter().map(|p| (0..4).map(|c| f32::from(u8::from(c == *p))).collect()).collect();
        let truth: Vec<Label> = truth.iter().map(|t| Label::Class(*t)).collect();
        Metrics::of(&[metric], &logits, &truth).main()
    }

    fn numbers(predicted: &[f64], truth: &[f32], metric: Metric) -> f64 {
        let logits: Vec<Vec<f64>> = predicted.iter().map(|p| vec![*p]).collect();
        let truth: Vec<Label> = truth.iter().map(|t| Label::Number(*t)).collect();
        Metrics::of(&[metric], &logits, &truth).main()
    }

    #[track_caller]
    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-6, "expected {expected}, got {got}");
    }

    // The expected figures are worked out by hand.
    const P: [usize; 8] = [1, 0, 1, 1, 0, 1, 0, 0];
    const T: [usize; 8] = [1, 1, 1, 0, 0, 1, 0, 1];

    #[test]
    fn classes_are_judged_as_elsewhere() {
        close(classes(&P, &T, Metric::Accuracy), 0.625);
        // 3 right of 4 called, of 5 there are
        close(classes(&P, &T, Metric::F1), 6.0 / 9.0);
        // (3 * 2 - 1 * 2) / sqrt(4 * 5 * 3 * 4)
        close(classes(&P, &T, Metric::Matthews), 4.0 / 240f64.sqrt());
        // three classes: (6 * 4 - 12) / sqrt((36 - 12) (36 - 12))
        close(classes(&[0, 1, 2, 0, 1, 2], &[0, 1, 2, 0, 2, 1], Metric::Matthews), 0.5);
        close(classes(&[1, 1, 1], &[1, 0, 1], Metric::Matthews), 0.0);
        close(classes(&[0, 0], &[0, 0], Metric::F1), 0.0);
    }

    #[test]
    fn numbers_are_judged_as_elsewhere() {
        let (p, t) = ([1.0, 2.5, 2.5, 4.0, 0.5], [0.0, 2.0, 3.0, 5.0, 2.0]);
        // sums of products 8.3, of squares 7.7 and 13.2 around the means 2.1 and 2.4
        close(numbers(&p, &t, Metric::Pearson), 8.3 / (7.7f64 * 13.2).sqrt());
        // ranks 1, 2.5, 2.5, 4, 0 against 0, 1.5, 3, 4, 1.5
        close(numbers(&p, &t, Metric::Spearman), 7.25 / (9.5f64 * 9.5).sqrt());
        close(numbers(&[1.0, 1.0], &[0.0, 5.0], Metric::Pearson), 0.0);
        assert!(numbers(&[f64::NAN, 1.0], &[0.0, 5.0], Metric::Pearson).is_nan());
    }

    #[test]
    fn several_scores_have_a_mean() {
        let logits = P.map(|p| vec![1.0 - p as f64, p as f64]);
        let metrics = Metrics::of(&[Metric::Accuracy, Metric::F1], &logits, &T.map(Label::Class));
        close(metrics.main(), (0.625 + 2.0 / 3.0) / 2.0);
        assert_eq!(metrics.named().into_keys().collect::<Vec<_>>(), ["accuracy", "combined_score", "f1"]);
        assert_eq!((metrics.samples, metrics.main_name()), (8, "combined_score"));
        assert_eq!(metrics.words(), "accuracy 0.6250, f1 0.6667");
        assert_eq!(Metrics::of::<f64>(&[Metric::Accuracy], &[], &[]).main(), 0.0);
    }

    #[test]
    fn the_largest_logit_names_the_class() {
        assert_eq!(largest(&[0.1, 3.0, -2.0]), Some(1));
        assert_eq!(largest(&[2.0, 2.0]), Some(0));
        assert_eq!(largest::<f64>(&[]), None);
    }
}
