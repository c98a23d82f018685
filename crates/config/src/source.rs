//! Files as texts.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The text of a file of at most so many MiB, or what is wrong with it. Only regular files: a pipe could keep us waiting.
pub(crate) fn text_of(path: &Path, most_mib: u64) -> Result<String, String> {
    let kind = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "no such file; check the path".to_string(),
        _ => format!("cannot be read ({error}); check the path and its permissions"),
    })?;
    if kind.is_dir() {
        return Err("is a folder; name the file in it".into());
    }
    if !kind.is_file() {
        return Err("is not a regular file; write it to one".into());
    }
    let most = most_mib << 20;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot be read ({error}); check its permissions"))?;
    if bytes.len() as u64 > most {
        return Err(format!("is larger than {most_mib} MiB; is this the right file?"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        format!("is not UTF-8 (line {line}); save it as UTF-8")
    })
}
