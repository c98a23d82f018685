//! Where correlations wait until they are taken.

use std::fmt;

use super::correlation::{Call, Correlation};
use super::pipe::Pipe;
use super::spool::Spool;
use super::stored::Reading;
use crate::error::MpcError;
use crate::party::Party;

/// Everything a party needs to evaluate one attempt once: all of it, as it is made, or as it is read from where it was kept.
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
    Stored(Reading),
}

impl Correlations {
    /// Takes the next one, which must be for such a call.
    pub(crate) fn take(&mut self, expected: Call) -> Result<std::vec::IntoIter<Vec<u64>>, MpcError> {
        let next = match &mut self.waiting {
            Waiting::Ahead(spool) => spool.take()?,
            Waiting::Stream(pipe) => pipe.take(),
            Waiting::Stored(reading) => reading.take()?,
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
            Waiting::Stored(_) => write!(f, "Correlations of {} (as they were kept, redacted)", self.party),
        }
    }
}
