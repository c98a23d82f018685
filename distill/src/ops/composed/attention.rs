//! Attention over texts that are padded to the longest of their batch.

use candle_core::{D, Device, Result, Tensor};

use super::super::attention_weights::{AttentionFunction, EPSILON};
use super::dense::beyond;
use super::node::{node1, node2};

/// Where the rows of a batch stand once every text is padded to the longest, head by head.
///
/// Scores of such a batch are `[texts, heads, longest, longest]`, and 0 where there is no token.
#[derive(Clone, Debug)]
pub(in crate::ops) struct Padded {
    heads: usize,
    /// Which row of `[tokens * heads, width / heads]` stands at each place of `[texts, heads, longest]`; row 0 where
    /// there is no token.
    rows: Tensor,
    /// The place of each row.
    places: Tensor,
    /// `[texts, 1, longest, longest]`: 1 for two tokens of a text, 0 elsewhere.
    pairs: Tensor,
}

impl Padded {
    pub(in crate::ops) fn new(lengths: &[usize], heads: usize, device: &Device) -> Result<Padded> {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let tokens: usize = lengths.iter().sum();
        let mut rows = vec![0u32; lengths.len() * heads * longest];
        let mut places = vec![0u32; tokens * heads];
        let mut pairs = vec![0f32; lengths.len() * longest * longest];
        let mut start = 0;
        for (text, &length) in lengths.iter().enumerate() {
            for head in 0..heads {
                for at in 0..length {
                    let place = (text * heads + head) * longest + at;
                    rows[place] = ((start + at) * heads + head) as u32;
                    places[(start + at) * heads + head] = place as u32;
                }
            }
            for row in 0..length {
                pairs[(text * longest + row) * longest..][..length].fill(1.0);
            }
            start += length;
        }
        Ok(Padded {
            heads,
            rows: Tensor::new(rows, device)?,
            places: Tensor::new(places, device)?,
            pairs: Tensor::from_vec(pairs, (lengths.len(), 1, longest, longest), device)?,
        })
    }

    fn shape(&self) -> Result<(usize, usize, usize, usize)> {
        let (texts, _, longest, _) = self.pairs.dims4()?;
        Ok((texts, self.heads, longest, longest))
    }

    /// `[tokens, width]` as `[texts * heads, longest, width / heads]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (tokens, width) = x.dims2()?;
        let (texts, heads, longest, _) = self.shape()?;
        let rows = x.reshape((tokens * heads, width / heads))?.index_select(&self.rows, 0)?;
        rows.reshape((texts * heads, longest, width / heads))
    }

    /// What [`Padded::split`] makes, back again.
    fn join(&self, x: &Tensor) -> Result<Tensor> {
        let (texts, longest, width) = x.dims3()?;
        let rows = x.contiguous()?.reshape((texts * longest, width))?.index_select(&self.places, 0)?;
        rows.reshape((self.places.elem_count() / self.heads, width * self.heads))
    }

    fn squares(&self, x: &Tensor) -> Result<Tensor> {
        x.reshape(self.shape()?)
    }

    fn flat(&self, x: &Tensor) -> Result<Tensor> {
        let (texts, heads, longest, _) = self.shape()?;
        x.reshape((texts * heads, longest, longest))
    }

    /// The values of scores where there are tokens; 0 elsewhere.
    pub(in crate::ops) fn masked(&self, x: &Tensor) -> Result<Tensor> {
        x.broadcast_mul(&self.pairs)
    }
}

pub(in crate::ops) fn scores(q: &Tensor, k: &Tensor, padded: &Padded, scale: f32) -> Result<Tensor> {
    let (left, right) = (padded.split(&q.detach())?, padded.split(&k.detach())?);
    let mask = padded.pairs.affine(f64::from(scale), 0.0)?;
    let value = padded.squares(&left.matmul(&right.t()?)?)?.broadcast_mul(&mask)?;
    let padded = padded.clone();
    node2("attention-scores", [q, k], value, move |grad| {
        let grad = padded.flat(&grad.broadcast_mul(&mask)?)?;
        let to_q = padded.join(&grad.matmul(&right)?)?;
        let to_k = padded.join(&grad.t()?.matmul(&left)?)?;
        Ok([Some(to_q), Some(to_k)])
    })
}

