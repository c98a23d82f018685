//! Comparisons: bits of dealt tables that are read at public places, opened under masks of one bit, and multiplied with wires by
//! dealt products of those masks.
//!
//! Of a wire `x^ = x + a`, the sign of `x` is a function of `x^`, which both parties know, and of `a`, which the dealer knows. Both are
//! cut into chunks; of each, a table holds for every place `u` at which a party may read what the mask `w` of the chunk makes of it.
//! [`tables`] says which, [`signs`] how a sign follows from bits that are open under masks.

mod bits;
mod deal;
mod footprint;
mod online;
mod pace;
mod plan;
mod prepare;
mod signs;
mod tables;

pub(super) use bits::words_of_bits;
pub use pace::{Links, paced};
