//! Why a folder cannot be read: always a bad file, exit code 3 of every program. Every message is whole: none has a source
//! that a program would say again.

use std::path::PathBuf;

use model::ConfigError;

/// What is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("{}: {problem}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        problem: std::io::Error,
    },
    /// The folder has no `config.json`.
    #[error(
        "{} has no config.json; expected the folder of a Hugging Face model: config.json, model.safetensors, tokenizer.json",
        .folder.display()
    )]
    NoConfig {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of JSON is not text.
    #[error("{}: not UTF-8; save it as UTF-8, or copy it again", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The configuration is not one of a model that can be read.
    #[error("{}{problem}", .folder.join("").display())]
    Config {
        /// The folder.
        folder: PathBuf,
        /// What is wrong; it names the file.
        problem: ConfigError,
    },
    /// A model of another kind.
    #[error("{}: `model_type` is `{name}`, and {reason}", .path.display())]
    Family {
        /// The configuration.
        path: PathBuf,
        /// Its `model_type`.
        name: String,
        /// Why it is not run, and what is instead.
        reason: String,
    },
    /// The list of modules of sentence-transformers is not one that can be read.
    #[error("{}: {problem}; expected the list that sentence-transformers writes, with a module of type sentence_transformers.models.Transformer", .path.display())]
    Modules {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A model of sentence-transformers without a head.
    #[error(
        "{}: this model of sentence-transformers gives embeddings, and has no trained classification head: there is nothing to classify \
         with; train one on it (distill --teacher FOLDER --task TASK or --train-file FILE), or take a model that was saved as a \
         ...ForSequenceClassification", .path.display()
    )]
    Embeddings {
        /// The list of its modules.
        path: PathBuf,
    },
    /// Neither weights nor anything that looks like them.
    #[error(
        "{} has no weights; expected model.safetensors, or model.safetensors.index.json with the files that it names",
        .folder.display()
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// Weights in another format.
    #[error("{}: weights are read from model.safetensors only; {cure}", .path.display())]
    OtherFormat {
        /// The file that is there.
        path: PathBuf,
        /// What to do.
        cure: String,
    },
    /// The index of a model in several files is not one.
    #[error("{}: {problem}; copy the whole folder again", .path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of weights is not one.
    #[error("{}: not a safetensors file: {message}; copy it again", .path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What its reader said.
        message: String,
    },
    /// No network, or more than one.
    #[error(
        "{}: {found}; expected one tensor whose name ends with embeddings.word_embeddings.weight, and the others under the same \
         prefix, such as bert.encoder.layer.0.output.dense.weight; save the model with transformers' save_pretrained", .path.display()
    )]
    Network {
        /// The file, or the folder where there are several.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A tensor is not what it should be.
    #[error("{}: tensor `{name}` {problem}; expected {expected}, got {got}", .path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name there.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
        /// What would do.
        expected: String,
        /// What stands there.
        got: String,
    },
}
