//! The composed operations against the fused ones, values and gradients.

use candle_core::{Device, Result, Tensor, Var};
use model::Activation;

use super::super::finite_differences::{check, numbers};
use super::super::{
    AttentionFunction, Ragged, activate, attention_weights, layer_norm, linear, log_variances, mix, range_penalty,
    scores, spread, sum_spread,
};
use super::Padded;

const LENGTHS: [usize; 3] = [2, 4, 3];
const HEADS: usize = 2;

/// The value and the gradients of `f` at `inputs`, for the sum of its values times `factor`.
fn with_gradients(
    inputs: &[Tensor],
    factor: impl Fn(&Tensor) -> Tensor,
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> (Tensor, Vec<Vec<f32>>) {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let gradients = (&y * factor(&y)).unwrap().sum_all().unwrap().backward().unwrap();
    let flat = |x: &Tensor| gradients.get(x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    (y.detach(), tensors.iter().map(flat).collect())
}

fn near(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 2e-5 * (1.0 + b.abs()), "{a} against {b}");
    }
}

/// Holds two forms of an operation against each other.
fn alike(inputs: &[Tensor], a: impl Fn(&[Tensor]) -> Result<Tensor>, b: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let factor = |y: &Tensor| numbers(y.dims(), 77);
    let ((y, gradients), (z, others)) = (with_gradients(inputs, factor, a), with_gradients(inputs, factor, b));
    let flat = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    near(&flat(y), &flat(z));
    gradients.iter().zip(&others).for_each(|(a, b)| near(a, b));
}

#[test]
fn what_is_done_to_tokens_alone_is_the_same() {
    let (x, w, b) = (numbers(&[5, 4], 1), numbers(&[3, 4], 2), numbers(&[3], 3));
    alike(&[x, w, b], |v| linear(&v[0], &v[1], &v[2]), |v| super::linear(&v[0], &v[1], &v[2]));
    let (x, gamma, beta) = (numbers(&[3, 20], 1), numbers(&[20], 2), numbers(&[20], 3));
    let norm = |v: &[Tensor]| layer_norm(&v[0], &v[1], &v[2], 1e-12);
    alike(&[x, gamma, beta], norm, |v| super::layer_norm(&v[0], &v[1], &v[2], 1e-12));
    let x = (numbers(&[64], 5) * 3.0).unwrap();
    alike(&[x], |v| activate(&v[0], Activation::Gelu), |v| super::gelu(&v[0]));
}

#[test]
fn the_penalties_are_the_same() {
    let x = (numbers(&[30], 1) * 4.0).unwrap();
    alike(&[x], |v| range_penalty(&v[0], -1.0, 2.0), |v| super::range_penalty(&v[0], -1.0, 2.0, 30));
    // rows of very unlike variances
    let wide = Tensor::new(&[[0.1f32], [1.0], [6.0], [9.0]], &Device::Cpu).unwrap();
    let x = numbers(&[4, 6], 2).broadcast_mul(&wide).unwrap();
    assert!(log_variances(&x).unwrap().iter().any(|log| log.abs() > 2.0));
    // the centre moves with the rows, but no gradient goes through it
    for centre in [None, Some(0.75)] {
        alike(std::slice::from_ref(&x), |v| spread(&v[0], centre, 0.5), |v| super::spread(&v[0], centre, 0.5));
    }
    let x = numbers(&[9], 3);
    let (low, high) = (-0.25f32, 0.5f32);
    near(
        &super::clamp(&x, low, high).unwrap().to_vec1::<f32>().unwrap(),
        &x.clamp(low, high).unwrap().to_vec1::<f32>().unwrap(),
    );
}

/// Flat scores of a ragged batch, out of padded ones.
fn flat(padded: &Tensor) -> Result<Tensor> {
    let mut parts = Vec::new();
    for (text, &n) in LENGTHS.iter().enumerate() {
        for head in 0..HEADS {
            let square = padded.narrow(0, text, 1)?.narrow(1, head, 1)?.narrow(2, 0, n)?.narrow(3, 0, n)?;
            parts.push(square.contiguous()?.flatten_all()?);
        }
    }
    Tensor::cat(&parts, 0)
}

