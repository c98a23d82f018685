//! Splitting a converted model into the parts of a bundle.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use model::{Config, Parameter, Part, Quantised, Shape, Spec, Weight, weight_mask};
use ring64::Key;
use zeroize::Zeroizing;

use crate::error::BundleError;
use crate::folder::{Staged, check_target, create_folder, link_or_copy, write_bytes, write_file};
use crate::layout::{
    CONFIG, Embedding, MANIFEST, MOST_WORDS, Role, SEED, SEEDS, TABLE, TOKENIZER, WEIGHTS, bias_name, expected_tensors,
    words,
};
use crate::manifest::{BundleId, FORMAT, FORMAT_VERSION, Manifest, digest, seed_check, spec_digest};
use crate::table::EmbeddingTable;
use crate::tensors::{Tensor, write_elements, write_header};

/// What a bundle is made of.
#[derive(Clone, Copy)]
pub struct Contents<'a> {
    /// The calibrated spec.
    pub spec: &'a Spec,
    /// Every weight of the network in clear.
    pub quantised: &'a Quantised,
    /// Who embeds.
    pub embedding: Embedding,
    /// The student's `config.json`, as it stands.
    pub config_json: &'a [u8],
    /// The student's `tokenizer.json`, as it stands.
    pub tokenizer_json: &'a [u8],
    /// The client's table; there when, and only when, the client embeds.
    pub table: Option<&'a EmbeddingTable>,
}

impl fmt::Debug for Contents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contents {{ embedding: {}, weights: {} secret }}", self.embedding, self.quantised.len())
    }
}

/// How to write.
#[derive(Default)]
pub struct WriteOptions<'a> {
    /// Puts the new bundle in the place of an old one. Never deletes a folder that is not a bundle.
    pub overwrite: bool,
    /// Told after each weight how many bytes of how many are written; `Break` stops and leaves nothing behind.
    pub progress: Option<&'a mut dyn FnMut(u64, u64) -> ControlFlow<()>>,
}

impl fmt::Debug for WriteOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteOptions {{ overwrite: {} }}", self.overwrite)
    }
}

/// Says early whether [`write()`] would refuse to write there.
pub fn check_folder(folder: &Path, overwrite: bool) -> Result<(), BundleError> {
    check_target(folder, overwrite)
}

/// Draws two fresh seeds and writes the four parts, whole or not at all. Returns the new bundle's id.
pub fn write(folder: &Path, contents: &Contents<'_>, options: WriteOptions<'_>) -> Result<BundleId, BundleError> {
    check(contents)?;
    check_target(folder, options.overwrite)?;
    let staged = Staged::beside(folder)?;
    let id = BundleId::draw()?;
    let seeds = draw_seeds()?;
    for role in Role::ALL {
        let path = role.folder(staged.path());
        create_folder(&path).map_err(BundleError::write(&path))?;
    }
    let parties = [Role::Party0, Role::Party1].map(|role| role.folder(staged.path()));
    let tensors = write_weights(&parties[0].join(WEIGHTS), contents, &seeds, options.progress)?;
    link_or_copy(&parties[0].join(WEIGHTS), &parties[1].join(WEIGHTS))?;

    let manifest = |role, seeds: &[Key]| Manifest {
        format: FORMAT.into(),
        version: FORMAT_VERSION,
        id: id.to_string(),
        role,
        embedding: contents.embedding,
        spec_digest: hex::encode(spec_digest(contents.spec)),
        seeds: seeds.iter().map(|seed| seed_check(seed.as_bytes())).collect(),
        tensors: BTreeMap::new(),
        files: BTreeMap::new(),
        spec: contents.spec.clone(),
    };
    for ((role, path), seed) in [Role::Party0, Role::Party1].into_iter().zip(&parties).zip(&seeds) {
        write_bytes(&path.join(SEED), seed.as_bytes())?;
        let own = Manifest { tensors: tensors.clone(), ..manifest(role, std::slice::from_ref(seed)) };
        write_manifest(path, &own)?;
    }

    let dealer = Role::Dealer.folder(staged.path());
    let mut both = Zeroizing::new([0; 64]);
    both[..32].copy_from_slice(seeds[0].as_bytes());
    both[32..].copy_from_slice(seeds[1].as_bytes());
    write_bytes(&dealer.join(SEEDS), &*both)?;
    write_manifest(&dealer, &manifest(Role::Dealer, &seeds))?;

    let client = Role::Client.folder(staged.path());
    let mut files = BTreeMap::new();
    for (name, bytes) in [(CONFIG, contents.config_json), (TOKENIZER, contents.tokenizer_json)] {
        write_bytes(&client.join(name), bytes)?;
        files.insert(name.to_string(), digest(bytes));
    }
    if let Some(table) = contents.table {
        files.extend(write_table(&client.join(TABLE), &contents.spec.shape, table)?);
    }
    write_manifest(&client, &Manifest { files, ..manifest(Role::Client, &[]) })?;
    staged.place(folder, options.overwrite)?;
    Ok(id)
}

