//! Reading a part of a bundle: nothing is used before all of it was checked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Config, ProblemType, Quantised, Spec, Words};
use ndarray::Array2;
use ring64::Key;
use zeroize::Zeroizing;

use crate::error::{BundleError, COPY_AGAIN, OWN_PART};
use crate::layout::{CONFIG, Embedding, Role, SEED, SEEDS, TABLE, TOKENIZER, WEIGHTS, bias_name, expected_tensors};
use crate::manifest::{BundleId, digest, read_bounded, read_manifest, seed_check};
use crate::table::EmbeddingTable;
use crate::tensors::{Tensor, TensorFile};
use crate::write::{table_digest_name, weight_tensors};

/// Largest `config.json` and `tokenizer.json`.
const LARGEST_TEXT: u64 = 256 << 20;

/// What a party holds.
pub struct PartyBundle {
    /// Which bundle.
    pub id: BundleId,
    /// Which party: 0 or 1.
    pub party: usize,
    /// Who embeds.
    pub embedding: Embedding,
    /// The calibrated spec.
    pub spec: Arc<Spec>,
    /// This party's seed.
    pub seed: Key,
    /// The masked words `F`, the same at both parties; without the tables where the client embeds.
    pub weights: Quantised,
}

impl PartyBundle {
    /// Reads the part of party 0 or 1 from its folder (`BUNDLE/party0`).
    pub fn open(folder: &Path, party: usize) -> Result<PartyBundle, BundleError> {
        let role = match party {
            0 => Role::Party0,
            1 => Role::Party1,
            _ => return Err(BundleError::mismatch(folder, "the party", "0 or 1", party, OWN_PART)),
        };
        let manifest = read_manifest(folder, role)?;
        let [seed] = read_seeds(&folder.join(SEED), &manifest.seeds)?;
        let path = folder.join(WEIGHTS);
        let expected = expected_tensors(&manifest.spec, manifest.embedding);
        let tensors = weight_tensors(&expected);
        check_names(&path, &tensors, &manifest.tensors)?;
        let mut file = TensorFile::open::<u64>(&path, &tensors)?;
        let mut words = BTreeMap::new();
        for number in std::mem::take(&mut file.order) {
            let tensor = &tensors[number];
            words.insert(tensor.name.as_str(), file.read::<u64>(tensor, &manifest.tensors[&tensor.name])?);
        }
        let mut weights = Quantised::new();
        for (number, e) in &expected {
            let weight = words.remove(e.name.as_str()).unwrap_or_default();
            let bias = words.remove(bias_name(&e.name).as_str());
            weights.insert(*number, Words { rows: e.rows, cols: e.cols, weight, bias });
        }
        Ok(PartyBundle { id: manifest.id, party, embedding: manifest.embedding, spec: manifest.spec, seed, weights })
    }
}

impl fmt::Debug for PartyBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, party, embedding, count) = (self.id, self.party, self.embedding, self.weights.len());
        write!(f, "PartyBundle {{ id: {id}, party: {party}, embedding: {embedding}, weights: {count} secret }}")
    }
}

/// What the dealer holds.
pub struct DealerBundle {
    /// Which bundle.
    pub id: BundleId,
    /// Who embeds.
    pub embedding: Embedding,
    /// The calibrated spec.
    pub spec: Arc<Spec>,
    /// The seeds of both parties.
    pub seeds: [Key; 2],
}

impl DealerBundle {
    /// Reads the dealer's part from its folder (`BUNDLE/dealer`).
    pub fn open(folder: &Path) -> Result<DealerBundle, BundleError> {
        let manifest = read_manifest(folder, Role::Dealer)?;
        let seeds = read_seeds(&folder.join(SEEDS), &manifest.seeds)?;
        Ok(DealerBundle { id: manifest.id, embedding: manifest.embedding, spec: manifest.spec, seeds })
    }
}

impl fmt::Debug for DealerBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DealerBundle {{ id: {}, embedding: {}, seeds: secret }}", self.id, self.embedding)
    }
}

/// What the client holds.
#[derive(Debug)]
pub struct ClientBundle {
    /// Which bundle.
    pub id: BundleId,
    /// Who embeds.
    pub embedding: Embedding,
    /// The calibrated spec.
    pub spec: Arc<Spec>,
    /// The model's configuration.
    pub config: Config,
    /// The tokenizer's file; its bytes were checked.
    pub tokenizer_path: PathBuf,
    /// Names of the classes, by number; `LABEL_0`, `LABEL_1`, ... where the model names none.
    pub labels: Vec<String>,
    /// What the logits mean.
    pub problem: ProblemType,
    /// The table, where the client embeds.
    pub table: Option<EmbeddingTable>,
}

