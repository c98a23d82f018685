//! What signs ask of an arithmetic beyond what all else does: bits read of dealt tables, and products of values with signs.
//!
//! A bit that is opened is a phase of period two: its mask is the exclusive or of both parties' halves.

use crate::arithmetic::Arithmetic;
use crate::compared::Chunks;

/// A wire of so many elements, whose signs are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Comparing<'a, W> {
    /// The wire.
    pub wire: &'a W,
    /// Its elements.
    pub count: usize,
    /// How its bits are cut.
    pub chunks: Chunks,
}

/// Bits of which a sign is made, shared by exclusive or: one a word.
#[derive(Debug)]
pub struct SignBits<S> {
    /// Of each element, whether it is negative if lower chunks borrow nothing.
    pub first: S,
    /// Whether a borrow changes that; then of each chunk below whether it borrows and whether it passes a borrow on, of the
    /// lowest only the former. A row each.
    pub others: S,
}

/// The bits of a sign, of which all but the first are open.
#[derive(Debug)]
pub struct Joining<'a, S, P> {
    /// The first.
    pub first: S,
    /// The others.
    pub others: &'a P,
    /// Elements.
    pub count: usize,
    /// How their bits were cut.
    pub chunks: Chunks,
}

/// Signs whose bits are open, and what they are multiplied with.
#[derive(Debug)]
pub struct Flipping<'a, P, W> {
    /// The sign's bit, or the first one and the others.
    pub bits: &'a [P],
    /// In how many chunks they are open; one where the sign's own bit is.
    pub depth: usize,
    /// Elements.
    pub count: usize,
    /// Wires of as many elements.
    pub wires: &'a [&'a W],
}

/// An arithmetic that can compare.
pub trait Comparisons: Arithmetic {
    /// `x - y`.
    fn difference(&mut self, x: &Self::Wire, y: &Self::Wire) -> Self::Wire;
    /// The bits that signs are made of.
    fn compare(&mut self, x: &[Comparing<'_, Self::Wire>]) -> Result<Vec<SignBits<Self::Share>>, Self::Error>;
    /// Bits of signs, one where an element is negative, shared by exclusive or.
    fn join(&mut self, x: Vec<Joining<'_, Self::Share, Self::Phase>>) -> Result<Vec<Self::Share>, Self::Error>;
    /// Of each, the signs, one and minus one, and then their products with each wire.
    fn flip(&mut self, x: &[Flipping<'_, Self::Phase, Self::Wire>]) -> Result<Vec<Vec<Self::Share>>, Self::Error>;
}
