//! Laws of the house that a compiler does not check.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;

/// Which of our crates may use which, floor by floor (ARCHITECTURE.md).
const EDGES: [(&str, &[&str]); 14] = [
    ("cli", &[]),
    ("datasets", &["cli"]),
    ("ring64", &[]),
    ("net", &[]),
    ("model", &["ring64"]),
    ("mpc", &["ring64", "model", "net"]),
    ("bundle", &["ring64", "model"]),
    ("checkpoint", &["model"]),
    ("roles", &["bundle", "cli", "model", "mpc", "net", "ring64"]),
    ("local", &["bundle", "cli", "convert", "model", "mpc", "net", "roles"]),
    ("bench", &["bundle", "cli", "convert", "local", "model", "mpc", "ring64", "roles"]),
    ("distill", &["checkpoint", "cli", "datasets", "model", "net"]),
    ("convert", &["checkpoint", "cli", "datasets", "model", "ring64", "bundle"]),
    (
        "runtime",
        &[
            "bench",
            "bundle",
            "checkpoint",
            "cli",
            "convert",
            "datasets",
            "local",
            "model",
            "mpc",
            "net",
            "ring64",
            "roles",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

#[test]
fn crates_use_only_the_floors_below_them() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let allowed: BTreeMap<_, BTreeSet<_>> =
        EDGES.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    let ours: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    assert_eq!(ours, allowed.keys().map(|n| n.to_string()).collect());
    for package in &metadata.packages {
        for dependency in package.dependencies.iter().filter(|d| ours.contains(&d.name)) {
            // a crate's tests may switch on its own features
            let own = dependency.name == package.name.as_str();
            let allowed = allowed[package.name.as_str()].contains(dependency.name.as_str());
            assert!(own || allowed, "{} must not use {}", package.name, dependency.name);
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(&root(), &mut found);
    assert!(found.len() > 50, "{} source files", found.len());
    found
}

#[test]
fn no_file_is_longer_than_six_hundred_lines() {
    for path in all_sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines", path.display());
    }
}

#[test]
fn unsafe_code_stands_in_the_kernels_of_ring64_only() {
    let source = root().join("crates/ring64/src");
    let kernels = ["avx2.rs", "avx2", "avx512.rs", "avx512", "neon.rs", "neon", "recompiled.rs", "tiles.rs"];
    let kernels = kernels.map(|name| source.join(name));
    let (word, allowed) = (["un", "safe"].concat(), ["allow(un", "safe_code"].concat());
    let mut found = 0;
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().map(|l| l.split("//").next().unwrap_or_default());
        // the word itself, not a part of a longer one such as the lint's name
        let is_code = |line: &str| {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.into_iter().any(|w| w == word) || line.contains(&allowed)
        };
        let lines = code.filter(|line| is_code(line)).count();
        let kernel = kernels.iter().any(|kernel| path.starts_with(kernel));
        assert!(lines == 0 || kernel, "{} holds {word} code", path.display());
        found += lines;
    }
    assert!(found > 0, "the search finds what is there");
}

#[test]
fn no_module_is_called_after_nothing_in_particular() {
    for path in all_sources() {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let vague = ["utils", "util", "common", "helpers", "helper", "manager", "misc"];
        assert!(!vague.contains(&stem.as_str()), "{}", path.display());
    }
}
