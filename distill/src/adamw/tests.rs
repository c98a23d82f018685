//! Steps against a scalar reference, the flat form and a file.

use candle_core::{Device, Tensor};

use super::*;

/// Two weights: one that decays and one that does not.
fn weights() -> Weights {
    let tensor = |numbers: &[f32]| Tensor::new(numbers, &Device::Cpu).unwrap();
    let named = [("a.weight", tensor(&[0.5, -1.0, 2.0])), ("a.bias", tensor(&[0.1, 0.2]))];
    Weights::of(named).trainable(|_| false).unwrap()
}

/// The gradient of the sum of weights times `factors`, which is `factors`.
fn gradients(weights: &Weights, factors: &BTreeMap<&str, Vec<f32>>) -> GradStore {
    let term = |name: &str| {
        let factors = Tensor::new(factors[name].as_slice(), &Device::Cpu).unwrap();
        (weights.tensor(name).unwrap() * factors).unwrap().sum_all().unwrap()
    };
    (term("a.weight") + term("a.bias")).unwrap().backward().unwrap()
}

fn factors(step: usize) -> BTreeMap<&'static str, Vec<f32>> {
    let scale = [0.3, 4.0, 0.01, 1.5, 0.2][step % 5];
    BTreeMap::from([("a.weight", vec![scale, -0.5 * scale, 0.2]), ("a.bias", vec![-scale, 0.7 * scale])])
}

fn values(weights: &Weights) -> Vec<f32> {
    weights.iter().flat_map(|(_, tensor)| tensor.to_vec1::<f32>().unwrap()).collect()
}

#[test]
fn steps_agree_with_a_scalar_reference() {
    let settings = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
    let weights = weights();
    let mut optimiser = AdamW::new(settings, &weights);
    let mut want: BTreeMap<&str, Vec<(f64, f64, f64)>> = BTreeMap::from([
        ("a.weight", vec![(0.5, 0.0, 0.0), (-1.0, 0.0, 0.0), (2.0, 0.0, 0.0)]),
        ("a.bias", vec![(0.1, 0.0, 0.0), (0.2, 0.0, 0.0)]),
    ]);
    for step in 0..7 {
        let (rate, factors) = (1e-2 / (step + 1) as f64, factors(step));
        let norm = optimiser.step(&weights, &gradients(&weights, &factors), rate).unwrap();
        let squares = factors.values().flatten().map(|&g| f64::from(g) * f64::from(g));
        assert!((norm - squares.sum::<f64>().sqrt()).abs() < 1e-5);
        let shorten = (1.0 / norm).min(1.0);
        let t = step as i32 + 1;
        for (name, numbers) in &mut want {
            let decay = if *name == "a.weight" { 0.1 } else { 0.0 };
            for ((w, m, v), g) in numbers.iter_mut().zip(&factors[name]) {
                let g = f64::from(*g) * shorten;
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                let (m, v) = (*m / (1.0 - 0.9f64.powi(t)), *v / (1.0 - 0.999f64.powi(t)));
                *w -= rate * (decay * *w + m / (v.sqrt() + 1e-8));
            }
        }
    }
    for (got, (want, _, _)) in values(&weights).iter().zip(want.values().flatten()) {
        assert!((f64::from(*got) - want).abs() < 1e-5, "{got} against {want}");
    }
}

#[test]
fn steps_in_one_tensor_are_the_same() {
    let settings = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
    let (one, two) = (weights(), weights());
    let mut optimiser = AdamW::new(settings, &one);
    let mut flat = AdamW { flat: Some(Flat::default()), ..AdamW::new(settings, &two) };
    for step in 0..7 {
        let a = optimiser.step(&one, &gradients(&one, &factors(step)), 1e-2).unwrap();
        let b = flat.step(&two, &gradients(&two, &factors(step)), 1e-2).unwrap();
        assert!((a - b).abs() < 1e-5);
    }
    assert!(values(&one).iter().zip(values(&two)).all(|(a, b)| (a - b).abs() < 1e-6));
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    optimiser.write(&a).unwrap();
    flat.write(&b).unwrap();
    let moments = |path| candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let (a, b) = (moments(a), moments(b));
    for (name, first) in &a {
        let pairs = first.to_vec1::<f32>().unwrap().into_iter().zip(b[name].to_vec1::<f32>().unwrap());
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{name}: {a} against {b}"));
    }
}

#[test]
fn a_weight_that_never_moved_decays_to_the_same_bits() {
    let settings = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
    let count = 3 * BLOCK + 7;
    let table = Tensor::arange(0f32, count as f32, &Device::Cpu).unwrap();
    let weights = Weights::of([("a.weight", (table / 100.0).unwrap())]).trainable(|_| false).unwrap();
    let mut optimiser = AdamW::new(settings, &weights);
    let mut want = values(&weights);
    let (mut first, mut second) = (vec![0.0; count], vec![0.0; count]);
    // Blocks begin to move one after the other, and stand still for a step afterwards.
    for step in 0..6u64 {
        let mut gradient = vec![0.0f32; count];
        if step != 4 {
            gradient[step as usize * BLOCK % count] = 0.5;
        }
        let factors = Tensor::new(gradient.as_slice(), &Device::Cpu).unwrap();
        let loss = (weights.tensor("a.weight").unwrap() * factors).unwrap().sum_all().unwrap();
        optimiser.step(&weights, &loss.backward().unwrap(), 1e-2).unwrap();
        let rule = Rule::new(&settings, "a.weight", step + 1, 1e-2, 1.0);
        for (((w, g), m), v) in want.iter_mut().zip(&gradient).zip(&mut first).zip(&mut second) {
            rule.apply(w, *g, m, v);
        }
        assert_eq!(values(&weights), want, "step {step}");
    }
    assert_eq!(optimiser.moments["a.weight"].moved, [true; 4]);
    let mut still = AdamW::new(settings, &weights);
    still.moments.get_mut("a.weight").unwrap().find_moved();
    assert_eq!(still.moments["a.weight"].moved, [false; 4]);
}

#[test]
fn its_memory_survives_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optimizer.safetensors");
    let (one, two) = (weights(), weights());
    let mut optimiser = AdamW::new(AdamWConfig::default(), &one);
    for step in 0..3 {
        optimiser.step(&one, &gradients(&one, &factors(step)), 1e-2).unwrap();
    }
    optimiser.write(&path).unwrap();
    two.assign(&one).unwrap();
    let mut restored = AdamW::new(AdamWConfig::default(), &two);
    restored.read(&path, 3).unwrap();
    optimiser.step(&one, &gradients(&one, &factors(3)), 1e-2).unwrap();
    restored.step(&two, &gradients(&two, &factors(3)), 1e-2).unwrap();
    assert_eq!(values(&one), values(&two));
}

#[test]
fn a_gradient_that_is_not_finite_is_an_error_and_changes_nothing() {
    let weights = weights();
    let before = values(&weights);
    let mut bad = factors(0);
    bad.insert("a.bias", vec![f32::NAN, 0.0]);
    let mut optimiser = AdamW::new(AdamWConfig::default(), &weights);
    assert!(optimiser.step(&weights, &gradients(&weights, &bad), 1e-2).is_err());
    assert_eq!(values(&weights), before);
}