pub(in crate::ops) fn mix(p: &Tensor, v: &Tensor, padded: &Padded) -> Result<Tensor> {
    let (weights, rows) = (padded.flat(&p.detach())?, padded.split(&v.detach())?);
    let value = padded.join(&weights.matmul(&rows)?)?;
    let padded = padded.clone();
    node2("attention-mix", [p, v], value, move |grad| {
        let grad = padded.split(grad)?;
        let to_p = padded.squares(&grad.matmul(&rows.t()?)?)?;
        let to_v = padded.join(&weights.t()?.matmul(&grad)?)?;
        Ok([Some(to_p), Some(to_v)])
    })
}

pub(in crate::ops) fn attention_weights(
    scores: &Tensor,
    function: &AttentionFunction,
    padded: &Padded,
) -> Result<Tensor> {
    let x = scores.detach();
    // a row without tokens has the sum 0
    let total = |parts: &Tensor| parts.sum_keepdim(D::Minus1)?.affine(1.0, f64::from(f32::MIN_POSITIVE));
    // what a gradient of weights is away from its mean under the weights
    let away = |p: &Tensor, grad: &Tensor| grad.broadcast_sub(&(p * grad)?.sum_keepdim(D::Minus1)?);
    match function {
        AttentionFunction::Softmax => {
            let powers = padded.masked(&x.broadcast_sub(&x.max_keepdim(D::Minus1)?)?.exp()?)?;
            let p = powers.broadcast_div(&total(&powers)?)?;
            let weights = p.clone();
            node1("softmax", scores, p, move |grad| &weights * away(&weights, grad)?)
        }
        AttentionFunction::TwoQuad(shifts) => {
            let shifts = Tensor::new(shifts.as_slice(), x.device())?.reshape((1, shifts.len(), 1, 1))?;
            let shifted = padded.masked(&x.broadcast_add(&shifts)?)?;
            let squares = shifted.sqr()?;
            let sum = total(&squares)?;
            let p = squares.broadcast_div(&sum)?;
            let weights = p.clone();
            node1("2quad", scores, p, move |grad| {
                let slope = shifted.broadcast_div(&sum.affine(0.5, 0.0)?)?;
                slope * away(&weights, grad)?
            })
        }
        AttentionFunction::TwoRelu => {
            let ramps = padded.masked(&x.relu()?)?;
            let sum = ramps.sum_keepdim(D::Minus1)?.affine(1.0, f64::from(EPSILON))?;
            let p = ramps.broadcast_div(&sum)?;
            let weights = p.clone();
            node1("2relu", scores, p, move |grad| {
                let open = ramps.gt(&ramps.zeros_like()?)?.to_dtype(ramps.dtype())?;
                (open * away(&weights, grad)?)?.broadcast_div(&sum)
            })
        }
    }
}

pub(in crate::ops) fn sum_spread(
    scores: &Tensor,
    shifts: &[f32],
    centres: Option<&[f32]>,
    slack: f32,
    padded: &Padded,
) -> Result<Tensor> {
    let (x, heads) = (scores.detach(), shifts.len());
    let per_head = |numbers: &[f32]| Tensor::new(numbers, x.device())?.reshape((1, heads, 1, 1));
    let shifted = padded.masked(&x.broadcast_add(&per_head(shifts)?)?)?;
    // 1 for a row with a token; a row without one has no square and counts as a mean of 1
    let live = padded.pairs.narrow(D::Minus1, 0, 1)?;
    let dead = live.affine(-1.0, 1.0)?;
    let lengths = padded.pairs.sum_keepdim(D::Minus1)?.add(&dead)?;
    let sums = shifted.sqr()?.sum_keepdim(D::Minus1)?.broadcast_add(&dead)?;
    let logs = sums.broadcast_div(&lengths)?.affine(1.0, 1e-12)?.log()?;
    let tokens = (padded.places.elem_count() / heads).max(1) as f64;
    let centres = match centres {
        Some(centres) => per_head(centres)?,
        None => logs.broadcast_mul(&live)?.sum_keepdim((0, 2, 3))?.affine(1.0 / tokens, 0.0)?,
    };
    let outside = beyond(&logs.broadcast_sub(&centres)?, -slack, slack)?.broadcast_mul(&live)?;
    let value = outside.sqr()?.sum_all()?.affine(1.0 / tokens, 0.0)?;
    node1("sum-spread", scores, value, move |grad| {
        let scale = (&outside / &sums)?.broadcast_mul(&grad.affine(4.0 / tokens, 0.0)?)?;
        shifted.broadcast_mul(&scale)
    })
}
