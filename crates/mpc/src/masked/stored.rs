//! Correlations as bytes: prepared ahead and written down, read back while they are used up.
//!
//! A party that keeps prepared correlations has nothing left to do for a request but the online phase. Where they are kept, that
//! nobody reads or alters them there, and that each is used once is for who keeps them; here they are taken by value from a
//! reader, in the order in which they were written.

use std::io::{ErrorKind, Read, Write};

use super::correlation::{Call, Correlation, Sink};
use crate::error::MpcError;

/// Version of the format. Who keeps correlations binds what they keep to it: another release cannot use them.
pub const STORED_FORMAT: u32 = 1;

/// Words that are read at once: a length that is not true ends with the bytes, not with the memory.
const MOST_WORDS: usize = 1 << 20;

/// The number of a call is its place.
const CALLS: [Call; 12] = [
    Call::Opening,
    Call::Linear,
    Call::Residual,
    Call::Matmul,
    Call::Square,
    Call::SquareSum,
    Call::ScaleRows,
    Call::Series,
    Call::Shared,
    Call::Compare,
    Call::Join,
    Call::Flip,
];

/// Writes correlations as they are prepared: of each the number of its call, the number of its pieces, the lengths of these in
/// words, then the words.
pub(crate) struct Writing<'w>(pub(crate) &'w mut dyn Write);

impl Writing<'_> {
    fn write(&mut self, correlation: &Correlation) -> std::io::Result<()> {
        let Correlation { call, pieces } = correlation;
        let number = CALLS.iter().position(|known| known == call).unwrap_or(CALLS.len());
        let mut head = Vec::with_capacity(5 + 8 * pieces.len());
        head.push(number as u8);
        head.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
        pieces.iter().for_each(|words| head.extend_from_slice(&(words.len() as u64).to_le_bytes()));
        self.0.write_all(&head)?;
        pieces.iter().try_for_each(|words| {
            if cfg!(target_endian = "little") {
                return self.0.write_all(bytemuck::must_cast_slice(words));
            }
            words.iter().try_for_each(|word| self.0.write_all(&word.to_le_bytes()))
        })
    }
}

impl Sink for Writing<'_> {
    fn put(&mut self, correlation: Correlation) -> Result<(), MpcError> {
        self.write(&correlation).map_err(MpcError::Stored)
    }

    fn begin_part(&mut self, _: usize) -> Result<(), MpcError> {
        Ok(())
    }
}

/// Reads them back, each once.
pub(crate) struct Reading(pub(crate) Box<dyn Read + Send>);

impl Reading {
    /// The next one; nothing at the end.
    pub(crate) fn take(&mut self) -> Result<Option<Correlation>, MpcError> {
        self.next().map_err(MpcError::Stored)
    }

    fn next(&mut self) -> std::io::Result<Option<Correlation>> {
        let mut number = [0];
        match self.0.read_exact(&mut number) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let Some(call) = CALLS.get(usize::from(number[0])) else {
            return Err(malformed("a call that this release does not know"));
        };
        let mut count = [0; 4];
        self.0.read_exact(&mut count)?;
        let mut lengths = Vec::new();
        for _ in 0..u32::from_le_bytes(count) {
            let mut length = [0; 8];
            self.0.read_exact(&mut length)?;
            let length = usize::try_from(u64::from_le_bytes(length));
            lengths.push(length.map_err(|_| malformed("a length beyond this machine's memory"))?);
        }
        let pieces = lengths.into_iter().map(|length| self.words(length)).collect::<std::io::Result<_>>()?;
        Ok(Some(Correlation { call: *call, pieces }))
    }

    fn words(&mut self, length: usize) -> std::io::Result<Vec<u64>> {
        let mut words = Vec::new();
        while words.len() < length {
            let begin = words.len();
            words.resize(length.min(begin + MOST_WORDS), 0);
            self.0.read_exact(bytemuck::must_cast_slice_mut(&mut words[begin..]))?;
        }
        if cfg!(target_endian = "big") {
            words.iter_mut().for_each(|word| *word = u64::from_le(*word));
        }
        Ok(words)
    }
}

fn malformed(what: &'static str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correlations() -> Vec<Correlation> {
        let correlation = |(at, call): (usize, &Call)| {
            let words = |n: usize| (0..n as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            Correlation { call: *call, pieces: vec![words(at), Vec::new(), words(MOST_WORDS + at)] }
        };
        CALLS.iter().enumerate().map(correlation).collect()
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writing = Writing(&mut bytes);
        correlations().into_iter().for_each(|correlation| writing.put(correlation).unwrap());
        bytes
    }

    #[test]
    fn what_was_written_comes_back_in_order_and_then_nothing() {
        let mut reading = Reading(Box::new(std::io::Cursor::new(written())));
        for expected in correlations() {
            let got = reading.take().unwrap().unwrap();
            assert!(got.call == expected.call && got.pieces == expected.pieces, "{}", got.call);
        }
        assert!(reading.take().unwrap().is_none());
    }

    /// No length that is not true takes memory, and nothing that ends early passes for the end.
    #[test]
    fn bytes_that_are_not_those_of_correlations_are_refused() {
        let bytes = written();
        for end in [1, 4, 5, 12, 29, 36, bytes.len() - 1] {
            let mut reading = Reading(Box::new(std::io::Cursor::new(bytes[..end].to_vec())));
            let cut = (0..CALLS.len()).find_map(|_| reading.take().err());
            assert!(matches!(cut, Some(MpcError::Stored(e)) if e.kind() == ErrorKind::UnexpectedEof), "{end}");
        }
        let of = |bytes: &[u8]| Reading(Box::new(std::io::Cursor::new(bytes.to_vec()))).take().err();
        assert!(matches!(of(&[CALLS.len() as u8]), Some(MpcError::Stored(e)) if e.kind() == ErrorKind::InvalidData));
        let huge = [&[0, 1, 0, 0, 0][..], &u64::MAX.to_le_bytes(), &[1; 64]].concat();
        assert!(matches!(of(&huge), Some(MpcError::Stored(_))));
        let many = [&[0][..], &u32::MAX.to_le_bytes(), &[1; 64]].concat();
        assert!(matches!(of(&many), Some(MpcError::Stored(_))));
    }
}
