//! How far a run is: a bar on a terminal, plain lines elsewhere, nothing with `--quiet`.

use indicatif::ProgressBar;

/// A stage's progress on the standard error stream.
#[derive(Debug)]
pub struct Progress {
    name: &'static str,
    quiet: bool,
    bar: ProgressBar,
}

impl Progress {
    /// Begins at `done` of `steps`.
    pub fn new(name: &'static str, steps: u64, done: u64, quiet: bool) -> Progress {
        let bar = cli::bar(quiet, name, steps).with_position(done);
        bar.reset_eta();
        Progress { name, quiet, bar }
    }

    /// One step further.
    pub fn advance(&self, loss: f64) {
        self.bar.set_message(format!("{}, loss {loss:.4}", self.name));
        self.bar.inc(1);
    }

    /// Says that so many of `all` development texts are answered.
    pub fn evaluating(&self, done: usize, all: usize) {
        self.bar.set_message(format!("{}, judging: {done} of {all} texts", self.name));
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| cli::log(line));
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Does a piece of work over `texts` texts with a bar; the work calls what it is given with the number of texts it did.
pub fn over<T>(quiet: bool, name: &str, texts: usize, work: impl FnOnce(&(dyn Fn(usize) + Sync)) -> T) -> T {
    let bar = cli::bar(quiet, name, texts as u64);
    let done = work(&|texts| bar.inc(texts as u64));
    bar.finish_and_clear();
    done
}
