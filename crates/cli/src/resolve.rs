//! Where a path leads, also where its end is not there yet.

use std::io;
use std::path::{Component, Path, PathBuf};

/// The path without links and dots, also where its end does not exist yet.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut there = path.as_path();
    loop {
        match there.canonicalize() {
            Ok(resolved) => {
                let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
                return Ok(rest.components().fold(resolved, |mut all, part| {
                    match part {
                        Component::ParentDir => drop(all.pop()),
                        part => all.push(part),
                    }
                    all
                }));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => match there.parent() {
                Some(parent) => there = parent,
                None => return Err(e),
            },
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_what_is_not_there_are_seen_through() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(resolve(Path::new("absent/../new/./more")).unwrap(), here.join("new/more"));
        assert_eq!(resolve(Path::new("src/..")).unwrap(), here);
        // below a file there is no place
        assert!(resolve(Path::new("Cargo.toml/new")).is_err());
    }
}
