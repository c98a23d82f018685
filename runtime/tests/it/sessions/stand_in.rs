//! A program to start roles from that does something of a test's own before it becomes `runtime`.
//!
//! No test writes an executable. As long as another thread's child has not yet become its program, it holds what this process
//! had open for writing, and starting that fails with "Text file busy". The script is a file of the repository; a test writes
//! what the script reads.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A link in `folder` to the program. A party says that it listens at one of these ports, where there are any; `first` is what
/// the shell does first in `victim`'s place.
pub(crate) fn stand_in(folder: &Path, ports: Option<[u16; 2]>, victim: &str, first: &str) -> PathBuf {
    let [zero, one] = ports.map_or_else(Default::default, |ports| ports.map(|port| port.to_string()));
    let settings = format!("runtime='{}'\nport0={zero}\nport1={one}\n", super::program().display());
    fs::write(folder.join("settings"), settings).unwrap();
    if !victim.is_empty() {
        fs::write(folder.join(format!("{victim}.first")), first).unwrap();
    }
    let link = folder.join("stand-in");
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sessions/stand-in.sh"), &link).unwrap();
    link
}
