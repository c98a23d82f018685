//! Gradients by finite differences, for tests.

use candle_core::{Device, Result, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Numbers from -1 to 1.
pub(crate) fn numbers(shape: &[usize], seed: u64) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|_| random.next_u32() as f32 / 2f32.powi(31) - 1.0).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

/// Compares the gradients of `sum(f(inputs) * w)` for fixed random `w` with central differences.
pub(crate) fn check(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let weights = numbers(y.dims(), 99);
    let loss = |x: &[Tensor]| -> f64 {
        let y = f(x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let w = weights.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        y.iter().zip(w).map(|(&y, w)| f64::from(y) * f64::from(w)).sum()
    };
    let gradients = (y * &weights).unwrap().sum_all().unwrap().backward().unwrap();
    for (which, input) in inputs.iter().enumerate() {
        let got = gradients.get(&tensors[which]).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let base = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for place in 0..base.len() {
            const STEP: f32 = 1e-2;
            let moved = |by: f32| {
                let mut numbers = base.clone();
                numbers[place] += by;
                let mut all = inputs.to_vec();
                all[which] = Tensor::from_vec(numbers, input.shape(), &Device::Cpu).unwrap();
                loss(&all)
            };
            let want = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            let gap = (f64::from(got[place]) - want).abs();
            assert!(gap < 5e-3 * (1.0 + want.abs()), "input {which}[{place}]: {} against {want}", got[place]);
        }
    }
}
