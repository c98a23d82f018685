//! What one call of the network needs online, and where it waits until it is taken.

use std::fmt;

use super::pipe::Pipe;
use super::spool::Spool;
use crate::error::MpcError;
use crate::weights::Party;

/// A kind of call that takes a correlation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The masks of an opening, shifted to the share's scale: wires, then phases by segments.
    Opening,
    /// `[b] - [aW]`.
    Linear,
    /// `[mean(a g)] - [a g]`, by elements.
    Residual,
    /// Of each product, `-[a]`, `-[b]` and `[ab]`.
    Matmul,
    /// Of each matrix, `-2 [a]` and `[a^2]`.
    Square,
    /// `-2 [a]` and the row sums of `[a^2]`.
    SquareSum,
    /// Of each product, `-[a]`, `-[b]` and `[ab]`.
    ScaleRows,
    /// Of each segment, rows of cosines and sines in turn, harmonic by harmonic.
    Series,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Opening => "an opening",
            Call::Linear => "a linear layer",
            Call::Residual => "a residual",
            Call::Matmul => "a matrix product",
            Call::Square => "a square",
            Call::SquareSum => "a sum of squares",
            Call::ScaleRows => "a scaling of rows",
            Call::Series => "a series",
        })
    }
}

/// What one call of the network needs, in pieces. Not `Clone`: it is used once.
pub(crate) struct Correlation {
    pub(crate) call: Call,
    pub(crate) pieces: Vec<Vec<u64>>,
}

/// Where a party's preparation leaves correlations, in plan order.
pub(crate) trait Sink {
    /// Leaves one.
    fn put(&mut self, correlation: Correlation) -> Result<(), MpcError>;
    /// Told before the first correlation of each part of the network ([`model::Weight::begins_part`]).
    fn begin_part(&mut self, part: usize) -> Result<(), MpcError>;
}

/// Everything a party needs to evaluate one batch once: all of it, or as it is made.
pub struct Correlations {
    pub(crate) party: Party,
    /// Request and attempt that they were made for.
    pub(crate) attempt: (u64, u32),
    pub(crate) waiting: Waiting,
    pub(crate) taken: usize,
}

pub(crate) enum Waiting {
    Ahead(Spool),
    Stream(Pipe),
}

impl Correlations {
    /// Takes the next one, which must be for such a call.
    pub(crate) fn take(&mut self, expected: Call) -> Result<std::vec::IntoIter<Vec<u64>>, MpcError> {
        let next = match &mut self.waiting {
            Waiting::Ahead(spool) => spool.take()?,
            Waiting::Stream(pipe) => pipe.take(),
        };
        let index = self.taken;
        self.taken += 1;
        match next {
            Some(Correlation { call, pieces }) if call == expected => Ok(pieces.into_iter()),
            other => {
                let got = other.map_or_else(|| "nothing".to_string(), |c| c.call.to_string());
                Err(MpcError::Correlation { index, expected: expected.to_string(), got })
            }
        }
    }

    /// The network begins a part, so that a preparation that runs beside it may go on.
    pub(crate) fn begin_part(&mut self, part: usize) {
        if let Waiting::Stream(pipe) = &self.waiting {
            pipe.taker_begins(part);
        }
    }
}

impl fmt::Debug for Correlations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.waiting {
            Waiting::Ahead(spool) => write!(f, "Correlations of {} ({} left, redacted)", self.party, spool.len()),
            Waiting::Stream(_) => write!(f, "Correlations of {} (as they are made, redacted)", self.party),
        }
    }
}
