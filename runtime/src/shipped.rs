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
use model::AttentionKind;
use sha2::{Digest, Sha256};

use crate::options::Here;

/// The student in this repository.
pub const SHIPPED: &str = "sst2-minilm-l4-2quad";

/// Where the shipped student is looked for, in place of this repository's `models`.
const MODELS_VARIABLE: &str = "PRIVATE_BERT_MODELS";

/// The ranges of a student.
const CALIBRATION: &str = "calibration.json";

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
        Some(name) => checkpoint::classifier(&found(name, quiet)?)?,
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

/// The folder of a model, fetched where it has a name on the hub and is no folder here.
#[cfg(feature = "hub")]
fn found(name: &Path, quiet: bool) -> Result<PathBuf> {
    use anyhow::Context;
    use datasets::hub::{Hub, is_id};
    let Some(id) = name.to_str().filter(|id| !name.exists() && is_id(id)) else { return Ok(name.into()) };
    let hub = Hub::from_env(quiet)?;
    hub.model_if(id, None, &check_part)
        .with_context(|| format!("{id} is not a folder here, so it was looked for on the hub"))
}

/// Refuses a model before its weights are fetched, as reading it would.
#[cfg(feature = "hub")]
fn check_part(part: datasets::hub::Part<'_>) -> Result<()> {
    use datasets::hub::Part;
    match part {
        Part::Config(folder) => Ok(checkpoint::read_config(folder).map(drop)?),
        Part::Tokenizer(_) => Ok(()),
        Part::Headers(folder, headers) => {
            let header = |(name, text): &(String, Vec<u8>)| checkpoint::Header::parse(&folder.join(name), text);
            Ok(checkpoint::check_headers(folder, &headers.iter().map(header).collect::<Result<Vec<_>, _>>()?)?)
        }
    }
}

/// The folder of a model.
#[cfg(not(feature = "hub"))]
fn found(name: &Path, _: bool) -> Result<PathBuf> {
    if name.is_dir() || name.components().count() > 2 || name.is_absolute() {
        return Ok(name.into());
    }
    let name = name.display();
    let message = format!(
        "{name} is no folder here, and this program was built without the hub: build it with `--features hub`, or give the folder of \
         a model (config.json, model.safetensors, tokenizer.json)"
    );
    Err(coded(BAD_INPUT, message))
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

/// The bundle of a model in the cache folder; made if it is not there.
fn converted(folder: &Path, here: &Here, quiet: bool) -> Result<PathBuf> {
    let embedding = Embedding::from(here.embedding);
    check_ranges(folder, here)?;
    let bundle = cache::place(&format!("{}-{embedding}", fingerprint(folder, here.calibrate.as_deref())?))?;
    if cache::is_whole(&bundle) {
        return Ok(bundle);
    }
    convert::check_memory(folder, here.running.memory)?;
    cache::make_room(&bundle)?;
    if !quiet {
        cli::log(&format!("converting {} into {} (first use)", folder.display(), bundle.display()));
    }
    let bar = cli::bar(quiet, "reading and fitting", 0);
    let mut student = Student::read(folder)?;
    bar.suspend(|| student.warn());
    let converted = match &here.calibrate {
        Some(texts) => convert::convert_over(&mut student, texts, here.running.memory, quiet)?,
        None => convert::convert(&student, &student.stored_ranges()?)?,
    };
    cache::write(&bundle, &bar, |options| convert::write_bundle(&student, &converted, embedding, &bundle, options))?;
    bar.finish_and_clear();
    Ok(bundle)
}

/// Refuses a model that nothing says the ranges of. A folder that cannot be read passes: its reader says better what is wrong.
fn check_ranges(folder: &Path, here: &Here) -> Result<()> {
    let Ok(config) = checkpoint::read_config(folder) else { return Ok(()) };
    let why = match config.attention_softmax {
        _ if here.calibrate.is_some() => return Ok(()),
        AttentionKind::Softmax => "its attention is softmax, whose scales and series are fitted to texts",
        _ if folder.join(CALIBRATION).is_file() => return Ok(()),
        _ => "it has no calibration.json, so nothing says how large its values become",
    };
    let (folder, cure) = (folder.display(), "some hundreds like those to be classified, one a line");
    Err(coded(BAD_INPUT, format!("{folder}: {why}; say --calibrate FILE with texts ({cure})")))
}

/// A name for a student's content, and that of the texts that it is fitted to.
fn fingerprint(folder: &Path, texts: Option<&Path>) -> Result<String> {
    let mut hash = Sha256::new();
    let mut add = |path: &Path, expected: &str| {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return Err(coded(BAD_INPUT, format!("{}: {error}; {expected}", path.display()))),
        };
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
        Ok(())
    };
    let mut of_model = |path: &Path| add(path, "a student folder as `distill` writes it is expected");
    let stored = folder.join(CALIBRATION);
    of_model(&folder.join("config.json"))?;
    stored.is_file().then(|| of_model(&stored)).transpose()?;
    of_model(&folder.join("tokenizer.json"))?;
    // by these the tokenizer may be another than tokenizer.json says
    let beside = BESIDE_TOKENIZER.map(|name| folder.join(name));
    beside.into_iter().filter(|path| path.is_file()).try_for_each(|path| of_model(&path))?;
    checkpoint::weight_files(folder)?.iter().try_for_each(|path| of_model(path))?;
    if let Some(texts) = texts {
        add(texts, "--calibrate names a file with one text a line, or a table of texts")?;
        // its ending says how it is read
        hash.update(texts.extension().unwrap_or_default().to_ascii_lowercase().as_encoded_bytes());
    }
    Ok(hex::encode(&hash.finalize()[..12]))
}
