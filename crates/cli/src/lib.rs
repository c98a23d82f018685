//! What the three programs have in common towards their users: exit codes, the spelling of flags, progress, memory, files.

mod address;
pub mod atomic;
pub mod exit;
mod groups;
mod lock;
pub mod memory;
mod output;
mod progress;
mod resolve;
mod size;
mod spelling;

pub use address::{check_start, check_threads, left as address_space};
pub use exit::{Coded, coded, describe, reader_left, usage};
pub use lock::Lock;
pub use output::Output;
pub use progress::{bar, bytes, log, spinner};
pub use resolve::resolve;
pub use spelling::{dashed, with_texts};

/// The exit codes, as every `--help` lists them.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 other, 2 usage, 3 bad input (a file, a folder, a text), 4 a value out of range or \
logits not close, 5 a peer refused, 6 a peer lost or too slow, 7 not enough memory, 8 the hub did not give what was asked for, \
9 an output cannot be written, 10 an address is taken, 11 an answer is not certified, \
12 a service has no room now, 13 no correlations are left, 14 a stock of correlations cannot be used, 130 stopped.";
