//! Which student and which bundle to run: one given, one converted before, or one converted now.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use bundle::{BundleError, ClientBundle, DealerBundle, Embedding, Role, WriteOptions, check_parts};
use cli::coded;
use cli::exit::{BAD_INPUT, INTERRUPTED, UNWRITABLE};
use convert::{ConvertError, Student};
use directories::ProjectDirs;
use sha2::{Digest, Sha256};

use crate::options::Source;

/// The student in this repository.
pub const SHIPPED: &str = "sst2-minilm-l4-2quad";

/// Where the shipped student is looked for, in place of this repository's `models`.
const MODELS_VARIABLE: &str = "PRIVATE_BERT_MODELS";
/// Where bundles are kept, in place of the user's cache folder.
const CACHE_VARIABLE: &str = "PRIVATE_BERT_CACHE";
/// Changes when a bundle of the same student would differ, though no format did.
const CACHE_VERSION: u32 = 2;

/// Whether a bundle is being written, and whether it should stop.
static WRITING: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);
/// Whether a signal is ending this process.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Ends this process on Ctrl-C, after its children; a bundle that is being written is removed first.
pub fn interrupt() {
    if WRITING.load(Ordering::SeqCst) && !STOP.swap(true, Ordering::SeqCst) {
        return;
    }
    ENDING.store(true, Ordering::SeqCst);
    crate::children::kill_all();
    std::process::exit(INTERRUPTED);
}

/// Whether a signal is ending this process: what goes wrong meanwhile is its doing.
pub(crate) fn ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

/// Does not return when a signal is ending this process.
pub fn give_way() {
    while ending() {
        std::thread::park();
    }
}

/// A bundle to run, and the student that it was made from, where known.
#[derive(Debug)]
pub struct Chosen {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// The student's folder.
    pub student: Option<PathBuf>,
}

/// Finds or makes the bundle that the command line asks for.
pub fn choose(source: &Source) -> Result<Chosen> {
    if let Some(bundle) = &source.bundle {
        return Ok(Chosen { bundle: bundle.clone(), student: None });
    }
    let student = match &source.model {
        Some(folder) => folder.clone(),
        None => shipped()?,
    };
    let bundle = converted(&student, source)?;
    Ok(Chosen { bundle, student: Some(student) })
}

/// The folder of the shipped student.
fn shipped() -> Result<PathBuf> {
    let beside_source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let folder = std::env::var_os(MODELS_VARIABLE).map_or(beside_source, PathBuf::from);
    let folder = folder.join(SHIPPED);
    if folder.join("config.json").is_file() {
        return Ok(folder);
    }
    let message = format!(
        "the shipped student is not at {}; give --model or --bundle, or set {MODELS_VARIABLE} to the folder that holds it",
        folder.display()
    );
    Err(coded(BAD_INPUT, message))
}

/// The bundle of a student in the cache folder; made if it is not there.
fn converted(folder: &Path, source: &Source) -> Result<PathBuf> {
    let (embedding, quiet) = (Embedding::from(source.embedding), source.quiet);
    let cache = match std::env::var_os(CACHE_VARIABLE) {
        Some(cache) => PathBuf::from(cache),
        None => ProjectDirs::from("", "", "private-bert")
            .context("this user has no home folder to keep bundles in; set PRIVATE_BERT_CACHE")?
            .cache_dir()
            .join("bundles"),
    };
    let name = match embedding {
        Embedding::Private => "private",
        Embedding::Client => "client",
    };
    let version = format!("v{CACHE_VERSION}.{}.{}", bundle::FORMAT_VERSION, model::SPEC_VERSION);
    let bundle = cache.join(format!("{}-{name}-{version}", fingerprint(folder)?));
    if is_whole(&bundle) {
        return Ok(bundle);
    }
    convert::check_memory(folder, source.memory)?;
    fs::create_dir_all(&cache)
        .map_err(|e| unwritable(format!("cannot make the cache folder {}: {e}", cache.display())))?;
    if !quiet {
        crate::log(&format!("converting {} into {} (first use)", folder.display(), bundle.display()));
    }
    let bar = cli::bar(quiet, "reading and fitting", 0);
    let student = Student::read(folder)?;
    let converted = convert::convert(&student, &student.stored_ranges()?)?;
    bar.set_message("masking and writing");
    let mut progress = |done: u64, all: u64| {
        bar.set_length(all);
        bar.set_position(done);
        if STOP.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    // what is there and cannot be read is replaced
    let options = WriteOptions { overwrite: bundle.exists(), progress: Some(&mut progress) };
    WRITING.store(true, Ordering::SeqCst);
    let written = convert::write_bundle(&student, &converted, embedding, &bundle, options);
    WRITING.store(false, Ordering::SeqCst);
    if STOP.load(Ordering::SeqCst) {
        interrupt();
    }
    match written {
        // another process was faster: its bundle serves as well
        Err(_) if is_whole(&bundle) => {}
        Err(ConvertError::Bundle(error @ BundleError::Write { .. })) => return Err(unwritable(error.to_string())),
        other => drop(other?),
    }
    bar.finish_and_clear();
    Ok(bundle)
}

/// The cache cannot be written to.
fn unwritable(what: String) -> anyhow::Error {
    let cure = format!("set {CACHE_VARIABLE} to a folder with room that you may write to");
    coded(UNWRITABLE, format!("{what}; bundles are kept in your cache folder: {cure}"))
}

/// Whether a bundle is there for all roles; their weights are read by the parties themselves.
fn is_whole(bundle: &Path) -> bool {
    let part = |role: Role| role.folder(bundle);
    check_parts(bundle).is_ok()
        && ClientBundle::open(&part(Role::Client)).is_ok()
        && DealerBundle::open(&part(Role::Dealer)).is_ok()
}

/// A name for a student's content.
fn fingerprint(folder: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut add = |path: PathBuf| {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message =
                    format!("{}: {error}; a student folder as `distill` writes it is expected", path.display());
                return Err(coded(BAD_INPUT, message));
            }
        };
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
        Ok(())
    };
    for name in ["config.json", "calibration.json", "tokenizer.json"] {
        add(folder.join(name))?;
    }
    checkpoint::weight_files(folder)?.into_iter().try_for_each(add)?;
    Ok(hex::encode(&hash.finalize()[..12]))
}
