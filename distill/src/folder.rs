//! A model's folder as Hugging Face tools leave and read it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use candle_core::Device;
use datasets::{Target, Tokenizer};
use model::{Config, ProblemType};

use crate::atomic;
use crate::faults::bad_file;
use crate::question::problem_type;
use crate::weights::{HEAD_WEIGHT, Weights};

const TOKENIZER: &str = "tokenizer.json";
/// The file with the configuration.
pub const CONFIG: &str = "config.json";
/// The file with the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// Other files of a tokenizer, which go along where they are.
const BESIDE: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", "vocab.txt"];

/// A model read from its folder.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it was read.
    pub path: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// Its weights.
    pub weights: Weights,
    /// Whether it came with a head, or one for what it is asked.
    pub has_head: bool,
}

impl Folder {
    /// Reads a folder. A missing pooler is drawn with a warning; a missing head is drawn and reported.
    pub fn read(path: &Path, seed: u64) -> Result<Folder> {
        let config = ::checkpoint::read_config(path)?;
        let read = Weights::read(path, &config, seed)?;
        if read.drawn.iter().any(|name| name.starts_with("bert.pooler.")) {
            eprintln!("warning: {} has no pooler; one is drawn and trained", path.display());
        }
        let has_head = !read.drawn.iter().any(|name| name == HEAD_WEIGHT);
        Ok(Folder { path: path.into(), config, weights: read.weights, has_head })
    }

    /// The same model on a device.
    pub fn on(self, device: &Device) -> Result<Folder> {
        Ok(Folder { weights: self.weights.on(device)?, ..self })
    }

    /// The names of its outputs; where `config.json` has none, those that transformers gives them.
    pub fn names(&self) -> Vec<String> {
        self.config.labels()
    }

    /// What its head answers; `None` without one, or with one for several numbers at once.
    pub fn target(&self) -> Option<Target> {
        let target = Target::of_model(&self.names(), self.config.problem() == ProblemType::MultiLabel);
        (self.has_head && self.config.problem() == problem_type(&target)).then_some(target)
    }

    /// The same model with the outputs of `target`; its head stays with `keeps`, or is drawn from `seed`.
    pub fn answering(mut self, target: &Target, keeps: bool, seed: u64) -> Result<Folder> {
        let names = target.names();
        self.config.id2label = names.iter().cloned().enumerate().collect();
        self.config.label2id = names.into_iter().enumerate().map(|(id, name)| (name, id)).collect();
        self.config.problem_type = Some(problem_type(target));
        if !keeps {
            self.weights = self.weights.with_new_head(&self.config, seed)?;
        }
        self.has_head = keeps;
        Ok(self)
    }

    /// The folder's tokenizer; its words must be those of the model.
    pub fn tokenizer(&self, max_length: usize) -> Result<Tokenizer> {
        let tokenizer = Tokenizer::load(&self.path, max_length)?;
        let (largest, rows) = (tokenizer.largest_id()?, self.config.vocab_size);
        let fits = largest.is_none_or(|id| (id as usize) < rows);
        let what = || format!("its tokenizer has a token {} for a table of {rows}", largest.unwrap_or_default());
        ensure!(fits, bad_file(&self.path, what()));
        Ok(tokenizer)
    }
}

/// Writes configuration, weights and tokenizer, the latter as the folder `tokenizer` has it; `tokenizer.json` always.
pub fn write(out: &Path, config: &Config, weights: &Weights, tokenizer: &Path, half: bool) -> Result<()> {
    atomic::make_folder(out)?;
    let mut config = config.clone();
    config.extra.insert("architectures".into(), serde_json::json!(["BertForSequenceClassification"]));
    config.extra.insert("torch_dtype".into(), serde_json::json!(if half { "float16" } else { "float32" }));
    config.extra.remove("_name_or_path");
    let read = |path: &Path| fs::read(path).map_err(|e| bad_file(path, e));
    let whole = tokenizer.join(TOKENIZER);
    let bytes = match whole.is_file() {
        true => read(&whole)?,
        false => Tokenizer::load(tokenizer, config.max_position_embeddings)?.to_json()?,
    };
    atomic::write(&out.join(TOKENIZER), &bytes)?;
    for name in BESIDE {
        let path = tokenizer.join(name);
        if path.is_file() {
            atomic::write(&out.join(name), &read(&path)?)?;
        }
    }
    atomic::write_json(&out.join(CONFIG), &config)?;
    weights.write(&out.join(WEIGHTS), half)
}
