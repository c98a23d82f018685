//! The operations of a step out of candle's own, for devices other than the CPU.
//!
//! They give what the fused ones give, up to rounding: the tests run both on the CPU.

mod attention;
mod dense;
mod node;

pub(super) use attention::{Padded, mix, scores, square_spread, weigh};
pub(super) use dense::{clamp, dropout, excess, gelu, layer_norm, linear, linear_norm, spread};

#[cfg(test)]
mod tests;
