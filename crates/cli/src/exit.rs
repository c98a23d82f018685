//! Exit codes, the same for every program.

use std::error::Error;
use std::io;

/// Anything without a code of its own.
pub const OTHER: i32 = 1;
/// The command line is wrong (clap's own code too).
pub const USAGE: i32 = 2;
/// A file, folder or text that was given cannot be read or is not what it should be.
pub const BAD_INPUT: i32 = 3;
/// A model's ranges or accuracy do not pass.
pub const GATE: i32 = 4;
/// A peer refused us, or was refused.
pub const REFUSED: i32 = 5;
/// A peer was lost or did not answer in time.
pub const LOST: i32 = 6;
/// The work needs more memory than there is.
pub const MEMORY: i32 = 7;
/// The hub cannot be reached, refuses, or lacks what was asked for.
pub const HUB: i32 = 8;
/// An output cannot be written: a full disk, a folder without permission.
pub const UNWRITABLE: i32 = 9;
/// The address to listen on is taken.
pub const TAKEN: i32 = 10;
/// An answer is not certified, and was not given.
pub const UNCERTIFIED: i32 = 11;
/// A service has no room now, or is not complete; it says when to try again.
pub const BUSY: i32 = 12;
/// Correlations are exhausted: none in stock, and no dealer in time.
pub const EXHAUSTED: i32 = 13;
/// A stock of correlations cannot be used: locked, damaged, of another version, key or party, or a restored copy.
pub const STOCK: i32 = 14;
/// Stopped by Ctrl-C.
pub const INTERRUPTED: i32 = 130;

/// An error whose exit code is known where it arises.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Coded {
    /// What, where, and what to do.
    pub message: String,
    /// Exit code.
    pub code: i32,
}

/// An error with a code.
pub fn coded(code: i32, message: impl Into<String>) -> anyhow::Error {
    Coded { message: message.into(), code }.into()
}

/// The reader of the output went after it had read something: it has what it wanted, and the program is done.
#[derive(Debug, thiserror::Error)]
#[error("the reader of standard output has what it wanted")]
pub struct ReaderLeft;

/// Whether an error is nothing but a reader that went early.
pub fn reader_left(error: &anyhow::Error) -> bool {
    let inside = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<ReaderLeft>())
    };
    error.chain().any(inside)
}

/// Prints what clap has to say, help among it, and gives the code to end with. Help that could not be written is an error; a
/// reader that went away in the midst of it is none.
pub fn usage(error: &clap::Error) -> i32 {
    match error.print() {
        Err(fault) if !error.use_stderr() && fault.kind() != io::ErrorKind::BrokenPipe => {
            crate::log(&format!("error: standard output cannot be written ({fault}); send it to a place with room"));
            UNWRITABLE
        }
        _ => error.exit_code(),
    }
}

/// The code that an error carries; a writer can only fail with an error of input and output, which carries it inside.
pub fn code_in(error: &(dyn Error + 'static)) -> Option<i32> {
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let coded = error.downcast_ref::<Coded>().or_else(|| inside?.downcast_ref::<Coded>());
    coded.map(|coded| coded.code)
}

/// An error with its causes, each said once.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_said_once() {
        let inner = coded(BAD_INPUT, "a.json: not JSON");
        assert_eq!(describe(&inner.context("a.json: not JSON")), "a.json: not JSON");
        let inner = coded(BAD_INPUT, "no space");
        assert_eq!(describe(&inner.context("writing b")), "writing b: no space");
    }
}
