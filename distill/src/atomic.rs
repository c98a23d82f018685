//! Outputs that are written whole or not at all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use anyhow::Result;
use safetensors::View;

use crate::errors::{bad_file, unwritable};

/// Writes a file under another name, makes it durable and renames it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |temporary| Ok(fs::write(temporary, bytes)?))
}

/// Copies a file.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(|error| bad_file(from, error))?;
    write_with(to, |temporary| Ok(std::io::copy(&mut source, &mut File::create(temporary)?).map(drop)?))
}

/// Writes a safetensors file, one tensor after the other.
pub fn write_tensors<'a, V: View>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, V)>,
    metadata: (&str, String),
) -> Result<()> {
    let metadata = HashMap::from([(metadata.0.to_string(), metadata.1)]);
    write_with(path, |temporary| Ok(safetensors::serialize_to_file(tensors, Some(metadata), temporary)?))
}

/// Lets `fill` write to a temporary path, then renames that.
fn write_with(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    cli::atomic::write(path, fill).map_err(|error| unwritable("write", path, &error))
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| unwritable("make the folder", path, &error.into()))
}

/// Writes a value as indented JSON.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write(path, text.as_bytes())
}
