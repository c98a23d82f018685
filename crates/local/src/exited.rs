//! What the exit status of a child means.

use std::process::ExitStatus;

use cli::exit::{EXHAUSTED, INTERRUPTED, LOST, OTHER, STOCK, TAKEN};

/// This program's exit code for a role's end: the role's own where it ended for a reason of its own.
pub(crate) fn code_of(status: ExitStatus) -> i32 {
    match status.code() {
        // killed, stopped by somebody, or gone without being asked to
        None | Some(0 | INTERRUPTED) => LOST,
        Some(code @ (OTHER..=TAKEN | EXHAUSTED | STOCK)) => code,
        // a panic, which is no reason of ours
        Some(_) => OTHER,
    }
}

/// Whether a role aborted, as a process does to which the system refuses memory.
#[cfg(unix)]
pub(crate) fn aborted(status: ExitStatus) -> bool {
    const SIGABRT: i32 = 6;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGABRT)
}

#[cfg(not(unix))]
pub(crate) fn aborted(_: ExitStatus) -> bool {
    false
}

/// A status in words.
pub(crate) fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}
