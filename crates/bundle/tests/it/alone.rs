//! A role that can read the part of another one is refused.

use std::fs;
use std::path::Path;

use bundle::{BundleError, Embedding, Role, check_alone};

use crate::small::Small;

/// The role whose part was found, and the message.
fn found(folder: &Path, own: Role) -> Option<(Role, String)> {
    match check_alone(folder, own) {
        Ok(()) => None,
        Err(BundleError::NotAlone { other, found, .. }) => {
            let error = check_alone(folder, own).unwrap_err().to_string();
            assert!(found.is_file() && error.contains(&found.display().to_string()), "{error}");
            assert!(error.contains(&folder.display().to_string()) && error.contains("--insecure-local"), "{error}");
            Some((other, error))
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn parts_as_convert_writes_them_are_refused_and_parts_alone_are_not() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(1));
    let bundle = root.path().join("bundle");
    small.write(&bundle, Embedding::Client).unwrap();
    for own in Role::ALL {
        let (other, error) = found(&own.folder(&bundle), own).unwrap();
        assert_ne!(other, own);
        assert!(error.contains(&format!("{own} can read")) && error.contains(&format!("{other}'s part")), "{error}");
        // moved to a place of its own, under its name or another one
        let alone = root.path().join(format!("{own}-alone"));
        fs::create_dir(&alone).unwrap();
        for name in [own.name(), "part"] {
            fs::rename(own.folder(&bundle), alone.join(name)).unwrap();
            assert_eq!(found(&alone.join(name), own), None);
            fs::rename(alone.join(name), own.folder(&bundle)).unwrap();
        }
    }
}

#[test]
fn each_other_part_is_enough_beside_within_and_behind_a_link() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(1));
    let bundle = root.path().join("bundle");
    small.write(&bundle, Embedding::Client).unwrap();
    for own in Role::ALL {
        for other in Role::ALL.into_iter().filter(|other| *other != own) {
            let place = root.path().join(format!("{own}-{other}"));
            let part = own.folder(&place);
            fs::create_dir(&place).unwrap();
            fs::rename(own.folder(&bundle), &part).unwrap();
            assert_eq!(found(&part, own), None);
            for around in [&place, &part] {
                fs::rename(other.folder(&bundle), other.folder(around)).unwrap();
                assert_eq!(found(&part, own).unwrap().0, other);
                fs::rename(other.folder(around), other.folder(&bundle)).unwrap();
            }
            // a link elsewhere to a folder that has neighbours, and one that has neighbours itself
            let link = root.path().join(format!("{own}-{other}-link"));
            fs::create_dir(&link).unwrap();
            std::os::unix::fs::symlink(&part, link.join("part")).unwrap();
            assert_eq!(found(&link.join("part"), own), None);
            fs::rename(other.folder(&bundle), other.folder(&place)).unwrap();
            assert_eq!(found(&link.join("part"), own).unwrap().0, other);
            fs::rename(other.folder(&place), other.folder(&link)).unwrap();
            assert_eq!(found(&link.join("part"), own).unwrap().0, other);
            fs::rename(other.folder(&link), other.folder(&bundle)).unwrap();
            fs::rename(&part, own.folder(&bundle)).unwrap();
        }
    }
}

#[test]
fn another_roles_secrets_among_the_own_files_are_found() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(1));
    let bundle = root.path().join("bundle");
    small.write(&bundle, Embedding::Private).unwrap();
    let part = root.path().join("part");
    fs::rename(bundle.join("party0"), &part).unwrap();
    assert_eq!(found(&part, Role::Party0), None);
    fs::copy(bundle.join("dealer/seeds"), part.join("seeds")).unwrap();
    assert_eq!(found(&part, Role::Party0).unwrap().0, Role::Dealer);
}
