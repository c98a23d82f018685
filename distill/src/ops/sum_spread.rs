//! The spread of the sums that 2Quad divides by.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::range_penalty::beyond;
use super::{Floats, Ragged, composed};

/// The sums of each head's natural logarithms of its rows' mean `(x + c)^2`, over all rows of a batch; one shift `c` a head.
pub fn log_square_sums(scores: &Tensor, shifts: &[f32], ragged: &Ragged) -> Result<Vec<f32>> {
    Ok(rows(&ragged.flat_scores(scores)?, shifts, ragged)?.sums(shifts.len()))
}

/// The mean square of how far beyond `slack` the logarithm of each row's mean `(x + c)^2` is from its head's centre, added up
/// over the heads; without centres, from the heads' own means.
pub fn sum_spread(
    scores: &Tensor,
    shifts: &[f32],
    centres: Option<&[f32]>,
    slack: f32,
    ragged: &Ragged,
) -> Result<Tensor> {
    if let Some(padded) = ragged.padded() {
        return composed::sum_spread(scores, shifts, centres, slack, padded);
    }
    let centres = match centres {
        Some(centres) => centres.to_vec(),
        None => {
            let tokens = ragged.tokens().max(1) as f32;
            log_square_sums(scores, shifts, ragged)?.iter().map(|sum| sum / tokens).collect()
        }
    };
    let op = SumSpread { ragged: ragged.clone(), shifts: shifts.to_vec(), centres, slack };
    scores.contiguous()?.apply_op1(op)
}

/// The logarithm of each row's mean square, text by text, head by head.
struct Rows(Vec<Vec<f32>>);

impl Rows {
    fn sums(&self, heads: usize) -> Vec<f32> {
        let mut sums = vec![0.0; heads];
        for text in &self.0 {
            let n = text.len() / heads;
            sums.iter_mut().enumerate().for_each(|(head, sum)| *sum += text[head * n..][..n].iter().sum::<f32>());
        }
        sums
    }
}

fn rows(scores: &[f32], shifts: &[f32], ragged: &Ragged) -> Result<Rows> {
    if shifts.len() != ragged.heads() || scores.len() != ragged.scores() {
        let (heads, count) = (ragged.heads(), ragged.scores());
        bail!("2quad: {} shifts and {} scores for {heads} heads and {count} scores", shifts.len(), scores.len());
    }
    let of_text = |text: usize| -> Vec<f32> {
        let n = ragged.length(text);
        let rows = scores[ragged.squares(text)].chunks_exact(n.max(1)).enumerate();
        rows.map(|(row, scores)| mean_square(scores, shifts[row / n]).ln()).collect()
    };
    Ok(Rows((0..ragged.texts()).into_par_iter().map(of_text).collect()))
}

/// The mean `(x + c)^2` of a row, never zero.
fn mean_square(row: &[f32], shift: f32) -> f32 {
    (row.iter().map(|x| (x + shift).powi(2)).sum::<f32>() / row.len() as f32).max(1e-12)
}

struct SumSpread {
    ragged: Ragged,
    shifts: Vec<f32>,
    centres: Vec<f32>,
    slack: f32,
}

impl SumSpread {
    /// Signed: how much more than the slack a row is away from its head's centre.
    fn beyond(&self, head: usize, log: f32) -> f32 {
        beyond(log - self.centres[head], -self.slack, self.slack)
    }
}

impl CustomOp1 for SumSpread {
    fn name(&self) -> &'static str {
        "sum-spread"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = rows(super::floats(x, layout)?, &self.shifts, &self.ragged)?;
        let of_text = |logs: &Vec<f32>| -> f32 {
            let n = (logs.len() / self.shifts.len()).max(1);
            logs.iter().enumerate().map(|(row, &log)| self.beyond(row / n, log).powi(2)).sum()
        };
        let total: f32 = rows.0.iter().map(of_text).sum();
        Ok((CpuStorage::F32(vec![total / self.ragged.tokens().max(1) as f32]), ().into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let factor = 4.0 * grad.to_scalar::<f32>()? / self.ragged.tokens().max(1) as f32;
        let to_x = Floats::of(x)?.read(|x| {
            let mut to_x = x.to_vec();
            self.ragged.split_squares(&mut to_x).into_par_iter().enumerate().for_each(|(text, to_x)| {
                let n = self.ragged.length(text);
                for (row, scores) in to_x.chunks_exact_mut(n.max(1)).enumerate() {
                    let shift = self.shifts[row / n];
                    let mean = mean_square(scores, shift);
                    let scale = factor * self.beyond(row / n, mean.ln()) / (mean * n as f32);
                    scores.iter_mut().for_each(|x| *x = scale * (*x + shift));
                }
            });
            Ok(to_x)
        })?;
        Ok(Some(Tensor::from_vec(to_x, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_differences::{check, numbers};
    use super::*;

    const SHIFTS: [f32; 2] = [2.0, 0.8];

    #[test]
    fn the_gradients_agree_with_finite_differences() {
        let ragged = Ragged::new(&[2, 4], 2);
        let x = (numbers(&[40], 1) * 1.5).unwrap();
        check(&[x], |v| sum_spread(&v[0], &SHIFTS, Some(&[1.0, -0.5]), 0.2, &ragged));
    }

    #[test]
    fn a_ratio_of_sums_within_the_slack_costs_nothing_and_one_beyond_it_what_is_beyond() {
        let ragged = Ragged::new(&[2, 1], 1);
        // means of squares: 1, e^2 and e^4, so that their logarithms are 0, 2 and 4
        let e = 1f32.exp();
        let x = Tensor::new(&[0f32, -2.0, e - 1.0, -e - 1.0, e * e - 1.0], &candle_core::Device::Cpu).unwrap();
        let loss = |slack| sum_spread(&x, &[1.0], None, slack, &ragged).unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(loss(2.001), 0.0);
        assert!((loss(1.5) - 2.0 * 0.25 / 3.0).abs() < 1e-5, "{}", loss(1.5));
        let sums = log_square_sums(&x, &[1.0], &ragged).unwrap();
        assert!((sums[0] - 6.0).abs() < 1e-5, "{sums:?}");
        assert!(sum_spread(&x, &SHIFTS, None, 1.0, &ragged).is_err());
    }
}
