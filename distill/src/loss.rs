//! The losses of a model with true labels and with a teacher.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::{log_softmax, sigmoid};
use datasets::Target;

/// The mean of squared differences.
pub use candle_nn::loss::mse as mean_square;

/// Cross-entropy with the true classes.
pub use candle_nn::loss::cross_entropy;

/// The true labels of a batch.
#[derive(Clone, Debug)]
pub enum BatchLabels {
    /// Class numbers, `[texts]`.
    Classes(Tensor),
    /// Ones where a label holds, else zeros, `[texts, labels]`.
    Labels(Tensor),
    /// Numbers, `[texts, 1]`.
    Numbers(Tensor),
}

/// The loss with the true labels: cross-entropy with classes, the mean of every label's own, or the mean of squared
/// differences from numbers.
pub fn with_truth(logits: &Tensor, truth: &BatchLabels) -> Result<Tensor> {
    match truth {
        BatchLabels::Classes(classes) => cross_entropy(logits, classes),
        BatchLabels::Labels(labels) => binary_cross_entropy(logits, labels),
        BatchLabels::Numbers(numbers) => mean_square(logits, numbers),
    }
}

/// The loss with a teacher's logits: cross-entropy with its probabilities, of the classes or of each label, or the mean of
/// squared differences from its number.
pub fn with_teacher(logits: &Tensor, teacher: &Tensor, target: &Target) -> Result<Tensor> {
    match target {
        Target::Number => mean_square(logits, &teacher.detach()),
        Target::Classes(_) => soft_cross_entropy(logits, teacher),
        Target::Labels(_) => binary_cross_entropy(logits, &sigmoid(&teacher.detach())?),
    }
}

/// Cross-entropy of attention weights with a teacher's, for a mean row of `rows`.
pub fn attention_entropy(weights: &Tensor, teacher: &Tensor, rows: usize) -> Result<Tensor> {
    // 2Quad's weights can be 0, whose logarithm would be infinite
    const LEAST: f64 = 1e-6;
    let logs = weights.affine(1.0, LEAST)?.log()?;
    (logs * teacher.detach())?.sum_all()?.affine(-1.0 / rows.max(1) as f64, 0.0)
}

/// Cross-entropy with a teacher's probabilities, at temperature 1.
fn soft_cross_entropy(logits: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let wanted = log_softmax(&teacher.detach(), D::Minus1)?.exp()?;
    (wanted * log_softmax(logits, D::Minus1)?)?.sum(D::Minus1)?.mean_all()?.neg()
}

/// Cross-entropy of each label's sigmoid with its probability, in the mean over texts and labels: PyTorch's
/// `BCEWithLogitsLoss`. Written so that no large logit overflows.
fn binary_cross_entropy(logits: &Tensor, wanted: &Tensor) -> Result<Tensor> {
    let unsure = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    ((logits.relu()? - (logits * wanted)?)? + unsure)?.mean_all()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::ops::finite_differences::{check, numbers};

    #[test]
    fn the_gradients_agree_with_finite_differences() {
        let classes = Tensor::new(&[0u32, 2], &Device::Cpu).unwrap();
        let teacher = numbers(&[2, 3], 2);
        check(&[numbers(&[2, 3], 1)], |v| cross_entropy(&v[0], &classes));
        check(&[numbers(&[2, 3], 1)], |v| soft_cross_entropy(&v[0], &teacher));
        check(&[numbers(&[2, 3], 1)], |v| mean_square(&v[0], &teacher));
        let wanted = sigmoid(&teacher).unwrap();
        check(&[numbers(&[2, 3], 1)], |v| binary_cross_entropy(&v[0], &wanted));
        let weights = (numbers(&[6], 3).abs().unwrap() + 0.5).unwrap();
        check(&[weights], |v| attention_entropy(&v[0], &numbers(&[6], 4).abs().unwrap(), 2));
    }

    #[test]
    fn a_number_is_missed_by_its_square() {
        let (logits, wanted) = (numbers(&[3, 1], 1), numbers(&[3, 1], 2));
        let rows = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mean = rows(&logits).iter().zip(rows(&wanted)).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / 3.0;
        for loss in [
            with_teacher(&logits, &wanted, &Target::Number),
            with_truth(&logits, &BatchLabels::Numbers(wanted.clone())),
        ] {
            assert!((loss.unwrap().to_scalar::<f32>().unwrap() - mean).abs() < 1e-6);
        }
    }

    #[test]
    fn the_loss_with_the_truth_is_the_mean_over_the_texts() {
        let of = |logits: Tensor, truth| with_truth(&logits, &truth).unwrap().to_scalar::<f32>().unwrap();
        let classes = BatchLabels::Classes(Tensor::new(&[2u32, 0], &Device::Cpu).unwrap());
        let wanted = (3f32.ln() + (1.0 + 2.0 * (-2f32).exp()).ln()) / 2.0;
        let logits = Tensor::new(&[[1000f32, 1000.0, 1000.0], [2.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        assert!((of(logits, classes) - wanted).abs() < 1e-6);
        let numbers = BatchLabels::Numbers(Tensor::new(&[[0.5f32], [5.0]], &Device::Cpu).unwrap());
        assert_eq!(of(Tensor::new(&[[1.5f32], [3.0]], &Device::Cpu).unwrap(), numbers), 2.5);
    }

    #[test]
    fn each_label_has_a_loss_of_its_own() {
        let of = |loss: Result<Tensor>| loss.unwrap().to_scalar::<f32>().unwrap();
        let logits = Tensor::new(&[[1f32, -2.0, 0.0], [3.0, 200.0, -200.0]], &Device::Cpu).unwrap();
        let truth = Tensor::new(&[[1f32, 0.0, 1.0], [0.0, 1.0, 0.0]], &Device::Cpu).unwrap();
        // log(1 + exp(-z)) where a label holds, log(1 + exp(z)) where it does not
        let softplus = |z: f32| z.exp().ln_1p();
        let wanted = (softplus(-1.0) + softplus(-2.0) + softplus(0.0) + softplus(3.0)) / 6.0;
        assert!((of(with_truth(&logits, &BatchLabels::Labels(truth.clone()))) - wanted).abs() < 1e-6);
        // a teacher that is sure counts like the truth, and one that is not is best imitated
        let target = Target::Labels(["a", "b", "c"].map(String::from).into());
        let sure = ((truth - 0.5).unwrap() * 100.0).unwrap();
        assert!((of(with_teacher(&logits, &sure, &target)) - wanted).abs() < 1e-5);
        let (mine, other) = (numbers(&[2, 3], 1), numbers(&[2, 3], 2));
        assert!(of(with_teacher(&mine, &mine, &target)) < of(with_teacher(&other, &mine, &target)));
    }

    #[test]
    fn a_sure_teacher_counts_like_the_true_class() {
        let logits = numbers(&[2, 3], 1);
        let sure = Tensor::new(&[[40f32, 0.0, 0.0], [0.0, 0.0, 40.0]], &Device::Cpu).unwrap();
        let classes = Tensor::new(&[0u32, 2], &Device::Cpu).unwrap();
        let soft = soft_cross_entropy(&logits, &sure).unwrap().to_scalar::<f32>().unwrap();
        let hard = cross_entropy(&logits, &classes).unwrap().to_scalar::<f32>().unwrap();
        assert!((soft - hard).abs() < 1e-5);
    }
}
