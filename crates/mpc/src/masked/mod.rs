//! The masked-wire engine: a network interpreted on masks (dealer), on mask shares (preparation) and on wires (online).
//!
//! The three interpretations meet the same demands in the same order, because they run the same [`model::Network`]; [`Plan`] is
//! a fourth, which counts them, and the memory footprint a fifth. Each demand is a function in [`deal`] (what the dealer sends),
//! [`prepare`](fn@prepare) (what a party makes of it before the input) and [`online`](fn@online) (what it computes with it,
//! once).

mod beside;
mod compare;
mod correlation;
mod deal;
mod demand;
mod engine;
mod exchange;
mod footprint;
mod frames;
mod online;
mod pipe;
mod plan;
mod prepare;
mod share;
mod spool;
mod store;
mod stored;
mod weights;

pub use compare::{Links, paced};
pub use deal::deal;
pub use demand::Demand;
pub use engine::Masked;
pub use frames::{OPENING_FRAME, opening_frames};
pub use online::online;
pub use pipe::MOST_PARTS;
pub use plan::Plan;
pub use prepare::{lay_up, prepare, restore, stream};
pub use store::Correlations;
pub use stored::STORED_FORMAT;
pub use weights::{DealerWeights, PartyWeights};

use ring64::Kernel;

/// The terms of `x g - mean(x g)` on any of mask, share of a mask and wire: `products[i, j] += x[i, j] g[j]` and, where there
/// are means, `means[i] += sum over j of x[i, j] g[j] / cols`. The weight is `g`, then `g / cols`.
fn residual_products(kernel: Kernel, x: &[u64], weight: &[u64], products: &mut [u64], means: Option<&mut [u64]>) {
    let cols = weight.len() / 2;
    let (scale, mean) = weight.split_at(cols);
    kernel.columns_mul_add(cols, x, scale, products);
    if let Some(means) = means {
        kernel.rows_dot_vector(cols, x, mean, means);
    }
}

/// Sum of each row of a mask, of a share of a mask, or of a wire.
fn row_sums(kernel: Kernel, x: &[u64], rows: usize, cols: usize) -> Vec<u64> {
    let mut sums = vec![0; rows];
    kernel.row_sums(cols, x, &mut sums);
    sums
}

fn subtract_from_rows(x: &mut [u64], cols: usize, by: &[u64]) {
    for (row, by) in x.chunks_mut(cols).zip(by) {
        row.iter_mut().for_each(|v| *v = v.wrapping_sub(*by));
    }
}

fn negated(x: &[u64]) -> Vec<u64> {
    x.iter().map(|v| v.wrapping_neg()).collect()
}
