//! Bundles in the user's cache folder, each written whole or not at all, even where a signal comes between.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use bundle::{BundleError, BundleId, ClientBundle, DealerBundle, Role, WriteOptions, check_parts};
use cli::coded;
use cli::exit::UNWRITABLE;
use convert::ConvertError;
use directories::ProjectDirs;
use indicatif::ProgressBar;

use crate::interrupt;

/// Where bundles are kept, in place of the user's cache folder.
const CACHE_VARIABLE: &str = "PRIVATE_BERT_CACHE";
/// Changes when a bundle of the same content would differ, though no format did.
const CACHE_VERSION: u32 = 4;
/// Least number of hexadecimal digits that stand for a bundle's content in its name.
const FINGERPRINT: usize = 12;

/// The folder that bundles are kept in.
pub fn root() -> Result<PathBuf> {
    Ok(match std::env::var_os(CACHE_VARIABLE) {
        Some(cache) => PathBuf::from(cache),
        None => ProjectDirs::from("", "", "private-bert")
            .context("this user has no home folder to keep bundles in; set PRIVATE_BERT_CACHE")?
            .cache_dir()
            .join("bundles"),
    })
}

/// What the names of bundles end in that this program can use.
pub fn version() -> String {
    format!("v{CACHE_VERSION}.{}.{}", bundle::FORMAT_VERSION, model::SPEC_VERSION)
}

/// Where the bundle of that name is kept; names of other contents, or of who embeds, differ.
pub fn place(name: &str) -> Result<PathBuf> {
    Ok(root()?.join(format!("{name}-{}", version())))
}

/// The version in the name of a bundle; nothing where it is no name that [`place`] gives.
pub fn version_in(name: &str) -> Option<&str> {
    let (rest, version) = name.rsplit_once('-')?;
    let (rest, embedding) = rest.rsplit_once('-')?;
    // shapes that are measured have their names before
    let content = rest.rsplit_once('-').map_or(rest, |(_, content)| content);
    let hexadecimal = content.len() >= FINGERPRINT && content.bytes().all(|b| b.is_ascii_hexdigit());
    let numbers = version.strip_prefix('v')?.split('.').all(|number| number.parse::<u32>().is_ok());
    (hexadecimal && numbers && ["client", "private"].contains(&embedding)).then_some(version)
}

/// Lets `runtime cache` know that a bundle is used now, as long as what is returned lives. Where the system has no such
/// lock, or the folder is another user's, there is nobody to know.
pub fn in_use(bundle: &Path) -> Option<File> {
    let folder = File::open(bundle).ok()?;
    folder.lock_shared().ok()?;
    let _ = folder.set_modified(SystemTime::now());
    Some(folder)
}

/// Whether a bundle is there for all roles; their weights are read by the parties themselves.
pub fn is_whole(bundle: &Path) -> bool {
    let part = |role: Role| role.folder(bundle);
    check_parts(bundle).is_ok()
        && ClientBundle::open(&part(Role::Client)).is_ok()
        && DealerBundle::open(&part(Role::Dealer)).is_ok()
}

/// Makes the folder that is to hold a bundle, before there is work that would be lost.
pub fn make_room(bundle: &Path) -> Result<()> {
    let cache = bundle.parent().context("a bundle without a folder around it")?;
    let made = fs::create_dir_all(cache);
    made.map_err(|e| unwritable(format!("cannot make the cache folder {}: {e}", cache.display())))
}

/// Writes a bundle with `write`, and shows on the bar how far it is.
pub fn write(
    bundle: &Path,
    bar: &ProgressBar,
    write: impl FnOnce(WriteOptions<'_>) -> Result<BundleId, ConvertError>,
) -> Result<()> {
    bar.set_message("masking and writing");
    let mut progress = |done: u64, all: u64| {
        bar.set_length(all);
        bar.set_position(done);
        if interrupt::stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    // what is there and cannot be read is replaced
    let options = WriteOptions { overwrite: bundle.exists(), progress: Some(&mut progress) };
    let written = interrupt::while_writing(|| write(options));
    match written {
        // another process was faster: its bundle serves as well
        Err(_) if is_whole(bundle) => {}
        Err(ConvertError::Bundle(error @ BundleError::Write { .. })) => return Err(unwritable(error.to_string())),
        other => drop(other?),
    }
    Ok(())
}

/// The cache cannot be written to.
fn unwritable(what: String) -> anyhow::Error {
    let cure = format!("set {CACHE_VARIABLE} to a folder with room that you may write to");
    coded(UNWRITABLE, format!("{what}; bundles are kept in your cache folder: {cure}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_were_given_here_are_known() {
        for name in ["26af6a0b0f2cfae187dad991-client", "bench-bert-base-0123456789ab-private"] {
            let name = format!("{name}-{}", version());
            assert_eq!(version_in(&name), Some(version().as_str()), "{name}");
        }
        for name in
            ["notes", "v1", "26af6a0b0f2c-client", "26af6a0b0f2c-server-v2.2.3", "my-notes-client-v2", "-client-v1"]
        {
            assert_eq!(version_in(name), None, "{name}");
        }
    }
}
