//! Whether a signal is ending this process.

use std::sync::atomic::{AtomicBool, Ordering};

static ENDING: AtomicBool = AtomicBool::new(false);

/// From now on, a signal is ending this process.
pub(crate) fn begin() {
    ENDING.store(true, Ordering::SeqCst);
}

/// Whether a signal is ending this process: what goes wrong meanwhile is its doing.
pub(crate) fn begun() -> bool {
    ENDING.load(Ordering::SeqCst)
}
