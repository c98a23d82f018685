//! How good the answers are where a text may have any of several labels; figures as scikit-learn has them with
//! `zero_division=0`.

use crate::ratio::ratio;

/// The labels that a row of logits calls: those whose sigmoid is above one half.
pub fn chosen<T: Copy + Into<f64>>(logits: &[T]) -> Vec<bool> {
    logits.iter().map(|logit| (*logit).into() > 0.0).collect()
}

/// The labels of a text as they were called, and as they are.
type Pair<'a> = (Vec<bool>, &'a [bool]);

/// Share of texts whose labels are all as they should be.
pub(crate) fn subset_accuracy(pairs: &[Pair<'_>]) -> f64 {
    ratio(pairs.iter().filter(|(called, truth)| called == truth).count() as f64, pairs.len() as f64)
}

/// F1 over all labels of all texts.
pub(crate) fn f1_micro(pairs: &[Pair<'_>]) -> f64 {
    let (both, either) =
        (0..width(pairs)).map(|label| counts(pairs, label)).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    ratio(2.0 * both, either)
}

/// The mean of the labels' F1.
pub(crate) fn f1_macro(pairs: &[Pair<'_>]) -> f64 {
    let width = width(pairs);
    let each = (0..width).map(|label| counts(pairs, label)).map(|(both, either)| ratio(2.0 * both, either));
    ratio(each.sum(), width as f64)
}

fn width(pairs: &[Pair<'_>]) -> usize {
    pairs.iter().map(|(_, truth)| truth.len()).max().unwrap_or(0)
}

/// How often a label was called and true, and how often called plus how often true.
fn counts(pairs: &[Pair<'_>], label: usize) -> (f64, f64) {
    let is = |set: &[bool]| set.get(label).copied().unwrap_or(false);
    let mut sums = (0.0, 0.0);
    for (called, truth) in pairs {
        let (called, truth) = (is(called), is(truth));
        sums.0 += f64::from(u8::from(called && truth));
        sums.1 += f64::from(u8::from(called)) + f64::from(u8::from(truth));
    }
    sums
}

#[cfg(test)]
mod tests {
    use crate::{Label, Metric, Metrics};

    /// `p` and `t` as below, scikit-learn 1.9.1:
    /// `f1_score(t, p, average="micro", zero_division=0)`, the same with `"macro"`, `accuracy_score(t, p)`.
    const SKLEARN: [(Metric, f64); 3] =
        [(Metric::F1Micro, 0.75), (Metric::F1Macro, 0.5416666666666666), (Metric::Accuracy, 0.3333333333333333)];
    // the last label is neither called nor true, one text has no label
    const T: [[u8; 4]; 6] = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0]];
    const P: [[u8; 4]; 6] = [[1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]];

    fn judged(called: &[[u8; 4]], truth: &[[u8; 4]]) -> Metrics {
        // a logit of 0 is a probability of one half, which does not do
        let logits: Vec<Vec<f32>> = called.iter().map(|row| row.map(f32::from).to_vec()).collect();
        let truth: Vec<Label> = truth.iter().map(|row| Label::Set(row.map(|label| label == 1).into())).collect();
        Metrics::of(&SKLEARN.map(|(metric, _)| metric), &logits, &truth)
    }

    #[test]
    fn several_labels_are_judged_as_scikit_learn_does() {
        let metrics = judged(&P, &T);
        for ((metric, expected), (name, got)) in SKLEARN.into_iter().zip(&metrics.scores) {
            assert!(metric == *name && (got - expected).abs() < 1e-12, "{metric:?}: expected {expected}, got {got}");
        }
        assert_eq!((metrics.samples, metrics.main(), metrics.main_name()), (6, 0.75, "f1_micro"));
        assert_eq!(metrics.named().into_keys().collect::<Vec<_>>(), ["accuracy", "f1_macro", "f1_micro"]);
        // no label anywhere: f1_score gives 0.0 twice, accuracy_score 1.0
        let nothing = judged(&[[0; 4]; 2], &[[0; 4]; 2]);
        assert_eq!(nothing.scores.iter().map(|(_, score)| *score).collect::<Vec<_>>(), [0.0, 0.0, 1.0]);
    }
}
