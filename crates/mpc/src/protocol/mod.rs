//! Protocols of two parties on additive shares modulo 2^64, each a free function over [`Ring`]: what it needs of a network
//! (scales, widths, steps, series) are parameters, so that one file can be held against one algorithm of an article.
//!
//! - `ring` has what all is written over: products, conjunctions, sines, and what a party computes alone.
//! - `layout`, `arithmetic` and `binary` are local: rearrangement, group arithmetic modulo 2^64, words shared by exclusive or.
//! - `fixed` is arithmetic on matrices of numbers with a fixed count of fractional bits.
//! - `truncate`, `compare`, `divide`, `root`, `softmax` and `gelu` are the protocols.
//!
//! Security: semi-honest, at most one of P0, P1 and dealer corrupted; what is sent is sent by [`Ring`], under fresh masks.

pub(crate) mod arithmetic;
mod binary;
pub(crate) mod compare;
pub(crate) mod divide;
pub(crate) mod fixed;
pub(crate) mod gelu;
mod layout;
pub(crate) mod ring;
pub(crate) mod root;
pub(crate) mod softmax;
pub(crate) mod truncate;
#[cfg(test)]
mod world;
