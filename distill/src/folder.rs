//! A model's folder as Hugging Face tools leave and read it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use datasets::{Task, Tokenizer};
use model::Config;

use crate::atomic;
use crate::bad_file::BadFile;
use crate::weights::{HEAD_WEIGHT, Weights};

/// Files that belong to the tokenizer; only the first must be there.
const TOKENIZER: [&str; 4] = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"];

/// A model read from its folder.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it was read.
    pub path: PathBuf,
    /// Its configuration, with the task's labels.
    pub config: Config,
    /// Its weights.
    pub weights: Weights,
    /// Whether it came with a head for the task.
    pub has_head: bool,
}

impl Folder {
    /// Reads a folder for a task. A missing pooler is drawn with a warning; a missing head is drawn and reported.
    pub fn read(path: &Path, task: Task, seed: u64) -> Result<Folder> {
        let mut config = ::checkpoint::read_config(path)?;
        label(&mut config, task);
        let read = Weights::read(path, &config, seed)?;
        if read.drawn.iter().any(|name| name.starts_with("bert.pooler.")) {
            eprintln!("warning: {} has no pooler; one is drawn and trained", path.display());
        }
        let has_head = !read.drawn.iter().any(|name| name == HEAD_WEIGHT);
        Ok(Folder { path: path.into(), config, weights: read.weights, has_head })
    }

    /// The folder's tokenizer; its words must be those of the model.
    pub fn tokenizer(&self, max_length: usize) -> Result<Tokenizer> {
        let limit = self.config.max_position_embeddings;
        ensure!(
            max_length <= limit,
            "--max-seq-length is {max_length}; {} reads {limit} tokens at most",
            self.path.display()
        );
        let tokenizer = Tokenizer::load(&self.path, max_length)?;
        let (largest, rows) = (tokenizer.largest_id()?, self.config.vocab_size);
        let file = self.path.join("tokenizer.json");
        let fits = largest.is_none_or(|id| (id as usize) < rows);
        ensure!(fits, BadFile::new(&file, format!("token {} for a table of {rows}", largest.unwrap_or_default())));
        Ok(tokenizer)
    }
}

/// Gives a configuration the task's label names.
fn label(config: &mut Config, task: Task) {
    config.id2label = task.labels().iter().enumerate().map(|(id, name)| (id, (*name).to_string())).collect();
    config.label2id = task.labels().iter().enumerate().map(|(id, name)| ((*name).to_string(), id)).collect();
}

/// Writes configuration, weights and tokenizer; the tokenizer's files are copied from `tokenizer`.
pub fn write(out: &Path, config: &Config, weights: &Weights, tokenizer: &Path, half: bool) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut config = config.clone();
    config.extra.insert("architectures".into(), serde_json::json!(["BertForSequenceClassification"]));
    config.extra.insert("torch_dtype".into(), serde_json::json!(if half { "float16" } else { "float32" }));
    config.extra.remove("_name_or_path");
    for (index, name) in TOKENIZER.iter().enumerate() {
        let source = tokenizer.join(name);
        if index == 0 || source.is_file() {
            let bytes = fs::read(&source).map_err(|e| BadFile::new(&source, e))?;
            atomic::write(&out.join(name), &bytes)?;
        }
    }
    atomic::write_json(&out.join("config.json"), &config)?;
    weights.write(&out.join("model.safetensors"), half)
}
