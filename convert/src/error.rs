//! What can be wrong with a student, and the exit code that says so.

use std::path::PathBuf;

use bundle::BundleError;
use cli::exit;
use model::{ChooseError, ClearError, FoldError, QuantiseError, SampleError, SpecError, TextsError};

/// Why a student cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A file cannot be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The configuration or the weights cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The weights do not make the network that config.json describes.
    #[error("in {}: {source}{}", .folder.display(), cure(.source))]
    Fold {
        /// The student's folder.
        folder: PathBuf,
        /// What is wrong.
        source: FoldError,
    },
    /// `calibration.json` is not one.
    #[error("{}: not a calibration: {source}; say --calibrate --task TASK to make another", .path.display())]
    Ranges {
        /// The file.
        path: PathBuf,
        /// What its reader said.
        source: serde_json::Error,
    },
    /// Softmax without texts to fit its shifts to.
    #[error(
        "{}: its attention is softmax, whose scales and series are fitted to texts, and none are named; add --texts FILE (one text a \
         line, a few hundred like those to be classified), or --calibrate with --task or --train-file", .folder.display()
    )]
    Uncalibrated {
        /// The model's folder.
        folder: PathBuf,
    },
    /// Nothing says how large the model's values become.
    #[error(
        "{} has no calibration.json, so nothing says how large its values become; either say --calibrate --task TASK \
         (or --train-file FILE, or --texts FILE with one text a line) to observe them over texts, or convert a student that `distill` wrote: it leaves a calibration.json",
        .folder.display()
    )]
    NoRanges {
        /// The student's folder.
        folder: PathBuf,
    },
    /// Texts of another kind than the model was taught.
    #[error("{}: the model was taught {taught}, and these are {got}; give {taught}: pairs have a tab between, or a column for each text", .path.display())]
    Pairs {
        /// The file of texts.
        path: PathBuf,
        /// What the model takes.
        taught: &'static str,
        /// What the file holds.
        got: &'static str,
    },
    /// The tokenizer or a data set cannot be used.
    #[error(transparent)]
    Data(#[from] datasets::Error),
    /// The tokenizer has words that the model does not.
    #[error("{}: the largest token id is {got}; expected one below config.json's `vocab_size` of {expected}", .path.display())]
    Vocabulary {
        /// The tokenizer's file.
        path: PathBuf,
        /// Words of the model.
        expected: usize,
        /// The tokenizer's largest id.
        got: u32,
    },
    /// Ranges do not make a spec.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// A weight does not fit.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// The spec cannot be run.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A sentence does not fit the model.
    #[error(transparent)]
    Texts(#[from] TextsError),
    /// A sentence's tokens are not the model's.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The fixed-point network cannot be run.
    #[error(transparent)]
    Clear(#[from] ClearError),
    /// The output would touch the input.
    #[error("the bundle's folder {} {relation} the student's folder {}; name another with -o", .output.display(), .input.display())]
    Output {
        /// The bundle's folder.
        output: PathBuf,
        /// The student's folder.
        input: PathBuf,
        /// How they lie.
        relation: &'static str,
    },
    /// Fixed point and floating point differ.
    #[error(
        "the bundle was not written: fixed point and floating point differ by {difference:.3e}, the limit is {limit:.0e}"
    )]
    Accuracy {
        /// Largest difference of a logit.
        difference: f64,
        /// What is accepted.
        limit: f64,
    },
    /// Ordinary texts come near the bound that tells right answers from wrong ones.
    #[error(
        "the bundle was not written: a text of at most {tokens} tokens has a certificate of {largest:.1e}, {limit:.1e} leaves room to \
         tell a wrong answer; train with distill's --range-penalty and --short-texts, or say --calibrate on texts like it"
    )]
    Certificate {
        /// Tokens of the longest text of its class.
        tokens: usize,
        /// The largest of its class.
        largest: f64,
        /// What is accepted here.
        limit: f64,
    },
    /// The bundle cannot be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

fn cure(source: &FoldError) -> &'static str {
    match source {
        FoldError::Missing(name) if name.starts_with("classifier") || name.starts_with("pooler") => {
            "; this is an encoder without a trained head: teach a student with `distill` first"
        }
        FoldError::Missing(_) => "; config.json and the weights are not of one model, or the file is not a BERT's",
        _ => "",
    }
}

/// The program's exit code for an error.
pub fn exit_code(error: &anyhow::Error) -> i32 {
    let code = |cause: &(dyn std::error::Error + 'static)| {
        exit::code_in(cause).or_else(|| cause.downcast_ref::<ConvertError>().map(ConvertError::exit_code))
    };
    error.chain().find_map(code).unwrap_or(exit::OTHER)
}

impl ConvertError {
    /// See [`exit_code`].
    pub fn exit_code(&self) -> i32 {
        match self {
            ConvertError::Choose(ChooseError::Mismatch { .. }) => exit::BAD_INPUT,
            ConvertError::Choose(_)
            | ConvertError::Quantise(_)
            | ConvertError::Spec(_)
            | ConvertError::Clear(ClearError::Spec(_))
            | ConvertError::Accuracy { .. }
            | ConvertError::Certificate { .. } => exit::GATE,
            ConvertError::Output { .. } => exit::USAGE,
            ConvertError::Data(error) => error.exit_code(),
            ConvertError::Bundle(BundleError::Stopped) => exit::INTERRUPTED,
            ConvertError::Bundle(BundleError::Write { .. }) => exit::UNWRITABLE,
            ConvertError::Bundle(BundleError::Exists { .. } | BundleError::NotABundle { .. }) => exit::USAGE,
            ConvertError::Bundle(_) => exit::OTHER,
            _ => exit::BAD_INPUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        let code = |error: ConvertError| exit_code(&anyhow::Error::from(error).context("while converting"));
        assert_eq!(code(ConvertError::NoRanges { folder: "s".into() }), 3);
        assert_eq!(code(ConvertError::Accuracy { difference: 1.0, limit: 2e-2 }), 4);
        assert_eq!(code(SpecError::Version { got: 2, expected: 1 }.into()), 4);
        assert_eq!(code(datasets::Error::Usage("which texts?".into()).into()), 2);
        assert_eq!(code(BundleError::Stopped.into()), 130);
        assert_eq!(code(BundleError::Exists { path: "b".into() }.into()), 2);
        assert_eq!(exit_code(&cli::coded(exit::MEMORY, "too large").context("while converting")), 7);
        assert_eq!(exit_code(&anyhow::anyhow!("anything else")), 1);
    }
}
