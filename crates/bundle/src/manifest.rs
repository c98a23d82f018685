//! `manifest.json`: which bundle, which part of it, and the public spec.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use model::{InputKind, Spec, TOKEN_CLASSES, Texts, restart_probability};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{BundleError, CONVERT_AGAIN, COPY_AGAIN, OWN_PART};
use crate::layout::{Embedding, MANIFEST, MOST_WORDS, Role, words};

/// The name of the format.
pub const FORMAT: &str = "private-bert-bundle";
/// The version of the format that this program reads and writes.
pub const FORMAT_VERSION: u32 = 2;

/// No manifest of a model that fits the limits of a spec comes near.
const LARGEST_MANIFEST: u64 = 64 << 20;

/// The random number by which the parts of one bundle know each other. It is drawn, not computed: nothing about the
/// weights follows from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BundleId([u8; 16]);

impl BundleId {
    pub(crate) fn draw() -> Result<BundleId, BundleError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(BundleError::Entropy)?;
        Ok(BundleId(bytes))
    }

    /// The bytes, for a handshake.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleId({self})")
    }
}

/// SHA-256 of the spec's JSON, by which roles agree that they run the same public tables.
pub fn spec_digest(spec: &Spec) -> [u8; 32] {
    let mut hasher = Sha256::new();
    // writing into a hasher cannot fail, and a spec holds nothing that JSON cannot
    let _ = serde_json::to_writer(Hashing(&mut hasher), spec);
    hasher.finalize().into()
}

struct Hashing<'a>(&'a mut Sha256);

impl std::io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tells a damaged or swapped seed file. A seed is 256 uniform bits: nothing useful follows from its hash.
pub(crate) fn seed_check(seed: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"private-bert-bundle seed check");
    hasher.update(seed);
    hex::encode(hasher.finalize())
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) role: Role,
    pub(crate) embedding: Embedding,
    pub(crate) spec_digest: String,
    /// A check of each seed that this role holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) seeds: Vec<String>,
    /// A digest of each masked tensor: in the parties' parts only, never in the dealer's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tensors: BTreeMap<String, String>,
    /// A digest of each file of the client's part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) spec: Spec,
}

/// The first thing to read: whatever else another version may say, it says this.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// A manifest whose every statement about itself holds.
pub(crate) struct Checked {
    pub(crate) id: BundleId,
    pub(crate) embedding: Embedding,
    pub(crate) spec: Arc<Spec>,
    pub(crate) seeds: Vec<String>,
    pub(crate) tensors: BTreeMap<String, String>,
    pub(crate) files: BTreeMap<String, String>,
}

/// Reads and checks the manifest of a role's part.
pub(crate) fn read_manifest(folder: &Path, role: Role) -> Result<Checked, BundleError> {
    let path = folder.join(MANIFEST);
    let bytes = read_bounded(&path, LARGEST_MANIFEST)?;
    let json = |e: serde_json::Error| BundleError::malformed(&path, "a manifest in JSON", e);
    let head: Head = serde_json::from_slice(&bytes).map_err(json)?;
    let other = |what, expected: &dyn fmt::Display, got: &dyn fmt::Display, cure| {
        Err(BundleError::mismatch(&path, what, expected, got, cure))
    };
    if head.format != FORMAT {
        return other("the format", &FORMAT, &head.format, CONVERT_AGAIN);
    }
    if head.version != FORMAT_VERSION {
        return other("the format version", &FORMAT_VERSION, &head.version, CONVERT_AGAIN);
    }
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(json)?;
    if manifest.role != role {
        return other("the role", &role, &manifest.role, OWN_PART);
    }
    let mut id = [0; 16];
    if hex::decode_to_slice(&manifest.id, &mut id).is_err() {
        return other("the bundle id", &"32 hexadecimal digits", &manifest.id, COPY_AGAIN);
    }
    if let Err(e) = manifest.spec.check() {
        return other("the spec", &"one that this program can run", &e, CONVERT_AGAIN);
    }
    let count = words(&manifest.spec);
    if count > MOST_WORDS {
        return other("the number of the model's words", &format!("at most {MOST_WORDS}"), &count, CONVERT_AGAIN);
    }
    let digest = hex::encode(spec_digest(&manifest.spec));
    if digest != manifest.spec_digest {
        return other("the digest of the spec", &manifest.spec_digest, &digest, COPY_AGAIN);
    }
    let (holds_tensors, holds_files) = (matches!(role, Role::Party0 | Role::Party1), role == Role::Client);
    let seeds = [1, 1, 2, 0][role as usize];
    if manifest.seeds.len() != seeds {
        return other("the number of seeds", &seeds, &manifest.seeds.len(), CONVERT_AGAIN);
    }
    if manifest.tensors.is_empty() == holds_tensors || manifest.files.is_empty() == holds_files {
        return other("the list of digests", &format!("that of {role}"), &"that of another role", CONVERT_AGAIN);
    }
    let spec = Arc::new(manifest.spec);
    if let Err(message) = runs(&spec, manifest.embedding.input_kind()) {
        return other("the spec", &"one that this program can run", &message, CONVERT_AGAIN);
    }
    let Manifest { embedding, seeds, tensors, files, .. } = manifest;
    Ok(Checked { id: BundleId(id), embedding, spec, seeds, tensors, files })
}

/// Scales are bounded first, so that planning with them cannot overflow; then the longest text of each token class is
/// planned, because scales are functions of the class, and the shortest padded one, where texts are padded.
fn runs(spec: &Arc<Spec>, kind: InputKind) -> Result<(), String> {
    let mut lengths = Vec::from_iter((0..TOKEN_CLASSES).map(|class| spec.shape.positions.min(1 << class)));
    lengths.dedup();
    let calibrated = spec.calibrated(kind);
    let exact = lengths.into_iter().map(|tokens| Texts::new(&[tokens], &spec.shape));
    let padded = spec.padded.map(|_| Texts::padded(&[spec.shape.padded_length(1)], &spec.shape));
    for texts in exact.chain(padded) {
        restart_probability(&calibrated, &texts.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A whole regular file, refused before it is read when it is larger than `most`.
pub(crate) fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, BundleError> {
    let metadata = fs::metadata(path).map_err(BundleError::read(path))?;
    if !metadata.is_file() {
        return Err(BundleError::mismatch(path, "this", "a file", "something else", COPY_AGAIN));
    }
    if metadata.len() > most {
        let expected = format!("at most {most} bytes");
        return Err(BundleError::mismatch(path, "the size", expected, metadata.len(), COPY_AGAIN));
    }
    let file = fs::File::open(path).map_err(BundleError::read(path))?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(most).read_to_end(&mut bytes).map_err(BundleError::read(path))?;
    Ok(bytes)
}
