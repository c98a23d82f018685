//! A folder that appears whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::BundleError;
use crate::layout::Role;

/// A hidden folder beside the one to write; it goes away with this value unless it was put in place.
pub(crate) struct Staged {
    path: PathBuf,
    placed: bool,
    /// Locked as long as this process works on it: what is not locked was abandoned by a process that was killed.
    _lock: Option<File>,
}

impl Staged {
    /// A new folder beside `target`, on the same file system.
    pub(crate) fn beside(target: &Path) -> Result<Staged, BundleError> {
        let parent = parent(target);
        fs::create_dir_all(parent).map_err(BundleError::write(parent))?;
        remove_abandoned(target);
        loop {
            let path = sibling(target, "partial")?;
            create_folder(&path).map_err(BundleError::write(&path))?;
            let lock = File::open(&path).ok().filter(|folder| folder.lock().is_ok());
            // another process that cleans up may have locked it first: then it is gone
            if path.exists() {
                return Ok(Staged { path, placed: false, _lock: lock });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder's entries durable and moves it to `target`, in place of an empty folder or of an old bundle.
    pub(crate) fn place(mut self, target: &Path, overwrite: bool) -> Result<(), BundleError> {
        for role in Role::ALL {
            sync_folder(&role.folder(&self.path))?;
        }
        sync_folder(&self.path)?;
        check_target(target, overwrite)?;
        let old = match is_empty(target).map_err(BundleError::write(target))? {
            Some(false) => {
                let old = sibling(target, "old")?;
                fs::rename(target, &old).map_err(BundleError::write(target))?;
                Some(old)
            }
            _ => None,
        };
        if let Err(e) = fs::rename(&self.path, target) {
            if let Some(old) = &old {
                fs::rename(old, target).map_err(BundleError::write(old))?;
            }
            return Err(BundleError::Write { path: target.to_path_buf(), source: e });
        }
        self.placed = true;
        sync_folder(parent(target))?;
        match old {
            Some(old) => match fs::remove_dir_all(&old) {
                // another process may have found it first
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(BundleError::Write { path: old, source: e }),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            // already on the way out with an error that says more
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A hidden folder that a write or a removal left, or is at work in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOver {
    /// Begun and not in place; locked by the process that writes it.
    Partial,
    /// On its way out: out of sight, and perhaps removed in part.
    Old,
}

/// What a hidden folder of that name is, and of which target.
pub fn left_over(name: &str) -> Option<(&str, LeftOver)> {
    let (rest, random) = name.strip_prefix('.')?.rsplit_once('-')?;
    if random.len() != 16 || !random.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let partial = rest.strip_suffix(".partial").map(|target| (target, LeftOver::Partial));
    partial.or_else(|| Some((rest.strip_suffix(".old")?, LeftOver::Old)))
}

/// Removes a bundle, out of every process's sight before anything of it goes. Not one that a process has locked: `false`.
pub fn remove(folder: &Path) -> Result<bool, BundleError> {
    let lock = File::open(folder).map_err(BundleError::write(folder))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(source)) => return Err(BundleError::Write { path: folder.to_path_buf(), source }),
    }
    // another process may have put a new bundle here since it was opened
    if !is_at(&lock, folder) {
        return Ok(false);
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let hidden = match left_over(&name) {
        Some(_) => folder.to_path_buf(),
        None => sibling(folder, "old")?,
    };
    if hidden != folder {
        fs::rename(folder, &hidden).map_err(BundleError::write(folder))?;
    }
    fs::remove_dir_all(&hidden).map_err(BundleError::write(&hidden))?;
    Ok(true)
}

#[cfg(unix)]
fn is_at(open: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((open.metadata(), fs::metadata(path)), (Ok(open), Ok(there)) if place(&open) == place(&there))
}

/// Elsewhere nobody renames a folder that is open.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Removes what killed processes left beside `target`: nobody else would. Where that fails, writing will say more.
fn remove_abandoned(target: &Path) {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    for entry in fs::read_dir(parent(target)).into_iter().flatten().flatten() {
        let (path, found) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = left_over(&found).filter(|(of, _)| *of == name).map(|(_, kind)| kind);
        // held until it is gone, so that nobody begins to write there meanwhile
        let unlocked = || File::open(&path).ok().filter(|folder| folder.try_lock().is_ok());
        let lock = if kind == Some(LeftOver::Partial) { unlocked() } else { None };
        if lock.is_some() || (kind == Some(LeftOver::Old) && target.exists()) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Refuses what must not be written over.
pub(crate) fn check_target(target: &Path, overwrite: bool) -> Result<(), BundleError> {
    match is_empty(target).map_err(BundleError::write(target))? {
        Some(false) if !overwrite => Err(BundleError::Exists { path: target.to_path_buf() }),
        Some(false) => {
            for entry in fs::read_dir(target).map_err(BundleError::write(target))? {
                let name = entry.map_err(BundleError::write(target))?.file_name();
                if Role::ALL.iter().all(|role| *role.name() != name) {
                    let got = name.to_string_lossy().into_owned();
                    return Err(BundleError::NotABundle { path: target.to_path_buf(), got });
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// `None` where there is nothing.
fn is_empty(folder: &Path) -> io::Result<Option<bool>> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(Some(entries.next().is_none())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn sibling(target: &Path, kind: &str) -> Result<PathBuf, BundleError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(BundleError::Entropy)?;
    let name = target.file_name().ok_or_else(|| {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "this path does not name a new folder");
        BundleError::Write { path: target.to_path_buf(), source }
    })?;
    let name = format!(".{}.{kind}-{}", name.to_string_lossy(), hex::encode(random));
    Ok(parent(target).join(name))
}

/// Makes a folder that only its owner may enter.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes a file that only its owner may read, fills it, and makes it durable.
pub(crate) fn write_file<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<T, BundleError>,
) -> Result<T, BundleError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = BufWriter::new(options.open(path).map_err(BundleError::write(path))?);
    let result = fill(&mut file)?;
    file.flush().and_then(|()| file.get_ref().sync_all()).map_err(BundleError::write(path))?;
    Ok(result)
}

/// [`write_file`] of these bytes.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    write_file(path, |file| file.write_all(bytes).map_err(BundleError::write(path)))
}

/// The same file under a second name, or a copy where the file system has no such thing.
pub(crate) fn link_or_copy(from: &Path, to: &Path) -> Result<(), BundleError> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mut source = File::open(from).map_err(BundleError::read(from))?;
    write_file(to, |file| io::copy(&mut source, file).map(drop).map_err(BundleError::write(to)))
}

fn sync_folder(path: &Path) -> Result<(), BundleError> {
    // only Unix opens folders
    if cfg!(unix) {
        File::open(path).and_then(|f| f.sync_all()).map_err(BundleError::write(path))?;
    }
    Ok(())
}
