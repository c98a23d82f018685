//! What a model is told about its mistakes.

use anyhow::Result;
use candle_core::{D, Tensor};

/// The mean of squared differences.
pub fn mean_square(got: &Tensor, want: &Tensor) -> Result<Tensor> {
    Ok((got - want)?.sqr()?.mean_all()?)
}

/// Cross-entropy with the true classes.
pub fn cross_entropy(logits: &Tensor, classes: &Tensor) -> Result<Tensor> {
    let chosen = log_softmax(logits)?.gather(&classes.unsqueeze(1)?, 1)?;
    Ok(chosen.mean_all()?.neg()?)
}

/// Cross-entropy with a teacher's probabilities, at temperature 1.
pub fn soft_cross_entropy(logits: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let wanted = log_softmax(&teacher.detach())?.exp()?;
    Ok((wanted * log_softmax(logits)?)?.sum(D::Minus1)?.mean_all()?.neg()?)
}

/// Of primitive operations, so that it has a backward pass.
fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    Ok(shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?)
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
        check(&[numbers(&[2, 3], 1)], |v| cross_entropy(&v[0], &classes).map_err(candle_core::Error::wrap));
        check(&[numbers(&[2, 3], 1)], |v| soft_cross_entropy(&v[0], &teacher).map_err(candle_core::Error::wrap));
        check(&[numbers(&[2, 3], 1)], |v| mean_square(&v[0], &teacher).map_err(candle_core::Error::wrap));
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
