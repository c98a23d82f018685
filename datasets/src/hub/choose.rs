//! Which files of a repository are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::is_safe;
use crate::{BESIDE_TOKENIZER, Split, Task, VOCABULARY};

/// The weights in one file.
const WEIGHTS: &str = "model.safetensors";
/// The list of the files that hold the weights.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Weights in formats that we do not read, by their beginnings.
const OTHERS: [&str; 6] =
    ["pytorch_model", "tf_model.h5", "flax_model.msgpack", "model.ckpt", "bert_model.ckpt", "rust_model.ot"];

/// What a repository lacks, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) what: String,
    pub(super) cure: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it holds no {}; {}", self.what, self.cure)
    }
}

fn missing(what: impl Into<String>, cure: impl Into<String>) -> Missing {
    Missing { what: what.into(), cure: cure.into() }
}

/// The files of a model, in the order in which they are fetched: the weights last.
pub(super) fn model(names: &BTreeSet<String>) -> Result<Vec<String>, Missing> {
    if !names.contains("config.json") {
        return Err(missing("config.json", "give the name of a model in the layout of transformers"));
    }
    let weights = [WEIGHTS, INDEX].into_iter().find(|name| names.contains(*name)).ok_or_else(|| {
        let other = names.iter().find(|name| OTHERS.iter().any(|other| name.starts_with(other)));
        match other {
            None => missing(WEIGHTS, "give the name of a model that has weights"),
            Some(other) => missing(
                WEIGHTS,
                format!(
                    "its weights are only there as {other}, which is not read here. Name a revision that has safetensors \
                     (often refs/pr/1: see the pull requests on its page), or convert it once with Python and give the folder:\n  \
                     from transformers import AutoModelForSequenceClassification as M, AutoTokenizer as T\n  \
                     [x.from_pretrained(\"NAME\").save_pretrained(\"FOLDER\") for x in (M, T)]"
                ),
            ),
        }
    })?;
    let tokenizer = ["tokenizer.json", "vocab.txt"].into_iter().find(|name| names.contains(*name));
    let tokenizer =
        tokenizer.ok_or_else(|| missing("tokenizer.json or vocab.txt", "give a model with BERT's own tokenizer"))?;
    let mut files: Vec<String> = vec!["config.json".into(), tokenizer.into()];
    let also =
        BESIDE_TOKENIZER.into_iter().chain([VOCABULARY]).filter(|name| names.contains(*name) && *name != tokenizer);
    files.extend(also.map(str::to_string));
    files.push(weights.into());
    Ok(files)
}

/// The files that an index of weights names.
pub(super) fn shards(index: &Path, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Missing> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let cure = "the repository is broken; name another revision, or convert the model and give its folder";
    let text = std::fs::read(index).unwrap_or_default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let index: Index = serde_json::from_slice(text).map_err(|_| missing(format!("usable {INDEX}"), cure))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    match shards.iter().find(|name| !is_safe(name) || name.contains('/') || !names.contains(*name)) {
        Some(name) => Err(missing(format!("{name}, which its {INDEX} names"), cure)),
        None => Ok(shards),
    }
}

/// The parquet files of a task's part, in order.
pub(super) fn parts(task: Task, split: Split, names: &BTreeSet<String>) -> Result<Vec<String>, Missing> {
    let (_, stem) = task.stems(split);
    // both judgements of MNLI lie in one folder
    let folder = if task == Task::MnliMismatched { Task::Mnli.key() } else { task.key() };
    let start = format!("{folder}/{stem}-");
    let parts: Vec<String> =
        names.iter().filter(|name| name.starts_with(&start) && name.ends_with(".parquet")).cloned().collect();
    let total = parts.first().map_or(1, |name| crate::source::shards_in_all(name));
    let cure = "fetch the task by hand and give its folder with --data-dir";
    match parts.len() == total {
        true => Ok(parts),
        false => Err(missing(format!("complete {start}*.parquet ({} of {total})", parts.len()), cure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_is_needed_is_taken_and_the_weights_last() {
        let all = set(&["config.json", "flax_model.msgpack", "model.safetensors", "pytorch_model.bin", "README.md"]);
        let mut with = all.clone();
        with.extend(set(&["tokenizer.json", "tokenizer_config.json", "vocab.txt"]));
        let expected = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "model.safetensors"];
        assert_eq!(model(&with).unwrap(), expected);
        with.remove("tokenizer.json");
        assert_eq!(model(&with).unwrap(), ["config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors"]);
        assert!(model(&all).unwrap_err().to_string().contains("no tokenizer.json or vocab.txt"));
        with.remove("model.safetensors");
        let error = model(&with).unwrap_err().to_string();
        assert!(error.contains("flax_model.msgpack") && error.contains("refs/pr/1"), "{error}");
        with.insert(INDEX.into());
        assert_eq!(model(&with).unwrap().last().unwrap(), INDEX);
    }

    #[test]
    fn a_task_may_lie_in_several_files_and_all_must_be_there() {
        let names = set(&[
            "mnli/train-00000-of-00002.parquet",
            "mnli/train-00001-of-00002.parquet",
            "mnli/validation_matched-00000-of-00001.parquet",
            "mnli/validation_mismatched-00000-of-00001.parquet",
            "qqp/train-00001-of-00002.parquet",
        ]);
        assert_eq!(parts(Task::Mnli, Split::Train, &names).unwrap().len(), 2);
        let mismatched = parts(Task::MnliMismatched, Split::Dev, &names).unwrap();
        assert_eq!(mismatched, ["mnli/validation_mismatched-00000-of-00001.parquet"]);
        assert!(parts(Task::Qqp, Split::Train, &names).unwrap_err().what.contains("(1 of 2)"));
        assert!(parts(Task::Sst2, Split::Train, &names).unwrap_err().what.contains("sst2/train-*.parquet"));
    }
}
