//! Standard output that may be closed or full.

use std::io::{self, Write};

use crate::exit::{Coded, UNWRITABLE};

/// A writer whose errors carry the exit code of an output that cannot be written.
#[derive(Debug)]
pub struct Output<W>(pub W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(unwritable)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(unwritable)
    }
}

fn unwritable(error: io::Error) -> io::Error {
    let message =
        format!("standard output cannot be written ({error}); send it to a place with room, and keep it open");
    io::Error::new(error.kind(), Coded { message, code: UNWRITABLE })
}
