//! Ctrl-C while a stage is trained: the run stops after the step at hand and leaves a checkpoint.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set when the user asks to stop; read once a step.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Whether a stage is being trained, so that [`STOP`] is read.
pub static TRAINING: AtomicBool = AtomicBool::new(false);

/// Sets [`TRAINING`] while it lives.
pub(super) struct TrainingGuard;

impl TrainingGuard {
    pub(super) fn new() -> TrainingGuard {
        TRAINING.store(true, Ordering::SeqCst);
        TrainingGuard
    }
}

impl Drop for TrainingGuard {
    fn drop(&mut self) {
        TRAINING.store(false, Ordering::SeqCst);
    }
}
