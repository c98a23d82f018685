//! The layers' arithmetic as candle operations with a backward pass each, fused and spread over the cores.
//!
//! candle's own fast LayerNorm and softmax have no backward pass, and its slow ones make a temporary per primitive.
//! A batch here is *ragged*: the tokens of all its texts stand below each other in one `[tokens, width]` matrix, without
//! padding, and [`Ragged`] says where each text begins. Sums are formed in an order that does not depend on the number
//! of threads, so that a resumed run gives the same bits.

mod access;
mod attention;
mod composed;
mod dropout;
mod excess;
mod gelu;
mod linear;
mod norm;
mod ragged;
mod sums;
mod weigh;

pub use attention::{mix, score_distance, scores};
pub use dropout::{DropoutKey, dropout};
pub use excess::{clamp, excess, log_variances, score_excess, spread};
pub use gelu::activate;
pub use linear::linear;
pub use norm::{layer_norm, linear_norm};
pub use ragged::Ragged;
pub use sums::{log_square_sums, square_spread};
pub use weigh::{Weighing, weigh};

pub(crate) use access::{Floats, floats};

#[cfg(test)]
pub(crate) mod finite_differences;
