//! The layers' arithmetic as candle operations with a backward pass each, fused and spread over the cores.
//!
//! candle's own fast LayerNorm and softmax have no backward pass, and its slow ones make a temporary per primitive.
//! A batch here is *ragged*: the tokens of all its texts stand below each other in one `[tokens, width]` matrix, without
//! padding, and [`Ragged`] says where each text begins. Sums are formed in an order that does not depend on the number
//! of threads, so that a resumed run gives the same bits.

mod access;
mod attention;
mod attention_weights;
mod composed;
mod dropout;
mod gelu;
mod linear;
mod norm;
mod ragged;
mod range_penalty;
mod sum_spread;

pub use attention::{mix, score_distance, scores};
pub use attention_weights::{AttentionFunction, attention_weights};
pub use dropout::{DropoutKey, dropout};
pub use gelu::activate;
pub use linear::linear;
pub use norm::{layer_norm, linear_norm};
pub use ragged::Ragged;
pub use range_penalty::{clamp, log_variances, range_penalty, score_range_penalty, spread};
pub use sum_spread::{log_square_sums, sum_spread};

pub(crate) use access::{Floats, floats};

#[cfg(test)]
pub(crate) mod finite_differences;
