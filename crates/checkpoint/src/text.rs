//! A file's text.

use std::path::Path;

use crate::error::Error;

/// A text without the byte order mark that some editors put before it.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|problem| Error::Io { path: path.into(), problem })?;
    let mut text = String::from_utf8(bytes).map_err(|_| Error::NotText { path: path.into() })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}
