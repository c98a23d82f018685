//! Standard output that may be closed or full.

use std::io::{self, Write};

use crate::exit::{Coded, ReaderLeft, UNWRITABLE};

/// A writer whose errors carry the exit code of an output that cannot be written.
///
/// A reader that goes after it has read something, as `head` does, has what it wanted: that is [`ReaderLeft`] and no fault.
#[derive(Debug)]
pub struct Output<W> {
    inner: W,
    /// Whether anything has reached the reader.
    delivered: bool,
    /// Whether something was written since the last flush.
    pending: bool,
}

impl<W: Write> Output<W> {
    /// Wraps a writer.
    pub fn new(inner: W) -> Output<W> {
        Output { inner, delivered: false, pending: false }
    }

    fn fault(&self, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::BrokenPipe && self.delivered {
            return io::Error::new(error.kind(), ReaderLeft);
        }
        let message =
            format!("standard output cannot be written ({error}); send it to a place with room, and keep it open");
        io::Error::new(error.kind(), Coded { message, code: UNWRITABLE })
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes).map_err(|error| self.fault(error))?;
        self.pending |= written > 0;
        // standard output hands whole lines on at once
        self.delivered |= bytes[..written].contains(&b'\n');
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(|error| self.fault(error))?;
        self.delivered |= std::mem::take(&mut self.pending);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{code_in, reader_left};

    /// A pipe that takes so many writes.
    struct Pipe(usize, io::ErrorKind);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(self.1)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn fault(pipe: Pipe) -> anyhow::Error {
        let mut out = Output::new(pipe);
        let lines = (0..9).try_for_each(|line| writeln!(out, "{line}").and_then(|()| out.flush()));
        lines.unwrap_err().into()
    }

    #[test]
    fn a_reader_that_has_what_it_wanted_may_go_and_nobody_else() {
        // lines that are flushed together have left one by one
        let mut out = Output::new(Pipe(4, io::ErrorKind::BrokenPipe));
        let error = (0..9).try_for_each(|line| writeln!(out, "{line}")).unwrap_err();
        assert!(reader_left(&error.into()));
        // a line is two writes: its number and its end
        assert!(reader_left(&fault(Pipe(2, io::ErrorKind::BrokenPipe))));
        for (taken, kind) in [
            (0, io::ErrorKind::BrokenPipe),
            (1, io::ErrorKind::BrokenPipe),
            (0, io::ErrorKind::StorageFull),
            (4, io::ErrorKind::StorageFull),
        ] {
            let error = fault(Pipe(taken, kind));
            assert!(!reader_left(&error), "{taken} {kind:?}");
            assert_eq!(error.chain().find_map(code_in), Some(UNWRITABLE), "{taken} {kind:?}");
        }
    }
}