/// Everything that a reader of the bundle would refuse is refused before it is written.
fn check(contents: &Contents<'_>) -> Result<(), BundleError> {
    let Contents { spec, quantised, embedding, .. } = contents;
    spec.check().map_err(|e| BundleError::contents("the spec", "one that this program can run", e))?;
    let count = words(spec);
    if count > MOST_WORDS {
        return Err(BundleError::contents("the number of the model's words", format!("at most {MOST_WORDS}"), count));
    }
    for (weight, Parameter { name, rows, cols, bias, .. }) in expected_tensors(spec, Embedding::Private) {
        let Some(words) = quantised.get(&weight) else {
            return Err(BundleError::contents(format!("weight `{name}`"), "there", "missing"));
        };
        let expected = (rows, cols, rows * cols, bias.then_some(cols));
        let got = (words.rows, words.cols, words.weight.len(), words.bias.as_ref().map(Vec::len));
        if got != expected {
            let (expected, got) = (format!("{expected:?}"), format!("{got:?}"));
            return Err(BundleError::contents(format!("weight `{name}` (rows, columns, words, bias)"), expected, got));
        }
    }
    let config = std::str::from_utf8(contents.config_json).map_err(|e| e.to_string());
    let config = config.and_then(|text| Config::from_json(text).map_err(|e| e.to_string()));
    let config = config.map_err(|e| BundleError::contents("config.json", "the student's configuration", e))?;
    if !spec.shape.is_of(&config) {
        return Err(BundleError::contents("config.json", "that of the spec's model", "that of another model"));
    }
    match (contents.table, embedding) {
        (None, Embedding::Private) => Ok(()),
        (Some(table), Embedding::Client) => {
            let dims = [table.embedding.dim(), table.position.dim()].map(|(rows, cols)| vec![rows, cols]);
            let expected = EmbeddingTable::tensors(&spec.shape).map(|t| t.shape);
            match dims == expected {
                true => Ok(()),
                false => Err(BundleError::contents("the client's table", format!("{expected:?}"), format!("{dims:?}"))),
            }
        }
        (table, _) => {
            let word = |there| if there { "there" } else { "absent" };
            let expected = word(*embedding == Embedding::Client);
            Err(BundleError::contents("the client's table", expected, word(table.is_some())))
        }
    }
}

fn draw_seeds() -> Result<[Key; 2], BundleError> {
    let draw = || {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(BundleError::Entropy)?;
        Ok(Key::from_bytes(*bytes))
    };
    Ok([draw()?, draw()?])
}

/// Writes `F = W - G(k0) - G(k1)` weight by weight, and returns the digest of each tensor.
fn write_weights(
    path: &Path,
    contents: &Contents<'_>,
    seeds: &[Key; 2],
    mut progress: Option<&mut dyn FnMut(u64, u64) -> ControlFlow<()>>,
) -> Result<BTreeMap<String, String>, BundleError> {
    let expected = expected_tensors(contents.spec, contents.embedding);
    let tensors = weight_tensors(&expected);
    let total = 8 * tensors.iter().map(|t| t.count() as u64).sum::<u64>();
    write_file(path, |file| {
        let io = |e| BundleError::Write { path: path.to_path_buf(), source: e };
        write_header::<u64>(file, &tensors).map_err(io)?;
        let (mut digests, mut done) = (BTreeMap::new(), 0);
        for (weight, Parameter { name, stream, .. }) in &expected {
            let words = &contents.quantised[weight];
            let matrix = (name.clone(), Part::Matrix, Some(&words.weight));
            let bias = (bias_name(name), Part::Bias, words.bias.as_ref());
            for (name, part, clear) in [matrix, bias] {
                let Some(clear) = clear else { continue };
                let mut masked = clear.clone();
                for seed in seeds {
                    ring64::sub_assign(&mut masked, &weight_mask(seed, *stream, part, clear.len()));
                }
                digests.insert(name, write_elements(file, &mut masked).map_err(io)?);
                done += 8 * clear.len() as u64;
            }
            if let Some(progress) = &mut progress
                && progress(done, total).is_break()
            {
                return Err(BundleError::Stopped);
            }
        }
        Ok(digests)
    })
}

/// The tensors of the parties' file, in its order.
pub(crate) fn weight_tensors(expected: &[(Weight, Parameter)]) -> Vec<Tensor> {
    let tensors = expected.iter().flat_map(|(_, e)| {
        let matrix = Tensor { name: e.name.clone(), shape: vec![e.rows, e.cols] };
        let bias = e.bias.then(|| Tensor { name: bias_name(&e.name), shape: vec![e.cols] });
        [Some(matrix), bias]
    });
    tensors.flatten().collect()
}

/// Writes the client's table, and returns the digest of each tensor under `table.safetensors/NAME`.
fn write_table(path: &Path, shape: &Shape, table: &EmbeddingTable) -> Result<Vec<(String, String)>, BundleError> {
    let tensors = EmbeddingTable::tensors(shape);
    write_file(path, |file| {
        let io = |e| BundleError::Write { path: path.to_path_buf(), source: e };
        write_header::<f32>(file, &tensors).map_err(io)?;
        let mut digests = Vec::new();
        for (tensor, values) in tensors.iter().zip([&table.embedding, &table.position]) {
            let mut values: Vec<f32> = values.iter().copied().collect();
            digests.push((table_digest_name(&tensor.name), write_elements(file, &mut values).map_err(io)?));
        }
        Ok(digests)
    })
}

/// Under which name the manifest lists the digest of a tensor of the table.
pub(crate) fn table_digest_name(tensor: &str) -> String {
    format!("{TABLE}/{tensor}")
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), BundleError> {
    let path = folder.join(MANIFEST);
    let text = serde_json::to_vec_pretty(manifest).map_err(|e| BundleError::malformed(&path, "a manifest", e))?;
    write_bytes(&path, &text)
}
