//! Which student and which bundle to run: one given, one converted before, or one converted now.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;
use bundle::Embedding;
use cli::coded;
use cli::exit::BAD_INPUT;
use convert::Student;
use datasets::BESIDE_TOKENIZER;
use local::cache;
use sha2::{Digest, Sha256};

use crate::options::Here;

/// The student in this repository.
pub const SHIPPED: &str = "sst2-minilm-l4-2quad";

/// Where the shipped student is looked for, in place of this repository's `models`.
const MODELS_VARIABLE: &str = "PRIVATE_BERT_MODELS";

/// A bundle to run, and the student that it was made from, where known.
#[derive(Debug)]
pub struct Chosen {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// The student's folder.
    pub student: Option<PathBuf>,
    /// Keeps a bundle in the cache folder from being pruned.
    pub lock: Option<File>,
}

/// Finds or makes the bundle that the command line asks for.
pub fn choose(here: &Here, quiet: bool) -> Result<Chosen> {
    if let Some(bundle) = &here.bundle {
        return Ok(Chosen { bundle: bundle.clone(), student: None, lock: None });
    }
    let student = match &here.model {
        Some(folder) => folder.clone(),
        None => shipped()?,
    };
    let bundle = converted(&student, here, quiet)?;
    let mut lock = cache::in_use(&bundle);
    // it may have been pruned before it was locked
    if !bundle.is_dir() {
        converted(&student, here, quiet)?;
        lock = cache::in_use(&bundle);
    }
    Ok(Chosen { bundle, student: Some(student), lock })
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
fn converted(folder: &Path, here: &Here, quiet: bool) -> Result<PathBuf> {
    let embedding = Embedding::from(here.embedding);
    let bundle = cache::place(&format!("{}-{embedding}", fingerprint(folder)?))?;
    if cache::is_whole(&bundle) {
        return Ok(bundle);
    }
    convert::check_memory(folder, here.running.memory)?;
    cache::make_room(&bundle)?;
    if !quiet {
        cli::log(&format!("converting {} into {} (first use)", folder.display(), bundle.display()));
    }
    let bar = cli::bar(quiet, "reading and fitting", 0);
    let student = Student::read(folder)?;
    bar.suspend(|| student.warn());
    let converted = convert::convert(&student, &student.stored_ranges()?)?;
    cache::write(&bundle, &bar, |options| convert::write_bundle(&student, &converted, embedding, &bundle, options))?;
    bar.finish_and_clear();
    Ok(bundle)
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
    // by these the tokenizer may be another than tokenizer.json says
    BESIDE_TOKENIZER.map(|name| folder.join(name)).into_iter().filter(|path| path.is_file()).try_for_each(&mut add)?;
    checkpoint::weight_files(folder)?.into_iter().try_for_each(add)?;
    Ok(hex::encode(&hash.finalize()[..12]))
}
