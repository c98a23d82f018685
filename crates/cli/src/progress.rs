//! Messages and progress on standard error; progress on a terminal only, and not with `--quiet`.

use std::io::{Write, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Writes a line of trouble or advice. Never a text, a weight, a share or a key.
pub fn log(line: &str) {
    // with standard error gone there is nobody to tell
    let _ = writeln!(stderr(), "{line}");
}

/// A bar of so many steps.
pub fn bar(quiet: bool, message: impl Into<String>, steps: u64) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {percent:>3} %, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
    let bar = ProgressBar::new(steps).with_style(style).with_message(message.into());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar of so many bytes; of those that have come where it is not known how many there are.
pub fn bytes(quiet: bool, message: impl Into<String>, size: Option<u64>) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => {
            (ProgressBar::new(size), "{msg} [{bar:40}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
        }
        None => (ProgressBar::no_length(), "{msg} {bytes}, {bytes_per_sec}"),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.progress_chars("=> ")).with_message(message.into())
}

/// A sign of life where the number of steps is not known.
pub fn spinner(quiet: bool, message: impl Into<String>) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(message.into());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
