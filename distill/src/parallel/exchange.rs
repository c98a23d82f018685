//! One sum a step over all processes: every gradient, and the numbers for the log, in one flat buffer.

use anyhow::{Context, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};

use super::ProcessGroup;
use crate::weights::Weights;

/// Puts the sums over all processes in the place of the gradients of `weights` and of `numbers`.
pub fn exchange(group: &ProcessGroup, weights: &Weights, gradients: &mut GradStore, numbers: &mut [f64]) -> Result<()> {
    if group.size() == 1 {
        return Ok(());
    }
    let mut flat: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
    let weights: Vec<&Tensor> =
        weights.iter().map(|(_, weight)| weight).filter(|weight| gradients.get(weight).is_some()).collect();
    flat.reserve_exact(weights.iter().map(|weight| weight.elem_count()).sum());
    for weight in &weights {
        let gradient = gradients.remove(weight).context("a weight without a gradient")?;
        flat.extend(gradient.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?);
    }
    group.all_reduce(&mut flat)?;
    let (sums, mut rest) = flat.split_at(numbers.len());
    numbers.iter_mut().zip(sums).for_each(|(number, sum)| *number = f64::from(*sum));
    for weight in weights {
        let (gradient, after) = rest.split_at(weight.elem_count());
        let gradient = Tensor::from_slice(gradient, weight.dims(), &Device::Cpu)?.to_device(weight.device())?;
        gradients.insert(weight, gradient);
        rest = after;
    }
    Ok(())
}
