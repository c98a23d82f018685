//! Whether four folders are the four parts of one bundle: for a machine that holds them all.

use std::path::Path;

use crate::error::BundleError;
use crate::layout::{MANIFEST, Role};
use crate::manifest::{read_manifest, spec_digest};

/// What to do about folders that do not belong together.
const ONE_CONVERSION: &str =
    "put the four parts of one conversion there, or make them again: convert STUDENT -o BUNDLE";

/// Checks that all parts are there, each in its own place, of one bundle, with one spec, in a format that this program
/// reads. What the manifests list beside is read and checked by the role that uses it.
pub fn check_parts(bundle: &Path) -> Result<(), BundleError> {
    let wrong = |path: &Path, what: &str, expected: &str, got: &str| {
        Err(BundleError::mismatch(path, what, expected, got, ONE_CONVERSION))
    };
    const PARTS: &str = "a bundle: a folder with the parts party0, party1, dealer and client";
    if bundle.join(MANIFEST).is_file() {
        return wrong(bundle, "this", PARTS, "one part; give the folder around it");
    }
    if Role::ALL.iter().all(|role| !role.folder(bundle).exists()) {
        return wrong(bundle, "this", PARTS, if bundle.exists() { "without any of them" } else { "missing" });
    }
    if let Some(role) = Role::ALL.iter().find(|role| !role.folder(bundle).is_dir()) {
        return wrong(&role.folder(bundle), "this part", "a folder", "missing");
    }
    let read = |role: Role| read_manifest(&role.folder(bundle), role);
    let parts = [read(Role::Party0)?, read(Role::Party1)?, read(Role::Dealer)?, read(Role::Client)?];
    type Says<'a> = (&'a str, [String; 4]);
    let says: [Says<'_>; 3] = [
        ("the bundle id", parts.each_ref().map(|part| part.id.to_string())),
        ("the digest of the spec", parts.each_ref().map(|part| hex::encode(spec_digest(&part.spec)))),
        ("the embedding", parts.each_ref().map(|part| part.embedding.to_string())),
    ];
    for (what, values) in says {
        // what most parts say is right: one that was mixed in is the one to name
        let same = |value: &String| values.iter().filter(|other| *other == value).count();
        let usual = values.iter().max_by_key(|value| same(value)).unwrap_or(&values[0]);
        let Some(odd) = values.iter().position(|value| value != usual) else { continue };
        let others: Vec<&str> =
            Role::ALL.iter().zip(&values).filter(|(_, value)| *value == usual).map(|(role, _)| role.name()).collect();
        let expected = format!("{usual} as in {}", others.join(", "));
        return wrong(&Role::ALL[odd].folder(bundle), what, &expected, &values[odd]);
    }
    Ok(())
}
