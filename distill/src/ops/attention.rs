//! The two products of attention, text by text and head by head.

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor, bail};
use candle_nn::loss::mse;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, s};
use rayon::prelude::*;

use super::{Floats, Ragged, composed};

/// `q k^T / sqrt d` for each text and head, as the flat vector that [`Ragged`] describes.
pub fn scores(q: &Tensor, k: &Tensor, ragged: &Ragged) -> Result<Tensor> {
    let scale = 1.0 / ((q.dim(1)? / ragged.heads()) as f32).sqrt();
    match ragged.padded() {
        None => q.contiguous()?.apply_op2(&k.contiguous()?, Scores { ragged: ragged.clone(), scale }),
        Some(padded) => composed::scores(q, k, padded, scale),
    }
}

/// The mean squared difference between the scores of two models on a batch.
pub fn score_distance(scores: &Tensor, others: &Tensor, ragged: &Ragged) -> Result<Tensor> {
    match ragged.padded() {
        None => mse(scores, others),
        Some(padded) => padded.masked(&(scores - others)?)?.sqr()?.sum_all()? / ragged.scores().max(1) as f64,
    }
}

/// `p v` for each text and head: weights as [`scores`] lays them out, times the rows of `v`.
pub fn mix(p: &Tensor, v: &Tensor, ragged: &Ragged) -> Result<Tensor> {
    match ragged.padded() {
        None => p.contiguous()?.apply_op2(&v.contiguous()?, Mix { ragged: ragged.clone() }),
        Some(padded) => composed::mix(p, v, padded),
    }
}

struct Scores {
    ragged: Ragged,
    scale: f32,
}

struct Mix {
    ragged: Ragged,
}

fn check(ragged: &Ragged, numbers: usize, per_row: usize) -> Result<usize> {
    let tokens = ragged.tokens().max(1);
    if numbers != tokens * per_row || !per_row.is_multiple_of(ragged.heads()) {
        bail!("attention: {numbers} numbers do not make {tokens} rows for {} heads", ragged.heads());
    }
    Ok(per_row)
}

/// A text's rows.
fn rows(numbers: &[f32], width: usize) -> Result<ArrayView2<'_, f32>> {
    ArrayView2::from_shape((numbers.len() / width, width), numbers).map_err(Error::wrap)
}

/// A text's scores: for each head a square.
fn squares(numbers: &[f32], heads: usize, n: usize) -> Result<ArrayView3<'_, f32>> {
    ArrayView3::from_shape((heads, n, n), numbers).map_err(Error::wrap)
}

/// `out = scale * a b^T` within each head of one text.
fn dots(out: &mut [f32], a: &[f32], b: &[f32], width: usize, heads: usize, scale: f32) -> Result<()> {
    let (a, b, d) = (rows(a, width)?, rows(b, width)?, width / heads);
    let mut out = ArrayViewMut3::from_shape((heads, a.nrows(), a.nrows()), out).map_err(Error::wrap)?;
    for (head, mut out) in out.outer_iter_mut().enumerate() {
        let part = s![.., head * d..(head + 1) * d];
        general_mat_mul(scale, &a.slice(part), &b.slice(part).t(), 0.0, &mut out);
    }
    Ok(())
}

/// `out = scale * p b` within each head of one text; with `transposed`, `p^T`.
fn blend(
    out: &mut [f32],
    p: &[f32],
    b: &[f32],
    width: usize,
    heads: usize,
    scale: f32,
    transposed: bool,
) -> Result<()> {
    let (b, d) = (rows(b, width)?, width / heads);
    let p = squares(p, heads, b.nrows())?;
    let mut out = ArrayViewMut2::from_shape((b.nrows(), width), out).map_err(Error::wrap)?;
    for (head, p) in p.outer_iter().enumerate() {
        let part = s![.., head * d..(head + 1) * d];
        let p = if transposed { p.reversed_axes() } else { p };
        general_mat_mul(scale, &p, &b.slice(part), 0.0, &mut out.slice_mut(part));
    }
    Ok(())
}

impl Ragged {
    fn all_dots(&self, a: &[f32], b: &[f32], width: usize, scale: f32) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.scores()];
        self.split_squares(&mut out).into_par_iter().enumerate().try_for_each(|(text, out)| {
            let rows = self.rows(text).start * width..self.rows(text).end * width;
            dots(out, &a[rows.clone()], &b[rows], width, self.heads(), scale)
        })?;
        Ok(out)
    }

    fn all_blends(&self, p: &[f32], b: &[f32], width: usize, scale: f32, transposed: bool) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.tokens() * width];
        self.split_rows(&mut out, width).into_par_iter().enumerate().try_for_each(|(text, out)| {
            let rows = self.rows(text).start * width..self.rows(text).end * width;
            blend(out, &p[self.squares(text)], &b[rows], width, self.heads(), scale, transposed)
        })?;
        Ok(out)
    }
}

