//! The masked-wire engine: the network interpreted on masks (dealer), on mask shares (preparation) and on wires (online).
//!
//! The three interpretations meet the same demands in the same order, because they run the same [`model::classify`]. Each
//! demand is a function in [`deal`] (what the dealer sends), [`prepare`](mod@prepare) (what a party makes of it before the input) and
//! [`online`](mod@online) (what it computes with it, once).

mod deal;
mod online;
mod prepare;

pub use deal::deal;
pub use online::{Outcome, online};
pub use prepare::{Correlations, prepare};

use std::sync::Arc;

use model::{Block, InputKind, Spec, Texts, copy_block, join_columns};
use ring64::Kernel;

use crate::weights::PartyWeights;

/// One attempt of a party at one batch.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// Scales and series.
    pub spec: &'a Arc<Spec>,
    /// This party's weights.
    pub weights: &'a PartyWeights,
    /// Lengths of the batch.
    pub texts: &'a Texts,
    /// What the client shares.
    pub kind: InputKind,
    /// Number of the request.
    pub request: u64,
    /// Number of the attempt at it.
    pub number: u32,
    /// What multiplies.
    pub kernel: Kernel,
}

fn assemble(grid: &[Vec<(&Vec<u64>, usize, usize)>]) -> Vec<u64> {
    let rows = grid.iter().map(|blocks| {
        let parts: Vec<_> = blocks.iter().map(|(b, _, cols)| (*b, *cols)).collect();
        join_columns(&parts, blocks[0].1)
    });
    rows.collect::<Vec<_>>().concat()
}

fn block(x: &[u64], cols: usize, block: Block) -> Vec<u64> {
    copy_block(x, cols, block)
}

fn negated(mut x: Vec<u64>) -> Vec<u64> {
    ring64::neg_assign(&mut x);
    x
}
