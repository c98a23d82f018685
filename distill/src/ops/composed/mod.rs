//! The operations of a training step composed of candle's own, for devices other than the CPU.
//!
//! They agree with the fused ones up to rounding; the tests compare both on the CPU.

mod attention;
mod dense;
mod node;

pub(super) use attention::{Padded, attention_weights, mix, scores, sum_spread};
pub(super) use dense::{clamp, dropout, gelu, layer_norm, linear, linear_norm, range_penalty, spread};

#[cfg(test)]
mod tests;
