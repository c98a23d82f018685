//! The gradient of a step, batch by batch: a large step in little memory.

use anyhow::{Context, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

use crate::training::Loss;
use crate::weights::Weights;

/// The mean losses of a step, the total first.
pub type Means = Vec<(&'static str, f64)>;

/// The gradients of the loss with the `chosen` texts, `size` of them at a time, and the losses. Each batch is
/// weighted by its number of texts, because the last one of an epoch may be short. `objective` is called with a batch's number
/// within the step.
pub fn gradients(
    weights: &Weights,
    chosen: &[usize],
    size: usize,
    objective: impl Fn(usize, &[usize]) -> Result<Loss>,
) -> Result<(GradStore, Means)> {
    let mut sum: Option<GradStore> = None;
    let mut means = Means::new();
    for (number, batch) in chosen.chunks(size.max(1)).enumerate() {
        let Loss { total, parts } = objective(number, batch)?;
        let share = batch.len() as f64 / chosen.len() as f64;
        let named = [("loss", &total)].into_iter().chain(parts.iter().map(|(name, part)| (*name, part)));
        for (place, (name, part)) in named.enumerate() {
            let part = share * scalar(part)?;
            match means.get_mut(place) {
                Some((_, mean)) => *mean += part,
                None => means.push((name, part)),
            }
        }
        // the only batch of a step is not scaled
        let more = if share < 1.0 { (total * share)? } else { total }.backward()?;
        match &mut sum {
            Some(sum) => add(sum, &more, weights)?,
            None => sum = Some(more),
        }
    }
    Ok((sum.context("a step without texts")?, means))
}

fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(f64::from(tensor.to_scalar::<f32>()?))
}

/// Adds one batch's gradients to those before it.
fn add(sum: &mut GradStore, more: &GradStore, weights: &Weights) -> Result<()> {
    for (_, weight) in weights.iter().filter(|(_, tensor)| tensor.is_variable()) {
        let Some(gradient) = more.get(weight) else { continue };
        let both = match sum.remove(weight) {
            Some(before) => (before + gradient)?,
            None => gradient.clone(),
        };
        sum.insert(weight, both);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const TEXTS: [f32; 7] = [0.5, -1.0, 2.0, 0.25, 3.0, -0.75, 1.5];

    /// The gradient of the mean of `(w x)^2` over the texts, and the mean.
    fn of(chosen: &[usize], size: usize) -> (Vec<f32>, Means) {
        let weights = Weights::of([("w", Tensor::new(&[0.5f32, -2.0], &Device::Cpu).unwrap())]);
        let weights = weights.trainable(|_| false).unwrap();
        let (gradients, means) = gradients(&weights, chosen, size, |number, batch| {
            assert_eq!(batch, chosen.chunks(size).nth(number).unwrap());
            let x: Vec<f32> = batch.iter().map(|&i| TEXTS[i]).collect();
            let x = Tensor::from_vec(x, (batch.len(), 1), &Device::Cpu)?;
            let total = x.broadcast_mul(&weights.tensor("w")?.unsqueeze(0)?)?.sqr()?.sum(1)?.mean_all()?;
            Ok(Loss { parts: vec![("part", (&total * 2.0)?)], total })
        })
        .unwrap();
        (gradients.get(weights.tensor("w").unwrap()).unwrap().to_vec1().unwrap(), means)
    }

    #[test]
    fn batches_together_have_the_gradient_of_one_large_batch() {
        // of seven texts by three the last batch has one
        for (texts, size) in [(6, 3), (7, 3), (7, 1)] {
            let chosen: Vec<usize> = (0..texts).collect();
            let ((whole, one), (parts, many)) = (of(&chosen, texts), of(&chosen, size));
            assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-5), "{whole:?} {parts:?}");
            assert_eq!(many.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["loss", "part"]);
            assert!(one.iter().zip(&many).all(|((_, a), (_, b))| (a - b).abs() < 1e-5), "{one:?} {many:?}");
        }
    }
}