impl ClientBundle {
    /// Reads the client's part from its folder (`BUNDLE/client`).
    pub fn open(folder: &Path) -> Result<ClientBundle, BundleError> {
        let manifest = read_manifest(folder, Role::Client)?;
        let tensors = EmbeddingTable::tensors(&manifest.spec.shape);
        let mut names = vec![CONFIG.to_string(), TOKENIZER.to_string()];
        if manifest.embedding == Embedding::Client {
            names.extend(tensors.iter().map(|t| table_digest_name(&t.name)));
        }
        let names: Vec<Tensor> = names.into_iter().map(|name| Tensor { name, shape: Vec::new() }).collect();
        check_names(folder, &names, &manifest.files)?;
        let read = |name: &str| {
            let path = folder.join(name);
            let bytes = read_bounded(&path, LARGEST_TEXT)?;
            let (expected, got) = (&manifest.files[name], digest(&bytes));
            match got == *expected {
                true => Ok(bytes),
                false => Err(BundleError::mismatch(&path, "the file's digest", expected, got, COPY_AGAIN)),
            }
        };
        let path = folder.join(CONFIG);
        let text = String::from_utf8(read(CONFIG)?).map_err(|e| BundleError::malformed(&path, "UTF-8", e))?;
        let config =
            Config::from_json(&text).map_err(|e| BundleError::malformed(&path, "a BERT's configuration", e))?;
        if !manifest.spec.shape.is_of(&config) {
            let expected = "the one that the spec was made for";
            return Err(BundleError::mismatch(&path, "the model", expected, "another one", OWN_PART));
        }
        read(TOKENIZER)?;
        let table = match manifest.embedding {
            Embedding::Private => None,
            Embedding::Client => Some(read_table(&folder.join(TABLE), &tensors, &manifest.files)?),
        };
        let (labels, problem) = (config.labels(), config.problem());
        let tokenizer_path = folder.join(TOKENIZER);
        let (id, embedding, spec) = (manifest.id, manifest.embedding, manifest.spec);
        Ok(ClientBundle { id, embedding, spec, config, tokenizer_path, labels, problem, table })
    }
}

fn read_table(
    path: &Path,
    tensors: &[Tensor; 2],
    digests: &BTreeMap<String, String>,
) -> Result<EmbeddingTable, BundleError> {
    let mut file = TensorFile::open::<f32>(path, tensors)?;
    let mut tables = [None, None];
    for number in std::mem::take(&mut file.order) {
        let tensor = &tensors[number];
        let values = file.read::<f32>(tensor, &digests[&table_digest_name(&tensor.name)])?;
        tables[number] = Array2::from_shape_vec((tensor.shape[0], tensor.shape[1]), values).ok();
    }
    match tables {
        [Some(embedding), Some(position)] => Ok(EmbeddingTable { embedding, position }),
        _ => Err(BundleError::mismatch(path, "the table", "two tensors", "fewer", COPY_AGAIN)),
    }
}

/// The manifest lists a digest of each tensor or file, and of nothing else.
fn check_names(path: &Path, expected: &[Tensor], digests: &BTreeMap<String, String>) -> Result<(), BundleError> {
    let digest_of = |name: &str| format!("the manifest's digest of `{name}`");
    if let Some(missing) = expected.iter().find(|t| !digests.contains_key(&t.name)) {
        return Err(BundleError::mismatch(path, digest_of(&missing.name), "there", "missing", COPY_AGAIN));
    }
    match digests.keys().find(|name| expected.iter().all(|t| t.name != **name)) {
        Some(extra) => Err(BundleError::mismatch(path, digest_of(extra), "absent", "there", COPY_AGAIN)),
        None => Ok(()),
    }
}

/// Reads as many seeds as the role holds, each with its check.
fn read_seeds<const N: usize>(path: &Path, checks: &[String]) -> Result<[Key; N], BundleError> {
    let bytes = Zeroizing::new(read_bounded(path, 1 << 10)?);
    if bytes.len() != 32 * N {
        return Err(BundleError::mismatch(path, "the number of bytes", 32 * N, bytes.len(), COPY_AGAIN));
    }
    for (seed, check) in bytes.chunks(32).zip(checks) {
        if seed_check(seed) != *check {
            let cure = "copy this part of the bundle again; seeds are never exchanged between parts";
            return Err(BundleError::mismatch(path, "a seed", "the one that the manifest names", "another one", cure));
        }
    }
    Ok(std::array::from_fn(|i| {
        let mut seed = Zeroizing::new([0; 32]);
        seed.copy_from_slice(&bytes[32 * i..32 * (i + 1)]);
        Key::from_bytes(*seed)
    }))
}
