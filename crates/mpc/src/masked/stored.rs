//! Correlations as bytes: prepared ahead and written down, read back while they are used up.
//!
//! A party that keeps prepared correlations has nothing left to do for a request but the online phase. Where they are kept, that
//! nobody reads or alters them there, and that each is used once is for who keeps them; here they are taken by value from a
//! reader, in the order in which they were written.

use std::io::{BufRead, ErrorKind, Write};

use super::correlation::{Call, Correlation, Sink};
use crate::error::MpcError;

/// Version of the format. Who keeps correlations binds what they keep to it: another release cannot use them.
pub const STORED_FORMAT: u32 = 1;

/// Words for which there is memory before they are read.
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

/// Writes correlations as they are prepared, in words: of each the number of its call, the number of its pieces, the lengths of
/// these, then their words.
pub(crate) struct Writing<'w>(pub(crate) &'w mut dyn Write);

impl Writing<'_> {
    fn write(&mut self, correlation: &Correlation) -> std::io::Result<()> {
        let Correlation { call, pieces } = correlation;
        let number = CALLS.iter().position(|known| known == call).unwrap_or(CALLS.len());
        let mut head = Vec::with_capacity(16 + 8 * pieces.len());
        head.extend_from_slice(&(number as u64).to_le_bytes());
        head.extend_from_slice(&(pieces.len() as u64).to_le_bytes());
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
pub(crate) struct Reading(pub(crate) Box<dyn BufRead + Send>);

impl Reading {
    /// The next one; nothing at the end.
    pub(crate) fn take(&mut self) -> Result<Option<Correlation>, MpcError> {
        self.next().map_err(MpcError::Stored)
    }

    fn next(&mut self) -> std::io::Result<Option<Correlation>> {
        if self.0.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let [number, count] = [self.word()?, self.word()?];
        let call = usize::try_from(number).ok().and_then(|number| CALLS.get(number));
        let call = *call.ok_or_else(|| malformed("a call that this release does not know"))?;
        let mut lengths = Vec::new();
        for _ in 0..count {
            let length = usize::try_from(self.word()?);
            lengths.push(length.map_err(|_| malformed("a length beyond this machine's memory"))?);
        }
        let pieces = lengths.into_iter().map(|length| self.words(length)).collect::<std::io::Result<_>>()?;
        Ok(Some(Correlation { call, pieces }))
    }

    fn word(&mut self) -> std::io::Result<u64> {
        let mut word = [0; 8];
        self.0.read_exact(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    /// Words out of the reader's own buffer, into memory that is not cleared first. A length that is not true ends with the bytes,
    /// and not with the memory.
    fn words(&mut self, length: usize) -> std::io::Result<Vec<u64>> {
        let mut words = Vec::with_capacity(length.min(MOST_WORDS));
        while words.len() < length {
            let buffer = self.0.fill_buf()?;
            let (whole, _) = buffer.as_chunks::<8>();
            let now = whole.len().min(length - words.len());
            words.extend(whole[..now].iter().map(|word| u64::from_le_bytes(*word)));
            let (now, none) = (8 * now, whole.is_empty());
            self.0.consume(now);
            if none {
                // a word that is cut by the end of the buffer, or the end of all
                words.push(self.word()?);
            }
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
        // by buffers that end within words, too
        for buffer in [1, 13, 4096, 1 << 20] {
            let cursor = std::io::Cursor::new(written());
            let mut reading = Reading(Box::new(std::io::BufReader::with_capacity(buffer, cursor)));
            for expected in correlations() {
                let got = reading.take().unwrap().unwrap();
                assert!(got.call == expected.call && got.pieces == expected.pieces, "{}", got.call);
            }
            assert!(reading.take().unwrap().is_none());
        }
    }

    /// No length that is not true takes memory, and nothing that ends early passes for the end.
    #[test]
    fn bytes_that_are_not_those_of_correlations_are_refused() {
        let bytes = written();
        for end in [1, 7, 8, 15, 16, 23, 40, 47, bytes.len() - 1] {
            let mut reading = Reading(Box::new(std::io::Cursor::new(bytes[..end].to_vec())));
            let cut = (0..CALLS.len()).find_map(|_| reading.take().err());
            assert!(matches!(cut, Some(MpcError::Stored(e)) if e.kind() == ErrorKind::UnexpectedEof), "{end}");
        }
        let of = |bytes: &[u8]| Reading(Box::new(std::io::Cursor::new(bytes.to_vec()))).take().err();
        let said = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).chain([1; 64]).collect::<Vec<_>>();
        assert!(
            matches!(of(&said(&[CALLS.len() as u64, 0])), Some(MpcError::Stored(e)) if e.kind() == ErrorKind::InvalidData)
        );
        let huge = said(&[0, 1, u64::MAX]);
        assert!(matches!(of(&huge), Some(MpcError::Stored(_))));
        let many = said(&[0, u64::MAX]);
        assert!(matches!(of(&many), Some(MpcError::Stored(_))));
    }
}
