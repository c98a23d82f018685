//! Where a folder's weights are: in one file, or in the several that an index names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;
use crate::text::read_text;

const WHOLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// A file of weights, and the tensors that an index says are in it.
pub(crate) struct Shard {
    pub(crate) path: PathBuf,
    pub(crate) tensors: BTreeSet<String>,
}

/// The files of weights in a folder: `model.safetensors`, or those that `model.safetensors.index.json` names.
pub fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(shards(folder)?.into_iter().map(|shard| shard.path).collect())
}

pub(crate) fn shards(folder: &Path) -> Result<Vec<Shard>, Error> {
    let (whole, index) = (folder.join(WHOLE), folder.join(INDEX));
    if whole.is_file() {
        return Ok(vec![Shard { path: whole, tensors: BTreeSet::new() }]);
    }
    if index.is_file() {
        return indexed(folder, index);
    }
    match other_format(folder) {
        Some(path) => Err(Error::OtherFormat { cure: cure(folder, &path), path }),
        None => Err(Error::NoWeights { folder: folder.into() }),
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn indexed(folder: &Path, path: PathBuf) -> Result<Vec<Shard>, Error> {
    let text = read_text(&path)?;
    let wrong = |problem: String| Error::Index { path: path.clone(), problem };
    let index: Index = serde_json::from_str(&text).map_err(|e| wrong(format!("not an index of weights: {e}")))?;
    if index.weight_map.is_empty() {
        return Err(wrong("it names no tensor".into()));
    }
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (tensor, file) in index.weight_map {
        if !is_plain(&file) {
            return Err(wrong(format!("tensor `{tensor}` is said to be in `{file}`, which is not a file beside it")));
        }
        files.entry(file).or_default().insert(tensor);
    }
    let shard = |(file, tensors): (String, BTreeSet<String>)| {
        let path = folder.join(&file);
        match path.is_file() {
            true => Ok(Shard { path, tensors }),
            false => Err(wrong(format!("it names `{file}`, which is missing"))),
        }
    };
    files.into_iter().map(shard).collect()
}

/// Whether a name is that of a file in the same folder, on every system.
fn is_plain(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    let one = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    one && !file.contains(['/', '\\', ':', '\0'])
}

/// A file of weights that is not read.
fn other_format(folder: &Path) -> Option<PathBuf> {
    let names = [
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "tf_model.h5",
        "flax_model.msgpack",
        "model.onnx",
        "onnx/model.onnx",
    ];
    let known = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    known.or_else(|| {
        let entries = std::fs::read_dir(folder).ok()?;
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|path| path.extension().is_some_and(|e| e == "gguf")).min()
    })
}

fn cure(folder: &Path, file: &Path) -> String {
    let from = match file.extension().and_then(|e| e.to_str()) {
        Some("bin" | "json") => "",
        Some("h5") => ", from_tf=True",
        Some("msgpack") => ", from_flax=True",
        _ => {
            return "take the model that this one was made from, or a revision of it that has model.safetensors".into();
        }
    };
    let folder = folder.display();
    format!(
        "take a revision of the model that has it, or convert it with python and transformers:\n\
         from transformers import AutoModelForSequenceClassification as Auto\n\
         Auto.from_pretrained(\"{folder}\"{from}).save_pretrained(\"{folder}\", safe_serialization=True)"
    )
}
