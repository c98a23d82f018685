//! Correlations made ahead of the input: in memory as far as that is allowed, the rest in a file.
//!
//! The file has no name (it is unlinked before the first byte is written) and mode 0600: it ends with the process, and
//! nobody finds it. Its words are masked by a stream whose key never leaves memory, so that what the disk keeps says
//! nothing. It lies in the system's folder for temporary files (`TMPDIR`).

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use ring64::{Key, Prg};
use zeroize::Zeroize;

use super::correlation::{Call, Correlation, Sink};
use crate::error::MpcError;

/// A queue of correlations. What does not fit into memory was written in order, and is read in order.
pub(crate) struct Spool {
    queue: VecDeque<Entry>,
    /// Bytes of words that may stay in memory.
    hold: u64,
    /// Bytes of words that do.
    held: u64,
    file: Option<Box<Masked>>,
}

/// A file of masked words. All are written before the first is read, so both pass through the same stream from its beginning.
struct Masked {
    file: File,
    writing: Prg,
    reading: Prg,
    /// Whether the file is being read, so that it takes no more.
    rewound: bool,
}

impl Masked {
    fn new() -> std::io::Result<Masked> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let key = Key::from_bytes(bytes);
        bytes.zeroize();
        Ok(Masked { file: nameless()?, writing: Prg::new(&key, 0), reading: Prg::new(&key, 0), rewound: false })
    }
}

enum Entry {
    Held(Correlation),
    /// In the file: pieces of these lengths.
    Spooled(Call, Vec<usize>),
}

impl Spool {
    /// An empty queue that keeps so many bytes in memory.
    pub(crate) fn new(hold: u64) -> Spool {
        Spool { queue: VecDeque::new(), hold, held: 0, file: None }
    }

    /// Correlations that were not taken.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The oldest one.
    pub(crate) fn take(&mut self) -> Result<Option<Correlation>, MpcError> {
        match self.queue.pop_front() {
            None => Ok(None),
            Some(Entry::Held(correlation)) => Ok(Some(correlation)),
            Some(Entry::Spooled(call, lengths)) => self.read(call, &lengths).map(Some).map_err(MpcError::Spool),
        }
    }

    fn read(&mut self, call: Call, lengths: &[usize]) -> std::io::Result<Correlation> {
        let Some(masked) = &mut self.file else { return Err(std::io::ErrorKind::NotFound.into()) };
        if !masked.rewound {
            masked.file.seek(SeekFrom::Start(0))?;
            masked.rewound = true;
        }
        let mut pieces = Vec::with_capacity(lengths.len());
        for length in lengths {
            let mut words = vec![0; *length];
            masked.file.read_exact(bytemuck::must_cast_slice_mut(&mut words))?;
            masked.reading.subtract_from(&mut words);
            pieces.push(words);
        }
        Ok(Correlation { call, pieces })
    }

    fn write(&mut self, mut correlation: Correlation) -> std::io::Result<()> {
        let masked = match &mut self.file {
            Some(masked) => masked,
            none => none.insert(Box::new(Masked::new()?)),
        };
        for words in &mut correlation.pieces {
            masked.writing.add_to(words);
            masked.file.write_all(bytemuck::must_cast_slice(words))?;
        }
        Ok(())
    }
}

/// A file without a name, readable by nobody else even through this process's open files.
fn nameless() -> std::io::Result<File> {
    let file = tempfile::tempfile()?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

impl Sink for Spool {
    fn put(&mut self, correlation: Correlation) -> Result<(), MpcError> {
        let bytes = correlation.pieces.iter().map(|words| 8 * words.len() as u64).sum::<u64>();
        // once in the file, all that follows goes there too: it is needed last
        if self.file.is_none() && self.held.saturating_add(bytes) <= self.hold {
            self.held += bytes;
            self.queue.push_back(Entry::Held(correlation));
            return Ok(());
        }
        let (call, lengths) = (correlation.call, correlation.pieces.iter().map(Vec::len).collect());
        self.write(correlation).map_err(MpcError::Spool)?;
        self.queue.push_back(Entry::Spooled(call, lengths));
        Ok(())
    }

    fn begin_part(&mut self, _: usize) -> Result<(), MpcError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correlation(number: u64) -> Correlation {
        Correlation { call: Call::Matmul, pieces: vec![vec![number; 3], Vec::new(), vec![!number, number]] }
    }

    #[test]
    fn what_does_not_fit_into_memory_comes_back_from_the_file_in_order() {
        // five of 40 bytes: none, two or all of them fit
        for (hold, in_memory) in [(0, 0), (100, 2), (1000, 5)] {
            let mut spool = Spool::new(hold);
            (0..5).for_each(|i| spool.put(correlation(i)).unwrap());
            assert_eq!(spool.queue.iter().filter(|e| matches!(e, Entry::Held(_))).count(), in_memory);
            assert_eq!(spool.file.is_some(), in_memory < 5);
            for i in 0..5 {
                let taken = spool.take().unwrap().unwrap();
                assert_eq!((taken.call, taken.pieces), (Call::Matmul, correlation(i).pieces));
            }
            assert!(spool.take().unwrap().is_none());
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_has_no_name_is_the_owner_s_and_holds_nothing_in_clear() {
        use std::os::unix::fs::MetadataExt;
        let mut spool = Spool::new(0);
        spool.put(correlation(1)).unwrap();
        let file = &mut spool.file.as_mut().unwrap().file;
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (0, 0o600));
        // of the words in clear none is there
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let clear = correlation(1).pieces.concat();
        assert_eq!(bytes.len(), 8 * clear.len());
        let words: Vec<u64> = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        assert!(clear.iter().all(|word| !words.contains(word)));
    }
}