#[test]
fn attention_over_padded_texts_is_attention_over_each() {
    let ragged = Ragged::new(&LENGTHS, HEADS);
    let padded = Padded::new(&LENGTHS, HEADS, &Device::Cpu).unwrap();
    let inputs = [numbers(&[9, 8], 1), numbers(&[9, 8], 2), numbers(&[9, 8], 3)];
    let scale = 0.5;
    alike(&inputs[..2], |v| scores(&v[0], &v[1], &ragged), |v| flat(&super::scores(&v[0], &v[1], &padded, scale)?));
    for function in [AttentionFunction::Softmax, AttentionFunction::TwoQuad(vec![5.0, 3.0]), AttentionFunction::TwoRelu]
    {
        let whole = |v: &[Tensor]| {
            mix(&attention_weights(&scores(&v[0], &v[1], &ragged)?, &function, &ragged)?, &v[2], &ragged)
        };
        let composed = |v: &[Tensor]| {
            let scores = super::scores(&v[0], &v[1], &padded, scale)?;
            super::mix(&super::attention_weights(&scores, &function, &padded)?, &v[2], &padded)
        };
        alike(&inputs, whole, composed);
    }
}

#[test]
fn the_spread_of_sums_over_padded_texts_is_that_over_each() {
    let ragged = Ragged::new(&LENGTHS, HEADS);
    let padded = Padded::new(&LENGTHS, HEADS, &Device::Cpu).unwrap();
    let inputs = [(numbers(&[9, 8], 1) * 3.0).unwrap(), numbers(&[9, 8], 2)];
    let (shifts, scale) = ([1.0, 0.5], 0.5);
    for centres in [None, Some([0.25f32, -0.5].as_slice())] {
        let whole = |v: &[Tensor]| sum_spread(&scores(&v[0], &v[1], &ragged)?, &shifts, centres, 0.3, &ragged);
        let composed = |v: &[Tensor]| {
            super::sum_spread(&super::scores(&v[0], &v[1], &padded, scale)?, &shifts, centres, 0.3, &padded)
        };
        assert!(whole(&inputs).unwrap().to_scalar::<f32>().unwrap() > 0.1);
        alike(&inputs, whole, composed);
    }
}

#[test]
fn padded_scores_come_out_flat() {
    let padded = Padded::new(&LENGTHS, HEADS, &Device::Cpu).unwrap();
    let ragged = Ragged::build(&LENGTHS, HEADS, Some(padded.clone()));
    let scores = super::scores(&numbers(&[9, 8], 1), &numbers(&[9, 8], 2), &padded, 0.5).unwrap();
    assert_eq!(ragged.flat_scores(&scores).unwrap(), flat(&scores).unwrap().to_vec1::<f32>().unwrap());
}

#[test]
fn dropout_keeps_the_mean_and_its_backward_pass_the_mask() {
    let key = super::super::DropoutKey { seed: 1, step: 2 };
    let ones = numbers(&[100_000], 1).ones_like().unwrap();
    let var = Var::from_tensor(&ones).unwrap();
    let kept = super::dropout(var.as_tensor(), 0.1, key, 0).unwrap();
    let gradient = kept.sum_all().unwrap().backward().unwrap().get(var.as_tensor()).unwrap().to_vec1::<f32>().unwrap();
    let kept = kept.to_vec1::<f32>().unwrap();
    assert_eq!(kept, gradient);
    let dropped = kept.iter().filter(|&&x| x == 0.0).count();
    assert!((9_500..10_500).contains(&dropped), "{dropped}");
    assert!((kept.iter().sum::<f32>() / 1e5 - 1.0).abs() < 0.01);
}

#[test]
fn the_gradients_of_the_composed_attention_agree_with_finite_differences() {
    let padded = Padded::new(&LENGTHS, HEADS, &Device::Cpu).unwrap();
    let inputs = [numbers(&[9, 4], 1), numbers(&[9, 4], 2)];
    check(&inputs, |v| {
        flat(&super::attention_weights(
            &super::scores(&v[0], &v[1], &padded, 0.7)?,
            &AttentionFunction::TwoQuad(vec![2.0, 3.0]),
            &padded,
        )?)
    });
}