impl CustomOp2 for Scores {
    fn name(&self) -> &'static str {
        "attention-scores"
    }

    fn cpu_fwd(&self, q: &CpuStorage, ql: &Layout, k: &CpuStorage, kl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (q, k) = (super::floats(q, ql)?, super::floats(k, kl)?);
        let width = check(&self.ragged, q.len(), ql.shape().dims2()?.1)?;
        check(&self.ragged, k.len(), width)?;
        let out = self.ragged.all_dots(q, k, width, self.scale)?;
        Ok((CpuStorage::F32(out), self.ragged.scores().into()))
    }

    fn bwd(&self, q: &Tensor, k: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let width = q.dim(1)?;
        let (to_q, to_k) = Floats::of(grad)?.read(|grad| {
            let to_q = Floats::of(k)?.read(|k| self.ragged.all_blends(grad, k, width, self.scale, false))?;
            let to_k = Floats::of(q)?.read(|q| self.ragged.all_blends(grad, q, width, self.scale, true))?;
            Ok((to_q, to_k))
        })?;
        let device = q.device();
        Ok((Some(Tensor::from_vec(to_q, q.shape(), device)?), Some(Tensor::from_vec(to_k, k.shape(), device)?)))
    }
}

impl CustomOp2 for Mix {
    fn name(&self) -> &'static str {
        "attention-mix"
    }

    fn cpu_fwd(&self, p: &CpuStorage, pl: &Layout, v: &CpuStorage, vl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (p, v) = (super::floats(p, pl)?, super::floats(v, vl)?);
        let width = check(&self.ragged, v.len(), vl.shape().dims2()?.1)?;
        if p.len() != self.ragged.scores() {
            bail!("attention: expected {} weights, got {}", self.ragged.scores(), p.len());
        }
        let out = self.ragged.all_blends(p, v, width, 1.0, false)?;
        Ok((CpuStorage::F32(out), (self.ragged.tokens(), width).into()))
    }

    fn bwd(&self, p: &Tensor, v: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let width = v.dim(1)?;
        let (to_p, to_v) = Floats::of(grad)?.read(|grad| {
            let to_p = Floats::of(v)?.read(|v| self.ragged.all_dots(grad, v, width, 1.0))?;
            let to_v = Floats::of(p)?.read(|p| self.ragged.all_blends(p, grad, width, 1.0, true))?;
            Ok((to_p, to_v))
        })?;
        let device = p.device();
        Ok((Some(Tensor::from_vec(to_p, p.shape(), device)?), Some(Tensor::from_vec(to_v, v.shape(), device)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_differences::{check, numbers};
    use super::*;

    #[test]
    fn the_gradients_of_the_scores_agree_with_finite_differences() {
        let ragged = Ragged::new(&[2, 3], 2);
        check(&[numbers(&[5, 8], 1), numbers(&[5, 8], 2)], |v| scores(&v[0], &v[1], &ragged));
    }

    #[test]
    fn the_gradients_of_the_mix_agree_with_finite_differences() {
        let ragged = Ragged::new(&[2, 3], 2);
        check(&[numbers(&[26], 1), numbers(&[5, 8], 2)], |v| mix(&v[0], &v[1], &ragged));
    }

    #[test]
    fn the_products_are_those_of_each_text_and_head_alone() {
        let ragged = Ragged::new(&[2, 3], 2);
        let (q, k) = (numbers(&[5, 40], 1), numbers(&[5, 40], 2));
        let got = scores(&q, &k, &ragged).unwrap().to_vec1::<f32>().unwrap();
        let mut want = Vec::new();
        for (start, n) in [(0, 2), (2, 3)] {
            for head in 0..2 {
                let part = |t: &Tensor| t.narrow(0, start, n).unwrap().narrow(1, head * 20, 20).unwrap();
                let product = part(&q).matmul(&part(&k).t().unwrap()).unwrap();
                want.extend((product / 20f64.sqrt()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap());
            }
        }
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn wrong_shapes_are_refused() {
        let ragged = Ragged::new(&[2, 3], 2);
        assert!(scores(&numbers(&[4, 8], 1), &numbers(&[4, 8], 2), &ragged).is_err());
        assert!(mix(&numbers(&[25], 1), &numbers(&[5, 8], 2), &ragged).is_err());
    }
}
