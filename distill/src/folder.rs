//! A model's folder as Hugging Face tools leave and read it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use candle_core::Device;
use datasets::{BESIDE_TOKENIZER, Target, Tokenizer, VOCABULARY};
use model::{Config, ProblemType};

use crate::atomic;
use crate::errors::bad_file;
use crate::task_binding::problem_type;
use crate::weights::{LoadedWeights, Weights};

/// The file with the tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// The file with the configuration.
pub const CONFIG: &str = "config.json";
/// The file with the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// The class that tools assume for the tokenizer of a BERT.
const USUAL_CLASS: &str = "BertTokenizer";

/// What a model is read for, which decides how a missing pooler or head is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelRole {
    /// It is taught the task where it has no head for it.
    Teacher,
    /// A student starts from it.
    Start,
    /// It is evaluated as it is.
    Evaluated,
}

/// Refuses a model whose attention a student here does not have.
pub(crate) fn check_positions(path: &Path, config: &Config) -> Result<()> {
    let shown = path.display();
    let what = format!(
        "it is an MPNet, whose relative positions are not taught here; it runs as it is: convert {shown} -o BUNDLE --texts FILE"
    );
    ensure!(!config.relative_positions, bad_file(path, what));
    Ok(())
}

/// A model read from its folder.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it was read.
    pub path: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// Its weights.
    pub weights: Weights,
    /// Whether it has a trained pooler and a trained head for the task.
    pub has_head: bool,
}

impl Folder {
    /// Reads a teacher's folder and logs what is ignored in it. A missing pooler or head is drawn, with a warning.
    pub fn read(path: &Path, seed: u64) -> Result<Folder> {
        Folder::read_as(ModelRole::Teacher, path, seed)
    }

    /// Reads the folder of a model in any role.
    pub fn read_as(role: ModelRole, path: &Path, seed: u64) -> Result<Folder> {
        let config = ::checkpoint::read_config(path)?;
        check_positions(path, &config)?;
        let LoadedWeights { weights, drawn, notes } = Weights::read(path, &config, seed)?;
        notes.iter().for_each(|note| cli::log(&format!("note: {note}")));
        let (names, lacks) = (drawn.join(", "), |part: &str| drawn.iter().any(|name| name.contains(part)));
        let missing = match (lacks("pooler."), lacks("classifier.")) {
            (false, false) => return Ok(Folder { path: path.into(), config, weights, has_head: true }),
            (true, true) => format!("it has no pooler and no head ({names})"),
            (true, false) => format!("it has no pooler ({names}), without which its head means nothing"),
            (false, true) => format!("it has no head ({names})"),
        };
        let instead = match role {
            ModelRole::Teacher => "what it needs is drawn anew, and trained",
            ModelRole::Start => "the teacher's pooler and head are taken",
            ModelRole::Evaluated => {
                bail!(bad_file(path, format!("{missing}; teach it first: distill --teacher {}", path.display())))
            }
        };
        cli::log(&format!("warning: {}: {missing}; {instead}", path.display()));
        Ok(Folder { path: path.into(), config, weights, has_head: false })
    }

    /// The same model on a device.
    pub fn on(self, device: &Device) -> Result<Folder> {
        Ok(Folder { weights: self.weights.on(device)?, ..self })
    }

    /// The names of its outputs; where `config.json` has none, those that transformers gives them.
    pub fn names(&self) -> Vec<String> {
        self.config.labels()
    }

    /// What its head predicts; `None` without a head, or with one for several numbers at once.
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

    /// The folder's tokenizer, whose ids must fit the model's embedding table. Logs what is unusual about it.
    pub fn tokenizer(&self, max_length: usize) -> Result<Tokenizer> {
        let tokenizer = Tokenizer::load(&self.path, max_length)?;
        for note in tokenizer.notes() {
            cli::log(&format!("warning: {note}"));
        }
        let (largest, rows) = (tokenizer.largest_id()?, self.config.vocab_size);
        let fits = largest.is_none_or(|id| (id as usize) < rows);
        let what = || format!("its tokenizer has a token {} for a table of {rows}", largest.unwrap_or_default());
        ensure!(fits, bad_file(&self.path, what()));
        Ok(tokenizer)
    }
}

/// Writes configuration, weights and tokenizer, the latter as that of the folder `tokenizer` is read; `tokenizer.json` always.
pub fn write(out: &Path, config: &Config, weights: &Weights, tokenizer: &Path, half: bool) -> Result<()> {
    atomic::make_folder(out)?;
    let mut config = config.clone();
    config.extra.insert("architectures".into(), serde_json::json!(["BertForSequenceClassification"]));
    config.extra.insert("torch_dtype".into(), serde_json::json!(if half { "float16" } else { "float32" }));
    config.extra.remove("_name_or_path");
    let read = |path: &Path| fs::read(path).map_err(|e| bad_file(path, e));
    let read_as = Tokenizer::load(tokenizer, config.max_position_embeddings)?;
    atomic::write(&out.join(TOKENIZER), &read_as.to_json()?)?;
    // other files of a tokenizer go along where they are
    for name in BESIDE_TOKENIZER.into_iter().chain([VOCABULARY]) {
        let path = tokenizer.join(name);
        if path.is_file() {
            atomic::write(&out.join(name), &read(&path)?)?;
        }
    }
    if let Some(class) = read_as.class().filter(|class| *class != USUAL_CLASS) {
        name_class(&out.join(TOKENIZER_CONFIG), class)?;
    }
    atomic::write_json(&out.join(CONFIG), &config)?;
    weights.write(&out.join(WEIGHTS), half)
}

/// Names the tokenizer's class in `tokenizer_config.json`. Without it tools infer the class from the model, which is written as
/// a BERT but may have been read as another kind.
fn name_class(path: &Path, class: &str) -> Result<()> {
    let mut config = match path.is_file() {
        true => {
            serde_json::from_slice(&fs::read(path).map_err(|e| bad_file(path, e))?).map_err(|e| bad_file(path, e))?
        }
        false => serde_json::Map::new(),
    };
    if config.get("tokenizer_class").is_some_and(serde_json::Value::is_string) {
        return Ok(());
    }
    config.insert("tokenizer_class".into(), class.into());
    atomic::write_json(path, &config)
}
