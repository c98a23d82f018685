//! Ctrl-C: the children end first, and nothing is left half written.

use std::sync::atomic::{AtomicBool, Ordering};

use cli::exit::INTERRUPTED;

use crate::{children, ending};

/// Whether something is being written that is removed before this process ends, and whether it should stop.
static WRITING: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);

/// Ends this process on Ctrl-C, after its children; a bundle that is being written is removed first.
pub fn interrupt() {
    if WRITING.load(Ordering::SeqCst) && !STOP.swap(true, Ordering::SeqCst) {
        return;
    }
    ending::begin();
    children::kill_all();
    cli::atomic::abandon();
    std::process::exit(INTERRUPTED);
}

/// Does not return when a signal is ending this process: the signal's own exit code is the one that counts.
pub fn wait_while_ending() {
    while ending::begun() {
        std::thread::park();
    }
}

/// Runs what writes a bundle. A signal meanwhile only asks it to [`stop`], and ends this process once it has.
pub(crate) fn while_writing<T>(write: impl FnOnce() -> T) -> T {
    WRITING.store(true, Ordering::SeqCst);
    let written = write();
    WRITING.store(false, Ordering::SeqCst);
    if stop() {
        interrupt();
    }
    written
}

/// Whether what is being written should stop.
pub(crate) fn stop() -> bool {
    STOP.load(Ordering::SeqCst)
}
