//! Ctrl-C: at once where nothing is being written, else at the next weight, so that nothing half-written stays behind.

use std::sync::atomic::{AtomicBool, Ordering};

static WRITING: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);

/// The exit code of a program that was stopped.
const STOPPED: i32 = 130;

/// Takes the signal over. Where that fails, a signal ends the program as it always did.
pub(crate) fn listen() {
    let on_signal = || {
        let second = STOP.swap(true, Ordering::SeqCst);
        if second || !WRITING.load(Ordering::SeqCst) {
            std::process::exit(STOPPED);
        }
    };
    if let Err(e) = ctrlc::set_handler(on_signal) {
        eprintln!("warning: a stopped conversion may leave a hidden folder beside the bundle: {e}");
    }
}

/// Says that writing begins. A signal that came before ends the program: either its handler or this line sees the other.
pub(crate) fn writing() {
    WRITING.store(true, Ordering::SeqCst);
    if wanted() {
        std::process::exit(STOPPED);
    }
}

/// Whether to stop writing.
pub(crate) fn wanted() -> bool {
    STOP.load(Ordering::SeqCst)
}
