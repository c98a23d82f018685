//! Operations on each token alone.

use candle_core::{D, Result, Tensor};

use super::super::dropout::DropoutKey;
use super::node::{node1, node3};

pub(in crate::ops) fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (rows, matrix) = (x.detach(), weight.detach());
    let value = rows.matmul(&matrix.t()?)?.broadcast_add(&bias.detach())?;
    let wanted = [x, weight, bias].map(Tensor::track_op);
    node3("linear", [x, weight, bias], value, move |grad| {
        Ok([
            wanted[0].then(|| grad.matmul(&matrix)).transpose()?,
            wanted[1].then(|| grad.t()?.matmul(&rows)).transpose()?,
            wanted[2].then(|| grad.sum(0)).transpose()?,
        ])
    })
}

pub(in crate::ops) fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
    let (rows, factor) = (x.detach(), gamma.detach());
    let centred = rows.broadcast_sub(&rows.mean_keepdim(D::Minus1)?)?;
    let inverse = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?.recip()?;
    let normed = centred.broadcast_mul(&inverse)?;
    let value = normed.broadcast_mul(&factor)?.broadcast_add(&beta.detach())?;
    node3("layer-norm", [x, gamma, beta], value, move |grad| {
        let scaled = grad.broadcast_mul(&factor)?;
        let slope = (&scaled * &normed)?.mean_keepdim(D::Minus1)?;
        let level = scaled.mean_keepdim(D::Minus1)?;
        let inner = scaled.broadcast_sub(&level)?.sub(&normed.broadcast_mul(&slope)?)?;
        Ok([Some(inner.broadcast_mul(&inverse)?), Some((grad * &normed)?.sum(0)?), Some(grad.sum(0)?)])
    })
}

pub(in crate::ops) fn linear_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor) -> Result<Tensor> {
    let (rows, factor) = (x.detach(), gamma.detach());
    let centred = rows.broadcast_sub(&rows.mean_keepdim(D::Minus1)?)?;
    let value = centred.broadcast_mul(&factor)?.broadcast_add(&beta.detach())?;
    node3("linear-norm", [x, gamma, beta], value, move |grad| {
        let scaled = grad.broadcast_mul(&factor)?;
        let to_x = scaled.broadcast_sub(&scaled.mean_keepdim(D::Minus1)?)?;
        Ok([Some(to_x), Some((grad * &centred)?.sum(0)?), Some(grad.sum(0)?)])
    })
}

pub(in crate::ops) fn gelu(x: &Tensor) -> Result<Tensor> {
    let x_now = x.detach();
    node1("gelu", x, x_now.gelu_erf()?, move |grad| {
        let below = x_now.affine(std::f64::consts::FRAC_1_SQRT_2, 0.0)?.erf()?.affine(0.5, 0.5)?;
        let density = x_now.sqr()?.affine(-0.5, 0.0)?.exp()?;
        let root = (2.0 * std::f64::consts::PI).sqrt().recip();
        grad * (below + (&x_now * density)?.affine(root, 0.0)?)?
    })
}

/// The GPU's own generator draws the mask, so that a resumed run draws others.
pub(in crate::ops) fn dropout(x: &Tensor, p: f32, _: DropoutKey, _: u64) -> Result<Tensor> {
    let p = f64::from(p);
    // drawn from above 0 to 1
    let drawn = Tensor::rand(0f32, 1f32, x.shape(), x.device())?;
    let mask = drawn.affine(1.0, 1.0 - p)?.floor()?.affine(1.0 / (1.0 - p), 0.0)?;
    node1("dropout", x, (x.detach() * &mask)?, move |grad| grad * &mask)
}

/// How far above `high`, or below `low`, with its sign.
pub(super) fn beyond(x: &Tensor, low: f32, high: f32) -> Result<Tensor> {
    x.affine(1.0, -f64::from(high))?.relu()? - x.affine(-1.0, f64::from(low))?.relu()?
}

/// The sum of squares of what is outside, over `count`.
pub(in crate::ops) fn range_penalty(x: &Tensor, low: f32, high: f32, count: usize) -> Result<Tensor> {
    let outside = beyond(&x.detach(), low, high)?;
    let share = 1.0 / count.max(1) as f64;
    let value = outside.sqr()?.sum_all()?.affine(share, 0.0)?;
    node1("range-penalty", x, value, move |grad| outside.broadcast_mul(&grad.affine(2.0 * share, 0.0)?))
}

pub(in crate::ops) fn clamp(x: &Tensor, low: f32, high: f32) -> Result<Tensor> {
    x - beyond(x, low, high)?
}

pub(in crate::ops) fn spread(x: &Tensor, centre: Option<f32>, slack: f32) -> Result<Tensor> {
    let rows = x.detach();
    let centred = rows.broadcast_sub(&rows.mean_keepdim(D::Minus1)?)?;
    let variances = centred.sqr()?.mean_keepdim(D::Minus1)?.affine(1.0, 1e-12)?;
    let logs = variances.log()?;
    let away = match centre {
        Some(centre) => logs.affine(1.0, -f64::from(centre))?,
        None => logs.broadcast_sub(&logs.mean_all()?)?,
    };
    let outside = beyond(&away, -slack, slack)?;
    let count = rows.dim(0)?.max(1) as f64;
    let value = outside.sqr()?.sum_all()?.affine(1.0 / count, 0.0)?;
    let factor = 4.0 / (count * rows.dim(1)? as f64);
    node1("spread", x, value, move |grad| {
        let scale = (&outside / &variances)?.broadcast_mul(&grad.affine(factor, 0.0)?)?;
        centred.broadcast_mul(&scale)
    })
}
