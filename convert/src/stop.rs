//! Ctrl-C: at once where nothing is being written, else at the next weight, so that nothing half-written stays behind.

use std::sync::atomic::{AtomicBool, Ordering};

use cli::exit::INTERRUPTED;

static WRITING: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);

/// Takes the signal over. Where that fails, a signal ends the program as it always did.
pub(crate) fn listen() {
    let on_signal = || {
        let second = STOP.swap(true, Ordering::SeqCst);
        if second || !WRITING.load(Ordering::SeqCst) {
            std::process::exit(INTERRUPTED);
        }
    };
    if let Err(e) = ctrlc::set_handler(on_signal) {
        cli::log(&format!("warning: a stopped conversion may leave a hidden folder beside the bundle: {e}"));
    }
}

/// Says that writing begins. A signal that came before ends the program: either its handler or this line sees the other.
pub(crate) fn writing() {
    WRITING.store(true, Ordering::SeqCst);
    if wanted() {
        std::process::exit(INTERRUPTED);
    }
}

/// Whether to stop writing.
pub(crate) fn wanted() -> bool {
    STOP.load(Ordering::SeqCst)
}
