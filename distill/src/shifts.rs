//! The shift c of 2Quad for each head, fitted so that 2Quad is near the teacher's softmax.
//!
//! A private run takes any shift at no cost: it is part of the public spec.

use std::path::Path;

use anyhow::Result;
use model::AttentionShift;
use rayon::prelude::*;

use crate::atomic;
use crate::bert::Bert;
use crate::errors::bad_file;
use crate::samples::Samples;

/// Texts that the shifts are fitted on.
const TEXTS: usize = 256;
/// The shifts that are tried.
const FIRST: f32 = 1.5;
const STEP: f32 = 0.25;
const TRIED: usize = 43;
/// Scores are clamped to this far above `-c`, as in stage 1.
const NEAREST: f32 = 1.0;

/// The shifts of a student whose layers learn from the given ones of a teacher; kept in `path` for when the run is resumed.
pub fn fit(teacher: &Bert, samples: &Samples, learns_from: &[usize], path: &Path) -> Result<AttentionShift> {
    if path.is_file() {
        let text = std::fs::read_to_string(path).map_err(|error| bad_file(path, error))?;
        return serde_json::from_str(&text).map_err(|error| bad_file(path, error));
    }
    let heads = teacher.config().num_attention_heads;
    let mut losses = vec![vec![[0f64; TRIED]; heads]; learns_from.len()];
    let count = samples.len().min(TEXTS);
    let chosen: Vec<usize> = (0..count).map(|i| i * samples.len() / count).collect();
    for group in chosen.chunks(32) {
        let trace = teacher.encode(&samples.pack(group, heads, teacher.device())?, None)?;
        let ragged = &trace.ragged;
        for (layer, losses) in learns_from.iter().zip(&mut losses) {
            let scores = ragged.flat_scores(&trace.scores[*layer])?;
            losses.par_iter_mut().enumerate().for_each(|(head, losses)| {
                for text in 0..ragged.texts() {
                    let n = ragged.length(text);
                    let square = &scores[ragged.squares(text)][head * n * n..][..n * n];
                    square.chunks_exact(n).for_each(|row| add_divergence(losses, row));
                }
            });
        }
    }
    let best = |losses: &[f64; TRIED]| {
        let least = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(place, _)| place);
        candidate(least)
    };
    let shifts = AttentionShift::PerHead(losses.iter().map(|heads| heads.iter().map(best).collect()).collect());
    atomic::write_json(path, &shifts)?;
    Ok(shifts)
}

fn candidate(place: usize) -> f32 {
    FIRST + STEP * place as f32
}

/// Adds the divergence of 2Quad from a row's softmax, under each shift.
fn add_divergence(losses: &mut [f64; TRIED], row: &[f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = row.iter().map(|score| (score - largest).exp()).collect();
    let total: f32 = powers.iter().sum();
    for (place, loss) in losses.iter_mut().enumerate() {
        let shift = candidate(place);
        let square = |score: f32| (score.max(NEAREST - shift) + shift).powi(2);
        let sum: f32 = row.iter().map(|&score| square(score)).sum();
        let cross = powers.iter().zip(row).map(|(power, &score)| power / total * (square(score) / sum).ln());
        *loss -= f64::from(cross.sum::<f32>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(row: &[f32]) -> f32 {
        let mut losses = [0.0; TRIED];
        add_divergence(&mut losses, row);
        candidate((0..TRIED).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap())
    }

    #[test]
    fn small_scores_want_a_shift_of_two() {
        // near 0 the logarithm of (x + c)^2 has the slope 2 / c, that of e^x the slope 1
        assert_eq!(best(&[-0.1, 0.05, 0.0, 0.1, -0.05]), 2.0);
    }
}
